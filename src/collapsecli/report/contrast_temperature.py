"""The block of temperature sweeps: what is left of a mode in hotter sampling. Shows rows; predicts nothing itself."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rich.text import Text

from collapsecli.report import wording
from collapsecli.report.contrast_layout import (
    MOST_SUBJECTS,
    Entry,
    Subject,
    name_width,
    rest,
    subjects_of,
    tabulated,
)
from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.padding import Padding

    from collapsecli.records import Contrast, Estimate

_ROOM_FOR_NAMES = 16  # columns below which temperatures are left out
_MOST_QUOTED = 40  # characters of a mode


def temperature_block(rows: Sequence[Contrast], names: Mapping[str, str], width: int) -> list[Text | Padding]:
    """One table for each grid of temperatures, the mode that melts least first."""
    subjects = sorted((subject for subject in subjects_of(rows, names) if subject.all("reference_mode")), key=_melting)
    first = {_grid(subject): place for place, subject in reversed(list(enumerate(subjects)))}
    told = sorted(subjects[:MOST_SUBJECTS], key=lambda subject: first[_grid(subject)])
    blocks: list[Text | Padding] = []
    left_out = 0
    for grid, group in groupby(told, key=_grid):
        shown, table = _table(list(group), grid, width)
        left_out = max(left_out, len(grid) - len(shown))
        blocks += table
    return [*blocks, *rest(len(subjects) - MOST_SUBJECTS, _legend(told, left_out))] if told else []


def _melting(subject: Subject) -> tuple[float, float, str]:
    """Surely more than a softmax predicts first, then by what is surely left at the highest temperature."""
    beyond = subject.estimate("persistence").low
    hottest = list(subject.curve("reference_mode").values())[-1:]
    left = [row.estimate.low or 0.0 for row in hottest]
    return -max(0.0, beyond or 0.0), -sum(left), subject.name


def _grid(subject: Subject) -> tuple[float, ...]:
    return tuple(subject.curve("reference_mode"))


def _table(
    group: Sequence[Subject], grid: tuple[float, ...], width: int
) -> tuple[tuple[float, ...], list[Text | Padding]]:
    """A table of subjects with one grid, of as many of its temperatures as fit; and these."""
    fewer = (_spread(grid, count, _reference(group[0])) for count in range(len(grid) - 1, 1, -1))
    for shown in (grid, *fewer):
        heading = ("hotter sampling, T =", *map(str, shown), "n")
        entries = [_entry(subject, shown) for subject in group]
        if name_width(heading, entries, width) >= _ROOM_FOR_NAMES:
            break
    return shown, tabulated(heading, entries, width)


def _spread(grid: tuple[float, ...], count: int, reference: float | None) -> tuple[float, ...]:
    """So many of the temperatures, evenly spread, with both ends and, if there is room, the reference."""
    places = [round(k * (len(grid) - 1) / (count - 1)) for k in range(count)]
    if reference in grid and grid.index(reference) not in places and count > 2:
        home = grid.index(reference)
        nearest = min(range(1, count - 1), key=lambda k: abs(places[k] - home))
        places[nearest] = home
    return tuple(grid[place] for place in places)


def _reference(subject: Subject) -> float | None:
    """The temperature whose mode is followed."""
    own = {row.cell_id: row.at for row in subject.all("reference_mode")}
    return next((own[row.other_cell_id] for row in subject.rows if row.other_cell_id in own), None)


# ----------------------------------------------------------------------------------------------------- one subject


def _entry(subject: Subject, temperatures: Sequence[float]) -> Entry:
    mode = subject.curve("reference_mode")
    text = next((row.label for row in mode.values() if row.label), "")

    def line(name: str, curve: Mapping[float, Contrast], show: Callable[[Contrast], Text]) -> tuple[Text, ...]:
        texts = (show(curve[at]) if at in curve else Text(wording.UNKNOWN, "dim") for at in temperatures)
        return Text(name), *texts, Text()

    lines = [
        (
            *line(subject.name, mode, _left)[:-1],
            Text(wording.counts(row.n for row in mode.values() if row.n > 1), "dim"),
        ),
        line(f"  says {wording.quoted(text, _MOST_QUOTED)}", mode, _left_ends),
    ]
    modes = subject.curve("effective_modes")
    if modes:
        lines.append(line("  effective modes", modes, lambda row: wording.modes(row.estimate)))
    degenerate = subject.curve("degenerate")
    if any(row.estimate.value for row in degenerate.values()):
        lines.append(line("  degenerate text", degenerate, lambda row: Text(_ends_alone(row.estimate))))
    predicted = subject.curve("predicted_mode")
    if predicted:
        how = next((f" ({one_line(row.label)})" for row in predicted.values() if row.label), "")
        lines.append(line(f"  by a softmax{how}", predicted, lambda row: Text(_predicted(row.estimate))))
    reading = "; ".join(filter(None, (_half(subject), _persistence(subject))))
    return Entry(tuple(lines), (reading,) if reading else ())


def _left(row: Contrast) -> Text:
    """What is left of the mode. Of a single draw there is no share: it says the same, or something else."""
    if row.n == 1 and row.estimate.value is not None:
        return Text("same" if row.estimate.value == 1.0 else "other")
    return Text(wording.hundredths(row.estimate))


def _left_ends(row: Contrast) -> Text:
    return Text("1 draw" if row.n == 1 else wording.share_span(row.estimate), "dim")


def _ends_alone(estimate: Estimate) -> str:
    ends = wording.share_span(estimate)
    return f"{ends}%" if ends else wording.UNKNOWN


def _predicted(estimate: Estimate) -> str:
    """An exact prediction as one number, bounds as two."""
    exact = estimate.value is not None and estimate.low == estimate.high
    return wording.hundredths(estimate) if exact else _ends_alone(estimate)


# -------------------------------------------------------------------------------------------------------- in words


def _half(subject: Subject) -> str:
    """The temperature at which the mode is down to half."""
    row = subject.row("t_half")
    if row is None:
        return ""
    sure = _sure(row.estimate)
    side, _, end = row.label.partition(" ")
    if side in {"above", "below"}:
        at_end = row.estimate.low if side == "above" else row.estimate.high
        sure = "surely" if str(at_end) == end else sure
        said = f"down to half {'only' if side == 'above' else 'already'} {side} T {one_line(end)}"
    elif row.label:
        said = one_line(row.label)
    elif row.estimate.value is None:
        return f"down to half {sure}" if sure else ""
    else:
        said = f"down to half at T {row.estimate.value:.2f}"
    return f"{said} ({sure})" if sure else said


def _sure(bracket: Estimate) -> str:
    """Between which temperatures something surely lies."""
    if bracket.low is None:
        return "" if bracket.high is None else f"surely below T {bracket.high}"
    return f"surely above T {bracket.low}" if bracket.high is None else f"surely from T {bracket.low} to {bracket.high}"


def _persistence(subject: Subject) -> str:
    """How much more or less of the mode is left than a softmax predicts; nothing where that is not sure."""
    row = subject.row("persistence")
    if row is None or row.at is None:
        return ""
    low, high = row.estimate.low, row.estimate.high
    if low is not None and low > 0:
        return f"at T {row.at} it holds {_points(row.estimate.value, low, high)} more than a softmax predicts"
    if high is not None and high < 0:
        value = row.estimate.value
        apart = _points(None if value is None else -value, -high, None if low is None else -low)
        return f"at T {row.at} it holds {apart} fewer than a softmax predicts"
    return ""


def _points(value: float | None, low: float, high: float | None) -> str:
    ends = wording.difference_span(100 * low, None if high is None else 100 * high, 0)
    return f"{ends} points" if value is None else f"{100 * value:.0f} points ({ends})"


def _legend(told: Sequence[Subject], left_out: int) -> str:
    references = dict.fromkeys(str(at) for at in map(_reference, told) if at is not None)
    of = f" of T {', '.join(references)}" if references else ""
    sentences = [
        f"How much of the answers at each T is still the mode{of}, with its interval; n answers at each",
        "A softmax predicts from the probabilities of all answers (scored) or of the mode alone (bounds)"
        if any(subject.all("predicted_mode") for subject in told)
        else "",
        f"{left_out} temperatures are not shown" if left_out else "",
    ]
    return ". ".join(filter(None, sentences)) + "."
