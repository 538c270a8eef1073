"""Runs of words in many texts: which there are, and how many texts of each group hold them. Knows words, no prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import numpy as np

from collapsecli.modes.weights import RAREST, weight, word_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from collapsecli.contrasts.pairs import Bools, Integers

    Words = Sequence[str]

COMMON = weight(50, 100)  # a word in the answers to half of all prompts
NEARLY_ALL = 0.9
_ROUNDING = 1e-9


def says_something(word: str) -> bool:
    """Whether a word stands in the answers to fewer than half of all prompts, by the frozen table of word weights."""
    return word_weights().get(word, RAREST) > COMMON


def fewest_with(texts: Integers, least: int, least_share: float) -> Integers:
    """How many of so many texts must hold a run, for it to occur among them: so many, and such a share of them."""
    fewest: Integers = np.maximum(least, np.ceil(least_share * texts - _ROUNDING)).astype(np.int64)
    return fewest


# ------------------------------------------------------------------------------------------------------------- corpus


class Corpus(NamedTuple):
    """N texts as T words on end.

    words: (T,) numbers of the words, spelled as `spelled` says. texts, places, ends: (T,) the text of each word, its
    place there, and where the text ends among all words. groups: (N,) the group of each text.
    """

    words: Integers
    texts: Integers
    places: Integers
    ends: Integers
    groups: Integers
    spelled: list[str]

    @staticmethod
    def of(texts: Iterable[tuple[int, Words]]) -> Corpus:
        """From the group and the words of each text; those without words are left out."""
        numbers: dict[str, int] = {}
        groups: list[int] = []
        numbered: list[Integers] = []
        for group, text in texts:
            if text:
                groups.append(group)
                numbered.append(np.array([numbers.setdefault(word, len(numbers)) for word in text], np.int64))
        lengths = np.array([len(text) for text in numbered], np.int64)
        words = np.concatenate(numbered) if numbered else np.zeros(0, np.int64)
        ends = np.repeat(np.cumsum(lengths), lengths)
        return Corpus(
            words=words,
            texts=np.repeat(np.arange(len(numbered)), lengths),
            places=np.arange(len(words)) - ends + np.repeat(lengths, lengths),
            ends=ends,
            groups=np.array(groups, np.int64),
            spelled=list(numbers),
        )

    def begins(self, run: Integers) -> Integers:
        """The places among all words where a run of words begins, given by their numbers (L,)."""
        begins = np.flatnonzero(self.words == run[0])
        begins = begins[begins + len(run) <= self.ends[begins]]
        for step, word in enumerate(run[1:].tolist(), 1):
            begins = begins[self.words[begins + step] == word]
        return begins


# ------------------------------------------------------------------------------------------------------------- search


class Held(NamedTuple):
    """In how many texts of which group runs are held: (P,) each, one entry for a run and a group that holds it."""

    runs: Integers
    groups: Integers
    texts: Integers


class Runs(NamedTuple):
    """All R runs of one length. words: (R, L) their numbers; places: (R,) the first place of each in any text."""

    words: Integers
    places: Integers
    held: Held


def runs_of(corpus: Corpus, longest: int, kept: Callable[[Held], Bools]) -> Iterator[Runs]:
    """The runs of words that are kept, of one word up to `longest`, all of one length at a time.

    Every run is named by the name of the run without its last word and by that word. `kept` says of each entry whether
    it is enough to keep its run; a run whose shorter one is dropped is dropped with it, so that what is enough for a
    run must be so for its parts.
    """
    begins = np.arange(len(corpus.words))
    names = np.zeros_like(begins)
    for length in range(1, longest + 1):
        fits = begins + length <= corpus.ends[begins]
        begins = begins[fits]
        spelling = names[fits] * len(corpus.spelled) + corpus.words[begins + length - 1]
        _, first, names = np.unique(spelling, return_index=True, return_inverse=True)
        held = _held(names, corpus.texts[begins], corpus)
        is_kept = np.zeros(len(first), np.bool_)
        is_kept[held.runs[kept(held)]] = True
        number = np.cumsum(is_kept) - 1
        of_kept = is_kept[held.runs]
        places = np.full(len(first), len(corpus.words))
        np.minimum.at(places, names, corpus.places[begins])
        yield Runs(
            words=corpus.words[begins[first[is_kept]][:, None] + np.arange(length)],
            places=places[is_kept],
            held=Held(number[held.runs[of_kept]], held.groups[of_kept], held.texts[of_kept]),
        )
        begins, names = begins[is_kept[names]], number[names[is_kept[names]]]


def _held(names: Integers, texts: Integers, corpus: Corpus) -> Held:
    """In how many texts each run is held; names, texts: the run, and the text, at each place where a run begins."""
    texts_in_all, groups_in_all = max(len(corpus.groups), 1), int(corpus.groups.max(initial=0)) + 1
    held = _distinct(names * texts_in_all + texts)
    in_groups = held // texts_in_all * groups_in_all + corpus.groups[held % texts_in_all]
    entries, counts = np.unique(in_groups, return_counts=True)
    return Held(entries // groups_in_all, entries % groups_in_all, counts)


def _distinct(values: Integers) -> Integers:
    """The distinct ones of values that are not negative, in order: by sorting, ten times as fast here as by hashing."""
    ordered = np.sort(values)
    return ordered[np.diff(ordered, prepend=-1) > 0]


# ------------------------------------------------------------------------------------------------------------- choice


class Counted(Protocol):
    """A run of words and the number of texts that hold it."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words."""

    @property
    def texts(self) -> int:
        """The number of texts."""


Run = TypeVar("Run", bound=Counted)


def maximal(runs: Sequence[Run]) -> list[Run]:
    """The runs that not nearly all of their texts hold within one and the same longer run; `runs`: shortest first."""
    most_within: dict[tuple[str, ...], int] = {}
    found = []
    for run in reversed(runs):
        inside = most_within.get(run.words, 0)
        is_maximal = inside < NEARLY_ALL * run.texts
        if is_maximal:
            found.append(run)
        for shorter in (run.words[1:], run.words[:-1]):
            most_within[shorter] = max(most_within.get(shorter, 0), run.texts if is_maximal else inside)
    return found
