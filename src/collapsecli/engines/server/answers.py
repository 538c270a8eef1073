"""What comes back: choices into completions, and into rows of errors where they make no sense. Pure; trusts nothing."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from collapsecli.engines import Score
from collapsecli.engines.server.faults import Fault
from collapsecli.records import Completion
from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collapsecli.engines import SampleRequest, ScoreRequest
    from collapsecli.engines.groups import Group
    from collapsecli.engines.server.dialects import Dialect

_LEAST_LOGPROB = -9999.0  # what vLLM writes for minus infinity, which JSON does not have
_MOST_LOGPROB = 1e-3  # certainty, and what rounding may add to it
_NUMBERS = 1 << 31  # no vocabulary and no prompt is larger, and no column holds more
# How servers call the two ways in which a text ends.
_ENDS: Mapping[str, Literal["stop", "length"]] = {
    "stop": "stop", "eos": "stop", "eos_token": "stop", "stop_sequence": "stop", "length": "length",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PromptRead:
    """A prompt as it stands in rows, and its number of tokens as far as it is known before anything came back."""

    text: str
    n_tokens: int


@dataclass(frozen=True, slots=True)
class _Choice:
    """One choice that makes sense."""

    text: str
    reasoning: str | None
    token_ids: tuple[int, ...]
    token_logprobs: tuple[float, ...]
    finish: Literal["stop", "length"]


def completions_of(
    group: Group, answer: Mapping[str, Any], prompt: PromptRead, dialect: Dialect
) -> dict[int, Completion]:
    """The completions of a group, by index: those that the answer holds, none twice, and never one more than asked."""
    n_prompt_tokens = prompt.n_tokens or _prompt_tokens(answer)
    found = {}
    for at, raw in _numbered(answer, group.size):
        index = group.first + at
        choice = _read_choice(raw, group, dialect)
        if isinstance(choice, Fault):
            found[index] = failed(group.request, index, prompt, choice)
            continue
        kind = dialect.kind_of(group.request.cell.sampling)
        found[index] = Completion(
            cell_id=group.request.cell.cell_id,
            sample_index=index,
            seed=group.request.seed + index,
            prompt=prompt.text,
            text=choice.text,
            token_ids=choice.token_ids,
            token_logprobs=choice.token_logprobs if kind else (),
            logprob=math.fsum(choice.token_logprobs) if kind else None,
            n_prompt_tokens=n_prompt_tokens,
            finish_reason=choice.finish,
            logprob_kind=kind,
            reasoning=choice.reasoning,
            created_at=time.time(),
        )
    return found


def failed(request: SampleRequest, index: int, prompt: PromptRead, fault: Fault) -> Completion:
    """The row of a draw that has no answer."""
    return Completion(
        request.cell.cell_id, index, request.seed + index, prompt.text, "", (), (), None, prompt.n_tokens, "error",
        error_kind=fault.kind, error=fault.message, created_at=time.time(),
    )  # fmt: skip


def score_of(request: ScoreRequest, answer: Mapping[str, Any]) -> Score:
    """The log-probabilities of the tokens that were asked for: the last ones of the prompt that was sent."""
    try:
        positions = answer["choices"][0]["prompt_logprobs"]
        asked = positions[len(positions) - len(request.token_ids) :]
        values = tuple(_float(at[str(token)]["logprob"]) for at, token in zip(asked, request.token_ids, strict=True))
    except (TypeError, KeyError, IndexError, ValueError, AttributeError):
        return Score(request.score_id, (), "the server did not give the log-probabilities of these tokens")
    return Score(request.score_id, values)


# ---------------------------------------------------------------------------------------------------------- choices


def _numbered(answer: Mapping[str, Any], size: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The choices by their own numbers where these are sound, else in the order in which they stand."""
    choices = answer.get("choices")
    if not isinstance(choices, list):
        return
    sound = [choice for choice in choices if isinstance(choice, dict)]
    numbers = [number for choice in sound if _is_int(number := choice.get("index"))]
    if len(numbers) < len(sound) or len(set(numbers)) < len(numbers):
        numbers = list(range(len(sound)))
    for number, choice in zip(numbers, sound, strict=True):
        if 0 <= number < size:
            yield number, choice


def _read_choice(raw: Mapping[str, Any], group: Group, dialect: Dialect) -> _Choice | Fault:
    reason = raw.get("finish_reason")
    message = raw.get("message")
    if reason == "content_filter":
        return Fault("content_filter", "the server's filter withheld the text")
    if isinstance(message, dict) and isinstance(message.get("refusal"), str) and message["refusal"]:
        return Fault("refused", one_line(message["refusal"])[:300])
    if not isinstance(reason, str) or reason not in _ENDS:
        return Fault("protocol", f"a choice ended in a way that means nothing here: {one_line(str(reason))[:80]}")
    text = message.get("content") if isinstance(message, dict) else raw.get("text")
    if not isinstance(text, str):
        return Fault("protocol", "a choice has no text")
    thought = _thought(message)
    if not dialect.has_tokens:
        return _Choice(text, thought, (), (), _ENDS[reason])
    return _with_tokens(raw, text, _ENDS[reason], group, dialect)


def _with_tokens(
    raw: Mapping[str, Any], text: str, finish: Literal["stop", "length"], group: Group, dialect: Dialect
) -> _Choice | Fault:
    token_ids = raw.get("token_ids")
    if not _are_tokens(token_ids):
        return Fault("protocol", "a choice has no tokens")
    most = group.request.cell.sampling.max_tokens
    if finish == "length" and len(token_ids) != most:
        # A limit of the server's own: what it cuts is not what the suite asked for.
        return Fault("protocol", f"the server cut the text after {len(token_ids)} tokens, and {most} were asked for")
    logprobs: tuple[float, ...] = ()
    if dialect.logprobs != "none":
        try:
            logprobs = tuple(map(_float, raw["logprobs"]["token_logprobs"]))
        except (TypeError, KeyError, ValueError):
            return Fault("protocol", "a choice has no log-probabilities")
        if len(logprobs) != len(token_ids):
            return Fault("protocol", "a choice has more or fewer log-probabilities than tokens")
    # A character that was cut off in its middle is left out.
    return _Choice(text.rstrip("\ufffd"), None, tuple(token_ids), logprobs, finish)


def _thought(message: object) -> str | None:
    """What a reasoning model thought aloud, where the server keeps it apart."""
    if not isinstance(message, dict):
        return None
    return next(
        (said for name in ("reasoning", "reasoning_content") if isinstance(said := message.get(name), str)), None
    )


def _prompt_tokens(answer: Mapping[str, Any]) -> int:
    usage = answer.get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return tokens if _is_count(tokens) else 0


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: object) -> TypeGuard[int]:
    return _is_int(value) and 0 <= value < _NUMBERS


def _are_tokens(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(map(_is_count, value))


def _float(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not value <= _MOST_LOGPROB:
        raise ValueError("no log-probability")
    return -math.inf if value <= _LEAST_LOGPROB else float(value)


def token_list(answer: Any) -> list[int] | None:
    """The tokens that a server made of a text; None where it gave none."""
    tokens: object = answer.get("tokens") if isinstance(answer, dict) else None
    return tokens if _are_tokens(tokens) else None
