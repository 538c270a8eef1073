"""Answers are the same if an encoder puts them close together. Knows vectors, and neither encoders nor words.

The similarity of two texts is the cosine of their vectors. It says what the encoder was trained to say, and a threshold
that is right for one encoder means nothing for another: docs/embedding.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from collapsecli.modes.balls import Balls
from collapsecli.modes.grouping import number_by_first_appearance
from collapsecli.records import EMBEDDING_THRESHOLD

if TYPE_CHECKING:
    from collapsecli.modes.grouping import Answers, Relation

Embed: TypeAlias = Callable[[Sequence[str]], NDArray[np.float32]]

_ROWS_AT_ONCE = 512
_ROUNDING = 1e-6


class Vectors(Protocol):
    """What encoders make of texts, known before anything is judged."""

    def of(self, encoder: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors (N, dimensions) that an encoder gives to N texts, each of length 1.

        Raises KeyError for a text that it was not given.
        """


def relate(answers: Answers) -> Balls:
    """Relate free texts by the cosine of their vectors; the threshold is `EMBEDDING_THRESHOLD` unless one is set.

    Memory: a byte for every pair of the D distinct texts, and four for every number of their vectors. Raises ValueError
    without anything to embed them.
    """
    similarity = Cosine.of(list(dict.fromkeys(answers.texts)), answers.embed)
    threshold = EMBEDDING_THRESHOLD if answers.threshold is None else answers.threshold
    return Balls.around(number_by_first_appearance(answers.texts), similarity, threshold)


def like_one(one: str, texts: Sequence[str], embed: Embed | None, threshold: float | None = None) -> NDArray[np.bool_]:
    """Which of N texts are at least so similar to one (all canonical): (N,). No pairs of texts.

    Raises ValueError without anything to embed them.
    """
    distinct = list(dict.fromkeys([one, *texts]))
    alike = Cosine.of(distinct, embed).like_first(EMBEDDING_THRESHOLD if threshold is None else threshold)
    places = {text: place for place, text in enumerate(distinct)}
    same: NDArray[np.bool_] = alike[[places[text] for text in texts]]
    return same


def vectors_of(relation: Relation) -> NDArray[np.float32] | None:
    """The vectors (D, dimensions) of a relation's distinct texts; None where it is of another kind."""
    if isinstance(relation, Balls) and isinstance(relation.similarity, Cosine):
        return relation.similarity.vectors
    return None


@dataclass(frozen=True, slots=True)
class Cosine:
    """The similarity of D distinct texts by their vectors (D, dimensions), each of length 1.

    An empty text says nothing that could be near to anything: its vector is zero, and only itself is the same.
    """

    vectors: NDArray[np.float32]

    @staticmethod
    def of(distinct: Sequence[str], embed: Embed | None) -> Cosine:
        """The similarity of distinct texts (canonical), of which all but the empty one are embedded.

        Raises ValueError without anything to embed them.
        """
        if embed is None:
            raise ValueError("texts are compared by embedding, and there is nothing that embeds them")
        said = [text for text in distinct if text]
        known = embed(said) if said else np.zeros((0, 1), np.float32)
        vectors = np.zeros((len(distinct), known.shape[1]), np.float32)
        vectors[[place for place, text in enumerate(distinct) if text]] = known
        return Cosine(vectors)

    def reaches(self, threshold: float) -> NDArray[np.bool_]:
        """Which of the texts are at least so similar: (D, D), true on the diagonal."""
        alike = np.empty((len(self.vectors), len(self.vectors)), np.bool_)
        for start in range(0, len(self.vectors), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            near = self.vectors[rows] @ self.vectors[start:].T >= threshold - _ROUNDING
            # A product of matrices rounds the two halves differently, and "the same" has to be symmetric.
            among = near[:, : len(near)]
            among |= among.T.copy()
            alike[rows, start:] = near
            alike[start:, rows] = near.T
        np.fill_diagonal(alike, val=True)
        return alike

    def like_first(self, threshold: float) -> NDArray[np.bool_]:
        """Which of the texts are so similar to the first one: (D,)."""
        alike = np.asarray(self.vectors @ self.vectors[0] >= threshold - _ROUNDING, np.bool_)
        alike[0] = True
        return alike
