"""The block of injections: whether a text is back on what its prompt usually says. Shows rows; compares nothing."""

from __future__ import annotations

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

_USUAL_SENTENCE = 5.0  # by which a return is told, where it was followed so long
_MOST_QUOTED = 60  # characters of an ending


def injection_block(rows: Sequence[Contrast], names: Mapping[str, str], width: int) -> list[Text | Padding]:
    """Whether texts return to what the plain cell keeps saying, those that surely do first."""
    sentences = {row.at for row in rows if row.metric == "returned" and row.at is not None}
    by = _USUAL_SENTENCE if _USUAL_SENTENCE in sentences else max(sentences, default=_USUAL_SENTENCE)
    told = [(subject, entry) for subject in subjects_of(rows, names) if (entry := _entry(subject, by))]
    told.sort(key=lambda one: (-(_share(one[0], "returned", by).low or 0.0), one[0].name))
    heading = (
        "after an injection",
        f"back by sentence {by:g}" if width >= WIDE else f"back by {by:g}",
        "floor",
        "ceiling",
        f"{'sentence ' if width >= WIDE else ''}1–{max(sentences, default=by):g}",
        "n",
    )
    legend = (
        f"Back: by sentence {by:g} a sentence came that the plain cell keeps saying; the bars have "
        "every sentence. Floor: the same against another prompt's sentences. Ceiling: the plain cell's own texts."
    )
    entries = [entry for _, entry in told[:MOST_SUBJECTS]]
    return [*tabulated(heading, entries, width), *rest(len(told) - MOST_SUBJECTS, legend)] if told else []


def _share(subject: Subject, metric: str, by: float) -> Estimate:
    row = subject.curve(metric).get(by)
    return UNDEFINED if row is None else row.estimate


def _share_or_draw(subject: Subject, metric: str, by: float) -> Text:
    """A share with its interval; of a single draw what it did."""
    row = subject.curve(metric).get(by)
    if row is not None and row.n == 1:
        return Text("1 draw: yes" if row.estimate.value else "1 draw: no", "dim")
    return wording.share(_share(subject, metric, by))


def _entry(subject: Subject, by: float) -> Entry | None:
    curve = subject.curve("returned")
    words = tuple(filter(None, (_half_life(subject.estimate("half_life")), _same_ending(subject))))
    if not curve and not words:
        return None
    line = (
        Text(subject.name),
        *(_share_or_draw(subject, metric, by) for metric in ("returned", "floor", "ceiling")),
        Text(sparkline([row.estimate.value for row in curve.values()], 0.0, 1.0)),
        Text(str(curve[by].n) if by in curve else "", "dim"),
    )
    return Entry((line,), words)


def _half_life(estimate: Estimate) -> str:
    """The half-life in sentences; a text may also never return."""
    if estimate.low is None and estimate.value is None:
        return ""
    if estimate.value is None:
        return f"half-life {wording.span(estimate.low, None, 1)} sentences"
    never = estimate.low is not None and estimate.high is None
    ends = f"{wording.span(estimate.low, None, 1)}, or never" if never else wording.span(estimate.low, estimate.high, 1)
    return f"half-life {wording.number(estimate.value)} sentences" + (f" ({ends})" if ends else "")


def _same_ending(subject: Subject) -> str:
    row = subject.row("same_ending")
    if row is None or row.estimate == UNDEFINED:
        return ""
    ending = wording.quoted(row.label, _MOST_QUOTED)
    if row.n == 1:
        return f"its one draw ends {'as' if row.estimate.value else 'otherwise than'} the plain one: {ending}"
    said = f"ends in {ending}: {wording.share_words(row.estimate)} of {row.n}"
    plain = subject.row("same_ending_plain")
    if plain is None:
        return said
    beside = f"{said}, plain {wording.share_words(plain.estimate)} of {plain.n}"
    apart = subject.row("same_ending_difference")
    if apart is None:
        return beside
    chance = wording.p_words(apart.p_value, apart.q_value)
    return "; ".join(filter(None, (beside, wording.points_words(apart.estimate), chance)))
