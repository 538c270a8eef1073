"""What another temperature makes of known probabilities, and where a mode has melted to half. Knows no texts.

Sampling at temperature T draws each token with a probability in proportion to p^(1 / T). From one temperature to
another the power is their ratio: 1 / T from T = 1, below 1 where sampling gets hotter.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from collapsecli.records import Estimate

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray


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
    following: dict[tuple[int, ...], dict[int, float]] = {}
    for ids, logprobs in zip(token_ids, token_logprobs, strict=True):
        for place, (token, logprob) in enumerate(zip(ids, logprobs, strict=True)):
            following.setdefault(ids[:place], {})[token] = logprob * power
    totals = {beginning: _log_total(tokens.values()) for beginning, tokens in following.items()}

    def log_share(ids: tuple[int, ...]) -> float:
        return math.fsum(following[ids[:place]][token] - totals[ids[:place]] for place, token in enumerate(ids))

    return np.array([math.exp(log_share(ids)) for ids in token_ids], np.float64)


def _log_total(logs: Collection[float]) -> float:
    """The logarithm of the sum of exponentials; 0 where that is zero, so that what is impossible stays so."""
    largest = max(logs)
    return 0.0 if largest == -math.inf else largest + math.log(math.fsum(math.exp(one - largest) for one in logs))


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
