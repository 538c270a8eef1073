"""Answers are the same if they are equal: every distinct answer is its own class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from collapsecli.modes.grouping import Grouping, number_by_first_appearance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def group(answers: Sequence[str]) -> Grouping:
    """Group answers (N strings in sample order, already canonical) by equality."""
    labels = number_by_first_appearance(answers)
    hits, largest = _predict_the_mode(labels)
    return Grouping(labels, hits, largest, _pair_rate(labels), transitive=True, texts=labels)


def _predict_the_mode(labels: NDArray[np.int64]) -> tuple[int, int]:
    """Hits of "the next answer is the mode so far" (ties keep the earlier mode), and the final largest count."""
    counts: dict[int, int] = {}
    mode, largest, hits = -1, 0, 0
    for label in labels.tolist():
        hits += label == mode
        counts[label] = counts.get(label, 0) + 1
        if counts[label] > largest:
            mode, largest = label, counts[label]
    return hits, largest


def _pair_rate(labels: NDArray[np.int64]) -> float | None:
    n = len(labels)
    if n < 2:
        return None
    counts = np.bincount(labels)
    return int((counts * (counts - 1)).sum()) / (n * (n - 1))
