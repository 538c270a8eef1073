"""Shares of draws, and how two of them differ. Knows counts alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from collapsecli.metrics.categorical import clopper_pearson
from collapsecli.records import Estimate

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def share(hits: int, n: int, alpha: float, lost: int = 0) -> Estimate:
    """The probability of what `hits` of `n` independent draws were, with its exact interval (Clopper & Pearson 1934).

    `lost` further draws are not known: none of them counts as a hit in the lower end, all of them in the upper one.
    """
    low, _ = clopper_pearson(hits, n + lost, alpha)
    _, high = clopper_pearson(hits + lost, n + lost, alpha)
    return Estimate(hits / n if n else None, float(low), float(high))


def difference(one: Estimate, other: Estimate) -> Estimate:
    """One minus other, two independent estimates whose intervals have one error rate: so has that of the difference.

    The method of variance estimates recovery (Zou & Donner 2008): the distances of the ends from the estimates are
    added as squares. With Clopper-Pearson ends it errs rather less often than its nominal rate.
    """
    if one.value is None or other.value is None:
        return Estimate()
    apart = one.value - other.value
    low = high = None
    if one.low is not None and other.high is not None:
        low = apart - math.hypot(one.value - one.low, other.high - other.value)
    if one.high is not None and other.low is not None:
        high = apart + math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(apart, low, high)


def p_equal(hits: int, n: int, other_hits: int, other_n: int) -> float:
    """The two-sided p-value of two shares being equal: Fisher's exact test."""
    from scipy import stats

    table = [[hits, n - hits], [other_hits, other_n - other_hits]]
    return float(stats.fisher_exact(table).pvalue)


def median(values: ArrayLike, alpha: float) -> Estimate:
    """The median of independent values with the interval between two of them in order (exact, by the binomial).

    An end that so few values cannot give is None.
    """
    from scipy import stats

    ordered = np.sort(np.asarray(values, np.float64))
    n = len(ordered)
    if not n:
        return Estimate()
    below = int(stats.binom.ppf(alpha / 2, n, 0.5))  # the largest r with P(fewer than r below the median) <= alpha / 2
    has_ends = below >= 1
    middle = float(np.median(ordered))
    return Estimate(middle, float(ordered[below - 1]), float(ordered[n - below])) if has_ends else Estimate(middle)
