"""What a trend says of a cell in words, and which cells are told first. Knows neither screen nor page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collapsecli.records import Estimate
from collapsecli.report import wording
from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collapsecli.compared import Step, Trend, TrendCell
    from collapsecli.records import CellResult

# What is measured over all prompts: name, heading, and the ends of its scale.
OVERALL = (
    ("distinct_10", "distinct@10", (1.0, 10.0)),
    ("collision", "agreement", (0.0, 1.0)),
    ("mode_mass", "mode mass", (0.0, 1.0)),
    ("collapsed", "collapsed cells", (0.0, 1.0)),
)
NOT_THERE = "(not asked)"
_SURELY_LESS = frozenset({"narrow", "diverse", "not_collapsed"})
_EMPTY = "(empty)"


def ranked(cells: Sequence[TrendCell]) -> list[TrendCell]:
    """Those first that collapsed first and are no control that should; then those whose mode mass changed most."""

    def rank(cell: TrendCell) -> tuple[bool, bool, int, bool, float]:
        first = cell.first_collapsed
        return first is None, _is_expected(cell), first or 0, not cell.stays, -abs(mass_change(cell))

    return sorted(cells, key=rank)


def mass_change(cell: TrendCell) -> float:
    """The mode mass at the last step that has it, less that at the first; 0 where there are no two."""
    masses = [mass for result in cell.results if result and (mass := result.mode_mass.value) is not None]
    return masses[-1] - masses[0] if masses else 0.0


def names_of(cells: Sequence[TrendCell]) -> dict[str, str]:
    """Names of cells by question; without the temperature where the rest tells them apart."""
    known = [next(result for result in cell.results if result is not None) for cell in cells]
    names = wording.cell_names(known)
    return {cell.question: names[result.cell.cell_id] for cell, result in zip(cells, known, strict=True)}


def claims(result: CellResult | None) -> bool:
    """Whether anything is said about a cell's answers at a step."""
    return result is not None and result.verdict not in {None, "invalid"}


def collapse_words(cell: TrendCell, steps: Sequence[str]) -> str:
    """Since when a cell is collapsed: `from step 500 on`, `at step 500, later not`, `never`; `steps` are their names.

    An open verdict proves neither: it is then `later open`, or `never surely`.
    """
    results = [result for result in cell.results if result is not None]
    if cell.first_collapsed is None:
        if not any(result.verdict for result in results):
            return "no verdict"
        return (
            "never" if all(result.verdict in _SURELY_LESS for result in results if result.verdict) else "never surely"
        )
    step = one_line(steps[cell.first_collapsed])
    if cell.stays:
        return f"from {step} on" if cell.first_collapsed < len(steps) - 1 else f"at {step}"
    later = [result for result in cell.results[cell.first_collapsed :] if result is not None]
    return f"at {step}, later {'not' if any(result.verdict in _SURELY_LESS for result in later) else 'open'}"


def short_names(steps: Sequence[Step]) -> list[str]:
    """The last word of each step's name (`500` of `step 500`), where these tell the steps apart."""
    last = [one_line(step.name).rpartition(" ")[2] for step in steps]
    return last if len(set(last)) == len(last) else [one_line(step.name) for step in steps]


def said(result: CellResult | None) -> str:
    """What a cell keeps saying at a step, on one line."""
    if result is None:
        return NOT_THERE
    if result.verdict == "invalid" or not result.modes:
        return one_line(result.unread) or (_EMPTY if result.n else "")
    if result.modes[0].count == 1 and result.n_valid > 1:
        return "(nothing twice)"
    return one_line(result.modes[0].text) or _EMPTY


def legend(trend: Trend) -> str:
    """How to read the numbers."""
    exact = any(certain_words(result) for cell in trend.cells for result in cell.results if result is not None)
    return (
        f"mode mass: share of the most frequent answer, {100 * (1 - trend.alpha):g} % interval, drawn from 0 to 1; of "
        "each step by itself. Means and their intervals are over the prompts that every step has; the change is the "
        "last step against the first, prompt by prompt, of shares in points. distinct@10: different answers among ten "
        "draws. agreement: probability that two draws are the same. never surely: some step is open. Every verdict has "
        "its own error rate: among many steps and cells some are wrong by chance."
        + (" Verdicts use the draws' probabilities too, and can be surer than these intervals." if exact else "")
    )


def certain_words(result: CellResult) -> str:
    """What probabilities alone prove of the mode mass, in hundredths; empty where that is less than one."""
    certain = result.metric("mode_mass_certain")
    return wording.share_words(Estimate(None, certain.low, certain.high)) if (certain.low or 0.0) >= 0.01 else ""


def _is_expected(cell: TrendCell) -> bool:
    """Whether it is a control that collapses as it should: at the last step that judged it."""
    flags = [result.flag for result in cell.results if result is not None and result.verdict]
    return bool(flags) and flags[-1] == "expected"
