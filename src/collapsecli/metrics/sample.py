"""What a metric sees of one cell: counts and relations of its answers, no text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Sample:
    """The grouped answers of one cell: `read` of `drawn` completions had an answer, `lost` ones are unknown.

    counts: (K,) completions of each mode, summing to `read`.
    hits: correct predictions "the next answer is the most frequent one so far" among the answers, in sample order.
    largest: answers that are the same as the most frequent one.
    pair_rate: share of the pairs of answers that are the same; None below two answers.
    lost: completions that were asked for and whose text is not known (failed, or never came back). They are not
        missing at random, so they count against every claim: as misses in lower ends, as the mode in upper ends.
    drawn: completions asked for, lost ones included.
    alpha: error rate of an interval, both sides together.
    texts, alike: the relation (N,), (D, D) of the distinct answers if it is not transitive, else None.
    """

    counts: NDArray[np.int64]
    hits: int
    largest: int
    pair_rate: float | None
    lost: int
    drawn: int
    alpha: float
    texts: NDArray[np.int64] | None = None
    alike: NDArray[np.bool_] | None = None

    @property
    def read(self) -> int:
        """The number of answers."""
        return int(self.counts.sum())

    @property
    def transitive(self) -> bool:
        """Whether the modes are classes of an equivalence, so that `counts` say everything."""
        return self.alike is None
