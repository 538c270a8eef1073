"""What a grouping of one cell's answers consists of, and where it comes from. Knows no words and no probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from collapsecli.modes.embedding import Embed


@dataclass(frozen=True, slots=True)
class Answers:
    """The N answers of one cell, and what is known of them besides.

    texts: in sample order; free texts are canonical.
    prompt: the prompt's own words, which say little about the answer.
    given: (N,) the names of imported classes; "" or None for an answer without one.
    threshold: the similarity from which texts are the same, in [0, 1]; None for that of the equivalence.
    embed: gives the vectors of some texts, for an equivalence by embedding.
    """

    texts: Sequence[str]
    prompt: str = ""
    given: Sequence[str | None] | None = None
    threshold: float | None = None
    embed: Embed | None = None


@dataclass(frozen=True, slots=True)
class Grouping:
    """The modes of one cell's N answers, given in sample order. D of the answers are distinct, K classes are shown.

    labels: (N,) class of each answer, 0..K-1; they partition the answers, and are the whole truth if `transitive`.
    hits: correct predictions "the next answer is the same as the most frequent answer so far", out of N - 1, each
        made from the past alone; so their number is at most binomial (N - 1, mode mass).
    largest: the number of answers that are the same as the most frequent one, itself included.
    pair_rate: share of the pairs of answers that are the same; None if N < 2.
    lone: answers that no other answer is the same as.
    paired: answers that exactly one other answer is the same as.
    transitive: whether "the same" is an equivalence. If not, `hits`, `largest`, `pair_rate`, `lone` and `paired` are
        of the relation itself, since classes formed from the sample would be fitted to it.
    texts: (N,) index of each answer among the distinct ones, which are numbered as they first appear.
    alike: (D, D) which distinct answers are the same, symmetric; None if the labels say everything.
    """

    labels: NDArray[np.int64]
    hits: int
    largest: int
    pair_rate: float | None
    lone: int
    paired: int
    transitive: bool
    texts: NDArray[np.int64]
    alike: NDArray[np.bool_] | None = None


class Relation(Protocol):
    """Which of one cell's N answers are the same, known for all of them before any of them are grouped.

    Whether two answers are the same depends on these two and on the prompt alone, never on the other answers.
    """

    @property
    def texts(self) -> NDArray[np.int64]:
        """The index (N,) of each answer among the D distinct ones, numbered as they first appear."""

    @property
    def threshold(self) -> float | None:
        """The similarity from which two answers are the same; None where there is no similarity."""

    def group(self, first: int | None = None) -> Grouping:
        """Group all answers, or the `first` ones alone: then labels, texts and numbers are of these."""

    def at(self, threshold: float) -> Relation:
        """The same answers at another threshold; itself where there is no similarity."""


def number_by_first_appearance(answers: Sequence[Hashable]) -> NDArray[np.int64]:
    """The index (N,) of each answer among the distinct ones, in the order in which these appear."""
    numbers: dict[Hashable, int] = {}
    return np.fromiter((numbers.setdefault(answer, len(numbers)) for answer in answers), np.int64, len(answers))
