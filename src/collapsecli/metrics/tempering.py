"""What another temperature makes of known probabilities, and where a mode has melted to half. Knows no texts.

Sampling at temperature T draws each token with a probability in proportion to p^(1 / T). From one temperature to
another the power is their ratio: 1 / T from T = 1, below 1 where sampling gets hotter.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from collapsecli.records import UNDEFINED, Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import ArrayLike, NDArray

COLDEST, HOTTEST = 1 / 16, 64.0  # temperatures that are tried

_GRID = 33
_ZOOMS = 8  # each to two of the 32 parts of the last
_FLAT_NATS = 1e-12
_ENDLESS = 1e9  # a temperature at which a difference of a thousand nats does not matter


def tempered_shares(
    token_ids: Sequence[tuple[int, ...]], token_logprobs: Sequence[Sequence[float]], power: float
) -> NDArray[np.float64]:
    """The shares (K,) of K token sequences among themselves, when every token is drawn from p^power instead of p.

    token_logprobs: nats, one per token. Sequences are distinct and none begins another one, as when all of them end.

    At every place where some of them part, their next tokens share p^power over its sum among themselves. Where all
    part in one place that is the share of the token there, exact whatever else may be said; it is p^power of the whole
    sequences only if what follows is certain. Where they part in several places it is exact as far as nothing but them
    is said, while p^power of the whole sequences is not: a beginning with many ends would be counted for too much when
    it gets hotter. All are zero where every sequence is impossible.
    """
    shares: NDArray[np.float64] = np.exp(tempered_log_shares(token_ids, token_logprobs, [power])[0])
    return shares


def tempered_log_shares(
    token_ids: Sequence[tuple[int, ...]], token_logprobs: Sequence[Sequence[float]], powers: ArrayLike
) -> NDArray[np.float64]:
    """The logarithms (P, K) of `tempered_shares` at P powers above 0, nats; minus infinity for what is impossible."""
    tree = _Tree.of(token_ids, token_logprobs)
    logs = np.asarray(powers, np.float64)[:, None] * tree.logprobs
    largest = np.maximum.reduceat(logs, tree.starts, axis=1)
    is_possible = largest > -math.inf
    finite = np.where(is_possible, largest, 0.0)  # so that what is impossible stays so
    sums = np.add.reduceat(np.exp(logs - finite[:, tree.places]), tree.starts, axis=1)
    totals = finite + np.log(np.where(is_possible, sums, 1.0))
    shared = np.column_stack([logs - totals[:, tree.places], np.zeros(len(logs))])
    log_shares: NDArray[np.float64] = sum(
        (shared[:, step] for step in tree.steps.T), np.zeros((len(logs), len(token_ids)))
    )
    return log_shares


@dataclass(frozen=True, slots=True)
class _Tree:
    """The E different tokens that stand behind the beginnings of K sequences, those behind one beginning in a row.

    logprobs: (E,) nats. places: (E,) the number of the beginning that each stands behind. starts: (B,) the first token
    behind each beginning. steps: (K, L) the tokens of each sequence, E past its end.
    """

    logprobs: NDArray[np.float64]
    places: NDArray[np.int64]
    starts: NDArray[np.int64]
    steps: NDArray[np.int64]

    @staticmethod
    def of(token_ids: Sequence[tuple[int, ...]], token_logprobs: Sequence[Sequence[float]]) -> _Tree:
        following: dict[tuple[int, ...], dict[int, float]] = {}
        for ids, logprobs in zip(token_ids, token_logprobs, strict=True):
            for place, (token, logprob) in enumerate(zip(ids, logprobs, strict=True)):
                following.setdefault(ids[:place], {})[token] = logprob
        sizes = [len(tokens) for tokens in following.values()]
        edges = [(begun, token) for begun, tokens in following.items() for token in tokens]
        numbers = {edge: number for number, edge in enumerate(edges)}
        steps = np.full((len(token_ids), max(map(len, token_ids), default=0)), len(numbers), np.int64)
        for row, ids in enumerate(token_ids):
            steps[row, : len(ids)] = [numbers[ids[:place], token] for place, token in enumerate(ids)]
        return _Tree(
            np.array([logprob for tokens in following.values() for logprob in tokens.values()], np.float64),
            np.repeat(np.arange(len(sizes)), sizes),
            np.cumsum([0, *sizes], dtype=np.int64)[:-1],
            steps,
        )


def partings(token_ids: Collection[tuple[int, ...]]) -> int:
    """The number of places at which some of the token sequences part."""
    following: dict[tuple[int, ...], set[int]] = {}
    for ids in token_ids:
        for place, token in enumerate(ids):
            following.setdefault(ids[:place], set()).add(token)
    return sum(len(tokens) > 1 for tokens in following.values())


@dataclass(frozen=True, slots=True)
class Explained:
    """How near known probabilities come to others at the best temperature: see `closest_temperature`.

    erased: the divergence that every temperature ends at as it grows, when nothing is left of these probabilities.
    impossible: the number of answers that would have to be said and cannot be at any temperature.
    """

    temperature: Estimate
    at_1: Estimate
    remains: Estimate
    erased: Estimate
    impossible: int


def closest_temperature(
    target: ArrayLike, token_ids: Sequence[tuple[int, ...]], token_logprobs: Sequence[Sequence[float]]
) -> Explained:
    """The temperature at which K token sequences come closest to target log-probabilities (K,), and what then remains.

    target: nats, their exponentials summing to 1. Closest is the least KL(target || tempered), nats, over T from 1/16
    to 64 (`COLDEST`, `HOTTEST`), with `tempered_shares` at the power 1 / T. It is convex in that power: but for what is
    linear it is a mean, over the target, of logarithms of sums of p^power, one for each parting, and these are convex.
    So it has one minimum, and no other can be found in its place.

    Everything is known, so the ends of each estimate are its value. At an end of the range the temperature is open to
    its far side. It is undefined where no temperature matters: what is possible is equally likely, or is one sequence.
    Of sequences that the target has and that are impossible here KL is infinite at every temperature. It is then of
    the others among themselves, and that is the lower end of what has no value; undefined where there are no others.
    """
    wanted = np.asarray(target, np.float64)
    possible = np.isfinite(tempered_log_shares(token_ids, token_logprobs, [1.0])[0])
    impossible = int(np.count_nonzero(np.isfinite(wanted) & ~possible))
    kept = np.flatnonzero(possible & np.isfinite(wanted))
    if not len(kept):
        return Explained(UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED, impossible)
    log_p = wanted[kept] - special.logsumexp(wanted[kept])

    def kl(temperatures: NDArray[np.float64]) -> NDArray[np.float64]:
        log_q = tempered_log_shares(token_ids, token_logprobs, 1 / temperatures)[:, kept]
        apart: NDArray[np.float64] = np.maximum((log_p - log_q) @ np.exp(log_p), 0.0)
        return apart

    as_it_is, erased = kl(np.array([1.0, _ENDLESS])).tolist()
    found, least = _least(kl)
    remains = as_it_is if found == UNDEFINED else min(least, as_it_is)

    def known(nats: float) -> Estimate:
        return Estimate(None, nats) if impossible else Estimate(nats, nats, nats)

    return Explained(found, known(as_it_is), known(remains), known(erased), impossible)


def _least(kl: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> tuple[Estimate, float]:
    """The temperature at which a function with one minimum is least, open at the ends of the range; and its value."""
    low, high = COLDEST, HOTTEST
    for zoom in range(_ZOOMS):
        grid = np.geomspace(low, high, _GRID)
        values = kl(grid)
        if zoom == 0 and float(np.ptp(values)) < _FLAT_NATS:
            return UNDEFINED, float(values.min())
        best = int(values.argmin())
        low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, _GRID - 1)])
    at, least = float(grid[best]), float(values[best])
    if math.isclose(at, HOTTEST):
        return Estimate(HOTTEST, HOTTEST, None), least
    if math.isclose(at, COLDEST):
        return Estimate(COLDEST, None, COLDEST), least
    return Estimate(at, at, at), least


def tempered_bounds(mass: Estimate, power: float, answers: int) -> Estimate:
    """Where the share of one of K answers lies when p^power is drawn from, given its mass before: ends and no value.

    mass: an interval; an end that is None says nothing. The answer is taken for the most probable one, so its mass is
    at least 1 / K.

    The rest is either all of one competitor's, or shared by K - 1 equal ones:

        logit M' = power logit M
        logit M' = power logit M - (1 - power) ln(K - 1)

    Hotter (power < 1) the first is the most and the second the least that it can be; colder it is the other way round.
    For sum q^power, over competitors q with the same sum, is Schur-concave below 1 and Schur-convex above, and equal
    competitors are majorised by all others, which one alone majorises (Marshall & Olkin 1979). Both rise with M.

    The first holds for answers of several tokens too, each tempered by itself: with the odds a and b against two tokens
    in a row, those against both are a + b + ab, and (1 + a^power) (1 + b^power) is at least 1 + (a + b + ab)^power
    below 1 and at most that above. The second is for answers that part in one token. Where M < 1/2 no competitor can
    hold all the rest of a mode and be no mode itself; the tighter end for answers of one token, 1 / (k + r^power) with
    k and r the whole and the broken part of 1 / M, would not hold for answers of several tokens.
    """
    low, high = (_between(end, 1 / answers, otherwise) for end, otherwise in ((mass.low, 0.0), (mass.high, 1.0)))
    spread = (1 - power) * math.log(max(answers - 1, 1))
    of_one = [float(special.expit(power * special.logit(end))) for end in (low, high)]
    of_equals = [float(special.expit(power * special.logit(end) - spread)) for end in (low, high)]
    return Estimate(None, of_equals[0], of_one[1]) if power < 1 else Estimate(None, of_one[0], of_equals[1])


def _between(end: float | None, least: float, otherwise: float) -> float:
    return min(1.0, max(least, otherwise if end is None else end))


def half_temperature(temperatures: Sequence[float], shares: Sequence[Estimate], draws: Sequence[int]) -> Estimate:
    """The temperature at which a mode holds half of the answers, from its share at each of some temperatures.

    temperatures: (P,) ascending, above 0; shares: (P,) with values; draws: (P,) the number of answers in each. Raises
    ValueError for a share without a value.

    Value: where the share first falls from half or more to less than half, its logit is taken to be linear in 1 / T
    between the two temperatures, as it is for one mode over equal competitors; half a draw is added to both sides of a
    share of 0 or 1. None where the share does not fall through half.

    Interval: from the last temperature of the initial run at which the share is surely above half to the first of the
    final run at which it is surely below; None where there is no such run. If the true share falls through half once,
    at t, then the lower end exceeds t only if the share is said to be above half at the very first temperature past t,
    and so for the upper end: the bracket misses t no more often than one interval of a share misses it. (The last
    temperature surely above half, wherever it stands, would be one of many chances to err: on a plateau it misses up to
    a fifth.) The value is within it always.
    """
    above = list(itertools.takewhile(lambda share: share.low is not None and share.low > 0.5, shares))
    below = list(itertools.takewhile(lambda share: share.high is not None and share.high < 0.5, reversed(shares)))
    return Estimate(
        _first_fall_through_half(temperatures, [_logit(share, n) for share, n in zip(shares, draws, strict=True)]),
        temperatures[len(above) - 1] if above else None,
        temperatures[-len(below)] if below else None,
    )


def _first_fall_through_half(temperatures: Sequence[float], logits: Sequence[float]) -> float | None:
    points = zip(temperatures, logits, strict=True)
    for (colder, upper), (hotter, lower) in itertools.pairwise(points):
        if upper >= 0 > lower:
            return 1 / (1 / colder + upper / (upper - lower) * (1 / hotter - 1 / colder))
    return None


def _logit(share: Estimate, draws: int) -> float:
    if share.value is None:
        raise ValueError("a share without a value")
    x = share.value if 0 < share.value < 1 else (share.value * draws + 0.5) / (draws + 1)
    return float(special.logit(x))
