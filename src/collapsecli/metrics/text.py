"""Metrics of relations between texts that are no equivalences. Knows which texts are alike, not what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUBSETS = 256
_SEED = 0


def distinct_in_subsets(texts: NDArray[np.int64], alike: NDArray[np.bool_], m: int) -> float:
    """The mean number of modes among m of the N completions, over random subsets in random order, seed fixed.

    In each subset a text starts a new mode if it is not alike to the first text of an earlier one. A partition of all
    N texts would give a number that moves with N; this does not. texts: (N,) index into alike: (D, D). Needs N >= m.
    """
    generator = np.random.default_rng(_SEED)
    subsets = texts[generator.random((SUBSETS, len(texts))).argsort(axis=1)[:, :m]]
    same = alike[subsets[:, :, None], subsets[:, None, :]]
    is_first = np.zeros((SUBSETS, m), np.bool_)
    for place in range(m):
        is_first[:, place] = ~(same[:, place, :place] & is_first[:, :place]).any(axis=1)
    return float(is_first.sum(axis=1).mean())
