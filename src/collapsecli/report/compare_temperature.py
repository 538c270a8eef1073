"""The block that says how much of each change a temperature explains. Shows what was found; tempers nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from collapsecli.report import wording
from collapsecli.report.contrast_layout import MOST_SUBJECTS, Entry, name_width, tabulated
from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.padding import Padding

    from collapsecli.compared import Tempered
    from collapsecli.records import Estimate

_TITLE = "more than temperature"
_ROOM_FOR_NAMES = 16  # columns below which less is said
_LAYOUTS = (
    frozenset({"intervals", "p"}),
    frozenset({"intervals"}),
    frozenset({"intervals", "brief"}),
    frozenset({"brief"}),
)
_ORDER = ("not", "partly", "too", "a", "as", "no")  # how labels begin, the most telling first
_TELLING = ("not", "partly")
_SILENT = ("no change", "as even")
_BRIEFLY = {
    "a temperature change": "yes",
    "partly a temperature change": "partly",
    "not a temperature change": "no",
    "no change to explain": "no change",
    "too few draws to tell": "too few draws",
    "as even answers would: no telling": "no telling",
}


def temperature_block(tempered: Sequence[Tempered], width: int) -> list[Text | Padding]:
    """One line a prompt for a screen of `width` columns, what no temperature explains first; nothing without any."""
    # Where nothing changed, or any change would be explained, there is nothing to tell.
    told = sorted((one for one in tempered if not one.label.startswith(_SILENT)), key=_place)
    if not told:
        return []
    shown, hidden = told[:MOST_SUBJECTS], len(told) - MOST_SUBJECTS
    for layout in _LAYOUTS:
        heading = ("closest at", "what remains", "T alone?" if "brief" in layout else "")
        entries = [Entry((line,)) for line in _lines(shown, layout)]
        room = name_width((_TITLE, *heading), entries, width)
        if room >= _ROOM_FOR_NAMES:
            break
    title: list[Text | Padding] = [] if room >= len(_TITLE) else [Text(_TITLE, "bold")]
    table = tabulated(("" if title else _TITLE, *heading), entries, width)
    more = [Text(f"  and {hidden} more", "dim")] if hidden > 0 else []
    return [*title, *table, *more, Text(_legend(shown), "dim")]


def _lines(shown: Sequence[Tempered], layout: frozenset[str]) -> list[tuple[Text, ...]]:
    labels = [_label(one, brief="brief" in layout) for one in shown]
    longest = max(map(len, labels))
    return [
        (
            Text(one_line(one.question)),
            _with_ends(_temperature(one), _temperatures(one) if "intervals" in layout else ""),
            _with_ends(_remains(one), _uncertain(one, p_value="p" in layout) if "intervals" in layout else ""),
            Text(label.ljust(longest), "bold" if one.label.startswith(_TELLING) else ""),
        )
        for one, label in zip(shown, labels, strict=True)
    ]


def _place(tempered: Tempered) -> tuple[int, float, str]:
    """By label, then by the share that remains."""
    word = tempered.label.partition(" ")[0]
    before, left = (_known(one) or 0.0 for one in (tempered.at_1, tempered.remains))
    return _ORDER.index(word) if word in _ORDER else len(_ORDER), -left / before if before else 0.0, tempered.question


def _known(estimate: Estimate) -> float | None:
    """What an estimate says: its value, else what it is at least."""
    return estimate.low if estimate.value is None else estimate.value


def _label(tempered: Tempered, *, brief: bool) -> str:
    """What follows of the change; what the label says of the temperature stands in its own column."""
    said = one_line(tempered.label.partition(";")[0])
    return _BRIEFLY.get(said, said) if brief else said


def _with_ends(said: str, ends: str) -> Text:
    return Text.assemble(said, (f" {ends}" if ends else "", "dim"))


# --------------------------------------------------------------------------------------------------------- the numbers


def _is_sampled(tempered: Tempered) -> bool:
    return tempered.source == "sweep"


def _temperature(tempered: Tempered) -> str:
    t_eff = tempered.t_eff
    if t_eff.value is None:
        return wording.UNKNOWN
    if _is_sampled(tempered):
        return f"T {t_eff.value}"
    if t_eff.high is None:
        return f"above T {t_eff.value:g}"
    if t_eff.low is None:
        return f"below T {t_eff.value:g}"
    return f"T {t_eff.value:.{1 if t_eff.value >= 1 else 2}f}"


def _temperatures(tempered: Tempered) -> str:
    """The sampled temperatures that are as near."""
    low, high = tempered.t_eff.low, tempered.t_eff.high
    if not _is_sampled(tempered) or tempered.t_eff.value is None or low == high is not None:
        return ""
    if low is None:
        return "any" if high is None else f"≤{high}"
    return f"≥{low}" if high is None else f"{low}–{high}"


def _remains(tempered: Tempered) -> str:
    before, left = tempered.at_1, tempered.remains
    if _known(before) is None or _known(left) is None:
        return wording.UNKNOWN
    decimals, unit = (2, "") if _is_sampled(tempered) else (1, " nats")
    return f"{_number(left, decimals)} of {_number(before, decimals)}{unit}"


def _number(estimate: Estimate, decimals: int) -> str:
    bound = "≥" if estimate.value is None else ""
    return f"{bound}{_known(estimate) or 0.0:.{decimals}f}"


def _uncertain(tempered: Tempered, *, p_value: bool) -> str:
    """The interval of what remains, and the p-value of nothing; empty where it is exact."""
    if not _is_sampled(tempered):
        return ""
    ends = wording.span(tempered.remains.low, tempered.remains.high, 2)
    return ", ".join(filter(None, (ends, wording.p_words(tempered.p_value, None) if p_value else "")))


# ------------------------------------------------------------------------------------------------------------ in words


def _legend(shown: Sequence[Tempered]) -> str:
    sampled = [one for one in shown if _is_sampled(one)]
    sentences = [
        "The run's answers are made flatter (T above 1) or sharper until they are closest to the base's",
        "Nats: KL of the base against the run, from scored answers" if len(sampled) < len(shown) else "",
        "Without nats: the squared distance of the answers, 0 to 2, at sampled temperatures; beside T those as near"
        if sampled
        else "",
        "A change of temperature alone would leave nothing",
        f"{wording.UNKNOWN} or ≥: some answers of the base are impossible for the run at any temperature"
        if any("impossible" in one.label for one in shown)
        else "",
    ]
    return ". ".join(filter(None, sentences)) + "."
