"""Two samples of one question, base and run: how often they agree with themselves, and how much with each other.

Knows which answers are the same, the base's before the run's, and nothing of what they say or of how many cells there
are. Every relation "the same" here is symmetric, (N, N) and need not be transitive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from collapsecli.metrics.shares import difference, share
from collapsecli.records import UNDEFINED, Estimate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

ENOUGH = 25  # permutations as far out as what was observed; then the p-value is known to a fifth of itself
_LEAST_PERMUTATIONS = 999
_FIRST_CHUNK = 256
_NUMBERS_AT_ONCE = 1 << 18  # what stays in the cache of a core
_ROUNDING = 1e-9
_share = lru_cache(maxsize=1 << 14)(share)  # the same few counts are asked for again and again


@dataclass(frozen=True, slots=True)
class TwoSample:
    """What tells two samples apart. None where a side has fewer than two answers.

    base, run: pair rates, the unbiased estimates of the probability that two draws of one side are the same.
    difference: run minus base. distance: the unbiased squared distance of the two distributions, the sum of squared
    differences of their classes' probabilities, which may come out negative. p_collision and p_shift: of one
    distribution behind both, by what each of the two is sensitive to. permutations: how many were drawn for them.
    """

    base: float | None = None
    run: float | None = None
    difference: float | None = None
    distance: float | None = None
    p_collision: float | None = None
    p_shift: float | None = None
    permutations: int = 0


def two_sample(
    same: Bools, n_base: int, *, least_p: float, generator: np.random.Generator, lost_base: int = 0, lost_run: int = 0
) -> TwoSample:
    """Both tests of no difference, from the same permutations of which draw was whose; exact if nothing differs.

    least_p: how small a p-value must be able to become, e.g. the false discovery rate over the number of cells, at
    which the first of them is discovered; it takes 2 / least_p permutations to get there. Raises ValueError unless it
    is positive, for a relation that is not square, and for more answers of the base than there are.

    The collision test is two-sided, twice the smaller of two one-sided p-values, so that unequal sizes do no harm. Its
    statistic is the difference of the pair rates over its standard error. The bare difference has the right size as
    well where nothing differs; but it takes a mode that moved for one that grew. Of two cells of 64 draws, both with a
    mode of 0.9, another one in each, it says so in 32 %, since what is pooled varies less than either. Studentised, it
    is right there in the long run (Janssen 1997; Chung & Romano 2013): it errs in 5 % at 64 draws, in 20 % at 16, and
    in 5 % at both where the interval of `collision_change` has to bear it out, which at 64 costs hardly any power.

    The shift test is one-sided in the unbiased squared maximum mean discrepancy (Gretton et al. 2012), whose kernel is
    the relation: of an equivalence the distance of two distributions. A relation that is no kernel may hide a shift.

    Permutations are drawn one after the other until `ENOUGH` are at least as extreme as what was observed, or until
    `least_p` is reached. The h-th such one at the l-th permutation gives p = h / l, else h' of B give (1 + h') /
    (1 + B): valid, since the rule that stops them was fixed before (Besag & Clifford 1991). Each side of each test
    stops by itself.

    Lost draws count against the claim that each p-value is for: as unlike anything where that hides a concentration,
    as the side's likeliest answer where that hides a spread, and as what brings the sides together against a shift.
    """
    _check(same, n_base)
    if least_p <= 0:
        raise ValueError(f"no permutations suffice for a p-value of {least_p}")
    if min(n_base, len(same) - n_base) < 2:
        return TwoSample()
    most = max(_LEAST_PERMUTATIONS, math.ceil(2 / least_p) - 1)
    passes = _with_lost(same, n_base, lost_base, lost_run) if lost_base or lost_run else [(same, n_base, [0, 1, 2])]
    p, drawn = np.empty(3), 0
    for relation, of_base, tests in passes:
        p[tests], permutations = _sequential(_Statistics(relation, of_base), tests, most, generator)
        drawn += permutations
    base, run = pair_rate(same[:n_base, :n_base]), pair_rate(same[n_base:, n_base:])
    return TwoSample(
        base,
        run,
        difference=run - base,
        distance=base + run - 2 * float(same[:n_base, n_base:].mean()),
        p_collision=min(1.0, 2 * float(p[:2].min())),
        p_shift=float(p[2]),
        permutations=drawn,
    )


def pair_rate(same: Bools) -> float:
    """The share of the pairs of N answers, N at least 2, that are the same."""
    n = len(same)
    return float((same.sum() - np.trace(same)) / (n * (n - 1)))


def _check(same: Bools, n_base: int) -> None:
    if same.ndim != 2 or same.shape[0] != same.shape[1] or not 0 <= n_base <= len(same):
        raise ValueError(f"a relation of {same.shape} answers, {n_base} of them the base's")


# -------------------------------------------------------------------------------------------------------- permutations


class _Statistics:
    """The statistics of both tests for splits of the same answers into as many of the base and of the run."""

    def __init__(self, same: Bools, n_base: int) -> None:
        self.n_base, self.n_run = n_base, len(same) - n_base
        self._others = same.astype(np.float32)
        np.fill_diagonal(self._others, 0)
        self._degrees = self._others.sum(axis=1)

    @property
    def observed(self) -> Floats:
        """Those of the split as it is (3, 1)."""
        return self._of((np.arange(self.n_base + self.n_run) < self.n_base).astype(np.int64)[None])

    def permuted(self, permutations: int, generator: np.random.Generator) -> Floats:
        """Those of random splits: (3, B)."""
        base = np.zeros((permutations, self.n_base + self.n_run), np.int64)  # whole words are shuffled twice as fast
        base[:, : self.n_base] = 1
        return self._of(generator.permuted(base, axis=1, out=base))

    def _of(self, base: Integers) -> Floats:
        """More agreement in the run, less of it, and distance: (3, B) for B splits (B, N), 1 where of the base, else 0.

        Degrees are whole numbers below 2^24, which single precision holds exactly.
        """
        in_base = base.astype(np.float32)
        degrees = in_base @ self._others  # of each answer: how many of the base are the same as it
        in_run = (self._degrees - degrees) * (1 - in_base)
        degrees *= in_base
        base_rate, base_error = _rate_and_variance(degrees, self.n_base)
        run_rate, run_error = _rate_and_variance(in_run, self.n_run)
        change, error = run_rate - base_rate, np.sqrt(base_error + run_error)
        apart = np.abs(change) > _ROUNDING
        studentised = np.where(apart, np.copysign(np.inf, change), 0.0)
        np.divide(change, error, out=studentised, where=apart & (error > _ROUNDING))
        pairs = float(self._degrees.sum(dtype=np.float64))
        within = base_rate * self.n_base * (self.n_base - 1) + run_rate * self.n_run * (self.n_run - 1)
        between = (pairs - within) / (2 * self.n_base * self.n_run)
        return np.stack([studentised, -studentised, base_rate + run_rate - 2 * between])


def _rate_and_variance(degrees: NDArray[np.float32], n: int) -> tuple[Floats, Floats]:
    """The pair rate U of N answers and its estimated variance, from how many others each is the same as: (B, N).

    Var U = [4 (N - 2) (T - U^2) + 2 (U - U^2)] / [N (N - 1)], with T the share of the paths of two steps whose both
    steps are the same (Hoeffding 1948). Answers of the other sample have a degree of zero.
    """
    agreeing = degrees.sum(axis=1, dtype=np.float64)
    paths = np.square(degrees).sum(axis=1, dtype=np.float64) - agreeing
    rate = agreeing / (n * (n - 1))
    spread = np.maximum(paths / (n * (n - 1) * max(n - 2, 1)) - rate * rate, 0)
    return rate, (4 * (n - 2) * spread + 2 * np.maximum(rate - rate * rate, 0)) / (n * (n - 1))


def _sequential(
    statistics: _Statistics, tests: list[int], most: int, generator: np.random.Generator
) -> tuple[Floats, int]:
    """The sequential Monte Carlo p-values of some of the statistics, and the number of permutations."""
    observed = statistics.observed[tests]
    at_least = np.where(np.isinf(observed), observed, observed - _ROUNDING)
    seen, p, drawn = np.zeros(len(tests), np.int64), np.full(len(tests), np.nan), 0
    for chunk in _chunks(most, statistics.n_base + statistics.n_run):
        extreme = statistics.permuted(chunk, generator)[tests] >= at_least
        counts = seen[:, None] + np.cumsum(extreme, axis=1)
        ends = np.isnan(p) & (counts[:, -1] >= ENOUGH)
        p[ends] = ENOUGH / (drawn + 1 + np.argmax(counts >= ENOUGH, axis=1)[ends])
        seen, drawn = counts[:, -1], drawn + chunk
        if not np.isnan(p).any():
            break
    return np.where(np.isnan(p), (1 + seen) / (1 + drawn), p), drawn


def _chunks(most: int, answers: int) -> Iterator[int]:
    """Numbers of permutations that sum to `most`, each as many as before it all together, in bounded memory."""
    done, largest = 0, max(_NUMBERS_AT_ONCE // answers, _FIRST_CHUNK)
    while done < most:
        chunk = min(max(done, _FIRST_CHUNK), largest, most - done)
        yield chunk
        done += chunk


# ---------------------------------------------------------------------------------------------------------- lost draws


def _with_lost(same: Bools, n_base: int, lost_base: int, lost_run: int) -> Iterator[tuple[Bools, int, list[int]]]:
    """For each test the relation with what the lost draws may have said against it, and the base's answers in it."""
    n = len(same)
    base, run = list(range(n_base)), list(range(n_base, n))
    of_base, of_run = _likeliest(same[:n_base, :n_base]), n_base + _likeliest(same[n_base:, n_base:])
    alone = n  # a place that no answer has
    yield _extended(same, base + [of_base] * lost_base, run + [alone] * lost_run, [0])
    yield _extended(same, base + [alone] * lost_base, run + [of_run] * lost_run, [1])
    yield _extended(same, *_drawn_together(same, base, run, lost_base, lost_run), [2])


