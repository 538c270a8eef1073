"""Answers in, modes out: which answers of one cell are the same. Knows no completions and no probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collapsecli.modes import exact, lexical
from collapsecli.modes.grouping import Grouping, canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collapsecli.records import Equivalence

__all__ = ["GROUPERS", "Grouping", "canonical", "group"]

GROUPERS: dict[Equivalence, Callable[[Sequence[str]], Grouping]] = {
    "exact": exact.group,
    "lexical": lexical.group,
}


def group(answers: Sequence[str], equivalence: Equivalence) -> Grouping:
    """Group the answers of one cell (N strings in sample order, free texts already `canonical`) into modes."""
    return GROUPERS[equivalence](answers)
