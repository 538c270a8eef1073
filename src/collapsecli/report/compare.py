"""Two runs held against each other on a terminal: what happened, where, and in which words. Compares nothing itself."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING

from rich.text import Text

from collapsecli.records import IMPORTED
from collapsecli.report import wording
from collapsecli.report.compare_cells import GLYPHS, STYLES, cells_block, marks, question_names, said_block
from collapsecli.report.compare_numbers import NOTHING, change_number, direction, side_number
from collapsecli.report.compare_overall import overall_block, transitions_block
from collapsecli.report.compare_phrases import phrases_block
from collapsecli.report.compare_rescored import rescored_block
from collapsecli.report.compare_temperature import temperature_block
from collapsecli.report.contrast_layout import first_and_more
from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.padding import Padding

    from collapsecli.compared import ComparedCell, Comparison, Outcome, Side

_MOST_WARNINGS = 8  # settings in which two runs are unlike
_MOST_NAMED = 12  # cells that got worse


def comparison_blocks(comparison: Comparison, width: int) -> list[Text | Padding]:
    """A run against its base as blocks for a screen of `width` columns, at least 60."""
    names = question_names(comparison.cells)
    parts: tuple[list[Text | Padding], ...] = (
        _heading(comparison),
        overall_block(comparison, width),
        transitions_block(comparison.transitions, width),
        cells_block(comparison.cells, width),
        said_block(comparison.cells, width),
        phrases_block(comparison, _side_names(comparison)),
        temperature_block(comparison.tempered, width),
        rescored_block(comparison, names, width),
        [*_regressed(comparison, names), *_data(comparison.cells), *_notes(comparison), *_legend(comparison)],
        _way_on(comparison),
    )
    blocks = [line for part in parts if part for line in (Text(), *part)]
    return blocks[1:]


def _side_names(comparison: Comparison) -> tuple[str, str]:
    """What the two are called; their roles tell them apart where their names do not."""
    base, run = one_line(comparison.base.name) or "base", one_line(comparison.run.name) or "run"
    return (base, run) if base != run else (f"{base} (base)", f"{run} (run)")


# --------------------------------------------------------------------------------------------------------- heading


def _heading(comparison: Comparison) -> list[Text | Padding]:
    base, run = _side_names(comparison)
    happened, style = _happened(comparison)
    title = Text.assemble(
        (", ".join(map(one_line, comparison.suites)), "bold"),
        ": ",
        (f"{base} → {run}", "bold"),
        ", ",
        (happened, style),
    )
    return [
        title,
        Text(_distinct_in_words(comparison)),
        Text(f"base: {_provenance(comparison.base)}", "dim"),
        Text(f"run:  {_provenance(comparison.run)}", "dim"),
        *_unlike(comparison.unlike),
    ]


def _happened(comparison: Comparison) -> tuple[str, str]:
    """What became of the answers, and its style: over all prompts if that is sure, else by the cells."""
    cells = comparison.cells
    counted = Counter(cell.outcome for cell in cells)
    by_cell = _counted(counted, len(cells))
    distinct = comparison.overall.get("distinct_10", NOTHING)
    overall = direction("distinct_10", distinct, comparison.alpha)
    if overall:
        outcome: Outcome = "narrower" if overall < 0 else "wider"
        return f"{outcome} over all prompts: {by_cell}", STYLES[outcome]
    if counted["narrower"] and counted["wider"]:
        return f"narrower in some cells, wider in others: {by_cell}", STYLES["moved"]
    if counted["narrower"]:
        return f"narrower in part: {by_cell}", STYLES["narrower"]
    if counted["wider"]:
        return f"wider in part: {by_cell}", STYLES["wider"]
    if counted["moved"]:
        # Without an interval nobody knows how wide they are.
        as_wide = "about as wide, but " if distinct.change.low is not None else ""
        return f"{as_wide}other answers: {by_cell}", STYLES["moved"]
    return f"no difference shown in {_cells(len(cells))}", "bold"


def _counted(counted: Mapping[Outcome, int], of: int) -> str:
    """How many cells changed, and how."""
    changed = [outcome for outcome in GLYPHS if outcome != "same" and counted[outcome]]
    if not changed:
        return f"shown in none of {_cells(of)} alone"
    first, *others = changed
    told = (f"{counted[first]} of {_cells(of)} {first}", *(f"{counted[outcome]} {outcome}" for outcome in others))
    return ", ".join(told)


def _cells(count: int) -> str:
    return f"{count} cell" + ("" if count == 1 else "s")


def _distinct_in_words(comparison: Comparison) -> str:
    """The headline's number, and how many draws it is made from."""
    drawn = _draws(comparison.cells)
    distinct = comparison.overall.get("distinct_10", NOTHING)
    if distinct.change.value is None:
        return f"different answers among ten draws: not known; {drawn}"
    base, run = (side_number("distinct_10", side)[0] for side in (distinct.base, distinct.run))
    change, ends = change_number("distinct_10", distinct.change)
    surely = f"{change} ({ends})" if ends else f"{change} without interval"
    chance = wording.p_words(distinct.p_value, None)
    facts = (f"{base} → {run}", surely, chance, f"{distinct.n} prompt" + ("" if distinct.n == 1 else "s"))
    return f"different answers among ten draws: {', '.join(filter(None, facts))}; {drawn}"


