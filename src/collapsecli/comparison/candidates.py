"""Phrases that seem to be said more often on one side: found in some draws, to be measured in others.

Knows texts and their prompts, no intervals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from collapsecli.contrasts.wordruns import Corpus, fewest_with, maximal, runs_of, says_something
from collapsecli.modes.weights import RAREST, weight, word_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from collapsecli.contrasts.pairs import Bools, Integers
    from collapsecli.contrasts.wordruns import Held, Runs

    Floats = NDArray[np.float64]
    Texts = Sequence[str | None]

LONGEST = 6  # words of a phrase
MOST_CANDIDATES = 32  # of each direction
FEWEST_WITH, LEAST_SHARE = 2, 0.05  # completions of a prompt and a side that hold a phrase, for it to be looked at
FEWEST_OF_ALL, LEAST_SHARE_OF_ALL = 4, 0.01  # or of a side, over all prompts
ENOUGH = weight(20, 100)  # a word in the answers to a fifth of all prompts
LEAST_Z = 2.0
_SHORT = 2  # words of a phrase of which one word that says something is not enough
_OFTEN_TOUCHING, _SAME_TEXTS = 0.5, 0.7


class Candidate(NamedTuple):
    """A phrase, and whether the run rather than the base seems to say it more often."""

    words: tuple[str, ...]
    is_lifted: bool


def counts_in(words: Sequence[str], asked: frozenset[str]) -> bool:
    """Whether a phrase says enough in a prompt, given the words of that prompt: these do not count."""
    return sum(told_by(word) for word in words if word not in asked) >= _enough(len(words))


def told_by(word: str) -> int:
    """How much a word says: nothing if it is common or a number, all if it is a sign or emoji, else its weight."""
    if word[0].isdecimal() or not says_something(word):
        return 0
    return _weight(word)


def _weight(word: str) -> int:
    return word_weights().get(word, RAREST) if word.isalnum() else RAREST


def _enough(words: int) -> int:
    """What a phrase of so many words must say, words that say something taken together."""
    return 1 if words > _SHORT else ENOUGH


def candidates(
    sides: Sequence[tuple[Texts, Texts]], asked: Sequence[frozenset[str]], read: Callable[[str], Sequence[str]]
) -> list[Candidate]:
    """The phrases that seem to be told of one side, 32 of each direction at most, the most telling first.

    sides: (V,) what the base and the run said to each prompt, None where it is lost. asked: (V,) the prompts' words.
    read: gives the words of a completion.

    A phrase is a run of one to six words. It is looked at if two completions of one prompt and one side hold it, and
    5 % of them, or four of a side in all, and 1 %. It counts in a prompt if its words that the prompt has not say
    something, which common words (in the answers to half of all prompts, by the frozen table of word weights) and
    numbers never do. One or two words must say as much as a word in the answers to a fifth of all prompts, each of the
    two something. How far a phrase lies to one side is the z of Cochran (1954) over the prompts in which it counts: two
    at least. One that hardly ever stands alone, but within a longer one, is left to that. The order is by z, and by the
    fourth root of the words' weights, so that among equals the unusual comes first. Of phrases that are of one kind
    only the first is taken: if in half of the completions that hold the later one they overlap or touch, or if nearly
    the same completions hold both.
    """
    corpus = Corpus.of(
        (2 * prompt + side, read(text))
        for prompt, both in enumerate(sides)
        for side, texts in enumerate(both)
        for text in texts
        if text is not None
    )
    drawn = np.array([[sum(text is not None for text in texts) for texts in both] for both in sides], np.int64)
    leaning = _Leaning.of(corpus, drawn.reshape(-1, 2), asked)
    found: tuple[list[_Run], list[_Run]] = ([], [])
    for runs in runs_of(corpus, LONGEST, leaning.is_looked_at):
        for run in leaning.runs(runs):
            found[int(run.z > 0)].append(run)
    return [
        Candidate(run.words, bool(side))
        for side in (1, 0)
        for run in _one_of_each_kind(sorted(maximal(found[side]), key=_order), corpus, side)
    ]


# ------------------------------------------------------------------------------------------------------- which side


class _Run(NamedTuple):
    """A run of words, as words and as the corpus numbers them.

    texts: completions of the side to which it lies that hold it. z: how far it lies there, negative for the base.
    weights: of its words in all. place: the first in any completion.
    """

    words: tuple[str, ...]
    numbers: tuple[int, ...]
    texts: int
    z: float
    weights: int
    place: int


class _Leaning(NamedTuple):
    """What is needed to see to which side a run of words leans.

    corpus: the texts; the group of prompt v is 2 v for the base and 2 v + 1 for the run. drawn: (V, 2) completions that
    came back. told: (W,) how much every word says. asked: the words of prompts, as prompt times W plus word.
    """

    corpus: Corpus
    drawn: Integers
    told: Integers
    asked: Integers

    @staticmethod
    def of(corpus: Corpus, drawn: Integers, asked: Sequence[frozenset[str]]) -> _Leaning:
        """From the texts, (V, 2) numbers of them, and the words of each prompt."""
        numbers = {word: number for number, word in enumerate(corpus.spelled)}
        of_prompts = [
            prompt * len(numbers) + numbers[word]
            for prompt, words in enumerate(asked)
            for word in words
            if word in numbers
        ]
        told = np.array([told_by(word) for word in corpus.spelled], np.int64)
        return _Leaning(corpus, drawn, told, np.array(of_prompts, np.int64))

    def is_looked_at(self, held: Held) -> Bools:
        """Which entries hold a run often enough in one prompt, or on one side."""
        side = held.groups % 2
        of_side = 2 * held.runs + side
        in_all = np.bincount(of_side, held.texts)[of_side]
        in_prompt: Bools = held.texts >= fewest_with(self.drawn, FEWEST_WITH, LEAST_SHARE).ravel()[held.groups]
        on_side: Bools = in_all >= fewest_with(self.drawn.sum(axis=0), FEWEST_OF_ALL, LEAST_SHARE_OF_ALL)[side]
        return in_prompt | on_side

    def runs(self, runs: Runs) -> Iterator[_Run]:
        """Those that lean to a side and say something."""
        is_pair, says_nothing = runs.words.shape[1] == 2, (self.told[runs.words] == 0).any(axis=1)
        z, texts = self._z(runs)
        leans = (np.abs(z) >= LEAST_Z) & ~(is_pair & says_nothing)
        for run in np.flatnonzero(leans).tolist():
            numbers = tuple(runs.words[run].tolist())
            words = tuple(self.corpus.spelled[number] for number in numbers)
            weights = sum(_weight(word) for word in words)
            yield _Run(words, numbers, int(texts[run, int(z[run] > 0)]), float(z[run]), weights, int(runs.places[run]))

    def _z(self, runs: Runs) -> tuple[Floats, Integers]:
        """Of R runs of one length, z (R,) and the completions (R, 2) that hold them, over the prompts where they count.

        z is zero for what counts nowhere, or for what all completions hold of the prompts in which any does.
        """
        prompts, side, words = runs.held.groups // 2, runs.held.groups % 2, runs.words[runs.held.runs]
        is_asked = np.isin(prompts[:, None] * len(self.told) + words, self.asked)
        counts = np.where(is_asked, 0, self.told[words]).sum(axis=1) >= _enough(words.shape[1])
        tables, entry = np.unique(runs.held.runs[counts] * len(self.drawn) + prompts[counts], return_inverse=True)
        texts = runs.held.texts[counts]
        of_table = np.bincount(2 * entry + side[counts], texts, minlength=2 * len(tables)).reshape(-1, 2)
        run, drawn = tables // len(self.drawn), self.drawn[tables % len(self.drawn)]
        holding, n = of_table.sum(axis=1), drawn.sum(axis=1)
        more = of_table[:, 1] - holding * drawn[:, 1] / n
        variance = holding * (n - holding) * drawn.prod(axis=1) / (n**2 * np.maximum(n - 1, 1))
        total, spread = (np.bincount(run, of_run, minlength=len(runs.words)) for of_run in (more, variance))
        in_all = np.stack([np.bincount(run, one, minlength=len(runs.words)) for one in of_table.T], axis=1)
        z: Floats = np.divide(total, np.sqrt(spread), out=np.zeros(len(total)), where=spread > 0)
        return z, in_all.astype(np.int64)


# ----------------------------------------------------------------------------------------------------------- choice


def _order(run: _Run) -> tuple[float, int, int, tuple[str, ...]]:
    return -abs(run.z) * min(run.weights, RAREST) ** 0.25, -len(run.words), run.place, run.words


def _one_of_each_kind(runs: Sequence[_Run], corpus: Corpus, side: int) -> list[_Run]:
    """The first of each kind, among the completions of one side."""
    drawn = int((corpus.groups % 2 == side).sum())
    is_taken = np.zeros(len(corpus.words), np.bool_)
    found: list[_Run] = []
    holding: list[Integers] = []
    for run in runs:
        if len(found) == MOST_CANDIDATES:
            break
        begins = corpus.begins(np.array(run.numbers))
        begins = begins[corpus.groups[corpus.texts[begins]] % 2 == side]
        texts = np.unique(corpus.texts[begins])
        covered = begins[:, None] + np.arange(len(run.words))
        touching = np.unique(corpus.texts[begins[is_taken[covered].any(axis=1)]])
        if len(touching) < _OFTEN_TOUCHING * len(texts) and not any(_are_same(texts, one, drawn) for one in holding):
            found.append(run)
            holding.append(texts)
            around = np.clip(begins[:, None] + np.arange(-1, len(run.words) + 1), 0, len(corpus.words) - 1)
            is_taken[around[corpus.texts[around] == corpus.texts[begins][:, None]]] = True
    return found


def _are_same(one: Integers, other: Integers, drawn: int) -> bool:
    """Whether two sets of so many texts nearly agree: their correlation is .7 at least."""
    both = len(np.intersect1d(one, other, assume_unique=True))
    spread = len(one) * (drawn - len(one)) * len(other) * (drawn - len(other))
    return spread > 0 and drawn * both - len(one) * len(other) >= _SAME_TEXTS * spread**0.5
