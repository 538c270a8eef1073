"""Cells into the tokens that a model reads, and its tokens back into text. Knows a tokenizer, and no engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collapsecli.engines.reasons import reason
from collapsecli.errors import UsageError
from collapsecli.records import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from collapsecli.errors import Fault
    from collapsecli.records import Cell

# A few tokens of the prompt go in front of a completion when it is decoded, so that its leading space survives.
_CONTEXT_TOKENS = 4


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as the model reads it."""

    text: str
    token_ids: list[int]


class Prompts:
    """The prompts of cells, each rendered and encoded once."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[object, Prompt] = {}

    def of(self, cell: Cell) -> Prompt:
        """The prompt of a cell. Raises UsageError when the chat template refuses it."""
        asked = (cell.text, cell.messages, cell.injected, cell.reasoning == "off")
        if asked not in self._known:
            text = self._chat(cell) if cell.messages else (cell.text or "") + cell.injected
            self._known[asked] = Prompt(text, self._encoded(text, is_chat=bool(cell.messages)))
        return self._known[asked]

    def tokens(self, cell: Cell, text: str) -> tuple[int, ...]:
        """The tokens of a text behind a cell's prompt; empty where it melts into the prompt's last one."""
        # Some tokenizers put a space before whatever they read: what a text's own tokens are shows behind the prompt.
        prompt = self.of(cell)
        joined = self._encoded(prompt.text + text, is_chat=bool(cell.messages))
        own = len(prompt.token_ids)
        return tuple(joined[own:]) if joined[:own] == prompt.token_ids else ()

    def road_faults(self, cell: Cell) -> Iterator[Fault]:
        """A road is scored token by token: its tokens must be its own, after this prompt as by themselves."""
        prompt = self.of(cell)
        for road in cell.roads:
            own = list(self.tokens(cell, road.text))
            if not own:
                yield road.fault(
                    f"the continuation {road.text!r} has no tokens of its own: it melts into the prompt's last one",
                    "begin it with a whole word; a space between the two belongs to the continuation",
                )
            elif (read := self._read_back(prompt, own)) != road.text:
                yield road.fault(
                    f"the model's tokens of the continuation {road.text!r} say {read!r}",
                    "write it in words and signs that the model has",
                )

    def texts(self, cell: Cell, drawn: Iterable[Sequence[int]]) -> list[str]:
        """What completions of a cell say, from their tokens; a character that was cut off in its middle is left out."""
        drawn = [list(token_ids) for token_ids in drawn]
        head = self.of(cell).token_ids[-_CONTEXT_TOKENS:]
        sequences = [head, *([*head, *token_ids] for token_ids in drawn)]
        before, *decoded = self._tokenizer.batch_decode(sequences, skip_special_tokens=True)
        return [
            (text[len(before) :] if text.startswith(before) else self._decoded(token_ids)).rstrip("\ufffd")
            for text, token_ids in zip(decoded, drawn, strict=True)
        ]

    def _decoded(self, token_ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(token_ids), skip_special_tokens=True)
        return text

    def _encoded(self, text: str, *, is_chat: bool) -> list[int]:
        # A chat template has written the special tokens already: adding them again would put two at the beginning.
        return list(self._tokenizer.encode(text, add_special_tokens=not is_chat))

    def _read_back(self, prompt: Prompt, token_ids: Sequence[int]) -> str:
        head = prompt.token_ids[-_CONTEXT_TOKENS:]
        return self._decoded([*head, *token_ids]).removeprefix(self._decoded(head))

    def _chat(self, cell: Cell) -> str:
        """A chat up to where the model goes on: at the beginning of its turn, or after what it is made to say first."""
        think = cell.reasoning != "off"
        asked, prefill = self._render_chat(cell.messages, think=think), cell.injected.strip()
        if not prefill:
            return asked + cell.injected
        begun = self._render_chat((*cell.messages, Message("assistant", prefill)), think=think)
        turn = begun[: begun.rindex(prefill)]
        # Space is the template's affair in a turn that it renders, and the model's own after a prompt: what is said
        # beforehand stands where the model would have said it. A template may open its turns elsewhere: past a thought.
        if turn.rstrip() != asked.rstrip():
            return turn + cell.injected.lstrip()
        # Behind a template that ends with space the space of a raw prompt would be a second one.
        return asked + (cell.injected.lstrip(" ") if asked[-1:].isspace() else cell.injected)

    def _render_chat(self, messages: Sequence[Message], *, think: bool) -> str:
        continued = messages[-1].role == "assistant"
        try:
            text: str = self._tokenizer.apply_chat_template(
                [{"role": message.role, "content": message.content} for message in messages],
                tokenize=False,
                add_generation_prompt=not continued,
                continue_final_message=continued,
                **({} if think else {"enable_thinking": False}),
            )
        except Exception as error:  # a template is a program of the model's: it raises what it likes
            raise UsageError(
                f"the model's chat template refuses these messages: {reason(error)}",
                hint="a base model has none: write the prompt as `text:` instead of `messages:`",
            ) from error
        return text
