"""How far two distributions lie apart, by what both give to draws of both. Knows log-probabilities, no texts, no cells.

A draw is told by d = ln p_base - ln p_run in nats: of a whole completion, by both models as they are (temperature 1,
nothing cut). It is infinite where one of them calls the other's draw impossible.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from collapsecli.compared import Divergence
from collapsecli.metrics.shares import share
from collapsecli.records import UNDEFINED, Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

EXTINGUISHED_NATS = math.log(100)
MOST_JENSEN_SHANNON = math.log(2)
_SURELY_IMPOSSIBLE = -745.0  # nats: a smaller probability is zero in floating point


def divergence(
    on_base: ArrayLike,
    on_run: ArrayLike,
    n_tokens_base: ArrayLike,
    alpha: float,
    lost_base: int = 0,
    lost_run: int = 0,
) -> Divergence:
    """The divergences of a base and a run, without bias; exactly 0 where both give the same to every draw.

    on_base, on_run: (N,) and (M,) d of independent draws of either. n_tokens_base: (N,) tokens of the base's draws.
    alpha: two-sided error rate of each interval. `lost_base` and `lost_run` further draws are not known: in a lower end
    they count as if both models gave the same to them, in an upper end as if one of them called them impossible.

    With p of the base, q of the run and means over the draws of each side:

        total variation   1/2 sum |p - q|          half the mean of |tanh(d/2)| on each side
        Jensen-Shannon    in nats                  half the mean of ln 2 - h(1 / (1 + exp(-d))) on each side
        KL                sum p ln(p/q) - p + q    mean of d - 1 + exp(-d) where d > 0 on the base's draws, and
                                                   of 1 - exp(d) (1 - d) where d < 0 on the run's

    h is the entropy of a coin. The mean of d on the base's draws is KL as well, but of terms of both signs: between
    similar models it errs 2 to 30 times as much, and its interval misses nearly always where the run often gives a text
    that the base hardly gives (there alone it errs less, by a third). KL per token is KL over the mean length of the
    base's draws. KL has no upper end where the base lost draws. It is infinite where the run calls a draw of the base
    impossible: it has a lower end then and no value, as if that draw were no less probable than the least probable
    other one.

    Extinguished is the share of the base's draws with d > ln 100 (Clopper-Pearson): the run's model gives them under a
    hundredth of their former probability.

    Without a draw on each side all but that share is undefined. Raises ValueError if a d is not a number, if a side
    calls a draw of its own impossible, and if there are not as many lengths as draws of the base.
    """
    base, run = _checked(on_base, -math.inf), _checked(on_run, math.inf)
    n_tokens = np.asarray(n_tokens_base, np.float64)
    if len(n_tokens) != len(base):
        raise ValueError(f"{len(n_tokens)} lengths of {len(base)} draws")
    gone = share(int((base > EXTINGUISHED_NATS).sum()), len(base), alpha, lost_base) if len(base) else UNDEFINED
    if not (len(base) and len(run)):
        return Divergence(len(base), len(run), extinguished=gone)
    lost = lost_base, lost_run

    def bounded(terms: Callable[[Floats], Floats], most: float) -> Estimate:
        halves = [_Half(terms(d) / 2, most / 2, n) for d, n in zip((base, run), lost, strict=True)]
        return _sum_of_means(halves, alpha, most)

    return Divergence(
        len(base),
        len(run),
        total_variation=bounded(_total_variation, 1.0),
        jensen_shannon=bounded(_jensen_shannon, MOST_JENSEN_SHANNON),
        kl=_kl(base, run, alpha, lost),
        kl_per_token=_kl_per_token(base, run, n_tokens, alpha, lost),
        extinguished=gone,
    )


def noise_floor(on_self: ArrayLike) -> float | None:
    """The total variation that the noise of scoring shows by itself: d is of one model twice, as sampled and as scored.

    on_self: (N,) such d; None without any. Raises ValueError if one is not a number.
    """
    d = np.asarray(on_self, np.float64)
    if np.isnan(d).any():
        raise ValueError("a log-probability is not a number")
    return float(_total_variation(d).mean()) if len(d) else None


def _checked(d: ArrayLike, impossible: float) -> Floats:
    values = np.asarray(d, np.float64)
    if np.isnan(values).any():
        raise ValueError("a log-probability is not a number")
    if (values == impossible).any():
        raise ValueError("a draw has no probability on its own side")
    return values


# --------------------------------------------------------------------------------------------------------------- terms


def _total_variation(d: Floats) -> Floats:
    terms: Floats = np.abs(np.tanh(d / 2))
    return terms


def _jensen_shannon(d: Floats) -> Floats:
    of_base, of_run = (np.asarray(special.expit(one), np.float64) for one in (d, -d))
    entropy = -special.xlogy(of_base, of_base) - special.xlogy(of_run, of_run)
    terms: Floats = np.maximum(MOST_JENSEN_SHANNON - np.asarray(entropy, np.float64), 0.0)  # rounding is no divergence
    return terms


def _kl_on_base(d: Floats) -> Floats:
    more = np.maximum(d, 0.0)
    terms: Floats = np.maximum(more + np.expm1(-more), 0.0)
    return terms


def _kl_on_run(d: Floats) -> Floats:
    less = np.clip(d, _SURELY_IMPOSSIBLE, 0.0)
    terms: Floats = np.clip(less * np.exp(less) - np.expm1(less), 0.0, 1.0)
    return terms


# ------------------------------------------------------------------------------------------------------------------ KL


def _kl(base: Floats, run: Floats, alpha: float, lost: tuple[int, int]) -> Estimate:
    terms = _possible(_kl_on_base(base))
    halves = [_Half(terms, _most(terms), lost[0]), _Half(_kl_on_run(run), 1.0, lost[1])]
    return _as_far_as_known(_sum_of_means(halves, alpha, math.inf), base, lost)


def _kl_per_token(base: Floats, run: Floats, n_tokens: Floats, alpha: float, lost: tuple[int, int]) -> Estimate:
    """The ratio of KL to the mean length, linearised; no interval where the length of a lost draw is not known."""
    length = float(n_tokens.mean())
    if not length:
        return UNDEFINED
    terms, of_run = _possible(_kl_on_base(base)), _kl_on_run(run)
    rate = float(terms.mean() + of_run.mean()) / length
    longer = rate * (n_tokens - length) / length
    halves = [
        _Half(terms / length - longer, _most(terms) / length, 0, least=-float(longer.max())),
        _Half(of_run / length, 1 / length, lost[1]),
    ]
    found = _as_far_as_known(_sum_of_means(halves, alpha, math.inf), base, lost)
    return Estimate(found.value) if lost[0] else found


def _possible(terms: Floats) -> Floats:
    """The terms with infinite ones no larger than the largest finite one."""
    finite = terms[np.isfinite(terms)]
    no_larger: Floats = np.minimum(terms, finite.max(initial=0.0))
    return no_larger


def _most(terms: Floats) -> float:
    """Nothing bounds a term of the base; a further draw is taken to be as large as the largest, and 1 nat at least."""
    return max(1.0, float(terms.max()))


def _as_far_as_known(found: Estimate, base: Floats, lost: tuple[int, int]) -> Estimate:
    """KL without what an impossible draw leaves infinite, and without the upper end that a lost draw might exceed."""
    if np.isposinf(base).any():
        return Estimate(None, found.low, None)
    return Estimate(found.value, found.low, None) if lost[0] else found


# ----------------------------------------------------------------------------------------------------------- intervals


@dataclass(frozen=True, slots=True)
class _Half:
    """The terms (N,) of one side's draws, between what bounds they have, and how many more there are of lost draws."""

    terms: Floats
    most: float
    lost: int
    least: float = 0.0


