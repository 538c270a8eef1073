"""What a grouping of one cell's answers consists of. Knows answers as strings; no completions, no probabilities."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Grouping:
    """The modes of one cell's N answers, given in sample order. D of the answers are distinct, K classes are shown.

    labels: (N,) class of each answer, 0..K-1; they partition the answers, and are the whole truth if `transitive`.
    hits: correct predictions "the next answer is the same as the most frequent answer so far", out of N - 1, each
        made from the past alone; so their number is at most binomial (N - 1, mode mass).
    largest: the number of answers that are the same as the most frequent one, itself included.
    pair_rate: share of the pairs of answers that are the same; None if N < 2.
    transitive: whether "the same" is an equivalence. If not, `hits`, `largest` and `pair_rate` are of the relation
        itself, since classes formed from the sample would be fitted to it.
    texts: (N,) index of each answer among the distinct ones, which are numbered as they first appear.
    alike: (D, D) which distinct answers are the same, symmetric; None if each is the same as itself alone.
    """

    labels: NDArray[np.int64]
    hits: int
    largest: int
    pair_rate: float | None
    transitive: bool
    texts: NDArray[np.int64]
    alike: NDArray[np.bool_] | None = None


def number_by_first_appearance(answers: Sequence[str]) -> NDArray[np.int64]:
    """The index (N,) of each answer among the distinct ones, in the order in which these appear."""
    numbers: dict[str, int] = {}
    return np.fromiter((numbers.setdefault(answer, len(numbers)) for answer in answers), np.int64, len(answers))


_QUOTES_AND_MARKUP = " \"'`*_~\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"
_BLOCK_MARKUP = re.compile(r"(?:#{1,6} |> ?)+")


def canonical(text: str) -> str:
    """The form in which free texts are compared.

    NFKC, casefolded, spaces collapsed, without outer quotes and markup and without a final period. A text that
    consists of quotes and markup alone keeps them, so that "*" and "" stay two answers.
    """
    plain = " ".join(_folded(text).split())
    while True:
        bare = _BLOCK_MARKUP.sub("", plain, count=1) if _BLOCK_MARKUP.match(plain) else plain
        bare = bare.strip(_QUOTES_AND_MARKUP)
        if bare.endswith(".") and not bare.endswith(".."):
            bare = bare[:-1].rstrip()
        if bare in {"", plain}:
            return plain
        plain = bare


def _folded(text: str) -> str:
    """NFKC and casefolding until neither changes anything: some characters need more than one turn."""
    while True:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        if folded == text:
            return folded
        text = folded
