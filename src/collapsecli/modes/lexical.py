"""Answers are the same if they share enough of their words: "says it in the same words", not "has the same idea".

The relation is fixed before any answer is seen and is not transitive: the mode is the densest ball of it, and classes
serve for display alone.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from collapsecli.modes.grouping import Grouping, number_by_first_appearance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DICE_THRESHOLD = 0.3
_TOKEN = re.compile(r"\w+|[^\w\s]")
_ROWS_AT_ONCE = 1024


def group(answers: Sequence[str]) -> Grouping:
    """Group texts (N strings in sample order, already canonical) by the Dice coefficient of their {1, 2}-gram sets.

    Two texts are the same if twice the number of shared 1- and 2-grams is at least `DICE_THRESHOLD` of the sum of
    both numbers. Memory is quadratic in the number of distinct texts (one byte a pair).
    """
    texts = number_by_first_appearance(answers)
    alike = _alike(list(dict.fromkeys(answers)))
    multiplicities = np.bincount(texts, minlength=len(alike))
    neighbours = alike @ multiplicities if len(alike) else multiplicities
    return Grouping(
        labels=_leaders_by_degree(alike, neighbours)[texts],
        hits=_predict_the_densest_ball(alike, texts),
        largest=int(neighbours.max(initial=0)),
        pair_rate=_pair_rate(neighbours, multiplicities),
        transitive=False,
        texts=texts,
        alike=alike,
    )


def _alike(distinct: Sequence[str]) -> NDArray[np.bool_]:
    """Which of D distinct texts are the same: (D, D), true on the diagonal."""
    incidence = _ngram_incidence(distinct)
    sizes = np.diff(incidence.indptr)
    alike = np.eye(len(distinct), dtype=np.bool_)
    for start in range(0, len(distinct), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        shared = (incidence[rows] @ incidence.T).toarray()
        alike[rows] |= (shared > 0) & (2 * shared >= DICE_THRESHOLD * (sizes[rows, None] + sizes) - 1e-9)
    return alike


def _ngram_incidence(distinct: Sequence[str]) -> sparse.csr_array[np.int32, tuple[int, int]]:
    """Texts by distinct 1- and 2-grams: 1 where the text contains the n-gram."""
    columns: dict[tuple[str, ...], int] = {}
    indices: list[int] = []
    ends = [0]
    for text in distinct:
        tokens = _TOKEN.findall(text.casefold())
        ngrams = {(token,) for token in tokens} | set(pairwise(tokens))
        indices.extend(columns.setdefault(ngram, len(columns)) for ngram in ngrams)
        ends.append(len(indices))
    ones = np.ones(len(indices), np.int32)
    return sparse.csr_array((ones, np.asarray(indices, np.int32), ends), shape=(len(distinct), max(len(columns), 1)))


def _predict_the_densest_ball(alike: NDArray[np.bool_], texts: NDArray[np.int64]) -> int:
    """Hits of "the next text is the same as the past text with most of the past around it" (ties: the earliest)."""
    around = np.zeros(len(alike), np.int64)
    hits, centre, seen = 0, -1, 0
    for text in texts.tolist():
        if centre >= 0:
            hits += int(alike[centre, text])
        around += alike[text]
        seen = max(seen, text + 1)
        centre = int(around[:seen].argmax())
    return hits


def _leaders_by_degree(alike: NDArray[np.bool_], neighbours: NDArray[np.int64]) -> NDArray[np.int64]:
    """A partition for display: the text with most neighbours takes those still free, and so on.

    Returns the class (D,) of each distinct text. Class 0 is the densest ball; up to ties the order of the texts does
    not matter.
    """
    labels = np.full(len(alike), -1, np.int64)
    classes = 0
    for leader in np.argsort(-neighbours, kind="stable").tolist():
        if labels[leader] < 0:
            labels[alike[leader] & (labels < 0)] = classes
            classes += 1
    return labels


def _pair_rate(neighbours: NDArray[np.int64], multiplicities: NDArray[np.int64]) -> float | None:
    n = int(multiplicities.sum())
    return None if n < 2 else int((multiplicities * (neighbours - 1)).sum()) / (n * (n - 1))
