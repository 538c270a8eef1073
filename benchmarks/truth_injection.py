"""How often the intervals about an injection hold the truth: returns, half-life and endings of texts of a known law.

A cell is a list of a few hundred texts with weights, so that every true share is a sum over that list. Some runs are
drawn by the scripted engine and judged wholly; the others draw from the same list.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from known import equal
from truth_intervals import NOMINAL, Row, columns, row_of
from truth_rule import RULES, cell_of, completion_of

from collapsecli.contrasts.drawn import Drawn
from collapsecli.contrasts.injection import injection
from collapsecli.contrasts.segments import Reference, Said
from collapsecli.engines import SampleRequest
from collapsecli.engines.scripted import Failures, Script, ScriptedEngine
from collapsecli.judge import judge, judge_cell
from collapsecli.records import Cell, CellResult, Completion, Contrast, Estimate, Expect, Sampling
from collapsecli.seeds import hashed_seed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from known import Floats

    Found = Mapping[tuple[str, float | None], Contrast]

SEED = 20_260_101
BY_ENGINE = 20  # runs of each regime that are drawn and judged as a probe draws and judges them
RUNS = 4_000
BY_SENTENCE = (1, 2, 5)

_WORDS = 6  # of every sentence, and so its tokens
_ATTRACTORS = 5
_ENDING = _ATTRACTORS  # the family of sentences that a text likes to end with
_WORDINGS = 3
_TEXTS_A_KIND = 16
_LENGTHS = ((3, 0.2), (6, 0.3), (10, 0.5))  # in sentences, with their shares


# --------------------------------------------------------------------------------------------------------------- laws


class Text(NamedTuple):
    """One text of a law. families: of each of its sentences; those that no other text has are a family of their own."""

    text: str
    weight: float
    families: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Law:
    """A cell's distribution: texts with weights, of which `sentences` fit below the token limit."""

    name: str
    texts: tuple[Text, ...]
    sentences: int
    lost: float = 0.0

    @property
    def max_tokens(self) -> int:
        """The limit, in the middle of a sentence."""
        return _WORDS * self.sentences + _WORDS // 2

    @cached_property
    def weights(self) -> Floats:
        """The probability (K,) of each text."""
        weights: Floats = np.array([text.weight for text in self.texts])
        weights /= weights.sum()
        return weights

    def back_by(self, sentence: int, families: Iterable[int] = range(_ATTRACTORS + 1)) -> float:
        """The probability that one of the first sentences is of one of some families, whatever the limit."""
        wanted = frozenset(families)
        return float(self.weights @ [not wanted.isdisjoint(text.families[:sentence]) for text in self.texts])

    def ends_with(self, family: int) -> float:
        """Of the texts that end below the limit, the share that ends with a sentence of a family."""
        ended = np.array([len(text.families) <= self.sentences for text in self.texts])
        alike = np.array([text.families[-1] == family for text in self.texts])
        return float(self.weights @ (ended & alike) / (self.weights @ ended))

    def cell(self, samples: int) -> Cell:
        """A cell of this law."""
        pushed = self.name != "plain"
        return Cell(
            "toast/pushed@t1.0" if pushed else "toast@t1.0", "truth", "toast", "", "pushed" if pushed else "", 1.0,
            "known", "", "He raised his glass.", (), " You lied." if pushed else "",
            Sampling(samples=samples, max_tokens=self.max_tokens), expect=Expect("none"),
        )  # fmt: skip


def law(name: str, hazard: float, *, sentences: int, never: float = 0.0, lost: float = 0.0) -> Law:
    """Texts that return at each sentence with one probability, but for the share that never does.

    Lengths do not depend on the return. Half of those that go on after it end with one ending.
    """
    return Law(name, tuple(_texts(name, hazard, never)), sentences, lost)


def _texts(name: str, hazard: float, never: float) -> Iterator[Text]:
    for length, share in _LENGTHS:
        for back in range(1, length + 2):
            returned = (1 - never) * (1 - hazard) ** (back - 1)
            weight = share * (returned * hazard if back <= length else never + returned)
            for place in range(_TEXTS_A_KIND):
                families = tuple(_families(length, back, place, hashed_seed(name, length, back, place) % 2**40))
                text = "".join(_sentence(family, place) for family in families)
                yield Text(text, weight / _TEXTS_A_KIND, families)


def _families(length: int, back: int, place: int, own: int) -> Iterator[int]:
    """The first attractor at `back`, and then every other sentence; all others belong to this text alone."""
    for number in range(1, length + 1):
        if number == length and back < length and place % 2:
            yield _ENDING
        elif number >= back and (number - back) % 2 == 0:
            yield (place + number) % _ATTRACTORS
        else:
            yield (own + number) * 1000


