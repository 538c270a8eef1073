"""Sampled sequences with their probabilities: what is certain about a cell, and whether its draws were independent.

Everything is at the level of token-id sequences with their finish reason: ended and cut sequences form a prefix code,
so the probabilities of distinct ones add up. Texts do not have this property.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from collapsecli.records import DrawsCheck

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SequenceKey = tuple[tuple[int, ...], str]

SEEN_MASS_TOLERANCE = 1.05
_SPREADS = 4
EXPECTED_INFLATION = 1.05
_PRIOR_SHAPES = (0.1, 5.0)


@dataclass(frozen=True, slots=True)
class Sequences:
    """The S distinct sequences among N draws.

    index: (N,) which of the sequences each draw is, numbered as they first appear.
    probabilities: (S,) probability of each: the median of its draws, since numerical noise differs between them.
    spread: standard deviation of the log-probability (nats) between draws of one sequence; 0 if none repeats.
    """

    index: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    spread: float

    @property
    def total(self) -> float:
        """The summed probability of all distinct sequences, which noise may push above 1."""
        return float(self.probabilities.sum())

    @property
    def seen_mass(self) -> float:
        """The probability that a new draw is one of the seen sequences."""
        return min(self.total, 1.0)

    @property
    def is_consistent(self) -> bool:
        """Whether the total could be a probability, up to the measured noise.

        If not, the log-probabilities are not those of the distribution sampled from.
        """
        return self.total <= max(SEEN_MASS_TOLERANCE, 1 + _SPREADS * self.spread)


def distinct_sequences(keys: Sequence[SequenceKey], logprobs: Sequence[float]) -> Sequences:
    """Merge N draws into distinct sequences. keys: token ids and finish reason; logprobs: sum of each, in nats."""
    numbers: dict[SequenceKey, int] = {}
    index = np.fromiter((numbers.setdefault(key, len(numbers)) for key in keys), np.int64, len(keys))
    logs = np.asarray(logprobs, np.float64)
    order = np.lexsort((logs, index))
    counts = np.bincount(index, minlength=len(numbers))
    ends = np.cumsum(counts)
    starts = ends - counts
    logs = logs[order]
    medians = (logs[starts + (counts - 1) // 2] + logs[starts + counts // 2]) / 2 if len(logs) else logs
    return Sequences(index, np.exp(np.minimum(medians, 50.0)), _spread(logs, counts))


def _spread(logs: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """The pooled standard deviation within groups of `counts` neighbours; a probability of 0 is left out."""
    group = np.repeat(np.arange(len(counts)), counts)
    usable = np.isfinite(logs)
    sums = np.bincount(group[usable], logs[usable], len(counts))
    sizes = np.bincount(group[usable], minlength=len(counts))
    freedom = int(np.maximum(sizes - 1, 0).sum())
    if freedom == 0:
        return 0.0
    means = sums / np.maximum(sizes, 1)
    return math.sqrt(float(((logs[usable] - means[group[usable]]) ** 2).sum()) / freedom)


def mode_probabilities(sequences: Sequences, labels: NDArray[np.int64], modes: int) -> NDArray[np.float64]:
    """The summed probability (modes,) of each mode's distinct sequences: a certain lower bound of its mass.

    labels: (N,) mode of each draw, -1 for none. Repeated draws of a sequence count once. The mass is certainly at most
    this plus the unseen mass.
    """
    mode_of = np.full(len(sequences.probabilities), -1, np.int64)
    mode_of[sequences.index] = labels
    has_mode = mode_of >= 0
    sums = np.bincount(mode_of[has_mode], sequences.probabilities[has_mode], minlength=modes)
    return np.minimum(sums, 1.0)


# --------------------------------------------------------------------------------------------------------- draws check


def check_draws(keys: Sequence[SequenceKey | None], logprobs: Sequence[float]) -> DrawsCheck:
    """Count the draws of one cell that repeat an earlier one, against the number that independence predicts.

    keys and logprobs (nats): (N,) in sample order. Given the past, a draw is a repeat with a probability of exactly
    q_t, the summed probability of the distinct sequences drawn before; `expected` is the sum of the q_t. A lost draw
    (key None) was as likely to repeat as any other; counted beside the others, its loss cannot look like a surplus.
    """
    seen: set[SequenceKey] = set()
    mass, expected, expected_of_lost, repeats, draws = 0.0, 0.0, 0.0, 0, 0
    for key, logprob in zip(keys, logprobs, strict=True):
        if key is None:
            expected_of_lost += min(mass, 1.0)
            continue
        expected += min(mass, 1.0)
        draws += 1
        if key in seen:
            repeats += 1
        else:
            seen.add(key)
            mass += math.exp(min(logprob, 0.0))
    return DrawsCheck(draws, repeats, expected, expected_of_lost)


def surplus_p_value(repeats: int, expected: float) -> float:
    """The probability, at most, of so many more repeats than expected if the draws were independent.

    repeats and expected: of one cell or summed over the independent cells of a run. `expected` is first raised by 5 %
    for the noise of log-probabilities. A bound for any sum of Bernoulli variables whose conditional means sum to mu:
    for every rate ratio l > 1, l^repeats exp(-(l - 1) mu) is an e-value, and so is its mean under a prior of l that is
    fixed in advance; p = 1 / E by Markov's inequality (Robbins 1970). The prior is an equal mixture of the densities
    a l^(-1 - a): a = 1/10 has so heavy a tail that a single impossible repeat speaks, a = 5 looks closely at the
    small surplus of a long run.
    """
    if repeats <= 0:
        return 1.0
    mu = EXPECTED_INFLATION * expected
    if mu <= 0:
        return 0.0
    log_e = np.logaddexp.reduce([_log_e_value(repeats, mu, shape) for shape in _PRIOR_SHAPES])
    return min(1.0, math.exp(min(math.log(len(_PRIOR_SHAPES)) - float(log_e), 0.0)))


def _log_e_value(repeats: int, mu: float, shape: float) -> float:
    """Log of shape exp(mu) times the integral from 1 of l^(repeats - shape - 1) exp(-l mu); -inf below the shape."""
    power = repeats - shape
    tail = float(special.gammaincc(power, mu)) if power > 0 else 0.0
    if tail == 0:
        return -math.inf
    return math.log(shape) + mu + float(special.gammaln(power)) + math.log(tail) - power * math.log(mu)
