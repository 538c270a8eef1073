"""Suites of scripted cells whose laws are known on both sides, and how they are drawn and held against each other.

Knows what is true of two runs, and nothing of what should be told of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import chain
from typing import TYPE_CHECKING, Literal

import numpy as np
from known import equal, zipf
from made_up import PROMPTS
from threadpoolctl import threadpool_limits
from truth_rule import RULES, cell_of

from collapsecli.compared import Side
from collapsecli.comparison.compare import compare
from collapsecli.contrasts.drawn import Drawn
from collapsecli.judge import judge, read_cell
from collapsecli.records import Completion, Expect, IntegerAnswer, LabelsAnswer, TextAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from known import Bools, Floats, Integers

    from collapsecli.compared import Comparison, Outcome
    from collapsecli.records import Cell, CellResult, Rules

SEED = 20_260_110
SHARE_LOST = 0.1
ROUNDING = 1e-9

# ----------------------------------------------------------------------------------------------------------- questions


@dataclass(frozen=True, eq=False)
class Question:
    """One cell with all that is ever said to it: K texts, and their probabilities (K,) by the base and by the run."""

    cell: Cell
    texts: tuple[str, ...]
    base: Floats
    run: Floats

    @cached_property
    def _same(self) -> tuple[Bools, Integers]:
        """Which texts are the same (K, K), and what each text is (K,): its class, or where there is none, itself."""
        said = [_said(self.cell, place, text) for place, text in enumerate(self.texts)]
        grouping = read_cell(self.cell, said).relation.group()
        if grouping.alike is None:
            return grouping.labels[:, None] == grouping.labels, np.asarray(grouping.labels)
        return grouping.alike[np.ix_(grouping.texts, grouping.texts)], np.asarray(grouping.texts)

    @cached_property
    def change(self) -> float:
        """By how much the probability that two draws agree is the higher one in the run."""
        same = self._same[0]
        return float(self.run @ same @ self.run - self.base @ same @ self.base)

    @cached_property
    def between(self) -> float:
        """The probability that a draw of each side agree."""
        return float(self.base @ self._same[0] @ self.run)

    @cached_property
    def apart(self) -> float:
        """The total variation of what is said."""
        return float(np.abs(np.bincount(self._same[1], self.run - self.base)).sum()) / 2


def _said(cell: Cell, place: int, text: str, *, lost: bool = False) -> Completion:
    if lost:
        return Completion(cell.cell_id, place, place, "", "", (), (), None, 1, "error", error_kind="timeout")
    return Completion(cell.cell_id, place, place, "", text, (), (), None, 1, "stop")


_MOODS = ("joy", "anger", "fear", "calm", "grief", "pride", "envy", "hope")
_MOOD_WORDINGS = (" It is {} that I feel.", " Mostly {}, I think.", " {}, and nothing else.")
Kind = Literal["numbers", "labels", "texts"]
KINDS: tuple[Kind, ...] = ("numbers", "labels", "texts")


def _asked(kind: Kind, place: int, draws: int) -> tuple[Cell, list[list[str]]]:
    """The cell at a place of a suite, and its answers, each in every wording."""
    cell = _cell(place, draws)
    match kind:
        case "numbers":
            return replace(cell, answer=IntegerAnswer(1, 20)), [[f" {number}."] for number in range(1, 21)]
        case "labels":
            patterns = tuple((mood, rf"\b{mood}\b") for mood in _MOODS)
            wordings = [[wording.format(mood) for wording in _MOOD_WORDINGS] for mood in _MOODS]
            return replace(cell, answer=LabelsAnswer(patterns)), wordings
        case "texts":
            prompt, fillings, templates = PROMPTS[place % len(PROMPTS)]
            texts = [[template.format(filling) for template in templates] for filling in fillings]
            return replace(cell, text=prompt, answer=TextAnswer(), equivalence="lexical"), texts


# -------------------------------------------------------------------------------------------------------------- shapes


def favourite(place: int, share: float, answers: int) -> Floats:
    """One answer with this share beside others that are equal."""
    masses = equal(answers, (1 - share) / (answers - 1))
    masses[place] = share
    return masses


def unchanged(place: int, answers: int) -> Floats:
    """The law of a cell in which nothing changes: one after the other, all that a suite may hold."""
    shapes = (
        favourite(0, 0.9, answers),
        favourite(0, 0.5, answers),
        equal(answers),
        zipf(answers),
        np.append([0.5, 0.5], np.zeros(answers - 2)),
    )
    return shapes[place % len(shapes)]


@dataclass(frozen=True, slots=True)
class Change:
    """A favourite of one place and share in the base, of another in the run; without a share there is none.

    least: the documented share of changed cells of 64 draws of which it is told; of 16 draws none is promised.
    """

    name: str
    base: tuple[int, float | None]
    run: tuple[int, float | None]
    outcome: Outcome
    least: float

    def laws(self, answers: int) -> tuple[Floats, Floats]:
        """The masses of the answers on both sides."""
        base, run = (
            equal(answers) if share is None else favourite(place, share, answers)
            for place, share in (self.base, self.run)
        )
        return base, run


CHANGES = (
    Change("a favourite of 0.8 appears", (0, None), (0, 0.8), "narrower", 0.95),
    Change("a favourite of 0.8 disappears", (0, 0.8), (0, None), "wider", 0.95),
    Change("a favourite grows from 0.3 to 0.6", (0, 0.3), (0, 0.6), "narrower", 0.3),
    Change("a favourite of 0.6 is another one", (0, 0.6), (1, 0.6), "moved", 0.95),
)


@cache
def question(kind: Kind, place: int, draws: int, change: Change | None = None) -> Question:
    """The cell at a place of a suite, and how it changes, if it does."""
    cell, answers = _asked(kind, place, draws)
    masses = [unchanged(place, len(answers))] * 2 if change is None else change.laws(len(answers))
    wordings = [len(texts) for texts in answers]
    base, run = (np.repeat(law / wordings, wordings) for law in masses)
    return Question(cell, tuple(chain.from_iterable(answers)), base, run)


def _cell(place: int, draws: int) -> Cell:
    return cell_of(f"asked{place}", draws, adaptive=False, expect=Expect("diverse"))


# ------------------------------------------------------------------------------------------------------------ phrases

PHRASE = "It is worth noting that"
_BASE_SHARE = 0.02  # of the completions of the base that begin with it
_TEXTS, _WORDS, _VOCABULARY = 60, 10, 400


@cache
def with_phrase(place: int, draws: int, run_share: float) -> Question:
    """Texts that share hardly a word, some of which begin with the phrase: under the relation nothing else differs."""
    generator = np.random.default_rng([SEED, place])
    words = generator.integers(_VOCABULARY, size=(_TEXTS, _WORDS)).tolist()
    plain = [" ".join(f"w{word}x" for word in text) for text in words]
    cell = replace(_cell(place, draws), answer=TextAnswer(), equivalence="lexical")
    base, run = (np.repeat([1 - share, share], _TEXTS) / _TEXTS for share in (_BASE_SHARE, run_share))
    texts = (*(f" {text}." for text in plain), *(f" {PHRASE} {text}." for text in plain))
    return Question(cell, texts, base, run)


def is_more_common(phrase: str, questions: Sequence[Question]) -> bool:
    """Whether the run says a phrase in more of its completions than the base, over all questions."""
    more = (
        float(np.array([phrase.casefold() in text.casefold() for text in one.texts]) @ (one.run - one.base))
        for one in questions
    )
    return sum(more) > ROUNDING


# -------------------------------------------------------------------------------------------------------------- suites


@dataclass(frozen=True, slots=True)
class Scripted:
    """One side whose answers were drawn, as `compare` takes it."""

    side: Side
    results: tuple[CellResult, ...]
    completions: Mapping[str, Sequence[Completion]]
    rules: Mapping[str, Rules] = field(default_factory=lambda: {"truth": RULES})

    def drawn(self, cells: Sequence[Cell]) -> Iterator[Drawn]:
        """Some of its cells with their draws, in their order."""
        known = {result.cell.cell_id: result for result in self.results}
        for cell in cells:
            yield Drawn.of(known[cell.cell_id], self.completions[cell.cell_id], RULES.alpha)


def compared(
    questions: Sequence[Question], number: int, generator: np.random.Generator, *, losing: bool = False
) -> Comparison:
    """A suite drawn on both sides, the run held against its base, which may be `losing` draws of its first answers."""
    # Hundreds of small problems: threads would spend their time waiting for each other.
    with threadpool_limits(1, "blas"):
        base = _side(f"base{number}", [(one, one.base) for one in questions], generator, SHARE_LOST if losing else 0.0)
        return compare(base, _side(f"run{number}", [(one, one.run) for one in questions], generator))


def _side(
    name: str, laws: Sequence[tuple[Question, Floats]], generator: np.random.Generator, lost: float = 0.0
) -> Scripted:
    completions = {}
    for one, masses in laws:
        said = generator.choice(len(one.texts), one.cell.sampling.samples, p=masses)
        is_lost = (said == 0) & (generator.random(len(said)) < lost)
        completions[one.cell.cell_id] = [
            _said(one.cell, place, one.texts[text], lost=failed)
            for place, (text, failed) in enumerate(zip(said.tolist(), is_lost.tolist(), strict=True))
        ]
    results = judge([(one.cell, completions[one.cell.cell_id]) for one, _ in laws], lambda _: RULES)
    return Scripted(Side(name, name, "", "known", "", "simulated", 0), tuple(results), completions)
