"""What the errors of libraries say, in a line, and what to do about them. Raises and catches nothing."""

from __future__ import annotations

from pydantic import ValidationError

_LONGEST = 300  # characters of an error that are shown; all of it is in the log
_NO_MODEL = ("not a valid model identifier", "repo id must be", "repository not found", "is not a local folder",
             "couldn't connect", "could not connect", "offline", "does not appear to have a file named",
             "no such file or directory", "name resolution", "max retries exceeded")  # fmt: skip


def reason(error: BaseException) -> str:
    """What an error says, on one line of bearable length."""
    said = str(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else str(error)
    words = " ".join(said.split()).removeprefix("Value error, ").rstrip(".")
    return (words if len(words) <= _LONGEST else words[:_LONGEST] + "…") or type(error).__name__


def start_hint(error: BaseException) -> str:
    """What to do about an engine that could not start; empty where nothing is known to help."""
    text = str(error).lower()
    if any(sign in text for sign in _NO_MODEL):
        return "check the model: a hub id[@revision], a local path, or a bundled name (demo-base, demo-tuned)"
    if "out of memory" in text or "free memory" in text or "kv cache" in text:
        return "free memory, or lower `-e gpu_memory_utilization=0.5` or `-e max_model_len=4096`"
    return ""
