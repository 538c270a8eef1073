"""Numbers over all prompts, each prompt the mean of its cells. Knows results, no draws."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from collapsecli.metrics.paired import paired, ratio

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from collapsecli.compared import ComparedCell, Difference
    from collapsecli.records import Cell, CellResult, Estimate

    Floats = NDArray[np.float64]

# The numbers that are averaged, and between what they lie: an interval over prompts knows of no such ends.
_MEANS = {"distinct_10": (1.0, 10.0), "collision": (0.0, 1.0), "valid_rate": (0.0, 1.0), "tokens": (0.0, math.inf)}


def prompt_of(cell: Cell) -> Hashable:
    """The prompt that a cell belongs to."""
    return cell.suite, cell.prompt_id


def overall(cells: Sequence[ComparedCell], alpha: float, generator: np.random.Generator) -> dict[str, Difference]:
    """Means over the prompts, each prompt the mean of its cells; of `effective_modes_ratio` geometric means."""
    by_prompt: dict[Hashable, list[ComparedCell]] = defaultdict(list)
    for cell in cells:
        by_prompt[prompt_of(cell.run.cell)].append(cell)
    prompts = list(by_prompt.values())
    found = {name: _within(paired(*_means(prompts, name), alpha, generator), *ends) for name, ends in _MEANS.items()}
    of_base = [_geometric_mean([_modes(cell.base) for cell in of_prompt]) for of_prompt in prompts]
    of_run = [_geometric_mean([_modes(cell.run) for cell in of_prompt]) for of_prompt in prompts]
    found["effective_modes_ratio"] = ratio(of_base, of_run, alpha, generator)
    return found


def _within(found: Difference, least: float, most: float) -> Difference:
    return replace(
        found,
        base=_cut(found.base, least, most),
        run=_cut(found.run, least, most),
        change=_cut(found.change, least - most, most - least),
    )


def _cut(estimate: Estimate, least: float, most: float) -> Estimate:
    low, high = (None if end is None else min(max(end, least), most) for end in (estimate.low, estimate.high))
    return replace(estimate, low=low, high=high)


def _means(prompts: Sequence[Sequence[ComparedCell]], name: str) -> tuple[Floats, Floats]:
    """A number of both sides, (P,) each: the mean over the cells of a prompt in which both have it, NaN without any."""
    means = []
    for cells in prompts:
        numbers = [cell.numbers[name] for cell in cells]
        known = [
            (one.base.value, one.run.value)
            for one in numbers
            if one.base.value is not None and one.run.value is not None
        ]
        means.append(np.mean(known, axis=0) if known else np.full(2, np.nan))
    base, run = np.array(means, np.float64).reshape(-1, 2).T
    return base, run


def _modes(result: CellResult) -> float:
    """The effective modes, for a mean of logarithms: half a pair that agrees is added, so that none are infinite."""
    pairs_of_draws = result.n_valid * (result.n_valid - 1) / 2
    collision = result.metric("collision").value
    return math.nan if collision is None else (pairs_of_draws + 1) / (collision * pairs_of_draws + 0.5)


def _geometric_mean(values: Sequence[float]) -> float:
    known = [math.log(value) for value in values if not math.isnan(value)]
    return math.exp(math.fsum(known) / len(known)) if known else math.nan
