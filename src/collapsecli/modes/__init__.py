"""Answers in, modes out: which answers of one cell are the same. Knows no completions and no probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from collapsecli.modes import embedding, exact, given, lexical
from collapsecli.modes.embedding import Embed, Vectors, vectors_of
from collapsecli.modes.forms import canonical
from collapsecli.modes.grouping import Answers, Grouping, Relation
from collapsecli.modes.lexical import like_any
from collapsecli.modes.refusals import is_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from collapsecli.records import Equivalence

__all__ = [
    "EQUIVALENCES",
    "Embed",
    "Grouping",
    "Relation",
    "Vectors",
    "canonical",
    "is_refusal",
    "like_any",
    "relate",
    "same_as",
    "vectors_of",
]

EQUIVALENCES: dict[Equivalence, Callable[[Answers], Relation]] = {
    "exact": exact.relate,
    "lexical": lexical.relate,
    "given": given.relate,
    "embedding": embedding.relate,
}


def relate(
    answers: Sequence[str],
    equivalence: Equivalence,
    *,
    prompt: str = "",
    given: Sequence[str | None] | None = None,
    threshold: float | None = None,
    embed: Embed | None = None,
) -> Relation:
    """Relate the answers of one cell (N strings in sample order, free texts already `canonical`).

    prompt: the prompt's own words, which say little about the answer.
    given: the names (N,) of imported classes, for the equivalence `given`; an answer without one is its own class.
    threshold: the similarity from which texts are the same, in [0, 1]; None for the equivalence's own.
    embed: gives the vectors of some texts, for the equivalence `embedding`; raises ValueError where it is needed.
    """
    return EQUIVALENCES[equivalence](Answers(answers, prompt, given, threshold, embed))


def same_as(
    one: str,
    answers: Sequence[str],
    equivalence: Equivalence,
    *,
    prompt: str = "",
    threshold: float | None = None,
    embed: Embed | None = None,
) -> NDArray[np.bool_]:
    """Which of N answers are the same as one: (N,). Free texts are canonical, and the rest is as in `relate`.

    Classes that came with imported answers belong to these and to no other: for `given` answers are the same if equal.
    """
    if equivalence == "lexical":
        same: NDArray[np.bool_] = like_any([one], answers, prompt, threshold or lexical.THRESHOLD)[0]
        return same
    if equivalence == "embedding":
        return embedding.like_one(one, answers, embed, threshold)
    return np.array([answer == one for answer in answers], np.bool_)
