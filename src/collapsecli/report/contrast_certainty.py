"""The block of certainty: how surprising its own tokens are to a model after an injection. Shows rows alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from collapsecli.records import UNDEFINED
from collapsecli.report import wording
from collapsecli.report.contrast_layout import MOST_SUBJECTS, WIDE, Entry, Subject, rest, subjects_of, tabulated
from collapsecli.report.sparkline import sparkline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.padding import Padding

    from collapsecli.records import Contrast, Estimate


_LEAST_TOP = 1.0  # nats: differences of a few hundredths are no hills


@dataclass(frozen=True, slots=True)
class _Curves:
    """The surprisal of an injected cell and of its plain one, each by the first token of a bin."""

    subject: Subject
    after: Mapping[float, Contrast]
    plain: Mapping[float, Contrast]

    @property
    def places(self) -> list[float]:
        """Where either has a number."""
        return sorted({*self.after, *self.plain})

    @property
    def ends(self) -> tuple[float, ...]:
        """The first and the last place at which the two can be compared."""
        shared = [place for place in self.places if place in self.after and place in self.plain]
        return (shared[0], shared[-1]) if shared else ()


def certainty_block(rows: Sequence[Contrast], names: Mapping[str, str], width: int) -> list[Text | Padding]:
    """How sure of its tokens a model stays, the surest against its plain cell first."""
    told = sorted((one for one in map(_curves, subjects_of(rows, names)) if one.places), key=_surest)
    shown = told[:MOST_SUBJECTS]
    medians = [row.estimate.value for one in shown for curve in (one.after, one.plain) for row in curve.values()]
    top = max((_LEAST_TOP, *(median for median in medians if median is not None)))
    bars = max((len(one.places) for one in shown), default=0)
    stretches = ("first tokens", "last tokens")[: 2 if width >= WIDE else 1]
    heading = ("sure after an injection?", "along the text", *stretches, "n")
    legend = (
        f"Median surprisal of the sampled tokens in nats; low is sure. Bars from 0 to {top:.2f}, and in numbers the "
        f"{'first and the last stretch' if width >= WIDE else 'first stretch'} that both cells reach."
    )
    entries = [_entry(one, top, bars, len(stretches)) for one in shown]
    return [*tabulated(heading, entries, width), *rest(len(told) - MOST_SUBJECTS, legend)] if told else []


def _curves(subject: Subject) -> _Curves:
    plain = next((row.other_cell_id for row in subject.all("surprisal") if row.other_cell_id), None)
    after = next((row.cell_id for row in subject.all("surprisal") if row.cell_id != plain), None)
    return _Curves(
        subject,
        subject.curve("surprisal", after) if after else {},
        subject.curve("surprisal", plain) if plain else {},
    )


def _surest(one: _Curves) -> tuple[bool, float, str]:
    apart = one.subject.estimate("surprisal_difference")
    end = apart.value if apart.high is None else apart.high
    return end is None, end or 0.0, one.subject.name


def _entry(one: _Curves, top: float, bars: int, stretches: int) -> Entry:
    def line(name: str, curve: Mapping[float, Contrast]) -> tuple[Text, ...]:
        medians = [curve[place].estimate.value if place in curve else None for place in one.places]
        ends = [curve[place].estimate for place in one.ends[:stretches]]
        numbers = [wording.nats(estimate) for estimate in (*ends, *[UNDEFINED] * (stretches - len(ends)))]
        most = max((row.n for row in curve.values()), default=0)
        return Text(name), Text(sparkline(medians, 0.0, top).ljust(bars)), *numbers, Text(str(most or ""), "dim")

    words = _compared(one.subject.estimate("surprisal_difference"))
    return Entry((line(one.subject.name, one.after), line("  plain", one.plain)), (words,) if words else ())


def _compared(apart: Estimate) -> str:
    """What the difference in nats a token proves, then the number."""
    if apart.value is None:
        return ""
    ends = wording.difference_span(apart.low, apart.high, 2)
    number = f"{wording.signed(apart.value, 2)} nats a token on average" + (f" ({ends})" if ends else "")
    if not ends:
        return f"against plain: {number}, without interval"
    if apart.low is not None and apart.low > 0:
        return f"less sure than plain: {number}"
    if apart.high is not None and apart.high < 0:
        return f"surer than plain: {number}"
    return f"not surely different from plain: {number}"
