"""Runs of words: those that completions of several prompts share, and those that a completion takes from its prompt.

Knows words, no cells and no sentences.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from collapsecli.contrasts.pairs import mean_share
from collapsecli.contrasts.wordruns import Corpus, Held, fewest_with, maximal, runs_of, says_something
from collapsecli.modes import canonical
from collapsecli.modes.words import words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from collapsecli.contrasts.pairs import Bools
    from collapsecli.records import Estimate

    Words = Sequence[str]

SHORTEST, LONGEST = 3, 8  # words of a phrase
MOST_PHRASES = 5
FEWEST_WITH, LEAST_SHARE = 2, 0.05  # completions of a prompt that hold a phrase, for it to occur in that prompt
COPIED_RUN = 6
_BEGINS, _ENDS = r"(?<![a-zA-Z0-9])", r"(?![a-zA-Z0-9])"  # of a word of a script that puts spaces between words


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
    for run in _first_of_their_kind(maximal(telling)):
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
    written = r"[\W_]+".join(map(re.escape, plain.split(" ")))
    begins, ends = (edge if _is_spaced(plain[at:][:1]) else "" for at, edge in ((0, _BEGINS), (-1, _ENDS)))
    spelled = re.compile(begins + written + ends, re.IGNORECASE)
    found = next(filter(None, map(spelled.search, texts)), None)
    return " ".join(found.group().split()) if found else plain


def _is_spaced(character: str) -> bool:
    return character.isascii() and character.isalnum()


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


def _shared_runs(texts: Sequence[Sequence[Words | None]]) -> Iterator[_Run]:
    """The runs of words that occur in two prompts or more, the shortest first."""
    corpus = Corpus.of((prompt, words) for prompt, row in enumerate(texts) for words in row if words)
    came_back = np.array([sum(text is not None for text in row) for row in texts], np.int64)
    fewest = fewest_with(came_back, FEWEST_WITH, LEAST_SHARE)

    def occurring(held: Held) -> Bools:
        return held.texts >= fewest[held.groups]

    def shared(held: Held) -> Bools:
        prompts = np.bincount(held.runs[occurring(held)], minlength=int(held.runs.max(initial=0)) + 1)
        return prompts[held.runs] > 1

    for runs in runs_of(corpus, LONGEST, shared):
        if runs.words.shape[1] >= SHORTEST:
            where = _by_run(Held(*(column[occurring(runs.held)] for column in runs.held)))
            for name, (run, place) in enumerate(zip(runs.words.tolist(), runs.places.tolist(), strict=True)):
                prompts, holding = zip(*where[name], strict=True)
                yield _Run(tuple(corpus.spelled[word] for word in run), prompts, sum(holding), place)


def _by_run(held: Held) -> dict[int, list[tuple[int, int]]]:
    """The groups of each run, each with the number of its texts."""
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for run, group, texts in zip(*(column.tolist() for column in held), strict=True):
        found[run].append((group, texts))
    return found


# ----------------------------------------------------------------------------------------------------------- choice


def _says_something(words: Words, asked: Sequence[frozenset[str]]) -> bool:
    return any(says_something(word) and not any(word in of_prompt for of_prompt in asked) for word in words)


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