def _sentence(family: int, place: int) -> str:
    """Wordings of one family share four of six words, sentences of different families none."""
    wording = place % _WORDINGS
    shared = [f"f{family}w{word}" for word in range(_WORDS - 2)]
    return f" {' '.join([*shared, f'f{family}v{wording}a', f'f{family}v{wording}b'])}."


PLAIN = law("plain", 0.7, sentences=6)
NOTHING_CHANGED = Law("nothing changed", PLAIN.texts, PLAIN.sentences)


@dataclass(frozen=True, slots=True)
class Regime:
    """An injected law and the draws of each of the two cells; `hazard` where it is one for all sentences."""

    pushed: Law
    draws: int
    hazard: float | None = None


REGIMES = (
    Regime(law("h = .1", 0.1, sentences=6), 64, 0.1),
    Regime(law("h = .35, cut after 4", 0.35, sentences=4), 32, 0.35),
    Regime(law("h = .35, a tenth lost", 0.35, sentences=6, lost=0.1), 32, 0.35),
    Regime(law("a third never returns", 0.5, sentences=6, never=1 / 3), 32),
    Regime(NOTHING_CHANGED, 32),
)


# --------------------------------------------------------------------------------------------------------------- runs


class Drawer:
    """Draws the runs of one law."""

    def __init__(self, law: Law, draws: int) -> None:
        self.law = law
        self.cell = law.cell(draws)
        key = self.cell.cell_id.rpartition("@")[0]
        answers = {text.text: text.weight for text in law.texts}
        self._engine = ScriptedEngine(Script(law.name, {key: answers}, failures=Failures(law.lost, transient=False)))
        self._texts = [self._alone(key, text) for text in answers]
        self._result: CellResult | None = None

    def by_engine(self, seed: int) -> Drawn:
        """One run, as a probe draws and judges it."""
        request = SampleRequest(self.cell, seed, tuple(range(self.cell.sampling.samples)))
        completions = list(self._engine.sample([request]))
        self._result = judge_cell(self.cell, completions, RULES)
        return Drawn.of(self._result, completions, RULES.alpha)

    def from_list(self, generator: np.random.Generator) -> Drawn:
        """One run from the list, after at least one by the engine."""
        if self._result is None:
            raise ValueError("no run has been judged yet")
        draws = self.cell.sampling.samples
        which = generator.choice(len(self._texts), draws, p=self.law.weights)
        kept = np.flatnonzero(generator.random(draws) >= self.law.lost)
        completions = tuple(replace(self._texts[which[index]], sample_index=index) for index in kept.tolist())
        return Drawn(self._result, completions, draws - len(completions), RULES.alpha)

    def _alone(self, key: str, text: str) -> Completion:
        """A text as the engine gives it back."""
        engine = ScriptedEngine(Script("alone", {key: {text: 1.0}}))
        return next(engine.sample([SampleRequest(self.cell, 0, (0,))]))


def pairs(regime: Regime, runs: int, generator: np.random.Generator) -> Iterator[tuple[Drawn, Drawn]]:
    """An injected cell and its plain one, run by run; the first runs are drawn by the engine."""
    pushed, plain = Drawer(regime.pushed, regime.draws), Drawer(PLAIN, regime.draws)
    for run in range(runs):
        if run < BY_ENGINE:
            seed = hashed_seed(SEED, regime.pushed.name, run)
            yield pushed.by_engine(seed), plain.by_engine(seed + regime.draws)
        else:
            yield pushed.from_list(generator), plain.from_list(generator)


# -------------------------------------------------------------------------------------------------------------- truth

Known = tuple[Estimate, float]
"""What was printed of one run, and the true number."""


def known_of(regime: Regime, pushed: Drawn, plain: Drawn) -> Iterator[tuple[str, Known]]:
    """The intervals of one run by name, each with its truth."""
    found = {(row.metric, row.at): row for row in injection(pushed, plain, None)}
    is_other = regime.pushed is not NOTHING_CHANGED
    if is_other:
        for sentence in BY_SENTENCE:
            yield f"returned by {sentence}", (found["returned", sentence].estimate, regime.pushed.back_by(sentence))
    if regime.hazard:
        yield "half-life", (found["half_life", None].estimate, math.log(2) / -math.log1p(-regime.hazard))
    if regime is REGIMES[0]:
        families = _families_of_reference(plain, pushed)
        for sentence in BY_SENTENCE:
            yield f"ceiling by {sentence}", (found["ceiling", sentence].estimate, PLAIN.back_by(sentence, families))
    if ("same_ending_difference", None) in found:
        yield from _known_endings(regime, found["same_ending", None], found, is_other)


