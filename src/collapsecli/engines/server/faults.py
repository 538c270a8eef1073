"""What a failed request means: a row of which kind, another try, or the end of the run. Pure; sends nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

ErrorKind = Literal["connection", "rate_limit", "server", "timeout", "refused", "content_filter", "protocol"]

LONGEST_WAIT_S = 600.0  # a server that asks for more has no room for this run today

_LONGEST_WORDS = 300  # characters of a server's own words that are kept
_AGAIN: Mapping[int, ErrorKind] = {408: "timeout", 409: "server", 425: "server", 429: "rate_limit"}
_FOR_GOOD = frozenset({501, 505})  # of the 5xx: what was asked is not there, and will not be in a minute
# Key, model or path are wrong, and would be for every other request: what is meant, and what helps.
_FOR_ALL: Mapping[int, tuple[str, str]] = {
    401: ("it does not take the key", "give the right one with --key-file FILE"),
    403: ("the key does not allow it", "give another one with --key-file FILE"),
    404: ("it has no such model or address", "check the model's name, and the endpoint: it ends with /v1"),
    405: ("it has no such address", "check the endpoint: it ends with /v1"),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the status, the one header that matters, and a body no longer than was allowed."""

    status: int
    body: bytes
    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a request has no answer.

    `again` says whether another try may have one, not before `wait_s` if the server said so. `for_all` is what helps
    where every other request would end the same way.
    """

    kind: ErrorKind
    message: str
    again: bool = False
    wait_s: float = 0.0
    for_all: str = ""
    status: int = 0


def read_reply(reply: Reply, now: datetime) -> dict[str, Any] | Fault:
    """The JSON object of an answer, or why there is none."""
    status = reply.status
    if 200 <= status < 300:
        found = _object(reply.body)
        return Fault("protocol", "the answer is no JSON object", again=True) if found is None else found
    said = f"HTTP {status}{_words(reply.body)}"
    if 300 <= status < 400:
        return Fault(
            "protocol", f"HTTP {status}: it redirects, which is not followed", status=status,
            for_all="name the address that it redirects to, if you trust it",
        )  # fmt: skip
    if status in _FOR_ALL:
        meaning, hint = _FOR_ALL[status]
        return Fault("refused", f"{meaning} ({said})", for_all=hint, status=status)
    if status in _AGAIN or (status >= 500 and status not in _FOR_GOOD):
        kind = _AGAIN.get(status, "server")
        return Fault(kind, said, again=True, wait_s=seconds_to_wait(reply.retry_after, now), status=status)
    return Fault("content_filter" if _is_filtered(reply.body) else "refused", said, status=status)


def seconds_to_wait(retry_after: str, now: datetime) -> float:
    """The seconds that a Retry-After header asks for, as a number or a date (RFC 9110, 10.2.3); 0 without one."""
    text = retry_after.strip()
    if text.replace(".", "", 1).isdecimal():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):  # a header may hold anything
        return 0.0
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())


def longest_pause_s(tries: int, first_s: float, most_s: float = 30.0) -> float:
    """The upper end of the pause after so many failed tries: doubled each time, up to `most_s`.

    The pause itself is drawn evenly from 0 to here ("full jitter"): else all that failed together come back together.
    """
    return min(most_s, first_s * 2.0 ** min(tries - 1, 30))


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or nested to break its reader
        return None
    return found if isinstance(found, dict) else None


def _words(body: bytes) -> str:
    """What a server says of an error, in one line; empty where it says nothing."""
    found = _object(body) or {}
    error = found.get("error", found)
    text = error.get("message", error.get("detail", "")) if isinstance(error, dict) else error
    try:
        said = one_line(text if isinstance(text, str) else json.dumps(text))
    except RecursionError:
        return ""
    return f": {said if len(said) <= _LONGEST_WORDS else said[:_LONGEST_WORDS] + '…'}" if said else ""


def _is_filtered(body: bytes) -> bool:
    error = (_object(body) or {}).get("error")
    return isinstance(error, dict) and "content_filter" in (error.get("code"), error.get("type"))
