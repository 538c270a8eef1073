"""What became common, and what was lost: phrases that more completions of one side hold. Knows texts, no cells."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from collapsecli import verdict
from collapsecli.compared import Phrase
from collapsecli.comparison.candidates import FEWEST_WITH, LEAST_SHARE, candidates, counts_in
from collapsecli.comparison.odds import log_odds
from collapsecli.contrasts.pairs import mean_share
from collapsecli.contrasts.phrases import quoted
from collapsecli.metrics.shares import p_equal
from collapsecli.modes import canonical
from collapsecli.modes.words import words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from collapsecli.comparison.candidates import Candidate
    from collapsecli.contrasts.pairs import Integers
    from collapsecli.records import Estimate

MOST_PHRASES = 8  # of each direction
MOST_TEXTS = 1 << 17  # of both sides together
MOST_WORDS = 512  # of a completion
MOST_WORDS_OF_ALL = 10_000_000
TOLD_APART = 0.2  # two-sided p-value of one prompt: in one of ten it is by chance, in each direction
_MOST_QUOTED = 64  # completions whose spelling is looked at


@dataclass(frozen=True, slots=True)
class Stratum:
    """One prompt, and what both sides said to it in sample order; None for each completion that is lost."""

    asked: str
    base: Sequence[str | None]
    run: Sequence[str | None]


def lifted_and_lost(strata: Sequence[Stratum], alpha: float) -> tuple[list[Phrase], list[Phrase]]:
    """The phrases that became more common from the base to the run, and those that became rarer; eight each at most.

    All prompts weigh the same: of each as many draws of a side count as of the one with the fewest, and no more than
    make 131,072 of both sides in all; of a completion the first 512 words, and fewer where that would be more than ten
    million in all. A prompt with fewer than two draws of a side is left out.

    Phrases are chosen on the even draws (see `candidates`), and all that is said of them is measured on the odd ones,
    so that nothing is that of the luckiest; `n` of these came back. A phrase is measured in the prompts in which it
    counts: those that do not have all of it that says something. It is told apart in one if at least two completions of
    the one side hold it there, and 5 % of them, and Fisher's exact test tells the sides apart with a two-sided p-value
    of .2 at most: without a difference one prompt in ten would be so, in each direction.

    The p-value is of no difference in any prompt (see `log_odds`). It is adjusted over all candidates of both
    directions together, 64 at most (Benjamini & Hochberg 1995); those with a q-value above alpha, and those that lie to
    the other side on the odd draws, are left out. Each interval is of one phrase by itself with the error rate alpha,
    and lost draws count against every claim. The order is that in which the phrases were chosen.
    """
    prompts = _in_step(strata)
    asked = [frozenset(_words(one.asked)) for one in prompts]
    read = partial(_words, most=_words_to_read(sum(len(one.base) + len(one.run) for one in prompts)))
    chosen = candidates([(one.base[::2], one.run[::2]) for one in prompts], asked, read)
    odd = _Odd.of(prompts, asked, read)
    found = [_measured(one, odd, alpha) for one in chosen]
    q_values = verdict.q_values([one.p_value for one in found])
    told = [
        (one, q_value) for one, q_value in zip(found, q_values, strict=True) if q_value <= alpha and one.is_confirmed
    ]
    lifted, lost = ([pair for pair in told if pair[0].candidate.is_lifted is is_lifted] for is_lifted in (True, False))
    first = (lifted[:MOST_PHRASES], lost[:MOST_PHRASES])
    lifted_phrases, lost_phrases = ([_phrase(one, q_value, odd, alpha) for one, q_value in of_way] for of_way in first)
    return lifted_phrases, lost_phrases


# -------------------------------------------------------------------------------------------------------------- draws


def _in_step(strata: Sequence[Stratum]) -> list[Stratum]:
    """The prompts that have two draws of both sides, with as many of a side as there are in the shortest."""
    usable = [one for one in strata if min(len(one.base), len(one.run)) > 1]
    most = MOST_TEXTS // (2 * max(len(usable), 1))
    base, run = (
        min([most, *lengths]) for lengths in ([len(one.base) for one in usable], [len(one.run) for one in usable])
    )
    return [Stratum(one.asked, one.base[:base], one.run[:run]) for one in usable]


def _words_to_read(texts: int) -> int:
    """Of each of so many completions."""
    return min(MOST_WORDS, MOST_WORDS_OF_ALL // max(texts, 1))


def _words(text: str, most: int | None = None) -> list[str]:
    return words_of(canonical(text))[:most]


class _Odd(NamedTuple):
    """The odd draws of V prompts, base before run.

    asked: (V,) the words of each prompt. written: (V, 2) the completions that came back. spaced: their words, with a
    space before and behind each. known, lost: (V, 2) how many came back, and how many did not.
    """

    asked: Sequence[frozenset[str]]
    written: list[list[list[str]]]
    spaced: list[list[list[str]]]
    known: Integers
    lost: Integers

    @staticmethod
    def of(prompts: Sequence[Stratum], asked: Sequence[frozenset[str]], read: Callable[[str], Sequence[str]]) -> _Odd:
        """From V prompts in step, their words, and what gives the words of a completion."""
        drawn = [[side[1::2] for side in (one.base, one.run)] for one in prompts]
        written = [[[text for text in side if text is not None] for side in sides] for sides in drawn]
        spaced = [[[_spaced(read(text)) for text in side] for side in sides] for sides in written]
        known = np.array([[len(side) for side in sides] for sides in written], np.int64).reshape(-1, 2)
        asked_for = np.array([[len(side) for side in sides] for sides in drawn], np.int64).reshape(-1, 2)
        return _Odd(asked, written, spaced, known, asked_for - known)

    def holding(self, words: Sequence[str], prompts: Sequence[int], side: int) -> Iterator[str]:
        """The completions of one side that hold a phrase, as they were written."""
        phrase = _spaced(words)
        for prompt in prompts:
            for written, spaced in zip(self.written[prompt][side], self.spaced[prompt][side], strict=True):
                if phrase in spaced:
                    yield written


def _spaced(words: Sequence[str]) -> str:
    return f" {' '.join(words)} "


# -------------------------------------------------------------------------------------------------------- measurement


class _Measured(NamedTuple):
    """A phrase, the prompts (P,) in which it counts, how many odd draws (P, 2) hold it there, and what that proves."""

    candidate: Candidate
    prompts: list[int]
    hits: Integers
    change: Estimate
    p_value: float

    @property
    def is_confirmed(self) -> bool:
        """Whether the odd draws lie to the same side as the even ones."""
        return self.change.value is not None and (self.change.value > 0) is self.candidate.is_lifted


def _measured(candidate: Candidate, odd: _Odd, alpha: float) -> _Measured:
    phrase = _spaced(candidate.words)
    prompts = [prompt for prompt, asked in enumerate(odd.asked) if counts_in(candidate.words, asked)]
    held = [[sum(phrase in text for text in side) for side in odd.spaced[prompt]] for prompt in prompts]
    hits = np.array(held, np.int64).reshape(-1, 2)
    change, p_value = log_odds(hits, odd.known[prompts], odd.lost[prompts], alpha)
    return _Measured(candidate, prompts, hits, change, p_value)


def _phrase(one: _Measured, q_value: float, odd: _Odd, alpha: float) -> Phrase:
    words, side = one.candidate.words, int(one.candidate.is_lifted)
    known, lost = odd.known[one.prompts], odd.lost[one.prompts]
    tables = np.stack([one.hits, known, lost], axis=1)
    base, run = (mean_share(hits, n, alpha, missing) for hits, n, missing in tables.sum(axis=0).T.tolist())
    spellings = Counter(quoted(words, [text]) for text in islice(odd.holding(words, one.prompts, side), _MOST_QUOTED))
    return Phrase(
        text=spellings.most_common(1)[0][0],
        base=base,
        run=run,
        prompts=sum(_is_told_apart(table, side) for table in tables.tolist()),
        of_prompts=len(one.prompts),
        log_odds=one.change,
        n=int(known.sum()),
        p_value=one.p_value,
        q_value=q_value,
    )


def _is_told_apart(table: Sequence[Sequence[int]], side: int) -> bool:
    """Whether one prompt tells that a phrase is more common on one side.

    table: (3, 2) the draws that hold it, those that came back and those that are lost, base before run.
    """
    (hits, other_hits), (n, other_n), (lost, other_lost) = (
        of_both if side == 0 else of_both[::-1] for of_both in table
    )
    if hits < max(FEWEST_WITH, LEAST_SHARE * (n + lost)) or hits * other_n <= other_hits * n:
        return False
    return p_equal(hits, n, other_hits, other_n, lost=lost, other_lost=other_lost) <= TOLD_APART
