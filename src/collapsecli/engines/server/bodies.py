"""What is sent: requests for completions and for scores, as JSON. Pure; knows no connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collapsecli.engines.groups import Group
    from collapsecli.engines.server.dialects import Dialect
    from collapsecli.records import Cell, Sampling

Path = Literal["completions", "chat/completions"]
MaxTokensField = Literal["max_tokens", "max_completion_tokens"]

_SEEDS = 1 << 32  # what is known of no other server's seeds: more bits may be refused, or cut off
_MEBIBYTE = 1 << 20
_MOST_BYTES = 512 * _MEBIBYTE
_BYTES_PER_TOKEN = 512  # with its log-probability and everything around it: some 150, more for rare signs


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: where to, what, and how large the answer may be."""

    path: Path
    body: dict[str, Any]
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Asking:
    """How one server is asked: in its dialect, for this model, with these fields in every request.

    `has_seeds` is false where several completions are asked for at once and nobody knows what a seed then means.
    """

    dialect: Dialect
    model: str
    fields: Mapping[str, object]
    has_seeds: bool = True
    max_tokens_field: MaxTokensField = "max_tokens"

    def completions(self, group: Group, token_ids: Sequence[int]) -> Ask:
        """Ask for the completions of a group; `token_ids` are its prompt's, where the server takes them."""
        cell, sampling = group.request.cell, group.request.cell.sampling
        body = {**self._what(cell, token_ids), **self._how(sampling), **self.fields, "n": group.size, "stream": False}
        if self.has_seeds and sampling.temperature > 0:
            seed = group.request.seed + group.first
            body["seed"] = seed if self.dialect.has_tokens else seed % _SEEDS
        if self.dialect.has_tokens:
            body |= {"return_token_ids": True, **self._logprobs()}
        is_chat = "messages" in body
        return Ask(
            "chat/completions" if is_chat else "completions",
            body,
            _bound(group.size, sampling.max_tokens, len(token_ids)),
        )

    def score(self, cell: Cell, prompt: Sequence[int], token_ids: Sequence[int]) -> Ask:
        """Ask a server that knows tokens for the log-probabilities of given ones after a prompt."""
        body = {
            "model": cell.adapter or self.model,
            "prompt": [*prompt, *token_ids],
            **self.dialect.neutral, **self.fields,
            "temperature": 0.0, "max_tokens": 1, "n": 1, "prompt_logprobs": 0, "stream": False,
        }  # fmt: skip
        return Ask("completions", body, _bound(1, 1, len(prompt) + len(token_ids)))

    def _what(self, cell: Cell, token_ids: Sequence[int]) -> dict[str, Any]:
        model = cell.adapter or self.model
        if self.dialect.has_tokens:
            return {"model": model, "prompt": list(token_ids)}
        if cell.messages:
            messages = [{"role": message.role, "content": message.content} for message in cell.messages]
            return {"model": model, "messages": messages}
        return {"model": model, "prompt": (cell.text or "") + cell.injected}

    def _how(self, sampling: Sampling) -> dict[str, Any]:
        """Every parameter that shapes the distribution: a server's or a model's own defaults never apply."""
        fields: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            self.max_tokens_field: sampling.max_tokens,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            **self.dialect.neutral,
        }
        if sampling.stop:
            fields["stop"] = list(sampling.stop)
        if self.dialect.top_k_off is not None:
            fields |= {"top_k": sampling.top_k or self.dialect.top_k_off, "min_p": sampling.min_p}
        return fields

    def _logprobs(self) -> dict[str, Any]:
        if self.dialect.logprobs == "none":
            return {}
        return {"logprobs": 0, "return_tokens_as_token_ids": True}  # numbers need no decoding


def _bound(choices: int, max_tokens: int, prompt_tokens: int) -> int:
    """The bytes that an honest answer can have, and no more: every choice repeats its prompt."""
    return min(_MOST_BYTES, _MEBIBYTE + choices * _BYTES_PER_TOKEN * (max_tokens + prompt_tokens))
