"""Runs of words: those that completions of several prompts share, and those that a completion takes from its prompt.

Knows words, no cells and no sentences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from collapsecli.contrasts.pairs import mean_share
from collapsecli.modes import canonical
from collapsecli.modes.weights import RAREST, weight, word_weights
from collapsecli.modes.words import words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from collapsecli.contrasts.pairs import Integers
    from collapsecli.records import Estimate

    Words = Sequence[str]

SHORTEST, LONGEST = 3, 8  # words of a phrase
MOST_PHRASES = 5
FEWEST_WITH, LEAST_SHARE = 2, 0.05  # completions of a prompt that hold a phrase, for it to occur in that prompt
COPIED_RUN = 6
COMMON = weight(50, 100)  # a word in the answers to half of all prompts
_NEARLY_ALL = 0.9
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Phrase:
    """A run of words that completions of several prompts share.

    prompts: in how many it occurs, counted where the phrase was chosen; share: of the completions that hold it, the
        mean over all prompts, counted on `n` others.
    """

    words: tuple[str, ...]
    prompts: int
    share: Estimate
    n: int


def shared_phrases(texts: Sequence[Sequence[Words | None]], asked: Sequence[str], alpha: float) -> list[Phrase]:
    """The phrases that occur in most prompts, five at most, from the completions of V prompts.

    texts: V times M completions in sample order, as words; None for those lost. asked: (V,) the prompts.

    A phrase is a run of 3 to 8 words. It occurs in a prompt if at least two of its completions hold it, and 5 % of
    them; it counts if it occurs in two prompts and has a word that is neither in any of these nor in the answers to
    half of all prompts (by the frozen table of word weights). One that hardly ever stands alone, but within a longer
    one, is left to that; of those that share three words in a row only the one of most prompts is taken (ties: of most
    completions, the longest, the earliest). Phrases are chosen on the even completions and counted on the odd ones, so
    that their shares are not those of the luckiest; each interval is of one phrase by itself.
    """
    runs = list(_shared_runs([row[::2] for row in texts]))
    words_asked = [frozenset(words_of(canonical(text))) for text in asked]
    telling = [run for run in runs if _says_something(run.words, [words_asked[place] for place in run.prompts])]
    counted = [f" {' '.join(words)} " for row in texts for words in row[1::2] if words is not None]
    lost = sum(words is None for row in texts for words in row[1::2])
    found = []
    for run in _first_of_their_kind(_maximal(telling)):
        hits = sum(f" {' '.join(run.words)} " in text for text in counted)
        found.append(Phrase(run.words, len(run.prompts), mean_share(hits, len(counted), alpha, lost), len(counted)))
    return found


def is_copied(words: Words, asked: Words) -> bool:
    """Whether at least half of a text's words stand in runs of six or more that stand so in its prompt."""
    known = set(_windows(asked))
    copied = np.zeros(len(words), np.bool_)
    for begin, run in enumerate(_windows(words)):
        if run in known:
            copied[begin : begin + COPIED_RUN] = True
    return bool(copied.any()) and 2 * int(copied.sum()) >= len(words)


def quoted(words: Words, texts: Iterable[str]) -> str:
    """A run of words as the first of the texts that has it spells it, with case and punctuation; else spaced."""
    plain = _spaced(words)
    spelled = re.compile(r"[\W_]+".join(map(re.escape, plain.split(" "))), re.IGNORECASE)
    found = next(filter(None, map(spelled.search, texts)), None)
    return " ".join(found.group().split()) if found else plain


def _spaced(words: Words) -> str:
    """Words with spaces, but run together again where every two neighbouring characters were taken for a word."""
    text = "".join(words[:1])
    for before, word in pairwise(words):
        is_pair = len(before) == len(word) == 2 and before[1] == word[0] and word.lower() == word.upper()
        text += word[1] if is_pair and not word.isascii() else f" {word}"
    return text


def _windows(words: Words) -> Iterator[tuple[str, ...]]:
    return (tuple(words[begin : begin + COPIED_RUN]) for begin in range(len(words) - COPIED_RUN + 1))


# ----------------------------------------------------------------------------------------------------------- search


class _Run(NamedTuple):
    """A run of words, the prompts in which it occurs, the number of their completions that hold it, its first place."""

    words: tuple[str, ...]
    prompts: tuple[int, ...]
    texts: int
    place: int