def _likeliest(same: Bools) -> int:
    return int(same.sum(axis=0).argmax())


def _extended(same: Bools, base: list[int], run: list[int], tests: list[int]) -> tuple[Bools, int, list[int]]:
    """The relation of answers at these places, which may repeat; the one past the last is unlike any."""
    places = np.array(base + run)
    return np.pad(same, (0, 1))[np.ix_(places, places)], len(base), tests


def _drawn_together(
    same: Bools, base: list[int], run: list[int], lost_base: int, lost_run: int
) -> tuple[list[int], list[int]]:
    """The places of both sides, each lost draw saying what the other side says more often by most."""
    base, run = list(base), list(run)
    for own, other, lost in ((base, run, lost_base), (run, base, lost_run)):
        for _ in range(lost):
            lacking = same[other].mean(axis=0) - same[own].mean(axis=0)
            own.append(int(lacking.argmax()))
    return base, run


# ------------------------------------------------------------------------------------------------ how much is elsewhere


def moved(
    same: Bools, n_base: int, alpha: float, lost_base: int = 0, lost_run: int = 0, *, transitive: bool = False
) -> Estimate:
    """The probability that surely lies elsewhere: a lower bound of the total variation TV of the two, held out.

    One half of the draws of both sides decides which answers the run gives more often, a set A; on the other half
    P_run(A) - P_base(A) <= TV, whatever A is. Value: its mean over both halves in both parts, at least zero; it falls
    short of TV by what A misses. Low: the larger of the two lower ends, each at half the error rate. An answer that no
    deciding draw is the same as goes to the side whose draws more often stand alone. Halves are every other draw.

    High: of an equivalence (`transitive`), the TV of the two counts of classes, whose mean is at least TV, and
    sqrt(ln(2 / alpha) (1 / N + 1 / N') / 2) more: a draw moves it by at most 1 / N (McDiarmid 1989), a lost one too.
    Of any other relation the upper end is 1. Undefined if a side has fewer than two answers. Raises ValueError as
    `two_sample`.
    """
    _check(same, n_base)
    if min(n_base, len(same) - n_base) < 2:
        return UNDEFINED
    base, run = np.arange(n_base), np.arange(n_base, len(same))
    found = []
    for decides, judged in ((0, 1), (1, 0)):
        in_set = _more_in_run(same, base[decides::2], run[decides::2])
        held = (in_set[base[judged::2]], in_set[run[judged::2]])
        of_base, of_run = (
            _share(int(side.sum()), len(side), alpha / 2, lost)
            for side, lost in zip(held, (lost_base, lost_run), strict=True)
        )
        found.append(difference(of_run, of_base))
    low = max(0.0, *(one.low or 0.0 for one in found))
    value = max(low, sum(one.value or 0.0 for one in found) / 2)
    high = _most_variation(same, n_base, alpha, lost_base, lost_run) if transitive else 1.0
    return Estimate(value, low, max(value, high))