def _draws(cells: Sequence[ComparedCell]) -> str:
    base = wording.counts(cell.base.n_judged for cell in cells)
    run = wording.counts(cell.run.n_judged for cell in cells)
    if not cells:
        return "no cells"
    return f"{base} draws a cell" if base == run else f"{base} draws a cell of the base, {run} of the run"


def _provenance(side: Side) -> str:
    model = f"{side.model} + {side.adapter}" if side.adapter else side.model
    sampled = not side.engine.startswith(IMPORTED)
    facts = (model if model != side.name else "", side.run_id, side.engine, f"seed {side.seed}" if sampled else "")
    return " · ".join(one_line(fact) for fact in facts if fact)


def _unlike(unlike: Sequence[str]) -> list[Text]:
    """In what the two runs are not alike though they were held against each other."""
    shown, more = first_and_more(unlike, _MOST_WARNINGS)
    lines = [Text(f"unlike: {one_line(one)}", "bold yellow") for one in shown]
    return [*lines, *([Text(f"unlike:{more}", "bold yellow")] if more else [])]


# ------------------------------------------------------------------------------------------------------ small print


def _regressed(comparison: Comparison, names: Mapping[str, str]) -> list[Text]:
    """The cells that got worse, as the suite expects."""
    worse = sorted(names[cell.question] for cell in comparison.cells if cell.regressed)
    if not worse:
        return []
    shown, more = first_and_more(worse, _MOST_NAMED)
    how = f"against what the suite expects, by over {100 * comparison.margin:g} points of agreement or unreadable"
    return [Text(f"Regressed ({_cells(len(worse))}; {how}): {', '.join(shown)}{more}", "bold red")]


def _data(cells: Sequence[ComparedCell]) -> list[Text]:
    """What of the draws could not be used, side by side."""
    sides = ([cell.base for cell in cells], [cell.run for cell in cells])
    told = []
    for label, results in zip(("base", "run"), sides, strict=True):
        failed = sum(result.n_failed for result in results)
        unreadable = sum(result.n_judged - result.n_failed - result.n_valid for result in results)
        cut_off = sum(result.n_truncated for result in results)
        drawn = sum(result.n_judged for result in results)
        told.append(f"{label} {drawn:,} draws, {unreadable:,} unreadable, {cut_off:,} cut off, {failed:,} failed")
    return [Text(f"Data: {'; '.join(told)}")]


def _notes(comparison: Comparison) -> list[Text]:
    return [Text(f"Note: {one_line(note)}", "yellow") for note in comparison.notes]


def _legend(comparison: Comparison) -> list[Text]:
    level = f"{100 * (1 - comparison.alpha):g} %"
    marked = "".join(map(marks, comparison.cells))
    differ = [*(["R readable answers"] if "R" in marked else []), *(["L length"] if "L" in marked else [])]
    signs = " ".join(f"{glyph} {'not shown' if outcome == 'same' else outcome}" for outcome, glyph in GLYPHS.items())
    sentences = [
        f"Run minus base, {level} intervals",
        "agree: two draws are the same",
        "moved: at least so much lies elsewhere",
        signs,
        f"q: of agree, or of any change for {GLYPHS['moved']}",
        *([f"{', '.join(differ)}: much different"] if differ else []),
    ]
    return [Text(f"{'. '.join(sentences)}.", "dim")]


def _way_on(comparison: Comparison) -> list[Text | Padding]:
    """What to do next."""
    base, run = comparison.base, comparison.run
    paths = list(dict.fromkeys(shlex.quote(one_line(side.path)) for side in (base, run)))
    lines = [Text(f"Each alone: collapse report {path}", "dim") for path in paths]
    has_models = not any(side.engine.startswith((IMPORTED, "scripted")) for side in (base, run))
    if comparison.divergence is None and not comparison.unscored and has_models:
        lines.append(Text(f"Token by token: collapse compare {' '.join(paths)} --rescore", "dim"))
    return [*lines]