def _known_endings(regime: Regime, injected: Contrast, found: Found, is_other: bool) -> Iterator[tuple[str, Known]]:
    family = _family(injected.label)
    after, before = regime.pushed.ends_with(family), PLAIN.ends_with(family)
    apart = found["same_ending_difference", None]
    yield "same ending", (injected.estimate, after)
    yield "same ending, plain", (found["same_ending_plain", None].estimate, before)
    yield "same ending, difference", (apart.estimate, after - before)
    if not is_other:
        yield "same ending, p of no difference", p_is_kept(apart)


def p_is_kept(row: Contrast) -> Known:
    """As an interval from 0 to the p-value: it holds alpha unless a difference is found, where there is none."""
    return Estimate(row.p_value, 0.0, row.p_value), RULES.alpha


def _families_of_reference(plain: Drawn, pushed: Drawn) -> frozenset[int]:
    """What there is to return to in this run: the attractors, and a few sentences of single texts."""
    even = [Said.of(one) for one in plain.completions if one.sample_index % 2 == 0]
    return frozenset(map(_family, Reference.of(even, plain.asked, pushed.cell.injected).sentences))


def _family(sentence: str) -> int:
    return int(sentence[1 : sentence.index("w")])


# ---------------------------------------------------------------------------------------------------- typed answers


@dataclass(frozen=True, slots=True)
class Typed:
    """Whole numbers as answers: their probabilities (K,) in both cells."""

    name: str
    plain: Floats
    pushed: Floats
    draws: int = 64
    adaptive: bool = False


TYPED = (
    Typed(
        "answers, two of .3 before", np.append([0.3, 0.29], equal(41, 0.01)), np.append([0.1, 0.5], equal(40, 0.01)), 32
    ),
    Typed("ten equal answers, nothing changed", equal(10), equal(10)),
    Typed("ten equal answers, nothing changed", equal(10), equal(10), adaptive=True),
)


def known_of_typed(typed: Typed, runs: int, generator: np.random.Generator) -> Iterator[tuple[str, Known]]:
    """The intervals of all runs by name, each with its truth."""
    cells = [
        cell_of(f"{name}@t1.0", typed.draws, adaptive=typed.adaptive, expect=Expect("none"))
        for name in ("typed/pushed", "typed")
    ]
    draws = [
        [
            [completion_of(cell, place, answer) for place, answer in enumerate(row)]
            for row in generator.choice(len(weights), (runs, typed.draws), p=weights).tolist()
        ]
        for cell, weights in zip(cells, (typed.pushed, typed.plain), strict=True)
    ]
    judged = [judge([(cell, row) for row in rows], lambda _: RULES) for cell, rows in zip(cells, draws, strict=True)]
    for run in range(runs):
        pushed, plain = (
            Drawn.of(results[run], rows[run], RULES.alpha) for results, rows in zip(judged, draws, strict=True)
        )
        found = {row.metric: row for row in injection(pushed, plain, None)}
        mode = int(found["same_ending"].label)
        after, before = float(typed.pushed[mode]), float(typed.plain[mode])
        yield "same answer", (found["same_ending"].estimate, after)
        yield "same answer, plain", (found["same_ending_plain"].estimate, float(typed.plain.max()))
        yield "same answer, difference", (found["same_ending_difference"].estimate, after - before)
        if np.array_equal(typed.plain, typed.pushed):
            yield "same answer, p of no difference", p_is_kept(found["same_ending_difference"])


# --------------------------------------------------------------------------------------------------------------- rows


def rows(runs: int) -> Iterator[Row]:
    """A row for every interval of every regime."""
    generator = np.random.default_rng(SEED)
    for regime in REGIMES:
        several = (known for pair in pairs(regime, runs, generator) for known in known_of(regime, *pair))
        yield from _rows(regime.pushed.name, f"N = {regime.draws}", several)
    for typed in TYPED:
        plan = f"adaptive to {typed.draws}" if typed.adaptive else f"N = {typed.draws}"
        yield from _rows(typed.name, plan, known_of_typed(typed, runs, generator))


def _rows(regime: str, plan: str, several: Iterable[tuple[str, Known]]) -> Iterator[Row]:
    by_interval: dict[str, list[Known]] = {}
    for interval, known in several:
        by_interval.setdefault(interval, []).append(known)
    for interval, of_runs in by_interval.items():
        found = columns(estimate for estimate, _ in of_runs)
        yield row_of(interval, regime, plan, found, np.array([truth for _, truth in of_runs]), NOMINAL)


def main() -> None:
    """Print the rows."""
    began = time.monotonic()
    for row in rows(RUNS):
        held = f"{row.held:.4f} ± {row.standard_error:.4f}"
        print(
            f"{row.interval:33} {row.regime:35} {row.plan:14} {row.runs:5} {held} width {row.width:.3f} {row.outcome}"
        )
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