def _more_in_run(same: Bools, base: Integers, run: Integers) -> Bools:
    """Which of all answers (N,) these draws of the run say more often than those of the base, by their places."""
    more: Floats = same[run].mean(axis=0) - same[base].mean(axis=0)
    both = np.concatenate([base, run])
    alone = same[np.ix_(both, both)].sum(axis=0) - same[both, both] == 0
    unseen = ~same[both].any(axis=0)
    return np.where(unseen, alone[len(base) :].mean() > alone[: len(base)].mean(), more > _ROUNDING)


def _most_variation(same: Bools, n_base: int, alpha: float, lost_base: int, lost_run: int) -> float:
    """The upper end of the total variation of classes."""
    n_run = len(same) - n_base
    classes = same.argmax(axis=1)
    counts = (np.bincount(side, minlength=len(same)) for side in (classes[:n_base], classes[n_base:]))
    of_base, of_run = counts
    plugged = float(np.abs(of_base / n_base - of_run / n_run).sum()) / 2
    drawn_base, drawn_run = n_base + lost_base, n_run + lost_run
    error = math.sqrt(math.log(2 / alpha) * (1 / drawn_base + 1 / drawn_run) / 2)
    return min(1.0, plugged + error + lost_base / drawn_base + lost_run / drawn_run)


