"""The cells of two runs side by side, and what both keep saying. Shows a comparison and computes nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from collapsecli.records import UNDEFINED
from collapsecli.report import wording
from collapsecli.report.columns import shortened
from collapsecli.report.compare_numbers import beside, change_estimate, change_number, side_number
from collapsecli.report.contrast_layout import Entry, name_width, tabulated
from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.padding import Padding

    from collapsecli.compared import ComparedCell, Outcome
    from collapsecli.records import CellResult

GLYPHS: Mapping[Outcome, str] = {"narrower": "▼", "wider": "▲", "moved": "◆", "same": "·"}
STYLES: Mapping[Outcome, str] = {"narrower": "bold red", "wider": "bold cyan", "moved": "bold yellow", "same": ""}
OUTCOME_WORDS: Mapping[Outcome, str] = {
    "narrower": "narrower",
    "wider": "wider",
    "moved": "moved",
    "same": "without a shown difference",
}
SHORT_VERDICTS: Mapping[str, str] = {"not_diverse": "not div.", "not_collapsed": "not coll."}

_ALL_SHOWN = 20  # cells up to which each has its line
_MOST_SHOWN = 40  # changed cells that have one among more
_MOST_SAID = 6  # cells of which it is told what they keep saying
_ROOM_FOR_NAMES = 20  # columns below which numbers are left out
_READABLE_POINTS = 0.1  # difference of the readable shares beyond which a line is marked
_LEAST_MOVED = 0.01
_LENGTH_FACTOR = 1.5  # the same of lengths
_LAYOUTS = (
    ("agree", "points", "distinct@10", "modes", "verdict", "moved", "q"),
    ("agree", "points", "distinct@10", "verdict", "moved", "q"),
    ("agree", "points", "verdict", "moved", "q"),
    ("agree", "points", "short verdict", "moved", "q"),
    ("agree", "points", "moved", "q"),
)


def cells_block(cells: Sequence[ComparedCell], width: int) -> list[Text | Padding]:
    """One line a cell, the most narrowed first, then wider, moved and unchanged ones; of many only the changed."""
    if not cells:
        return []
    names, ordered = question_names(cells), sorted(cells, key=_place)
    changed = [cell for cell in ordered if cell.outcome != "same"][:_MOST_SHOWN]
    shown = ordered if len(cells) <= _ALL_SHOWN else changed
    table = _table(shown, names, width) if shown else []
    return [*table, *_rest(ordered[len(shown) :], besides=bool(shown))]


def question_names(cells: Sequence[ComparedCell]) -> dict[str, str]:
    """What a report calls each question."""
    return wording.cell_names([_asked(cell) for cell in cells])


def said_block(cells: Sequence[ComparedCell], width: int) -> list[Text | Padding]:
    """What both sides keep saying in the cells that changed most."""
    most = sorted((cell for cell in cells if cell.outcome != "same"), key=_most_changed)[:_MOST_SAID]
    changed = sorted(most, key=_place)
    if not changed:
        return []
    names = question_names(cells)
    shares = max(wording.share(side.mode_mass).cell_len for cell in changed for side in (cell.base, cell.run))
    lines: list[Text | Padding] = [Text("what they keep saying", "bold")]
    for cell in changed:
        lines.append(Text(f"{GLYPHS[cell.outcome]} {shortened(names[cell.question], width - 2)}", no_wrap=True))
        for label, result in (("base", cell.base), ("run ", cell.run)):
            lines.append(_said(label, result, shares, width))
    return lines


def marks(cell: ComparedCell) -> str:
    """What else differs much and may be part of a change: R readable answers, L length."""
    readable = change_estimate(cell.numbers, "valid_rate").value
    tokens = cell.numbers.get("tokens")
    base, run = (tokens.base.value, tokens.run.value) if tokens else (None, None)
    longer = base is not None and run is not None and max(base, run) > _LENGTH_FACTOR * min(base, run)
    return ("R" if readable is not None and abs(readable) > _READABLE_POINTS else "") + ("L" if longer else "")


# ------------------------------------------------------------------------------------------------------------ order


def _place(cell: ComparedCell) -> tuple[int, float, str]:
    """Narrower, wider, moved, unchanged; within each the largest change first."""
    by = cell.moved.change.value or 0.0 if cell.outcome == "moved" else abs(_agreement_change(cell))
    return list(GLYPHS).index(cell.outcome), -by, cell.question


def _most_changed(cell: ComparedCell) -> tuple[float, str]:
    return -max(abs(_agreement_change(cell)), cell.moved.change.value or 0.0), cell.question


def _agreement_change(cell: ComparedCell) -> float:
    return change_estimate(cell.numbers, "collision").value or 0.0


def _asked(cell: ComparedCell) -> CellResult:
    """The base's result under the name of the question, which is the same in both runs."""
    return replace(cell.base, cell=replace(cell.base.cell, cell_id=cell.question))


# ------------------------------------------------------------------------------------------------------------ table


