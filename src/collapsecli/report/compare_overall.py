"""What happened over all prompts: the numbers of both runs, and verdicts before and after. Computes nothing itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.text import Text

from collapsecli.records import IMPORTED
from collapsecli.report import wording
from collapsecli.report.compare_cells import SHORT_VERDICTS
from collapsecli.report.compare_numbers import NOTHING, TIMES, beside, change_number, direction, side_number
from collapsecli.report.contrast_layout import Entry, name_width, tabulated
from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.padding import Padding

    from collapsecli.compared import Comparison, Difference

_OVERALL: Mapping[str, str] = {
    "distinct_10": "distinct in 10",
    "effective_modes_ratio": "effective modes",
    "collision": "two draws agree",
    "valid_rate": "readable answers",
    "tokens": "length, tokens",
}
# From the narrowest to the widest; what is none of them comes after.
_VERDICTS = ("collapsed", "narrow", "not_diverse", "undecided", "not_collapsed", "diverse", "invalid")
_SHORTEST_VERDICTS: Mapping[str, str] = {
    "collapsed": "coll.",
    "narrow": "narr.",
    "not_diverse": "n.div.",
    "undecided": "undec.",
    "not_collapsed": "n.coll.",
    "diverse": "div.",
    "invalid": "inv.",
}


def overall_block(comparison: Comparison, width: int) -> list[Text | Padding]:
    """One line a number, each with its interval; on a narrow screen the intervals stand below."""
    imported = any(side.engine.startswith(IMPORTED) for side in (comparison.base, comparison.run))
    titles = _OVERALL if not imported else {**_OVERALL, "tokens": "length"}  # in words, where no tokens are known
    told = [(name, title, comparison.overall[name]) for name, title in titles.items() if name in comparison.overall]
    if not told:
        return []
    heading = ("mean over prompts", "base", "run", "change", "p", "n")
    entries = [_number(name, title, difference, wide=True) for name, title, difference in told]
    if name_width(heading, entries, width) < max(len(title) for _, title, _ in told):
        entries = [_number(name, title, difference, wide=False) for name, title, difference in told]
    return [*tabulated(heading, entries, width), *_confounded(comparison)]


def _number(name: str, title: str, difference: Difference, *, wide: bool) -> Entry:
    numbers = (
        side_number(name, difference.base),
        side_number(name, difference.run),
        change_number(name, difference.change),
    )
    closing = (Text(wording.p_value(difference.p_value)), Text(str(difference.n), "dim"))
    if wide:
        return Entry(((Text(title), *map(beside, numbers), *closing),))
    ends = tuple(Text(end, "dim") for _, end in numbers)
    return Entry(
        ((Text(title), *(Text(value) for value, _ in numbers), *closing), (Text(), *ends, Text(), Text())),
    )


def _confounded(comparison: Comparison) -> list[Text]:
    """What else changed and may be part of the change."""
    readable, tokens = (comparison.overall.get(name, NOTHING) for name in ("valid_rate", "tokens"))
    more_readable = direction("valid_rate", readable, comparison.alpha)
    longer = direction("tokens", tokens, comparison.alpha)
    told = []
    if more_readable:
        points = abs(100 * (readable.change.value or 0.0))
        told.append(f"{points:.0f} points {'more' if more_readable > 0 else 'fewer'} readable answers")
    if longer:
        told.append(_times(tokens))
    return [Text(f"{' and '.join(told)}: part of the change may be that", "yellow")] if told else []


def _times(difference: Difference) -> str:
    base, run = difference.base.value, difference.run.value
    if not base or run is None or not math.isfinite(run / base):
        return "another length"
    return f"{TIMES}{run / base:.2f} the length"


# ------------------------------------------------------------------------------------------------------ transitions


def transitions_block(transitions: Mapping[tuple[str, str], int], width: int) -> list[Text | Padding]:
    """How many cells went from which verdict to which: a table of those that occur, or that none did."""
    counted = {pair: count for pair, count in transitions.items() if count}
    if not counted:
        return []
    if all(before == after for before, after in counted):
        kept = ", ".join(f"{counted[label, label]} {_label(label)}" for label in _ordered(b for b, _ in counted))
        return [Text(f"verdicts: none changed ({kept})")]
    before, after = _ordered(pair[0] for pair in counted), _ordered(pair[1] for pair in counted)
    entries = [Entry((_row(label, after, counted),)) for label in before]
    longest = max(len(_label(label)) for label in before)
    for names in ({}, SHORT_VERDICTS, _SHORTEST_VERDICTS):
        heading = ("base ↓  run →", *(_label(names.get(label, label)) for label in after))
        if name_width(heading, entries, width) >= longest:
            break
    return [Text("verdicts: the base's down, the run's across", "bold"), *tabulated(heading, entries, width)]


def _row(before: str, after: Sequence[str], counted: Mapping[tuple[str, str], int]) -> tuple[Text, ...]:
    def shown(label: str) -> Text:
        count = counted.get((before, label), 0)
        return Text(str(count) if count else "·", "dim" if before == label or not count else "bold")

    return Text(_label(before)), *map(shown, after)


def _ordered(labels: Iterable[str]) -> list[str]:
    return sorted(dict.fromkeys(labels), key=lambda one: (_VERDICTS.index(one) if one in _VERDICTS else 99, one))


def _label(verdict: str) -> str:
    return one_line(verdict) or wording.UNKNOWN
