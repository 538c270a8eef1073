"""One cell of a run held against the same of its base: differences with intervals, and tests. Knows no other cell."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from collapsecli.compared import ComparedCell, Difference
from collapsecli.comparison.embedded import vectors_of_both
from collapsecli.judge import judge_cell, read_cell
from collapsecli.metrics import twosample
from collapsecli.metrics.shares import difference
from collapsecli.records import UNDEFINED, Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from collapsecli.contrasts.drawn import Drawn
    from collapsecli.records import CellResult, Completion, Rules

    Bools = NDArray[np.bool_]

_FEWEST = 2  # answers of a side, below which nothing can agree


def compared(base: Drawn, run: Drawn, rules: Rules, least_p: float, generator: np.random.Generator) -> ComparedCell:
    """One cell of both sides, each with the draws that were fixed in advance (see `fixed`).

    `least_p` is the smallest p-value that the comparison can tell apart. Without q-values no outcome is told yet.
    """
    same, n_base, transitive = _pooled(base, run)
    n_run = len(same) - n_base
    lost = base.lost, run.lost
    collisions = _collision(base.result), _collision(run.result)
    n = n_base + n_run
    numbers = {
        name: _difference(base.result.metric(name), run.result.metric(name), n) for name in ("mode_mass", "distinct_10")
    }
    numbers["valid_rate"] = _difference(base.result.metric("valid_rate"), run.result.metric("valid_rate"), n)
    numbers["tokens"] = _length(base.completions, run.completions, rules.alpha)
    ratio = _ratio(base.result.effective_modes, run.result.effective_modes)
    numbers["effective_modes_ratio"] = Difference(base.result.effective_modes, run.result.effective_modes, ratio, n)
    if min(n_base, n_run) < _FEWEST:
        numbers["collision"] = Difference(*collisions, UNDEFINED, n)
        return ComparedCell(
            run.cell.question, base.result, run.result, numbers, _moved(UNDEFINED, n, None), UNDEFINED, "same"
        )
    tested = twosample.two_sample(
        same, n_base, least_p=least_p, generator=generator, lost_base=base.lost, lost_run=run.lost
    )
    change = twosample.collision_change(*collisions, same, n_base, rules.alpha, *lost)
    numbers["collision"] = Difference(*collisions, change, n, tested.p_collision)
    # Classes that came with imported answers are those of one file: nobody knows which are the same in another one.
    alike = run.cell.equivalence != "given"
    moved = twosample.moved(same, n_base, rules.alpha, *lost, transitive=transitive) if alike else UNDEFINED
    between = twosample.between(same, n_base, rules.alpha, *lost) if alike else UNDEFINED
    return ComparedCell(
        question=run.cell.question,
        base=base.result,
        run=run.result,
        numbers=numbers,
        moved=_moved(moved, n, tested.p_shift if alike else None),
        between=between,
        outcome="same",
    )


def fixed(drawn: Drawn, rules: Rules) -> Drawn:
    """The cell with as many draws as were fixed before any was drawn: where sampling ended depends on what was said.

    Of an adaptive cell those are the draws of its first look.
    """
    sampling = drawn.cell.sampling
    if not sampling.adaptive:
        return drawn
    cell = replace(drawn.cell, sampling=replace(sampling, samples=sampling.looks[0], adaptive=False))
    first = drawn.until(cell.sampling.samples)
    return replace(first, result=judge_cell(cell, first.completions, rules, drawn.vectors), alpha=rules.alpha)


# ---------------------------------------------------------------------------------------------------------- relation


def _pooled(base: Drawn, run: Drawn) -> tuple[Bools, int, bool]:
    """Which readable answers of both, the base's first, are the same; how many are the base's; is that transitive."""
    of_base = [replace(one, given=one.given and f"base {one.given}") for one in base.completions]
    of_run = [replace(one, given=one.given and f"run {one.given}") for one in run.completions]
    shift = 1 + max((one.sample_index for one in of_base), default=0)
    pooled = [*of_base, *(replace(one, sample_index=shift + one.sample_index) for one in of_run)]
    reading = read_cell(run.cell, pooled, vectors=vectors_of_both(base, run))
    grouping = reading.relation.group()
    n_base = sum(answer is not None for answer in reading.answers[: len(of_base)])
    if grouping.alike is None:
        return grouping.labels[:, None] == grouping.labels[None, :], n_base, grouping.transitive
    return grouping.alike[np.ix_(grouping.texts, grouping.texts)], n_base, grouping.transitive


# ----------------------------------------------------------------------------------------------------------- numbers


def _collision(result: CellResult) -> Estimate:
    return result.metric("collision")


def _difference(base: Estimate, run: Estimate, n: int) -> Difference:
    return Difference(base, run, difference(run, base), n)


def _moved(estimate: Estimate, n: int, p_value: float | None) -> Difference:
    return Difference(UNDEFINED, UNDEFINED, estimate, n, p_value)


def _ratio(base: Estimate, run: Estimate) -> Estimate:
    """Run over base, by the difference of their logarithms; undefined where one is unbounded or not known."""
    apart = difference(_log(run), _log(base))
    return Estimate(*(None if end is None else math.exp(end) for end in (apart.value, apart.low, apart.high)))


def _log(estimate: Estimate) -> Estimate:
    ends = (estimate.value, estimate.low, estimate.high)
    return Estimate(*(math.log(end) if end and math.isfinite(end) else None for end in ends))


def _length(base: Sequence[Completion], run: Sequence[Completion], alpha: float) -> Difference:
    """The mean length, in tokens where both have some, else in words."""
    in_tokens = all(one.token_ids for one in (*base, *run))
    lengths = [[len(one.token_ids) if in_tokens else len(one.text.split()) for one in side] for side in (base, run)]
    of_base, of_run = (_mean(np.array(side, np.float64), alpha) for side in lengths)
    return _difference(of_base, of_run, len(base) + len(run))


def _mean(values: NDArray[np.float64], alpha: float) -> Estimate:
    """A mean with Student's interval."""
    from scipy import special

    if len(values) < _FEWEST:
        return Estimate(float(values.mean())) if len(values) else UNDEFINED
    value, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))
    margin = float(special.stdtrit(len(values) - 1, 1 - alpha / 2)) * error
    return Estimate(value, value - margin, value + margin)