def _table(cells: Sequence[ComparedCell], names: Mapping[str, str], width: int) -> list[Text | Padding]:
    """The richest layout that leaves the names their room."""
    marked = ("",) if any(map(marks, cells)) else ()
    longest = max(cell_len(names[cell.question]) for cell in cells) + len(GLYPHS["same"]) + 1
    for layout in _LAYOUTS:
        heading = ("cells", *(name.removeprefix("short ") for name in layout), *marked)
        entries = [_entry(cell, names[cell.question], (*layout, *marked)) for cell in cells]
        if name_width(heading, entries, width) >= min(longest, _ROOM_FOR_NAMES):
            break
    return tabulated(heading, entries, width)


def _entry(cell: ComparedCell, name: str, layout: Sequence[str]) -> Entry:
    """One line; what became of the verdict below it where no column says so."""
    title = Text(f"{GLYPHS[cell.outcome]} {name}", STYLES[cell.outcome])
    told = {"verdict", "short verdict"}.isdisjoint(layout) and cell.base.verdict != cell.run.verdict
    return Entry(((title, *(_COLUMNS[column](cell) for column in layout)),), (_verdicts(cell),) if told else ())


def _side_by_side(name: str) -> Callable[[ComparedCell], Text]:
    """The number of the base and of the run, a unit of both only once."""

    def show(cell: ComparedCell) -> Text:
        if name not in cell.numbers:
            return Text(wording.UNKNOWN, "dim")
        base, run = (side_number(name, side)[0] for side in (cell.numbers[name].base, cell.numbers[name].run))
        return Text(f"{base.removesuffix('%') if run.endswith('%') else base} → {run}")

    return show


def _changed(name: str) -> Callable[[ComparedCell], Text]:
    return lambda cell: beside(change_number(name, change_estimate(cell.numbers, name)))


def _verdicts(cell: ComparedCell, short: Mapping[str, str] | None = None) -> str:
    base, run = (_verdict(side, short or {}) for side in (cell.base, cell.run))
    return base if base == run else f"{base} → {run}"


def _verdict(result: CellResult, short: Mapping[str, str]) -> str:
    return short.get(result.verdict, result.verdict) if result.verdict else wording.UNKNOWN


def _moved(cell: ComparedCell) -> Text:
    """What surely lies elsewhere, in hundredths; under one it says nothing."""
    low = cell.moved.change.low
    if low is None or low < _LEAST_MOVED:
        return Text(wording.UNKNOWN if low is None else "·", "dim")
    return Text(f"{wording.span(100 * low, None, 0)}%")


def _q_value(cell: ComparedCell) -> Text:
    """Of the change that the cell's outcome tells of."""
    collision = cell.numbers.get("collision")
    told = cell.moved if cell.outcome == "moved" or collision is None else collision
    return Text(wording.p_value(told.q_value))


_COLUMNS: Mapping[str, Callable[[ComparedCell], Text]] = {
    "agree": _side_by_side("collision"),
    "points": _changed("collision"),
    "distinct@10": _changed("distinct_10"),
    "modes": _changed("effective_modes_ratio"),
    "verdict": lambda cell: Text(_verdicts(cell)),
    "short verdict": lambda cell: Text(_verdicts(cell, SHORT_VERDICTS)),
    "moved": _moved,
    "q": _q_value,
    "": lambda cell: Text(marks(cell)),
}


def _rest(hidden: Sequence[ComparedCell], *, besides: bool) -> list[Text | Padding]:
    """How many cells have no line."""
    if not hidden:
        return []
    counted = Counter(cell.outcome for cell in hidden)
    counts = ", ".join(f"{counted[outcome]} {words}" for outcome, words in OUTCOME_WORDS.items() if counted[outcome])
    return [Text(f"  and {len(hidden)} more: {counts}" if besides else f"  {counts}; no line each", "dim")]


# ------------------------------------------------------------------------------------------------------- what is said


def _said(label: str, result: CellResult, shares: int, width: int) -> Text:
    """What one side says most often, on one line."""
    claims = result.verdict != "invalid" and bool(result.modes)
    share = wording.share(result.mode_mass if claims else UNDEFINED)
    missing = " " * (shares - share.cell_len)
    line = Text.assemble((f"    {label} ", "dim"), missing, share, "  ", no_wrap=True, overflow="ellipsis")
    line.append(_words(result, max(0, width - line.cell_len)))
    return line


def _words(result: CellResult, room: int) -> str:
    if not result.n:
        return "(not sampled)"
    if result.verdict == "invalid" or not result.modes:
        unread = one_line(result.unread)
        lead = "no readable answer"
        return f"{lead}: {wording.quoted(unread, room - len(lead) - 4)}" if unread else lead
    mode = result.modes[0]
    if mode.count == 1 and result.n_valid > 1:
        return "(nothing twice)"
    if mode.kind == "empty" or not one_line(mode.text):
        return "(empty)"
    lead = "refuses: " if mode.kind == "refusal" else ""
    return f"{lead}{wording.quoted(mode.text, room - len(lead) - 2)}"
