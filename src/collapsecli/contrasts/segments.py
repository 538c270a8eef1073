"""Completions as sentences, what a cell keeps saying, and when a text comes back to it. Knows no intervals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from collapsecli.modes import canonical, like_any
from collapsecli.modes.words import words_of
from collapsecli.sentences import finished, sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from collapsecli.records import Completion

REFERENCES = 16  # a fixed number: the more sentences a text is held against, the more often it is alike one by chance
CANDIDATES = 1024  # more would cost time, and what is said again and again is among the first


@dataclass(frozen=True, slots=True)
class Said:
    """A completion by its finished sentences. Those without a letter or digit (`* * *`) say nothing and are left out.

    sentences: as written; `segments`: in the form in which texts are compared.
    cut: whether the token limit ended the text: how it would have gone on is not known.
    """

    sample_index: int
    sentences: tuple[str, ...]
    segments: tuple[str, ...]
    cut: bool

    @classmethod
    def of(cls, completion: Completion) -> Said:
        """What a completion says."""
        cut = completion.finish_reason == "length"
        return cls(completion.sample_index, *_split(completion.text, cut), cut)


@lru_cache(maxsize=1 << 12)  # collapsed cells say the same again, and a plain cell is held against many injected ones
def _split(text: str, cut: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    with_words = _with_words(finished(text, cut=cut))
    return with_words, tuple(map(canonical, with_words))


def _with_words(several: Sequence[str]) -> tuple[str, ...]:
    return tuple(sentence.strip() for sentence in several if any(map(str.isalnum, sentence)))


@dataclass(frozen=True, slots=True)
class Reference:
    """What a cell keeps saying: sentences (at most `REFERENCES`, canonical), no two of them alike.

    `prompt` holds the words that are no evidence when two sentences share them: those of the cell's own prompt.
    """

    sentences: tuple[str, ...]
    prompt: str

    @classmethod
    def of(cls, texts: Sequence[Said], prompt: str, injected: str = "") -> Reference:
        """The sentences that most of some texts hold; ties prefer the earliest.

        The first thousand or so different ones are considered. Once a sentence is chosen, those alike it are not. Two
        kinds are never chosen, for to say them is no way back: sentences of the prompt's words alone, which repeat what
        was asked, and sentences alike one of `injected`, which repeat what the text was pushed off with (or, at a later
        branch, what stood there already).
        """
        places: dict[str, int] = {}
        considered: list[Said] = []
        for text in texts:
            if len(places) >= CANDIDATES:
                break
            considered.append(text)
            for segment in text.segments:
                places.setdefault(segment, len(places))
        if not places:
            return cls((), prompt)
        holds = np.zeros((len(considered), len(places)), np.bool_)
        for row, text in enumerate(considered):
            holds[row, [places[segment] for segment in text.segments]] = True
        asked = frozenset(words_of(canonical(prompt)))
        is_asked = [asked.issuperset(words_of(candidate)) for candidate in places]
        pushed = [canonical(sentence) for sentence in _with_words(sentences(injected))]
        return cls(_most_held(list(places), holds, np.array(is_asked, np.bool_), pushed, prompt), prompt)

    def found_in(self, texts: Sequence[Sequence[str]]) -> NDArray[np.int64]:
        """The number, from 1, of the first segment of each of N texts that is alike any sentence: (N,), 0 for none."""
        flat = [segment for text in texts for segment in text]
        if not flat or not self.sentences:
            return np.zeros(len(texts), np.int64)
        alike = like_any(self.sentences, flat, self.prompt).any(axis=0)
        rows = np.split(alike, list(accumulate(map(len, texts)))[:-1])
        return np.array([int(row.argmax()) + 1 if row.any() else 0 for row in rows], np.int64)


def _most_held(
    candidates: Sequence[str],
    holds: NDArray[np.bool_],
    is_taken: NDArray[np.bool_],
    pushed: Sequence[str],
    prompt: str,
) -> tuple[str, ...]:
    """Leaders by degree: the candidate that most texts hold takes those alike it, then the next one that is free.

    holds: (texts, candidates); is_taken: (candidates,) those that are not free from the start, nor are those alike any
    of `pushed`.
    """
    alike = like_any([*candidates, *pushed], candidates, prompt)
    among = alike[: len(candidates)]
    texts_with = (holds.astype(np.float32) @ among.astype(np.float32) > 0).sum(axis=0)
    is_free = ~(is_taken | alike[len(candidates) :].any(axis=0))
    chosen: list[str] = []
    for place in np.argsort(-texts_with, kind="stable").tolist():
        if is_free[place] and len(chosen) < REFERENCES:
            chosen.append(candidates[place])
            is_free &= ~among[place]
    return tuple(chosen)


@dataclass(frozen=True, slots=True)
class Returns:
    """When N completions came back, if they did.

    first: (N,) the number, from 1, of the sentence that is back; 0 where none is.
    seen: (N,) the sentences of each completion.
    cut: (N,) whether it might have gone on.
    lost: further draws, of which nothing is known.
    """

    first: NDArray[np.int64]
    seen: NDArray[np.int64]
    cut: NDArray[np.bool_]
    lost: int

    @classmethod
    def of(cls, reference: Reference, texts: Sequence[Said], lost: int, *, passed: int = 0) -> Returns:
        """When some texts came back; with `passed` sentences gone by, from that place on, of those that go on there.

        One that ended by then was never to come back; of one that was cut off by then nothing is known.
        """
        there = [text for text in texts if not passed or len(text.segments) > passed]
        rests = [text.segments[passed:] for text in there]
        return cls(
            reference.found_in(rests),
            np.array([len(rest) for rest in rests], np.int64),
            np.array([text.cut for text in there], np.bool_),
            lost + sum(text.cut for text in texts if passed and len(text.segments) <= passed),
        )

    def by(self, sentence: int) -> tuple[int, int, int]:
        """The completions that are back by a sentence, those of which it is known, and the draws of which it is not.

        A text that ended without returning never will: ending is a competing event. One that was cut off is not known.
        """
        hits = (self.first > 0) & (self.first <= sentence)
        unknown = int((self.cut & ~hits & (self.seen < sentence)).sum())
        return int(hits.sum()), len(hits) - unknown, self.lost + unknown

    def incidence(self, last: int) -> list[float | None]:
        """The share that is back by each sentence up to the `last`, as far as known (Aalen & Johansen 1978).

        Whether there is another sentence is seen in every text, and whether it is back in those that were not cut off
        in it: these stand for those that were. Without cuts it is hits / N. To leave out whoever is not known would
        favour the early returns, which always are. None from where all are cut.
        """
        shares: list[float | None] = []
        back, going_on = 0.0, 1.0
        for sentence in range(1, last + 1):
            is_open = (self.first == 0) | (self.first >= sentence)
            there = int((is_open & (self.seen >= sentence - 1)).sum())
            whole = int((is_open & (self.seen >= sentence)).sum())
            ended = int((is_open & ~self.cut & (self.seen == sentence - 1)).sum())
            going_on *= 1 - ended / there if there else 1
            if whole:
                returned = int((self.first == sentence).sum()) / whole
                back, going_on = back + going_on * returned, going_on * (1 - returned)
            elif going_on:
                return [*shares, *[None] * (last - len(shares))]
            shares.append(back)
        return shares

    @property
    def spent(self) -> NDArray[np.int64]:
        """(N,) the sentences that might have been back: all up to and including the return, or the end."""
        return np.where(self.first > 0, self.first, self.seen)

    @property
    def at_risk(self) -> int:
        """All of these together."""
        return int(self.spent.sum())
