"""Answers are the same if they share enough of their words: "says it in the same words", not "has the same idea".

The similarity of two texts is the weight of the words that both have, as a share of the weight of the words of the
weightier text. Rare words weigh more than common ones, and a word of the prompt that both have is left out of account:
that answers repeat the question is no evidence that they agree.

    similarity = (S - P) / (max(W_1, W_2) - P)

W_1, W_2: the weights of the words of each text, of its first 100 words, every distinct word once; S: of those that both
have; P: of those among S that are the prompt's. How it was chosen, how well it agrees with a trained classifier, and
what it cannot see: docs/lexical.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from collapsecli.modes.balls import Balls
from collapsecli.modes.forms import canonical
from collapsecli.modes.grouping import number_by_first_appearance
from collapsecli.modes.weights import RAREST, word_weights
from collapsecli.modes.words import WORDS_COMPARED, words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from collapsecli.modes.grouping import Answers

    Alike = NDArray[np.bool_]
    Weights = NDArray[np.float32]
    Incidence = sparse.csr_array[np.float32, tuple[int, int]]

THRESHOLD = 0.28
_ROWS_AT_ONCE = 512
_FEWEST_FOR_DENSE = 64
_ROUNDING = 1e-6


def relate(answers: Answers) -> Balls:
    """Relate free texts by the words that they share; the threshold is `THRESHOLD` unless one is set.

    Texts of the same words are always the same, and texts that share none but the prompt's never are, whatever the
    threshold. Memory: a byte for every pair of the D distinct texts.
    """
    similarity = SharedWords.of(list(dict.fromkeys(answers.texts)), answers.prompt)
    threshold = THRESHOLD if answers.threshold is None else answers.threshold
    return Balls.around(number_by_first_appearance(answers.texts), similarity, threshold)


@dataclass(frozen=True, slots=True)
class SharedWords:
    """The similarity of D texts by the words that they share; keeps words, no texts and no matrix of pairs.

    own, asked: the words that two texts share, without those of the prompt (S - P) and those of the prompt alone (P).
    sizes: (D,) the weight of each text's words (W).
    """

    own: CommonWeight
    asked: CommonWeight
    sizes: Weights

    @staticmethod
    def of(distinct: Sequence[str], prompt: str) -> SharedWords:
        """The similarity of distinct texts (canonical) given a prompt."""
        columns: dict[str, int] = {}
        found: list[int] = []
        ends = [0]
        for text in distinct:
            found.extend({columns.setdefault(word, len(columns)) for word in words_of(text)[:WORDS_COMPARED]})
            ends.append(len(found))
        texts, words = np.repeat(np.arange(len(distinct)), np.diff(ends)), np.array(found, np.int64)

        table, prompt_words = word_weights(), set(words_of(canonical(prompt)))
        weights = np.array([table.get(word, RAREST) for word in columns], np.float32)
        own_weights = np.array([0 if word in prompt_words else 1 for word in columns], np.float32) * weights
        return SharedWords(
            CommonWeight.of(texts, words, own_weights, len(distinct)),
            CommonWeight.of(texts, words, weights - own_weights, len(distinct)),
            np.bincount(texts, weights[words], len(distinct)).astype(np.float32),
        )

    def reaches(self, threshold: float) -> Alike:
        """Which of the texts are at least so similar: (D, D), true on the diagonal."""
        alike = np.empty((len(self.sizes), len(self.sizes)), np.bool_)
        for start in range(0, len(self.sizes), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            alike[rows] = self.rows_reach(rows, threshold)
        return alike

    def rows_reach(self, rows: slice, threshold: float) -> Alike:
        """The same for some of the texts against all of them: (rows, D)."""
        shared = self.own.rows(rows)
        total = (np.maximum(self.sizes[rows, None], self.sizes) - self.asked.rows(rows)).astype(np.float64)
        alike = (total == 0) | ((shared > 0) & (shared >= threshold * total - _ROUNDING))
        places = np.arange(len(self.sizes))[rows]
        alike[np.arange(len(places)), places] = True
        return np.asarray(alike)


def like_any(references: Sequence[str], texts: Sequence[str], prompt: str, threshold: float = THRESHOLD) -> Alike:
    """Which of N texts share enough words with each of R references (all canonical): (R, N). No pairs of texts."""
    distinct = list(dict.fromkeys([*references, *texts]))
    places = {text: place for place, text in enumerate(distinct)}
    first = len(dict.fromkeys(references))
    alike = SharedWords.of(distinct, prompt).rows_reach(slice(0, first), threshold)
    chosen: Alike = alike[np.ix_([places[one] for one in references], [places[one] for one in texts])]
    return chosen


@dataclass(frozen=True, slots=True)
class CommonWeight:
    """The summed weights of the words that every two of D texts have in common, as a product of matrices.

    Words that many texts have stand in a dense matrix and the others in a sparse one, so that both the time for
    frequent words and the memory for rare ones stay of the order of the number of words. Weights are whole and their
    sums below 2^24, so single precision is exact, in any order: the result is symmetric.
    """

    dense: Weights
    dense_weights: Weights
    rare: Incidence | None
    rare_weighted: Incidence | None

    @staticmethod
    def of(texts: NDArray[np.int64], words: NDArray[np.int64], weights: Weights, distinct: int) -> CommonWeight:
        """From pairs (once each) of a text and a word that it has, and the weight of each word."""
        texts_with = np.bincount(words, minlength=len(weights)) * (weights > 0)
        frequent = texts_with >= max(2, distinct // _FEWEST_FOR_DENSE)
        column = np.cumsum(frequent) - 1
        dense = np.zeros((distinct, int(np.count_nonzero(frequent))), np.float32)
        in_dense = frequent[words]
        dense[texts[in_dense], column[words[in_dense]]] = 1

        in_rare = ((texts_with >= 2) & ~frequent)[words]
        if not in_rare.any():
            return CommonWeight(dense, weights[frequent], None, None)
        places, shape = (texts[in_rare], words[in_rare]), (distinct, len(weights))
        ones = np.ones(len(places[0]), np.float32)
        return CommonWeight(
            dense,
            weights[frequent],
            sparse.csr_array((ones, places), shape=shape),
            sparse.csr_array((weights[places[1]], places), shape=shape),
        )

    def rows(self, rows: slice) -> Weights:
        """The weight that the texts of some rows have in common with each text: (rows, D)."""
        common: Weights = np.matmul(self.dense[rows] * self.dense_weights, self.dense.T)
        if self.rare is not None and self.rare_weighted is not None:
            others = (self.rare_weighted[rows] @ self.rare.T).tocoo()
            common[others.coords] += others.data
        return common
