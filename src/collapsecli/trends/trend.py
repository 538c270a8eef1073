"""Steps in, the trend out: cells side by side, their means, and what has to be said of both. Reads no files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collapsecli.compared import Trend
from collapsecli.errors import UsageError
from collapsecli.trends.alignment import aligned
from collapsecli.trends.overall import lost_draws, means, without_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collapsecli.compared import Step, TrendCell
    from collapsecli.records import CellResult


def trend_of(steps: Sequence[tuple[Step, Sequence[CellResult]]], alpha: float, notes: Sequence[str] = ()) -> Trend:
    """The trend of some steps, in their order.

    `alpha` is the two-sided error rate of an interval; `notes` are said before those of the trend itself.
    Raises UsageError where no two steps have a cell in common.
    """
    names = [step.name for step, _ in steps]
    results = [of_step for _, of_step in steps]
    cells, of_cells = aligned(names, results)
    if all(sum(result is not None for result in cell.results) < 2 for cell in cells):
        raise UsageError(
            "the steps have no cell in common that asks and samples the same",
            hint="a trend is of one suite: sample it again at every step",
        )
    overall, change, n = means(cells, alpha)
    suites = dict.fromkeys(result.cell.suite for of_step in results for result in of_step)
    return Trend(
        suites=tuple(suites),
        steps=tuple(step for step, _ in steps),
        cells=cells,
        overall=overall,
        change=change,
        n=n,
        alpha=alpha,
        notes=(*notes, *of_cells, *_means_notes(cells), *_data(names, cells)),
    )


_WORDS = {"distinct_10": "distinct@10", "collision": "agreement", "mode_mass": "mode mass"}


def _means_notes(cells: Sequence[TrendCell]) -> Iterator[str]:
    """What the means are not of: they are of the cells that every step has, as far as those have values."""
    partly = sum(None in cell.results for cell in cells)
    if partly:
        yield f"{partly} of {len(cells)} cells are not at every step, and in no mean"
    without = without_number(cells)
    for lacking in dict.fromkeys(filter(None, without.values())):
        means_of = ", ".join(_WORDS[metric] for metric, questions in without.items() if questions == lacking)
        count = "1 cell has" if len(lacking) == 1 else f"{len(lacking)} cells have"
        yield f"not in the mean of {means_of}: {count} too few answers for it at some step"


def _data(names: Sequence[str], cells: Sequence[TrendCell]) -> Iterator[str]:
    """Completions of which nothing is known, those without a readable answer, and what cannot be true, by step."""
    for place, name in enumerate(names):
        results = [result for cell in cells if (result := cell.results[place]) is not None]
        drawn, lost = sum(result.look for result in results), sum(map(lost_draws, results))
        unreadable = drawn - lost - sum(result.n_valid for result in results)
        broken = [result.cell.question for result in results if result.broken]
        if broken:
            cells_of = f"{len(broken)} of {len(results)} cells"
            yield f"{name}: log-probabilities cannot be true ({cells_of}): do not trust this step"
        counts = [f"{count:,} {what}" for count, what in ((lost, "lost"), (unreadable, "unreadable")) if count]
        if counts:
            yield f"{name}: {', '.join(counts)} of {drawn:,} completions"