def between(same: Bools, n_base: int, alpha: float, lost_base: int = 0, lost_run: int = 0) -> Estimate:
    """The probability that a draw of the base and a draw of the run are the same.

    Value: the share of all pairs of the two that are. Interval: exact for any relation, from pairs that have no draw in
    common (`_disjoint`), the first draws of both, the second, and so on. Undefined if a side has no answer. Raises
    ValueError as `two_sample`.
    """
    _check(same, n_base)
    across = same[:n_base, n_base:]
    if not across.size:
        return UNDEFINED
    pairs = min(across.shape)
    hits = int(across[np.arange(pairs), np.arange(pairs)].sum())
    lost = min(lost_base + lost_run, n_base + lost_base, len(same) - n_base + lost_run)
    return _disjoint(hits, pairs, float(across.mean()), alpha, lost)


def collision_change(
    base: Estimate, run: Estimate, same: Bools, n_base: int, alpha: float, lost_base: int = 0, lost_run: int = 0
) -> Estimate:
    """How much likelier two draws of the run are the same than two of the base, from the collision probability of each.

    If both have two ends, as those of equivalences do, it is their difference, whose interval has their error rate.
    Else the interval is of pairs of each side that have no draw in common (`_disjoint`), and holds for any relation.
    Undefined if a side has fewer than two answers. Raises ValueError as `two_sample`.
    """
    _check(same, n_base)
    if min(n_base, len(same) - n_base) < 2:
        return UNDEFINED
    if None not in (base.low, base.high, run.low, run.high):
        return difference(run, base)
    of_base = _neighbours(same[:n_base, :n_base], alpha, lost_base)
    return difference(_neighbours(same[n_base:, n_base:], alpha, lost_run), of_base)


def _neighbours(same: Bools, alpha: float, lost: int) -> Estimate:
    """The collision probability of N answers, N at least 2, with the interval of every other neighbouring pair."""
    first = np.arange(0, len(same) - 1, 2)
    hits = int(same[first, first + 1].sum())
    return _disjoint(hits, len(first), pair_rate(same), alpha, lost)


def _disjoint(hits: int, pairs: int, value: float, alpha: float, lost: int) -> Estimate:
    """The exact interval of independent pairs of which some agree, widened to the value, which is that of all pairs."""
    exact = _share(hits, pairs, alpha, lost)
    low, high = exact.low or 0.0, 1.0 if exact.high is None else exact.high
    return Estimate(value, min(low, value), max(high, value))
