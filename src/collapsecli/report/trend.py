"""A trend on a terminal: curves over all prompts, then one line a cell. Knows screens, no statistics."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from collapsecli.records import UNDEFINED
from collapsecli.report import wording
from collapsecli.report.columns import shortened
from collapsecli.report.contrast_layout import WIDE, Entry, tabulated
from collapsecli.report.sparkline import sparkline
from collapsecli.report.trend_words import (
    OVERALL,
    claims,
    collapse_words,
    legend,
    names_of,
    ranked,
    said,
    short_names,
)
from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.padding import Padding

    from collapsecli.compared import Step, Trend, TrendCell
    from collapsecli.records import CellResult, Estimate

_MOST_CELLS = 40
_MOST_STEPS = 12  # steps whose runs are listed
_ROOMY = 100  # columns from which on a line has what is said at the last step
_NAME_OF_STEP = 22  # characters
_SINCE = 24
_BESIDE_A_QUOTE = 14
_GLYPHS = {"flagged": ("✗", "bold red"), "open": ("?", "yellow"), "expected": ("✓", "green")}
_STEADY = ("·", "")


def trend_blocks(trend: Trend, width: int) -> list[Text | Padding]:
    """A trend as blocks for a screen of `width` columns, at least 60."""
    return [
        *_heading(trend),
        Text(),
        *_overall(trend, width),
        Text(),
        *_cells(trend, width),
        Text(),
        *(Text(f"Note: {one_line(note)}", "yellow") for note in trend.notes),
        Text(legend(trend) + _shown_words(trend, width), "dim"),
        Text(),
        *_steps(trend.steps),
    ]


def _heading(trend: Trend) -> list[Text]:
    steps = trend.steps
    first, last = (_step_name(step) for step in (steps[0], steps[-1]))
    title = Text.assemble((", ".join(map(one_line, trend.suites)), "bold"), " over ", (f"{len(steps)} steps", "bold"))
    title.append(f": {first} → {last}")
    if "collapsed" in trend.n:
        before, after = (_collapsed_count(trend, at) for at in (0, -1))
        counts = f", {before} → {after} of {trend.n['collapsed']} cells collapsed"
        title.append(counts, "bold red" if after > before else "bold green" if after < before else "bold")
    models = list(dict.fromkeys(one_line(step.side.model) for step in steps))
    facts = [
        models[0] if len(models) == 1 else f"{len(models)} models",
        ", ".join(dict.fromkeys(one_line(step.side.engine) for step in steps if step.side.engine)),
        _draws(trend.cells),
    ]
    return [title, Text(" · ".join(filter(None, facts)), "dim")]


def _draws(cells: Sequence[TrendCell]) -> str:
    judged = (result.n_judged for cell in cells for result in cell.results if result is not None and result.verdict)
    counts = wording.counts(judged)
    return f"{counts} draws a cell" if counts else ""


def _step_name(step: Step) -> str:
    return shortened(one_line(step.name), _NAME_OF_STEP)


def _collapsed_count(trend: Trend, at: int) -> int:
    return round((trend.overall["collapsed"][at].value or 0.0) * trend.n["collapsed"])


# --------------------------------------------------------------------------------------------------- over prompts


def _overall(trend: Trend, width: int) -> list[Text | Padding]:
    """One line for each mean: its curve, its ends, and how the last step differs from the first."""
    wide = width >= WIDE
    shown = _shown(len(trend.steps), width)
    entries = []
    for metric, heading, (low, high) in OVERALL:
        if metric not in trend.overall:
            continue
        estimates = trend.overall[metric]
        curve = Text(sparkline([estimates[k].value for k in shown], low, high))
        ends = [_overall_number(trend, metric, estimates[at]) for at in (0, -1)]
        change = _change(trend, metric)
        numbers = (curve, _from_to(*ends), *([change] if wide else []), Text(str(trend.n[metric]), "dim"))
        below = (f"change {change.plain}",) if change.plain and not wide else ()
        entries.append(Entry(((Text(heading), *numbers),), below))
    titles = ("over all prompts", "steps", "first → last", *(["change"] if wide else []), "n")
    return tabulated(titles, entries, width)


def _overall_number(trend: Trend, metric: str, estimate: Estimate) -> Text:
    if metric == "collapsed":  # a count, which needs no interval
        return Text(str(round((estimate.value or 0.0) * trend.n[metric])))
    if metric != "distinct_10":
        return wording.share(estimate)
    ends = wording.span(estimate.low, estimate.high, 1)
    return Text.assemble(wording.number(estimate.value), (f" {ends}" if ends else "", "dim"))


def _change(trend: Trend, metric: str) -> Text:
    change = trend.change[metric].change if metric in trend.change else UNDEFINED
    if change.value is None:
        return Text()
    if metric != "distinct_10":
        return wording.points(change)
    ends = wording.difference_span(change.low, change.high, 1)
    return Text.assemble(wording.signed(change.value, 1), (f" {ends}" if ends else "", "dim"))


# ------------------------------------------------------------------------------------------------------------- cells


def _cells(trend: Trend, width: int) -> list[Text | Padding]:
    cells = ranked(trend.cells)
    told, rest = cells[:_MOST_CELLS], cells[_MOST_CELLS:]
    names = names_of(trend.cells)
    shown = _shown(len(trend.steps), width)
    steps = [_step_name(step) for step in trend.steps] if width >= _ROOMY else short_names(trend.steps)
    entries = [_entry(cell, names[cell.question], shown, steps, width) for cell in told]
    titles = ["cell", "steps", "mode mass, first → last"]
    titles += ["collapsed"] if width >= WIDE else []
    titles += ["says at the last step"] if width >= _ROOMY else []
    return [*tabulated(titles, entries, width, quotes=width >= _ROOMY), *_rest(rest)]


def _entry(cell: TrendCell, name: str, shown: Sequence[int], steps: Sequence[str], width: int) -> Entry:
    last = cell.results[-1]
    glyph, style = _glyph(last)
    masses = [result.mode_mass.value if result and claims(result) else None for result in cell.results]
    curve = Text(sparkline([masses[k] for k in shown], 0.0, 1.0))
    since = collapse_words(cell, [shortened(step, _NAME_OF_STEP) for step in steps])
    row = [Text(f"{glyph} {name}", style), curve, _from_to(_mass(cell.results[0]), _mass(last))]
    if width >= _ROOMY:
        return Entry(((*row, Text(since), Text(said(last))),))
    says = [] if cell.first_collapsed is None else [f"says {wording.quoted(said(last), width - _BESIDE_A_QUOTE)}"]
    if width >= WIDE:
        return Entry(((*row, Text(shortened(since, _SINCE))),), tuple(says))
    return Entry((tuple(row),), ("; ".join([f"collapsed: {since}", *says]),))


def _glyph(result: CellResult | None) -> tuple[str, str]:
    if result is not None and result.verdict == "invalid":
        return "!", "bold magenta"
    return _GLYPHS.get(str(result.flag), _STEADY) if result is not None else _STEADY


def _mass(result: CellResult | None) -> Text:
    return wording.share(result.mode_mass) if result is not None and claims(result) else Text(wording.UNKNOWN, "dim")


def _from_to(first: Text, last: Text) -> Text:
    return Text.assemble(first, (" → ", "dim"), last)


def _rest(cells: Sequence[TrendCell]) -> list[Text]:
    """How many cells are not told, and what became of them."""
    if not cells:
        return []
    kinds = Counter("collapse" if cell.first_collapsed is not None else "do not surely" for cell in cells)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return [Text(f"  and {len(cells)} more ({counts}); all of them with --html, --json or --parquet", "dim")]


# ------------------------------------------------------------------------------------------------------------- steps


def _shown(count: int, width: int) -> list[int]:
    """The steps that a curve of one line shows: all, or as many as fit, evenly spread and with both ends."""
    most = 8 if width < _ROOMY else 16 if width < 120 else 24
    return list(range(count)) if count <= most else [round(k * (count - 1) / (most - 1)) for k in range(most)]


def _shown_words(trend: Trend, width: int) -> str:
    shown = _shown(len(trend.steps), width)
    curves = "" if len(shown) == len(trend.steps) else f" Curves show {len(shown)} of the {len(trend.steps)} steps."
    return f"{curves} At the last step: ✗ flagged, ? open, ✓ nothing to flag, · no claim, ! unreadable."


def _steps(steps: Sequence[Step]) -> list[Text]:
    """Which run is which step."""
    told = steps if len(steps) <= _MOST_STEPS else (*steps[: _MOST_STEPS - 1], steps[-1])
    names = [_step_name(step) for step in told]
    longest = max(map(cell_len, names))
    lines = [
        Text(
            f"{'Steps:' if number == 0 else '      '} {set_cell_size(name, longest)}  {one_line(step.side.path)}", "dim"
        )
        for number, (name, step) in enumerate(zip(names, told, strict=True))
    ]
    more = len(steps) - len(told)
    return [*lines[:-1], Text(f"       … and {more} more", "dim"), lines[-1]] if more else lines
