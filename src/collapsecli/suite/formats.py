"""The forms in which a text is asked: as it is, as a question, as a user's message, after other questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collapsecli import records
from collapsecli.suite import templates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collapsecli.suite.prompts import FormatName


@dataclass(frozen=True, slots=True)
class Said:
    """What is asked, without a template left: a text or messages; `values` are those of the variables in it."""

    text: str | None
    messages: tuple[records.Message, ...]
    values: Mapping[str, str]


def in_format(
    name: FormatName, text: str, *, chat: str | None, shots: Sequence[tuple[str, str]], values: Mapping[str, str]
) -> Said:
    """A rendered text in one of the forms; `chat` is its wording as a message, `shots` are questions and answers."""
    if name == "chat":
        content = text if chat is None else templates.render(chat, {"prompt": text})
        return Said(None, (records.Message("user", content),), values)
    if name == "raw":
        return Said(text, (), values)
    before = [_question(ask, f" {answer}\n\n") for ask, answer in shots] if name == "few-shot" else []
    return Said("".join([*before, _question(text, "")]), (), values)


def _question(ask: str, after: str) -> str:
    return f"Q: {ask}\nA:{after}"
