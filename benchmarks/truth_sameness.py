"""How often the intervals of sameness across prompts hold the truth: simulated prompts whose texts have known laws.

Openings and endings are numbers where only their agreement is asked for. Phrases are chosen and counted in texts, and
some prompts are drawn by the scripted engine from all texts that they can say, and judged like those of a run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from known import equal, zipf
from truth_intervals import columns, row_of
from truth_rule import RULES, cell_of
from truth_variants import ALPHA, RUNS, Laws, alike, show

from collapsecli.contrasts.drawn import Drawn
from collapsecli.contrasts.pairs import agreement, between, within
from collapsecli.contrasts.phrases import shared_phrases
from collapsecli.contrasts.sameness import OPENING_WORDS, sameness
from collapsecli.engines import SampleRequest
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.judge import judge_cell
from collapsecli.modes import canonical, like_any
from collapsecli.modes.words import words_of
from collapsecli.records import Expect, TextAnswer
from collapsecli.sentences import finished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from known import Floats
    from truth_intervals import Row

    from collapsecli.records import Estimate

    Known = list[tuple[Estimate, float]]

DRAWS = (16, 64)
SEED = 20_260_103

# ------------------------------------------------------------------------------------------------- disjoint pairs

LAWS = (
    Laws("two prompts, one opening of 0.6", alike(2, [0.6])),
    Laws("five, one opening of 0.6", alike(5, [0.6])),
    Laws("five, an opening of 0.9 each, none shared", 0.9 * np.eye(5)),
    Laws("five, one opening always in three, never in two", np.array([[1.0, 0, 0]] * 3 + [[0, 1, 0], [0, 0, 1]])),
    Laws("five, one opening of 0.99 and once of 0.95", np.array([[0.99]] * 4 + [[0.95]])),
    Laws("twenty, Zipf over 100", alike(20, zipf(100))),
    Laws("twenty, one shares nothing", np.array([[0.8]] * 19 + [[0.0]])),
    Laws("forty, ten equal openings", alike(40, equal(10))),
    Laws("five, one opening of 0.6, a fifth of it lost", alike(5, [0.6]), losing=True),
)


def rows_of_pairs(runs: int) -> Iterator[Row]:
    """The agreement of openings or endings, of one prompt and of two."""
    for place, laws in enumerate(LAWS):
        for draws in DRAWS:
            generator = np.random.default_rng([SEED, place, draws])
            drawn = [laws.draw(draws, generator) for _ in range(runs)]
            for name, pairs in (("between", between), ("within", within)):
                places = pairs(len(laws.masses), draws)
                sides = ((labels.ravel()[places[0]], labels.ravel()[places[1]]) for labels in drawn)
                found = columns([agreement(pair, pair[0] == pair[1], ALPHA)[0] for pair in sides])
                truth = laws.agreement(places, draws)
                yield row_of(f"same_opening_{name}", laws.name, f"N = {draws}", found, truth)


# -------------------------------------------------------------------------------------------------------- phrases


@dataclass(frozen=True, slots=True)
class Planted:
    """Phrases of three words, each in a completion of a prompt with a probability of its own: (V, K)."""

    name: str
    shares: Floats

    def draw(self, draws: int, generator: np.random.Generator) -> list[list[list[str]]]:
        """Completions (V, N) as words: the phrases that they hold, between words that come once."""
        holds = generator.random((len(self.shares), draws, self.shares.shape[1])) < self.shares[:, None, :]
        return [
            [
                [
                    word
                    for phrase in np.flatnonzero(held).tolist()
                    for word in (*_phrase(phrase), f"o{at}x{draw}x{phrase}")
                ]
                for draw, held in enumerate(of_prompt)
            ]
            for at, of_prompt in enumerate(holds)
        ]


def _phrase(number: int) -> tuple[str, ...]:
    return f"wug{number}", f"dax{number}", f"blick{number}"


PLANTED = (
    Planted("five prompts, one phrase in half of all", alike(5, [0.5])),
    Planted("five prompts, forty phrases in a fifth of all", alike(5, np.full(40, 0.2))),
    Planted("five prompts, one phrase always in two", np.array([[1.0], [1.0], [0], [0], [0]])),
    Planted("ten prompts, six phrases, each in fewer", np.tril(np.full((10, 6), 0.6), -1)),
)


def rows_of_phrases(runs: int) -> Iterator[Row]:
    """The share of a phrase that was chosen among many."""
    for place, planted in enumerate(PLANTED):
        truths = {_phrase(number): float(share) for number, share in enumerate(planted.shares.mean(axis=0))}
        for draws in DRAWS:
            generator = np.random.default_rng([SEED, len(LAWS) + place, draws])
            asked = [""] * len(planted.shares)
            found = [
                (phrase.share, truths[phrase.words])
                for _ in range(runs)
                for phrase in shared_phrases(planted.draw(draws, generator), asked, ALPHA)
            ]
            yield _row("shared_phrase", planted.name, f"N = {draws}", found)


def _row(name: str, regime: str, plan: str, found: Known) -> Row:
    return row_of(name, regime, plan, columns([one for one, _ in found]), np.array([truth for _, truth in found]))


# --------------------------------------------------------------------------------------------- through the engine

_OPENINGS = (
    "There is no single answer to",
    "Many people have long wondered about",
    "It is often said of",
)
_ENDINGS = ("And so the day went by.", "Nobody ever spoke of it again!", "Life went on as before.")
_MIDDLES = 12
_SHARES = np.array(
    [
        [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]],
        [[0.6, 0.4, 0.0], [0.1, 0.1, 0.8]],
        [[0.9, 0.0, 0.1], [1 / 3, 1 / 3, 1 / 3]],
        [[0.2, 0.2, 0.6], [0.0, 0.1, 0.9]],
    ]
)


class Texts:
    """All texts that each of four prompts can say, with their probabilities, and what is true of them."""

    def __init__(self) -> None:
        self.asked = [f"Write about the zq{place}." for place in range(len(_SHARES))]
        self.of_prompt = [_weighted(place, shares) for place, shares in enumerate(_SHARES)]
        self.engine = ScriptedEngine(
            Script("sameness", {f"prompt{place}": texts for place, texts in enumerate(self.of_prompt)})
        )

    def truths(self) -> dict[str, float]:
        """The probability that two completions agree, by the name of the metric."""
        found: dict[str, float] = {}
        for name, read in (("same_opening", _opening), ("same_ending", _ending)):
            laws = [_law(texts, read) for texts in self.of_prompt]
            found |= _both(name, np.array([[_meeting(one, other) for other in laws] for one in laws]))
        alike_texts = [[self._alike(one, other) for other in range(len(_SHARES))] for one in range(len(_SHARES))]
        return found | _both("same_text", np.array(alike_texts))

    def share_with(self, phrase: str) -> float:
        """The mean share of completions that hold a phrase."""
        run = _spaced(phrase)
        holds = [sum(mass for text, mass in texts.items() if run in _spaced(text)) for texts in self.of_prompt]
        return float(np.mean(holds))

    def _alike(self, one: int, other: int) -> float:
        prompt = "\n".join(dict.fromkeys((self.asked[one], self.asked[other])))
        said, beside = ([canonical(text) for text in self.of_prompt[place]] for place in (one, other))
        first, second = (np.array(list(self.of_prompt[place].values())) for place in (one, other))
        return float(first @ like_any(said, beside, prompt) @ second)


def _spaced(text: str) -> str:
    return f" {' '.join(words_of(canonical(text)))} "


def _weighted(prompt: int, shares: Floats) -> dict[str, float]:
    """Openings, middles and endings in every combination."""
    texts = {}
    for opening, middle, ending in product(range(3), range(_MIDDLES), range(3)):
        mass = float(shares[0, opening] * shares[1, ending]) / _MIDDLES
        if mass:
            own = " ".join(f"zq{prompt}m{middle}w{word}" for word in range(3))
            texts[f" {_OPENINGS[opening]} {own}. {_ENDINGS[ending]}"] = mass
    return texts


def _opening(text: str) -> tuple[str, ...]:
    return tuple(words_of(canonical(text))[:OPENING_WORDS])


def _ending(text: str) -> tuple[str, ...]:
    return tuple(words_of(canonical(finished(text, cut=False)[-1])))


def _law(texts: dict[str, float], read: Callable[[str], tuple[str, ...]]) -> dict[tuple[str, ...], float]:
    law: dict[tuple[str, ...], float] = {}
    for text, mass in texts.items():
        law[read(text)] = law.get(read(text), 0.0) + mass
    return law


def _meeting(one: dict[tuple[str, ...], float], other: dict[tuple[str, ...], float]) -> float:
    return sum(mass * other.get(part, 0.0) for part, mass in one.items())


def _both(name: str, agreed: Floats) -> dict[str, float]:
    """Between two prompts, the mean over all twos; within one, the mean over all."""
    apart = ~np.eye(len(agreed), dtype=np.bool_)
    return {f"{name}_between": float(agreed[apart].mean()), f"{name}_within": float(np.diag(agreed).mean())}


def rows_through_the_engine(runs: int) -> Iterator[Row]:
    """Every row of prompts that were sampled, read, judged and contrasted wholly."""
    texts, generator = Texts(), np.random.default_rng([SEED, 99])
    truths = texts.truths()
    found: dict[str, Known] = {name: [] for name in (*truths, "shared_phrase")}
    for _ in range(runs):
        for row in sameness("all prompts", [_drawn(texts, place, generator) for place in range(len(_SHARES))]):
            truth = texts.share_with(row.label) if row.metric == "shared_phrase" else truths[row.metric]
            found[row.metric].append((row.estimate, truth))
    for name, known in found.items():
        yield _row(name, "four prompts, texts with shared openings and endings", f"N = {DRAWS[-1]}, engine", known)


def _drawn(texts: Texts, place: int, generator: np.random.Generator) -> Drawn:
    cell = cell_of(f"prompt{place}@t1.0", DRAWS[-1], adaptive=False, expect=Expect("none"))
    cell = replace(cell, text=texts.asked[place], answer=TextAnswer(), equivalence="lexical")
    request = SampleRequest(cell, int(generator.integers(1 << 60)), tuple(range(DRAWS[-1])))
    completions = list(texts.engine.sample([request]))
    return Drawn.of(judge_cell(cell, completions, RULES), completions, ALPHA)


def rows(runs: int = RUNS) -> Iterator[Row]:
    """The coverage of every interval under each of the laws; a twentieth as many runs go through the engine."""
    yield from rows_of_pairs(runs)
    yield from rows_of_phrases(runs)
    yield from rows_through_the_engine(max(runs // 20, 1))


if __name__ == "__main__":
    show(rows())
