"""The block of roads not taken: how improbable texts are that would be consistent. Shows rows; scores nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.text import Text

from collapsecli.records import UNDEFINED
from collapsecli.report import wording
from collapsecli.report.contrast_layout import (
    MOST_SUBJECTS,
    Entry,
    Subject,
    first_and_more,
    rest,
    subjects_of,
    tabulated,
)
from collapsecli.report.magnitude import magnitude
from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.padding import Padding

    from collapsecli.records import Contrast

_MOST_ROADS = 6  # roads of one cell
_MOST_QUOTED = 80  # characters of a road
_LEGEND = (
    "Roads: texts that the suite says are consistent. Exact: the probability that a completion begins so, in these "
    "tokens. The first line is that of all together, where one that begins with another counts once."
)


def roads_block(rows: Sequence[Contrast], names: Mapping[str, str], width: int) -> list[Text | Padding]:
    """The roads of each cell, the least probable cell and in it the least probable road first."""
    subjects = subjects_of(rows, names)
    subjects.sort(key=lambda subject: (_log_mass(subject), subject.name))
    heading = ("roads not taken", "probability", "nats a token", "tokens")
    entries = [_entry(subject) for subject in subjects[:MOST_SUBJECTS]]
    return [*tabulated(heading, entries, width), *rest(len(subjects) - MOST_SUBJECTS, _LEGEND)]


def _log_mass(subject: Subject) -> float:
    value = subject.estimate("roads_logprob").value
    return math.inf if value is None else value


def _entry(subject: Subject) -> Entry:
    together = subject.estimate("roads_logprob").value
    scored = [row for row in subject.all("road_logprob") if row.estimate.value is not None]
    scored.sort(key=lambda row: (row.estimate.value or 0.0, row.label))
    told, more = first_and_more(scored, _MOST_ROADS)
    rates = {row.label: row for row in subject.all("road_nats_per_token")}
    own = (Text(subject.name), Text(_magnitude(together)), Text(), Text())
    lines = (own, *(_road(row, rates.get(row.label)) for row in told))
    return Entry(lines, tuple(filter(None, (more.strip(), *_covered(subject), *_unscored(subject), _drawn(subject)))))


def _road(row: Contrast, rate: Contrast | None) -> tuple[Text, ...]:
    nats = None if rate is None else rate.estimate.value
    return (
        Text(f"  {wording.quoted(row.label, _MOST_QUOTED)}"),
        Text(_magnitude(row.estimate.value)),
        Text(wording.UNKNOWN if nats is None else f"{nats:.2f}"),
        Text("" if rate is None else str(rate.n), "dim"),
    )


def _magnitude(logprob_nats: float | None) -> str:
    return wording.UNKNOWN if logprob_nats is None else magnitude(logprob_nats)


def _covered(subject: Subject) -> list[str]:
    """Roads whose probability is inside that of another one."""
    return sorted(f"counted once: {one_line(row.label)}" for row in subject.all("road_covered"))


def _unscored(subject: Subject) -> list[str]:
    rows = (row for row in subject.all("road_logprob") if row.estimate.value is None)
    return sorted(one_line(row.label) for row in rows if row.label)


def _drawn(subject: Subject) -> str:
    """How many of the cell's own completions took one of the roads."""
    row = subject.row("roads_drawn")
    if row is None or row.estimate == UNDEFINED:
        return ""
    return f"taken by {wording.share_words(row.estimate)} of {row.n} completions"
