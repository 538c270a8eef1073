"""The means over prompts at every step, and the last step against the first. Knows numbers of cells, no answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from collapsecli.compared import Difference
from collapsecli.metrics.categorical import SUBSET
from collapsecli.metrics.paired import mean, p_no_change
from collapsecli.records import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from collapsecli.compared import TrendCell
    from collapsecli.records import CellResult

    Floats = NDArray[np.float64]

# What is averaged over prompts, and the ends between which every such number lies.
METRICS = {"distinct_10": (1.0, float(SUBSET)), "collision": (0.0, 1.0), "mode_mass": (0.0, 1.0)}
COLLAPSED = "collapsed"
_SEED = 20_250_101  # the same runs give the same intervals


def means(
    cells: Sequence[TrendCell], alpha: float
) -> tuple[dict[str, tuple[Estimate, ...]], dict[str, Difference], dict[str, int]]:
    """The means of each metric at each step, how the last differs from the first, and of how many prompts they are.

    A prompt counts once, by the mean of its cells. A cell is in the mean of a metric if it has the number at every
    step, so that each step's mean is of the same prompts; without any the metric is absent.

    Intervals are over prompts, at two-sided error rate `alpha` (see `metrics.paired`). Draws that were lost are not
    known: the lower end takes each cell at the least that it could be with them, the upper end at the most.
    """
    generator = np.random.default_rng(_SEED)
    overall: dict[str, tuple[Estimate, ...]] = {}
    change: dict[str, Difference] = {}
    n: dict[str, int] = {}
    for metric, (least, most) in METRICS.items():
        values = _over_prompts(cells, metric)
        if not len(values):
            continue
        by_step = (_mean(low, value, high, alpha, generator) for low, value, high in values.transpose(1, 2, 0))
        overall[metric], n[metric] = tuple(_within(estimate, least, most) for estimate in by_step), len(values)
        change[metric] = _change(overall[metric], values[:, 0], values[:, -1], alpha, generator)
    judged = [cell for cell in cells if all(result is not None and result.verdict for result in cell.results)]
    if judged:
        overall[COLLAPSED], n[COLLAPSED] = _collapsed(judged), len(judged)
    return overall, change, n


def _change(
    by_step: Sequence[Estimate], first: Floats, last: Floats, alpha: float, generator: np.random.Generator
) -> Difference:
    """The last step against the first, prompt by prompt, from (P, 3) each; a p-value where no draw was lost."""
    low, value, high = last[:, 0] - first[:, 2], last[:, 1] - first[:, 1], last[:, 2] - first[:, 0]
    apart = _mean(low, value, high, alpha, generator)
    known = np.array_equal(low, high)
    return Difference(by_step[0], by_step[-1], apart, len(value), p_no_change(value, generator) if known else None)


def _collapsed(cells: Sequence[TrendCell]) -> tuple[Estimate, ...]:
    verdicts = zip(*([result and result.verdict for result in cell.results] for cell in cells), strict=True)
    return tuple(Estimate(of_step.count("collapsed") / len(cells)) for of_step in verdicts)


def _over_prompts(cells: Sequence[TrendCell], metric: str) -> Floats:
    """(P, K, 3): of each prompt at each step the least, the value and the most that it could be with lost draws."""
    prompts: dict[tuple[str, str], list[list[tuple[float, float, float]]]] = {}
    for cell in cells:
        known = [result for result in cell.results if result is not None and _says(result, metric)]
        if len(known) == len(cell.results):
            of_prompt = prompts.setdefault((known[0].cell.suite, known[0].cell.prompt_id), [])
            of_prompt.append([with_lost(metric, result) for result in known])
    return np.array([np.mean(of_prompt, axis=0) for of_prompt in prompts.values()], np.float64)


def with_lost(metric: str, result: CellResult) -> tuple[float, float, float]:
    """The least, the value and the most that a metric of a cell could be had no draw been lost; all three are known.

    With n answers read, l lost and N = n + l: a pair is known with probability w = n(n-1) / N(N-1), and the lost pairs
    agree all or never. The mode has from none to all of the lost draws. Of 10 draws 10 l / N are lost on average; the
    others give at least n / N of the expected number of distinct answers, which is concave in the draws, and each lost
    one at most one more.
    """
    value = float(result.metric(metric).value or 0.0)
    read, lost = result.n_valid, lost_draws(result)
    drawn = read + lost
    if not lost:
        return value, value, value
    if metric == "collision":
        known = read * (read - 1) / (drawn * (drawn - 1))
        return value * known, value, value * known + 1 - known
    if metric == "mode_mass":
        return value * read / drawn, value, (value * read + lost) / drawn
    return value * read / drawn, value, min(float(SUBSET), value + SUBSET * lost / drawn)


def lost_draws(result: CellResult) -> int:
    """Completions that were to be judged and whose text is not known: they failed or never came back."""
    return result.look - (result.n_judged - result.n_failed)


def without_number(cells: Sequence[TrendCell]) -> Mapping[str, frozenset[str]]:
    """The cells with a verdict at every step that have no number of a metric at some step, by metric."""
    judged = {cell.question: [r for r in cell.results if r is not None and r.verdict] for cell in cells}
    whole = [cell.question for cell in cells if len(judged[cell.question]) == len(cell.results)]
    return {
        metric: frozenset(question for question in whole if not all(_says(r, metric) for r in judged[question]))
        for metric in METRICS
    }


def _says(result: CellResult, metric: str) -> bool:
    """Whether a cell has this number: one draw has none, and of too few readable answers nothing is said."""
    return result.verdict not in {None, "invalid"} and result.metric(metric).value is not None


def _mean(low: Floats, value: Floats, high: Floats, alpha: float, generator: np.random.Generator) -> Estimate:
    """The mean of values (P,) with its interval over prompts, whose ends are those of the least and of the most."""
    middle = mean(value, alpha, generator)
    if np.array_equal(low, value) and np.array_equal(high, value):
        return middle
    return Estimate(middle.value, mean(low, alpha, generator).low, mean(high, alpha, generator).high)


def _within(estimate: Estimate, least: float, most: float) -> Estimate:
    """The estimate without what no mean of such numbers can be."""
    low, high = estimate.low, estimate.high
    return Estimate(estimate.value, low if low is None else max(low, least), high if high is None else min(high, most))
