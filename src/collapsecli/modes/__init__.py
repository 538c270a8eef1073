"""Answers in, modes out: which answers of one cell are the same. Knows no completions and no probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from collapsecli.modes import exact, given, lexical
from collapsecli.modes.forms import canonical
from collapsecli.modes.grouping import Answers, Grouping, Relation
from collapsecli.modes.lexical import like_any
from collapsecli.modes.refusals import is_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from collapsecli.records import Equivalence

__all__ = ["EQUIVALENCES", "Grouping", "Relation", "canonical", "is_refusal", "like_any", "relate", "same_as"]

EQUIVALENCES: dict[Equivalence, Callable[[Answers], Relation]] = {
    "exact": exact.relate,
    "lexical": lexical.relate,
    "given": given.relate,
}


def relate(
    answers: Sequence[str],
    equivalence: Equivalence,
    *,
    prompt: str = "",
    given: Sequence[str | None] | None = None,
    threshold: float | None = None,
) -> Relation:
    """Relate the answers of one cell (N strings in sample order, free texts already `canonical`).

    prompt: the prompt's own words, which say little about the answer.
    given: the names (N,) of imported classes, for the equivalence `given`; an answer without one is its own class.
    threshold: the similarity from which texts are the same, in [0, 1]; None for the equivalence's own.
    """
    return EQUIVALENCES[equivalence](Answers(answers, prompt, given, threshold))


def same_as(
    one: str,
    answers: Sequence[str],
    equivalence: Equivalence,
    *,
    prompt: str = "",
    threshold: float | None = None,
) -> NDArray[np.bool_]:
    """Which of N answers are the same as one: (N,). Free texts are canonical, as in `relate`.

    Classes that came with imported answers belong to these and to no other: for `given` answers are the same if equal.
    """
    if equivalence == "lexical":
        same: NDArray[np.bool_] = like_any([one], answers, prompt, threshold or lexical.THRESHOLD)[0]
        return same
    return np.array([answer == one for answer in answers], np.bool_)