class _Corpus(NamedTuple):
    """Completions of V prompts as T words on end.

    words: (T,) numbers of the words, spelled as `spelled` says. texts, places, ends: (T,) the completion of each word,
    its place there, and where the completion ends among all words. prompts: the prompt of each completion. fewest: (V,)
    completions of a prompt that must hold a run, for it to occur there.
    """

    words: Integers
    texts: Integers
    places: Integers
    ends: Integers
    prompts: Integers
    fewest: Integers
    spelled: list[str]

    @staticmethod
    def of(texts: Sequence[Sequence[Words | None]]) -> _Corpus:
        """From V times M completions as words, None for those that are lost."""
        known = [(prompt, words) for prompt, row in enumerate(texts) for words in row if words]
        numbers: dict[str, int] = {}
        words = [numbers.setdefault(word, len(numbers)) for _, text in known for word in text]
        lengths = np.array([len(text) for _, text in known], np.int64)
        ends = np.repeat(np.cumsum(lengths), lengths)
        came_back = np.array([sum(text is not None for text in row) for row in texts])
        return _Corpus(
            words=np.array(words, np.int64),
            texts=np.repeat(np.arange(len(known)), lengths),
            places=np.arange(len(words)) - ends + np.repeat(lengths, lengths),
            ends=ends,
            prompts=np.array([prompt for prompt, _ in known], np.int64),
            fewest=np.maximum(FEWEST_WITH, np.ceil(LEAST_SHARE * came_back - _ROUNDING)).astype(np.int64),
            spelled=list(numbers),
        )


def _shared_runs(texts: Sequence[Sequence[Words | None]]) -> Iterator[_Run]:
    """The runs of words that occur in two prompts or more, the shortest first.

    Every run is named by the name of the run without its last word and by that word. A run occurs nowhere where that
    shorter one does not, so all others are dropped on the way.
    """
    corpus = _Corpus.of(texts)
    begins = np.arange(len(corpus.words))
    names = np.zeros_like(begins)
    for length in range(1, LONGEST + 1):
        fits = begins + length <= corpus.ends[begins]
        begins = begins[fits]
        spelling = names[fits] * len(corpus.spelled) + corpus.words[begins + length - 1]
        _, first, names = np.unique(spelling, return_index=True, return_inverse=True)
        occurring = _occurrences(names, corpus.texts[begins], corpus)
        if length >= SHORTEST:
            earliest = np.full(len(first), len(corpus.words))
            np.minimum.at(earliest, names, corpus.places[begins])
            for name, (prompts, holding) in occurring.items():
                run = corpus.words[begins[first[name]] :][:length].tolist()
                yield _Run(tuple(corpus.spelled[word] for word in run), prompts, holding, int(earliest[name]))
        kept = np.isin(names, list(occurring))
        begins, names = begins[kept], names[kept]


def _occurrences(names: Integers, texts: Integers, corpus: _Corpus) -> dict[int, tuple[tuple[int, ...], int]]:
    """For each run that occurs in two prompts or more, these, and how many of their completions hold it.

    names, texts: the run, and the completion, at each place where a run begins.
    """
    texts_in_all, prompts_in_all = max(len(corpus.prompts), 1), len(corpus.fewest)
    held = np.unique(names * texts_in_all + texts)
    by_prompt = held // texts_in_all * prompts_in_all + corpus.prompts[held % texts_in_all]
    pairs, counts = np.unique(by_prompt, return_counts=True)
    occurs = counts >= corpus.fewest[pairs % prompts_in_all]
    found: dict[int, tuple[tuple[int, ...], int]] = {}
    for pair, count in zip(pairs[occurs].tolist(), counts[occurs].tolist(), strict=True):
        name, prompt = divmod(pair, prompts_in_all)
        prompts, holding = found.get(name, ((), 0))
        found[name] = ((*prompts, prompt), holding + count)
    return {name: one for name, one in found.items() if len(one[0]) > 1}


# ----------------------------------------------------------------------------------------------------------- choice


def _says_something(words: Words, asked: Sequence[frozenset[str]]) -> bool:
    weights = word_weights()
    return any(
        weights.get(word, RAREST) > COMMON and not any(word in of_prompt for of_prompt in asked) for word in words
    )


def _maximal(runs: Sequence[_Run]) -> list[_Run]:
    """The runs that not nearly all of their completions hold within one and the same longer run."""
    most_within: dict[tuple[str, ...], int] = {}
    found = []
    for run in reversed(runs):
        inside = most_within.get(run.words, 0)
        is_maximal = inside < _NEARLY_ALL * run.texts
        if is_maximal:
            found.append(run)
        for shorter in (run.words[1:], run.words[:-1]):
            most_within[shorter] = max(most_within.get(shorter, 0), run.texts if is_maximal else inside)
    return found


def _order(run: _Run) -> tuple[int, int, int, int, tuple[str, ...]]:
    return -len(run.prompts), -run.texts, -len(run.words), run.place, run.words


def _first_of_their_kind(runs: Sequence[_Run]) -> list[_Run]:
    found: list[_Run] = []
    taken: set[tuple[str, ...]] = set()
    for run in sorted(runs, key=_order):
        parts = {run.words[begin : begin + SHORTEST] for begin in range(len(run.words) - SHORTEST + 1)}
        if len(found) < MOST_PHRASES and taken.isdisjoint(parts):
            found.append(run)
            taken |= parts
    return found
