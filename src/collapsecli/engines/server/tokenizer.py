"""The tokenizer of a vLLM server, asked from afar by the names that `Prompts` calls one by. Knows no completion."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from collapsecli.engines.places import text_digest
from collapsecli.engines.server.answers import token_list
from collapsecli.engines.server.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collapsecli.engines.server.talk import Talk

_AT_ONCE = 64
# Read by two tokenizers, these rarely come out the same: words, digits, scripts, spaces, code, signs.
_SPECIMEN = (
    "The quick  brown fox: 1234567890, 3.14\n\tdef f(x): return x**2 // naïve Ünïcödé 日本語 Привет مرحبا 🙂<|end|></s>"
)
_CHAT = (("user", "One?"), ("assistant", "Two."), ("user", "Three?"))


class UnreadError(Exception):
    """The server does not make tokens of a text or a chat, or no text of tokens."""


class ServerTokenizer:
    """Turns texts and chats into tokens and back, each by a request. Not for the loop's thread.

    Raises UnreadError for what the server refuses, IncompleteError when it is gone.
    """

    def __init__(self, talk: Talk, root: str, model: str) -> None:
        self._talk, self._root, self._model = talk, root, model
        self._ahead: dict[str, list[int]] = {}
        self._chats: dict[str, list[int]] = {}

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """The tokens of a text; of a chat that was rendered here, those that its template gave."""
        if not add_special_tokens and text in self._chats:
            return list(self._chats[text])
        if add_special_tokens and text in self._ahead:
            return self._ahead.pop(text)
        return self._talk.call(self._encoded({"prompt": text, "add_special_tokens": add_special_tokens}))

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """The text of tokens. Special ones are spelled out: a server cannot be asked to leave them out."""
        del skip_special_tokens
        found = self._talk.call(self._asked("detokenize", {"tokens": list(token_ids)}))
        text = found.get("prompt")
        if not isinstance(text, str):
            raise UnreadError("the server does not turn tokens into text")
        return text

    def apply_chat_template(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        tokenize: bool,
        add_generation_prompt: bool,
        continue_final_message: bool,
        **template: object,
    ) -> str:
        """The text that the model reads of a chat."""
        del tokenize
        token_ids = self._talk.call(
            self._encoded(
                {
                    "messages": list(messages),
                    "add_generation_prompt": add_generation_prompt,
                    "continue_final_message": continue_final_message,
                    **({"chat_template_kwargs": template} if template else {}),
                }
            )
        )
        text = self.decode(token_ids)
        if continue_final_message:
            # What is said beforehand is put in by its text, which must then be what its tokens say.
            if self.encode(text, add_special_tokens=False) != token_ids:
                raise UnreadError("the server's tokenizer does not read its own chat as it wrote it")
        else:
            self._chats[text] = token_ids
        return text

    def read_ahead(self, texts: Sequence[str]) -> None:
        """Ask for the tokens of many texts at once: one by one, thousands of prompts would take minutes."""
        for start in range(0, len(texts), _AT_ONCE):
            part = texts[start : start + _AT_ONCE]
            self._ahead |= zip(part, self._talk.call(self._all(part)), strict=True)

    def digest(self) -> str:
        """What tells this tokenizer and its chat template from most others: how they read a text and a chat."""
        chat = [{"role": role, "content": said} for role, said in _CHAT]
        read = []
        for body in ({"prompt": _SPECIMEN}, {"messages": chat}):
            with suppress(UnreadError):  # a base model has no template
                read.append(self._talk.call(self._encoded(body)))
        return text_digest(str(read))

    async def _all(self, texts: Sequence[str]) -> list[list[int]]:
        asked = [asyncio.ensure_future(self._encoded({"prompt": text, "add_special_tokens": True})) for text in texts]
        try:
            return await asyncio.gather(*asked)
        finally:
            for one in asked:  # where one is refused the others would go on, and outlive the engine
                one.cancel()

    async def _encoded(self, body: Mapping[str, object]) -> list[int]:
        tokens = token_list(await self._asked("tokenize", body))
        if tokens is None:
            raise UnreadError("the server does not turn text into tokens")
        return tokens

    async def _asked(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        found = await self._talk.patiently(f"{self._root}/{path}", {"model": self._model, **body})
        if isinstance(found, Fault):
            raise UnreadError(found.message)
        return found
