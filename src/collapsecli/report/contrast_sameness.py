"""The blocks of sameness: what completions of different prompts share, and what they copy. Shows rows alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from collapsecli.report import wording
from collapsecli.report.contrast_layout import (
    MOST_SUBJECTS,
    Entry,
    Subject,
    name_of,
    nowhere,
    rest,
    subjects_of,
    tabulated,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.padding import Padding

    from collapsecli.records import Contrast

_MOST_QUOTED = 60  # characters of a phrase
_PARTS = {"opening": "opening", "ending": "ending", "text": "whole text"}
_LEGEND = "How often two completions agree, of two different prompts and of one; n pairs of different ones."


def sameness_block(rows: Sequence[Contrast], names: Mapping[str, str], width: int) -> list[Text | Padding]:
    """What completions of different prompts share, the most alike first; then the cells that copy their prompt."""
    alike = subjects_of([row for row in rows if row.metric != "copied"], names)
    alike.sort(key=lambda subject: (-_likeness(subject), subject.name))
    entries = [_entry(subject) for subject in alike[:MOST_SUBJECTS]]
    heading = ("same across prompts", "two prompts", "one prompt", "n", "most shared")
    shared = [*tabulated(heading, entries, width, quotes=True), *rest(len(alike) - MOST_SUBJECTS, _LEGEND)]
    copied = _copied([row for row in rows if row.metric == "copied"], names, width)
    return [*(shared if alike else []), *([Text()] if alike and copied else []), *copied]


def _likeness(subject: Subject) -> float:
    return max(subject.estimate(f"same_{part}_between").low or 0.0 for part in _PARTS)


def _entry(subject: Subject) -> Entry:
    own = (Text(subject.name), *[Text()] * 4)
    parts = (_line(subject, part) for part in _PARTS if subject.row(f"same_{part}_between"))
    phrases = subject.all("shared_phrase")
    phrases.sort(key=lambda row: (-(row.at or 0.0), -(row.estimate.low or 0.0), row.label))
    return Entry((own, *parts), tuple(map(_phrase, phrases)))


def _line(subject: Subject, part: str) -> tuple[Text, ...]:
    between = subject.row(f"same_{part}_between")
    label = between.label if between else ""
    return (
        Text(f"  {_PARTS[part]}"),
        wording.share(subject.estimate(f"same_{part}_between")),
        wording.share(subject.estimate(f"same_{part}_within")),
        Text(str(between.n) if between else "", "dim"),
        Text(wording.quoted(label, _MOST_QUOTED) if label else "", "dim"),
    )


def _phrase(row: Contrast) -> str:
    places = "" if row.at is None else f" in {row.at:.0f} prompts,"
    held = wording.share_words(row.estimate)
    return f"{wording.quoted(row.label, _MOST_QUOTED)}{places} {held} of {row.n} completions"


def _copied(rows: Sequence[Contrast], names: Mapping[str, str], width: int) -> list[Text | Padding]:
    told = [row for row in rows if row.estimate.value is not None]
    seen = sorted(
        (row for row in told if row.estimate.value), key=lambda row: (-(row.estimate.low or 0.0), row.subject)
    )
    if not told:
        return []
    entries = [
        Entry(((Text(name_of(row.subject, names)), wording.share(row.estimate), Text(str(row.n), "dim")),))
        for row in seen[:MOST_SUBJECTS]
    ]
    heading = ("copies its prompt", "share", "n") if seen else ("copies its prompt",)
    never = nowhere([row for row in told if not row.estimate.value], names, besides=bool(seen))
    return [*tabulated(heading, entries, width), *rest(len(seen) - MOST_SUBJECTS), *never]