def _sum_of_means(halves: Sequence[_Half], alpha: float, bound: float) -> Estimate:
    """The sum of the means of two independent samples, which lies between 0 and `bound`.

    Student's t with the smaller sample's degrees of freedom. The lower end is the farther out of that and of the one
    with z^2 / 4 further draws on each side (one at 95 %) that are as small as can be; so the upper one, with as large
    ones. Without them draws that hardly differ report an error of next to nothing, and the interval holds in as little
    as 5 % where nearly all terms are at a bound. (Both kinds at once, after Agresti & Caffo 2000, draw it towards the
    middle: with 256 draws of laws of two values they miss in up to 8.5 % at alpha = .05, 2.6 % at .0083.)

    Enumerated over pairs of laws of two values each, one of them at a bound, from 8 to 256 draws a side, it misses in
    less than alpha, at .05 and at .0083; that is no proof for every law. A mixture of bets (Waudby-Smith & Ramdas 2024)
    has one, and is 1.1, 1.4 and 1.6 times as wide at 16, 64 and 512 draws.

    With fewer than two draws of a side only the bounds are known.
    """
    value = math.fsum(float(half.terms.mean()) for half in halves)
    if min(len(half.terms) + half.lost for half in halves) < 2:
        return Estimate(value, 0.0, _finite(bound))
    low, high = _end(halves, alpha, side=-1), _end(halves, alpha, side=1)
    return Estimate(value, max(0.0, min(low, value)), _finite(min(bound, max(high, value))))


def _finite(end: float) -> float | None:
    return end if math.isfinite(end) else None


def _end(halves: Sequence[_Half], alpha: float, *, side: int) -> float:
    """The lower end (side -1) or the upper one (1), with all lost draws on that side."""
    extremes = [half.most if side > 0 else half.least for half in halves]
    samples = [
        np.append(half.terms, np.full(half.lost, extreme)) for half, extreme in zip(halves, extremes, strict=True)
    ]
    t = float(special.stdtrit(min(map(len, samples)) - 1, 1 - alpha / 2))
    ends = []
    for further in (0.0, float(special.ndtri(1 - alpha / 2)) ** 2 / 4):
        moments = [_moments(terms, further, extreme) for terms, extreme in zip(samples, extremes, strict=True)]
        centre, variance = (math.fsum(column) for column in zip(*moments, strict=True))
        ends.append(centre + side * t * math.sqrt(variance))
    return max(ends) if side > 0 else min(ends)


def _moments(terms: Floats, further: float, extreme: float) -> tuple[float, float]:
    """The mean of the terms and of `further` draws that are all `extreme`, and the squared error of that mean."""
    n = len(terms) + further
    mean = (float(terms.sum()) + further * extreme) / n
    squares = float(((terms - mean) ** 2).sum()) + further * (extreme - mean) ** 2
    return mean, squares / (n - 1) / n
