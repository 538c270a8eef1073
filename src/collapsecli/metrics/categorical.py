"""Answers as draws from classes: mode mass, collision probability, effective modes, rarefaction. Knows no text.

Every interval holds with probability 1 - alpha for answers drawn independently. M is the mode mass, the probability
of the most probable mode; C the collision probability, with which two draws are the same; N the number of answers.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from collapsecli.metrics.text import distinct_in_subsets
from collapsecli.records import UNDEFINED, Estimate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from collapsecli.metrics.sample import Sample

SUBSET = 10
_BISECTIONS = 45
_JOIN_SHARE = 0.8
_JACKKNIFE_FROM = 16


# -------------------------------------------------------------------------------------------------------- proportions


def clopper_pearson(successes: ArrayLike, trials: ArrayLike, alpha: float) -> tuple[NDArray[np.float64], ...]:
    """The exact interval of a proportion (Clopper & Pearson 1934), alpha / 2 on each side; arrays broadcast.

    No trials give (0, 1).
    """
    x, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    low = np.where(x > 0, special.betaincinv(np.maximum(x, 1), n - x + 1, alpha / 2), 0.0)
    high = np.where(x < n, special.betaincinv(x + 1, np.maximum(n - x, 1), 1 - alpha / 2), 1.0)
    return low, high


def shares(counts: ArrayLike, lost: int, alpha: float) -> list[Estimate]:
    """The share of each of K modes with its Clopper-Pearson interval: of each mode by itself, not of all at once."""
    x = np.asarray(counts, np.int64)
    n = int(x.sum())
    low, _ = clopper_pearson(x, n + lost, alpha)
    _, high = clopper_pearson(x + lost, n + lost, alpha)
    return [Estimate(c / n, a, b) for c, a, b in zip(x.tolist(), low.tolist(), high.tolist(), strict=True)]


def valid_rate(sample: Sample) -> Estimate:
    """The share of completions with a readable answer; those that failed have none, and might have had one.

    Undefined if nothing was drawn.
    """
    came_back = sample.drawn - sample.lost
    if sample.drawn == 0:
        return UNDEFINED
    low, _ = clopper_pearson(sample.read, sample.drawn, sample.alpha)
    _, high = clopper_pearson(sample.read + sample.lost, sample.drawn, sample.alpha)
    return Estimate(sample.read / came_back if came_back else 0.0, float(low), float(high))


# ---------------------------------------------------------------------------------------------------------- mode mass


def mode_mass(sample: Sample) -> Estimate:
    """The mode mass M: the share of the largest mode, with an interval that is valid although the mode was selected.

    Lower end: before each draw predict that it will be the most frequent answer so far. Whatever the past, a
    prediction hits with probability at most M, so h hits of N - 1 are at most binomial: CP_lower(h, N - 1). Upper
    end: the true mode was drawn at most as often as the largest count x: CP_upper(x, N). Lost draws count as misses
    below and as modal above. For modes that are no equivalence classes the lower end is of the heaviest ball around
    one answer, the upper end of the heaviest set of mutually equal answers. Undefined without answers.
    """
    n = sample.read
    if n == 0:
        return UNDEFINED
    low, _ = clopper_pearson(sample.hits, n + sample.lost - 1, sample.alpha)
    _, high = clopper_pearson(sample.largest + sample.lost, n + sample.lost, sample.alpha)
    return Estimate(sample.largest / n, float(low), float(high))


# ---------------------------------------------------------------------------------------------- collision probability


def collision(sample: Sample) -> Estimate:
    """The collision probability C = sum of p squared: unbiased U-statistic, score interval within [lo(M)^2, hi(M)].

    For a relation that is not transitive only a lower end is claimed, that of equal answers, which are always the
    same. Undefined below two answers.
    """
    if sample.pair_rate is None:
        return UNDEFINED
    if sample.texts is not None:
        equal, _ = _collision_interval(replace(sample, counts=np.bincount(sample.texts), texts=None, alike=None))
        return Estimate(sample.pair_rate, min(equal, sample.pair_rate))
    mass = mode_mass(sample)
    low, high = _collision_interval(sample)
    if mass.low is not None and mass.high is not None:  # lo(M)^2 <= M^2 <= C <= M <= hi(M)
        low, high = max(low, mass.low**2), min(high, mass.high)
    return Estimate(sample.pair_rate, min(low, sample.pair_rate), max(high, sample.pair_rate))


def effective_modes(sample: Sample) -> Estimate:
    """The effective number of modes 1 / C (Hill number of order 2, inverse Simpson), in [1 / hi(C), 1 / lo(C)].

    An end or a value is undefined where C may be zero.
    """
    c = collision(sample)
    return Estimate(*(1 / end if end else None for end in (c.value, c.high, c.low)))


def _collision_interval(sample: Sample) -> tuple[float, float]:
    """The score interval of C: which distributions on a path through the observed one are compatible with it.

    The path leads towards a distribution with more mass on the mode (upper end) or on answers never seen (lower end);
    an end is where U and C differ by z standard errors on the square-root scale. (0, 1) below three answers.
    """
    if sample.read < 3:
        return 0.0, 1.0
    possible = _possible_counts(sample)
    low = min(_largest_dilution(counts, sample.alpha) for counts in possible)
    high = max(_largest_concentration(counts, sample.alpha) for counts in possible)
    return low, high


def _largest_dilution(counts: NDArray[np.int64], alpha: float) -> float:
    """The smallest C on the path (1 - s) p that is compatible with the counts."""
    pairs, triples, _ = _moments(counts)
    z, n = _z(alpha), int(counts.sum())

    def is_compatible(s: float) -> bool:
        c = (1 - s) ** 2 * pairs
        return _shifted_root(c, (1 - s) ** 3 * triples, n, z) >= math.sqrt(pairs)

    s = _largest_compatible(is_compatible)
    return (1 - s) ** 2 * pairs


def _largest_concentration(counts: NDArray[np.int64], alpha: float) -> float:
    """The largest C on the path (1 - s) p + s e_mode that is compatible with the counts.

    Where nearly all answers are equal it is at least that of a mode and one other answer.
    """
    pairs, triples, top = _moments(counts)
    z, n = _z(alpha), int(counts.sum())

    def squares(s: float) -> float:
        return (1 - s) ** 2 * pairs + 2 * s * (1 - s) * top + s * s

    def cubes(s: float) -> float:
        return (1 - s) ** 3 * triples + 3 * (1 - s) ** 2 * s * top**2 + 3 * (1 - s) * s * s * top + s**3

    def is_compatible(s: float) -> bool:
        return _shifted_root(squares(s), cubes(s), n, -z) <= math.sqrt(pairs)

    high = squares(_largest_compatible(is_compatible))
    if top >= _JOIN_SHARE:
        mass = float(clopper_pearson(counts.max(), n, alpha)[1])
        high = max(high, mass**2 + (1 - mass) ** 2)
    return min(high, 1.0)


def _moments(counts: NDArray[np.int64]) -> tuple[float, float, float]:
    """Unbiased estimates of sum p^2 and sum p^3, and the largest share; N >= 3."""
    c = counts.astype(np.float64)
    n = float(c.sum())
    pairs = float((c * (c - 1)).sum()) / (n * (n - 1))
    triples = float((c * (c - 1) * (c - 2)).sum()) / (n * (n - 1) * (n - 2))
    return pairs, triples, float(c.max()) / n


def _shifted_root(c: float, cubes: float, n: int, z: float) -> float:
    """The square root of U at z standard errors from C: Var U = [4 (N - 2) (S3 - C^2) + 2 (C - C^2)] / [N (N - 1)]."""
    variance = (4 * (n - 2) * max(cubes - c * c, 0.0) + 2 * max(c - c * c, 0.0)) / (n * (n - 1))
    root = math.sqrt(max(c, 1e-300))
    return root + z * math.sqrt(variance) / (2 * root)


def _largest_compatible(is_compatible: Callable[[float], bool]) -> float:
    """The far end of the compatible s, from outside: bisection on [0, 1]."""
    inside, outside = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if is_compatible(middle) else (inside, middle)
    return outside


def _z(alpha: float) -> float:
    return float(special.ndtri(1 - alpha / 2))


# --------------------------------------------------------------------------------------------------------- distinct@10


def distinct_10(sample: Sample) -> Estimate:
    """The expected number of distinct modes among ten draws; comparable between runs of any N >= 10.

    Classes: Hurlbert's rarefaction (1971), unbiased, with a jackknife interval from 16 answers on, within the bounds
    that the mode mass M sets: at least (1 - (1 - M)^10) / M, as when all modes are as heavy as the heaviest, and at
    most 1 - (1 - M)^10 + 10 (1 - M), as when no other mode comes twice. Both fall with M, so the ends of M's interval
    give theirs. For a relation that is not transitive: the mean over random subsets, without interval. Undefined
    below ten answers.
    """
    if sample.read < SUBSET:
        return UNDEFINED
    if sample.alike is not None and sample.texts is not None:
        return Estimate(distinct_in_subsets(sample.texts, sample.alike, SUBSET))
    value = _rarefied(sample.counts, SUBSET)
    mass = mode_mass(sample)
    low = 1.0 if mass.high is None else _distinct_if_uniform(mass.high)
    high = float(SUBSET) if mass.low is None else _distinct_if_rest_unique(mass.low)
    if sample.read >= _JACKKNIFE_FROM:
        fewest, most = _jackknife_interval(sample)
        low, high = max(low, fewest), min(high, most)
    return Estimate(value, min(low, value), min(max(high, value), float(SUBSET)))


def _distinct_if_uniform(mass: float) -> float:
    return -math.expm1(SUBSET * math.log1p(-mass)) / mass if mass < 1 else 1.0


def _distinct_if_rest_unique(mass: float) -> float:
    return 1 - (1 - mass) ** SUBSET + SUBSET * (1 - mass)


def _jackknife_interval(sample: Sample) -> tuple[float, float]:
    """The wider of two delete-one jackknife intervals at each end: as drawn, and with a few draws added.

    The mode gets two more draws; a mode seen once is added for the lower end, one seen twice for the upper, so that
    equal draws do not report an error of zero. Over 151 distributions it missed the truth in at most 7 % (N = 16 to
    256, both sides together); below 16 answers in up to 15 %, where it is not used.
    """
    z = _z(sample.alpha)
    possible = _possible_counts(sample)
    as_few = [_jackknifed(counts) for drawn in possible for counts in (drawn, _with_mode_and(drawn, 1))]
    as_many = [_jackknifed(counts) for drawn in possible for counts in (drawn, _with_mode_and(drawn, 2))]
    return min(value - z * error for value, error in as_few), max(value + z * error for value, error in as_many)


def _with_mode_and(counts: NDArray[np.int64], added: int) -> NDArray[np.int64]:
    padded = np.append(counts, added)
    padded[counts.argmax()] += 2
    return padded


def _jackknifed(counts: NDArray[np.int64]) -> tuple[float, float]:
    """The rarefied number of modes and its delete-one standard error; modes of one size leave the same rest."""
    n = int(counts.sum())
    sizes, modes = np.unique(counts, return_counts=True)
    without_one = np.empty(len(sizes))
    for place, size in enumerate(sizes):
        rest = counts.copy()
        rest[np.flatnonzero(counts == size)[0]] -= 1
        without_one[place] = _rarefied(rest, SUBSET)
    weights = sizes * modes / n
    deviations = without_one - weights @ without_one
    return _rarefied(counts, SUBSET), math.sqrt((n - 1) * float(weights @ deviations**2))


def _rarefied(counts: NDArray[np.int64], m: int) -> float:
    """The sum over modes of 1 - C(N - k, m) / C(N, m)."""
    n = int(counts.sum())
    rest = n - counts[counts > 0]
    possible = rest >= m
    log_missing = special.gammaln(rest[possible] + 1) - special.gammaln(rest[possible] - m + 1)
    log_missing -= special.gammaln(n + 1) - special.gammaln(n - m + 1)
    return len(rest) - float(np.exp(log_missing).sum())


def _possible_counts(sample: Sample) -> tuple[NDArray[np.int64], ...]:
    """The counts as drawn and, if draws were lost, those of the two extreme things that these may have said."""
    if not sample.lost:
        return (sample.counts,)
    as_modal = sample.counts.copy()
    as_modal[as_modal.argmax()] += sample.lost
    each_alone = np.concatenate([sample.counts, np.ones(sample.lost, np.int64)])
    return sample.counts, as_modal, each_alone
