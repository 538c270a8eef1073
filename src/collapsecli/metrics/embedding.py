"""How close the vectors of a cell's answers lie. Knows vectors, not the texts or the encoder that they come from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from collapsecli.records import UNDEFINED, Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Embeddings = NDArray[np.float32]

_FEWEST = 3  # answers, below which a mean over pairs has no error
_ADDED = 2  # draws that are thought to be there for an end of an interval
_ROWS_AT_ONCE = 512


def closeness(vectors: Embeddings, multiplicities: Integers, alpha: float, lost: int = 0) -> dict[str, Estimate]:
    """The metrics `mean_cosine` and `embedding_modes` of N answers, given as D distinct ones.

    vectors: (D, dimensions), each of length 1, or zero where a text is near to nothing but itself.
    multiplicities: (D,) how often each was drawn, N in sum. lost: draws whose text is not known.

    `mean_cosine` is the mean over all pairs of two draws, -1 to 1. `embedding_modes` is one over the mean square of the
    cosine: the Vendi score of order 2 (Friedman & Dieng 2023) without the pairs of a draw with itself, which make the
    usual one grow with N. Both rest on means over pairs, which are unbiased at every N (Hoeffding 1948). Undefined
    below two answers, without an interval below three.
    """
    cosine, squared = (_mean_over_pairs(_Kernel(vectors, power), multiplicities, alpha, lost) for power in (1, 2))
    modes = Estimate(*(1 / end if end else None for end in (squared.value, squared.high, squared.low)))
    return {"mean_cosine": cosine, "embedding_modes": modes}


class _Kernel:
    """A power of the cosines of D texts, 1 for a text with itself."""

    def __init__(self, vectors: Embeddings, power: int) -> None:
        self._vectors, self._power = vectors, power
        self.lowest = -1.0 if power % 2 else 0.0

    def sums(self, multiplicities: Integers) -> tuple[Floats, Floats]:
        """The sums (D,) over all other draws of how close each text is to them, and of the squares of that."""
        sums, squares = np.empty((2, len(self._vectors)), np.float64)
        for start in range(0, len(sums), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            close = self._of(self._vectors[rows] @ self._vectors.T)
            places = np.arange(len(close))
            close[places, places + start] = 1
            sums[rows], squares[rows] = close @ multiplicities - 1, close**2 @ multiplicities - 1
        return sums, squares

    def to(self, place: int) -> Floats:
        """How close (D,) every text is to one of them."""
        close = self._of(self._vectors @ self._vectors[place])
        close[place] = 1
        return close

    def _of(self, cosines: Embeddings) -> Floats:
        return np.asarray(np.clip(cosines.astype(np.float64), -1, 1) ** self._power, np.float64)


def _mean_over_pairs(kernel: _Kernel, multiplicities: Integers, alpha: float, lost: int) -> Estimate:
    """The mean of a kernel over the pairs of N draws, with the wider of two intervals at each end.

    One is of the draws as they are. For the other some are added, so that equal draws do not report an error of zero:
    for the lower end two that are near to nothing, for the upper end two more of the text that is nearest to all. Draws
    that were lost are added too. How often the truth is outside: docs/embedding.md.
    """
    n = int(multiplicities.sum())
    if n < _FEWEST - 1:
        return UNDEFINED
    sums, squares = kernel.sums(multiplicities)
    if n < _FEWEST:
        return Estimate(_with_error(sums, squares, multiplicities)[0])
    centre, added = int(sums.argmax()), _ADDED + lost
    to_centre, copies = kernel.to(centre), multiplicities.copy()
    copies[centre] += added
    value, low, high = _interval(sums, squares, multiplicities, alpha)
    _, farther, _ = _interval(np.append(sums, 0.0), np.append(squares, 0.0), np.append(multiplicities, added), alpha)
    _, _, nearer = _interval(sums + added * to_centre, squares + added * to_centre**2, copies, alpha)
    return Estimate(value, max(min(low, farther), kernel.lowest), min(max(high, nearer), 1.0))


def _interval(sums: Floats, squares: Floats, multiplicities: Integers, alpha: float) -> tuple[float, float, float]:
    value, error = _with_error(sums, squares, multiplicities)
    margin = float(special.stdtrit(int(multiplicities.sum()) - 1, 1 - alpha / 2)) * error
    return value, value - margin, value + margin


def _with_error(sums: Floats, squares: Floats, multiplicities: Integers) -> tuple[float, float]:
    """A mean over pairs and its standard error, from each draw's sum, and sum of squares, over all others.

    The delete-one jackknife (Arvesen 1969), and the variance of single pairs beside it: where all draws are about as
    near to the others, that is what is left (Hoeffding 1948).
    """
    n = int(multiplicities.sum())
    pairs = n * (n - 1)
    value = float(multiplicities @ sums) / pairs
    of_draws = 4 * float(multiplicities @ (sums - value * (n - 1)) ** 2) / (pairs * (n - 2) ** 2) if n > 2 else 0.0
    of_pairs = 2 * max(float(multiplicities @ squares) / pairs - value**2, 0.0) / pairs
    return value, math.sqrt(of_draws + of_pairs)
