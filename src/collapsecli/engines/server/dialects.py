"""What kind of server answers, and what its kind can be asked for. Sends nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collapsecli.records import Cell, Sampling

LogprobMode = Literal["processed", "raw", "none"]

# What a server can hold in flight without waiting for us. vLLM runs 256 sequences at once unless told (1024 on the
# largest GPUs), and the others of these wait in its queue for a place; of what others can bear nothing is known.
_IN_FLIGHT_VLLM, _IN_FLIGHT = 1024, 16
_CHOICES_VLLM = 32  # they share their prefill and leave together


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one kind of server understands beyond OpenAI's own fields.

    `neutral` are fields that change what is drawn, at the value that changes nothing: left out, the server's default or
    the model's would apply without a word. `top_k_off` is its value of top_k for "off", None where it takes no top_k.
    `has_tokens` says whether it turns prompts into tokens and back, takes them for prompts and gives those it drew.
    """

    name: str
    neutral: Mapping[str, object] = field(default_factory=dict)
    top_k_off: int | None = None
    has_tokens: bool = False
    logprobs: LogprobMode = "none"

    @property
    def in_flight(self) -> int:
        """Completions in flight unless told otherwise."""
        return _IN_FLIGHT_VLLM if self.has_tokens else _IN_FLIGHT

    @property
    def choices(self) -> int:
        """Completions per request unless told otherwise.

        One where seeds of several in one request mean what the server likes: it may use one for all of them, and equal
        noise looks like collapse.
        """
        return _CHOICES_VLLM if self.has_tokens else 1

    def kind_of(self, sampling: Sampling) -> Literal["sampling", "model"] | None:
        """Of which distribution the log-probabilities of completions are."""
        if self.logprobs == "none":
            return None
        return "sampling" if self.logprobs == "processed" or sampling.is_untouched else "model"

    def refusal(self, cell: Cell) -> str:
        """Why a cell cannot be drawn by such a server as it asks to be; empty if it can."""
        sampling = cell.sampling
        if self.top_k_off is None and (sampling.top_k or sampling.min_p):
            return "has top_k or min_p, which this kind of server is not known to take"
        if self.has_tokens or not cell.messages:
            return ""
        if cell.injected:
            return "begins the model's own turn (inject), which only a vLLM server is known to let us do"
        if cell.reasoning == "off":
            return "turns reasoning off in the chat template, which only a vLLM server is known to let us do"
        return ""

    def taking(self, mode: LogprobMode) -> Dialect:
        """The same, once it is known which log-probabilities come back."""
        return replace(self, logprobs=mode)


_OPENAI = Dialect("generic")
# By what servers say of themselves in `owned_by` of their list of models. The fields are those of their documentation;
# against a real server only vLLM's are tested.
_KINDS = {
    "vllm": Dialect(
        "vllm behind a gateway", {"min_p": 0.0, "repetition_penalty": 1.0, "min_tokens": 0}, top_k_off=-1
    ),
    "sglang": Dialect("sglang", {"min_p": 0.0, "repetition_penalty": 1.0, "min_tokens": 0}, top_k_off=-1),
    "llamacpp": Dialect(
        "llama.cpp",
        {"min_p": 0.0, "repeat_penalty": 1.0, "typical_p": 1.0, "xtc_probability": 0.0, "dry_multiplier": 0.0,
         "dynatemp_range": 0.0, "mirostat": 0},
        top_k_off=0,
    ),
}  # fmt: skip


def dialect_of(owned_by: str, *, has_tokens: bool) -> Dialect:
    """The dialect of a server, by what it calls itself and whether it showed that it knows tokens."""
    kind = _KINDS.get(owned_by, _OPENAI)
    return replace(kind, name="vllm", has_tokens=True) if owned_by == "vllm" and has_tokens else kind


def may_know_tokens(owned_by: str, version: object) -> bool:
    """Whether a server may be a vLLM server that is spoken to directly."""
    return owned_by == "vllm" and isinstance(version, str)


def mode_of(untouched: Any, top_k_one: Any) -> LogprobMode:
    """Which log-probabilities a vLLM server gives, from two answers to the same prompt, each of a few tokens.

    With top_k = 1 one token is left: its probability is 1 in the distribution that is sampled, and what it was in the
    untouched one. Logits, which a server can be told to give instead, show in an untouched answer: they lie above zero,
    or sum to no distribution.
    """
    plain, cut = _logprobs(untouched), _logprobs(top_k_one)
    if not plain or not cut or max(plain + cut) > 1e-6 or max(_masses(untouched), default=0.0) > 1.001:
        return "none"
    # A model that is certain of every token anyway would look the same in both.
    return "processed" if min(cut) > -1e-6 and min(plain) < -1e-3 else "raw"


def _logprobs(answer: Any) -> list[float]:
    values = _at(answer, "token_logprobs")
    return [value for value in values if isinstance(value, float)] if isinstance(values, list) else []


def _masses(answer: Any) -> list[float]:
    """The probability of the likeliest tokens together, per position."""
    tops = _at(answer, "top_logprobs")
    if not isinstance(tops, list):
        return []
    values = [[value for value in top.values() if isinstance(value, float)] for top in tops if isinstance(top, dict)]
    return [math.fsum(math.exp(min(value, 50.0)) for value in of_one) for of_one in values]


def _at(answer: Any, name: str) -> Any:
    try:
        return answer["choices"][0]["logprobs"][name]
    except (TypeError, KeyError, IndexError):
        return None
