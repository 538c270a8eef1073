"""How often the intervals of a prompt's variants hold the truth: simulated prompts whose variants' laws are known.

Every number is the program's own; some prompts are drawn by the scripted engine, read and judged like those of a run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from known import equal, zipf
from truth_balls import CIRCLES, REACH, Near, _of_one_truth
from truth_intervals import Row, columns, row_of
from truth_rule import RULES, cell_of

from collapsecli.contrasts.drawn import Drawn
from collapsecli.contrasts.pairs import LOST, between, within
from collapsecli.contrasts.variants import (
    Pool,
    less_than_others,
    mode_mass,
    modes_of_others,
    stability,
    variants,
)
from collapsecli.engines import SampleRequest
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.judge import judge_cell
from collapsecli.records import Estimate, Expect, TextAnswer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from known import Floats, Integers
    from truth_balls import Circle

    from collapsecli.contrasts.pairs import Pairs

ALPHA = RULES.alpha
RUNS = 4000
DRAWS = (16, 64)
SEED = 20_260_102
_LOST_OF_THE_MODE = 0.2


@dataclass(frozen=True, slots=True)
class Laws:
    """V variants of one prompt. masses: (V, K) of the answers that they share; no two answers of the rest agree.

    losing: whether a fifth of the draws that say the first answer is lost.
    """

    name: str
    masses: Floats
    losing: bool = False

    def draw(self, draws: int, generator: np.random.Generator) -> Integers:
        """Answers (V, N) by their places among the masses; those of the rest are numbered on."""
        ends = np.cumsum(self.masses, axis=1)
        ends[np.isclose(ends[:, -1], 1), -1] = 1.0
        cells, answers = self.masses.shape
        labels = (generator.random((cells, draws))[:, :, None] >= ends[:, None, :]).sum(axis=2)
        labels = np.where(labels < answers, labels, answers + np.arange(cells * draws).reshape(cells, draws))
        if self.losing:
            labels[(labels == 0) & (generator.random(labels.shape) < _LOST_OF_THE_MODE)] = LOST
        return labels

    def share(self, variant: int, answer: int) -> float:
        """The mass of one answer in one variant."""
        return float(self.masses[variant, answer]) if answer < self.masses.shape[1] else 0.0

    def others_share(self, variant: int, answer: int) -> float:
        """The mean mass of one answer in all other variants."""
        return float(np.mean([self.share(other, answer) for other in range(len(self.masses)) if other != variant]))

    @property
    def pooled_mass(self) -> float:
        """The mass of the heaviest answer of the mixture."""
        return float(self.masses.mean(axis=0).max())

    def agreement(self, pairs: Pairs, draws: int) -> float:
        """The mean probability that the draws of some pairs agree."""
        one, other = (self.masses[side // draws] for side in pairs)
        return float((one * other).sum(axis=1).mean())


def alike(cells: int, masses: Sequence[float] | Floats) -> Floats:
    """The masses (cells, K) of cells with one and the same law."""
    return np.tile(np.asarray(masses, np.float64), (cells, 1))


LAWS = (
    Laws("four, one mode of 0.7", alike(4, [0.7])),
    Laws("two, two equal modes", alike(2, [0.5, 0.5])),
    Laws("two that disagree", np.array([[0.9, 0.05], [0.05, 0.9]])),
    Laws("one of four escapes", np.array([[0.9, 0], [0.9, 0], [0.9, 0], [0, 0.9]])),
    Laws("three certain, one certain otherwise", np.array([[1.0, 0], [1, 0], [1, 0], [0, 1]])),
    Laws("five, one mode of 0.99 and once of 0.95", np.array([[0.99]] * 4 + [[0.95]])),
    Laws("five, each a mode of its own", 0.95 * np.eye(5)),
    Laws("three with 0.9, 0.5 and 0.1 of one mode", np.array([[0.9], [0.5], [0.1]])),
    Laws("six, two modes of 0.45 and 0.4", alike(6, [0.45, 0.4])),
    Laws("ten, ten equal answers", alike(10, equal(10))),
    Laws("three, Zipf over 100", alike(3, zipf(100))),
    Laws("four, one mode of 0.7, a fifth of it lost", alike(4, [0.7]), losing=True),
    Laws("two, two equal modes, a fifth of one lost", alike(2, [0.5, 0.5]), losing=True),
)


def rows(runs: int = RUNS) -> Iterator[Row]:
    """The coverage of every interval under each of the laws, at fixed numbers of draws, and through the engine."""
    for place, laws in enumerate(LAWS):
        for draws in DRAWS:
            generator = np.random.default_rng([SEED, place, draws])
            measured = [_measured(laws, draws, generator) for _ in range(runs)]
            yield from _rows(laws.name, f"N = {draws}", measured)
    for place, laws in enumerate(LAWS):
        if not laws.losing and np.allclose(laws.masses.sum(axis=1), 1):
            engine, generator = _engine(laws), np.random.default_rng([SEED, place])
            through = [_through_the_engine(laws, engine, generator) for _ in range(max(runs // 20, 1))]
            yield from _rows(laws.name, f"N = {DRAWS[-1]}, engine", through)
    for place, circle in enumerate(CIRCLES):
        generator = np.random.default_rng([SEED, len(LAWS) + place])
        measured = [_on_circle(circle, generator) for _ in range(max(runs // 4, 1))]
        for row in _rows(circle.name, f"N = {DRAWS[-1]}", measured):
            is_mass = row.interval.startswith("pooled")
            yield replace(row, width=row.width - (circle.ball - circle.mutual)) if is_mass else row


def _rows(regime: str, plan: str, measured: Sequence[Measured]) -> Iterator[Row]:
    for name in measured[0]:
        found = [pair for one in measured for pair in one[name]]
        intervals = columns([interval for interval, _ in found])
        yield row_of(name, regime, plan, intervals, np.array([truth for _, truth in found]))


Measured = dict[str, list[tuple[Estimate, float]]]


def _measured(laws: Laws, draws: int, generator: np.random.Generator) -> Measured:
    """Every interval of one prompt, each with its truth."""
    labels = laws.draw(draws, generator)
    pool, cells = Pool(tuple(labels), labels), len(labels)
    others = modes_of_others(pool)
    of_others = list(enumerate(others))
    truths = [laws.share(variant, mode) for variant, mode in of_others]
    apart = [
        _error(less_than_others(pool, variant, mode, ALPHA / cells), truth - laws.others_share(variant, mode))
        for (variant, mode), truth in zip(of_others, truths, strict=True)
    ]
    pairs = {"agreement_within": within(cells, draws), "agreement_between": between(cells, draws)}
    return {
        "pooled_mode_mass": [(mode_mass(pool, ALPHA), laws.pooled_mass)],
        "others_mode": [
            (pool.share(mode, pool.own[variant], ALPHA), truth)
            for (variant, mode), truth in zip(of_others, truths, strict=True)
        ],
        "stability": [(stability(pool, others, ALPHA)[0], float(np.mean(truths)))],
        "escapes, all variants at once": [(_all_at_once(apart), 0.0)],
        **{name: [(pool.agreement(places, ALPHA)[0], laws.agreement(places, draws))] for name, places in pairs.items()},
    }


def _error(interval: Estimate, truth: float) -> Estimate:
    """The interval of the error: it holds zero where the interval holds the truth."""
    return Estimate(*(None if end is None else end - truth for end in (interval.value, interval.low, interval.high)))


def _all_at_once(errors: Sequence[Estimate]) -> Estimate:
    """An interval as wide as these on average, which holds zero if all of them do."""
    ends = [(one.low or 0.0, one.high or 0.0) for one in errors]
    half = float(np.mean([high - low for low, high in ends])) / 2 if ends else 0.0
    middle = 0.0 if all(low <= 0 <= high for low, high in ends) else 1.0 + half
    return Estimate(None, middle - half, middle + half)


# ------------------------------------------------------------------------------------------------ no equivalence


def _on_circle(circle: Circle, generator: np.random.Generator) -> Measured:
    """Three variants of one law, whose answers are the same if they are near each other on a circle."""
    places = circle.draw(3 * DRAWS[-1], generator)
    slots = np.arange(len(places)).reshape(3, -1)
    pool = Pool(tuple(slots), slots, Near(places).reaches(REACH))
    others = modes_of_others(pool)
    truths = [_ball_around(float(places[mode]), circle) for mode in others]
    return {
        "pooled_mode_mass, no equivalence": [(_of_one_truth(mode_mass(pool, ALPHA), circle), circle.ball)],
        "others_mode, no equivalence": [
            (pool.share(mode, draws, ALPHA), truth) for mode, draws, truth in zip(others, slots, truths, strict=True)
        ],
        "stability, no equivalence": [(stability(pool, others, ALPHA)[0], float(np.mean(truths)))],
    }


def _ball_around(place: float, circle: Circle) -> float:
    """The mass of the answers near one on the circle, of which the arc lies from 0 to its width."""
    near = sum(
        max(0.0, min(place + REACH, turn + circle.width) - max(place - REACH, turn)) for turn in (-1.0, 0.0, 1.0)
    )
    return circle.share * near / circle.width + (1 - circle.share) * 2 * REACH


# ------------------------------------------------------------------------------------------------- through the engine


def _engine(laws: Laws) -> ScriptedEngine:
    """An engine whose answers are texts, one word each; no two share any."""
    answers = {
        _variant(place): {f" {_word(answer)}.": mass for answer, mass in enumerate(masses.tolist()) if mass > 0}
        for place, masses in enumerate(laws.masses)
    }
    return ScriptedEngine(Script("variants", answers))


def _through_the_engine(laws: Laws, engine: ScriptedEngine, generator: np.random.Generator) -> Measured:
    """The rows of one prompt that was sampled, read, judged and contrasted wholly, each with its truth."""
    drawn = []
    for place in range(len(laws.masses)):
        cell = cell_of(f"{_variant(place)}@t1.0", DRAWS[-1], adaptive=False, expect=Expect("none"))
        cell = replace(cell, variant=str(place), answer=TextAnswer(), equivalence="lexical")
        seed = int(generator.integers(1 << 60))
        completions = list(engine.sample([SampleRequest(cell, seed, tuple(range(DRAWS[-1])))]))
        drawn.append(Drawn.of(judge_cell(cell, completions, RULES), completions, ALPHA))
    found = list(variants(drawn, RULES))
    pooled = next(row.label for row in found if row.metric == "pooled_mode_mass")
    others = {row.cell_id: row.label for row in found if row.metric == "others_say"}
    modes = [_answer(others.get(one.cell.cell_id, pooled)) for one in drawn]
    shares = [laws.share(variant, mode) for variant, mode in enumerate(modes)]
    apart = [
        share - laws.others_share(variant, mode)
        for variant, (share, mode) in enumerate(zip(shares, modes, strict=True))
    ]
    escaped = [_error(row.estimate, apart[int(row.label)]) for row in found if row.metric == "escapes"]
    size = (len(drawn), DRAWS[-1])
    truths = {
        "pooled_mode_mass": [laws.pooled_mass],
        "others_mode": shares,
        "stability": [float(np.mean(shares))],
        "agreement_within": [laws.agreement(within(*size), DRAWS[-1])],
        "agreement_between": [laws.agreement(between(*size), DRAWS[-1])],
    }
    measured = {
        name: list(zip([row.estimate for row in found if row.metric == name], truth, strict=True))
        for name, truth in truths.items()
    }
    return {**measured, "escapes, where printed": [(_all_at_once(escaped), 0.0)]}


def _variant(place: int) -> str:
    return f"asked[wording={place}]"


def _word(answer: int) -> str:
    return f"zq{answer}x"


def _answer(text: str) -> int:
    return int(text.strip(" .")[2:-1])


def show(found: Iterable[Row]) -> None:
    """Print every row as it comes."""
    for row in found:
        print(
            f"{row.outcome:13} {row.interval:32} {row.regime:53} {row.plan:14} {row.runs:6} held {row.held:.4f} "
            f"± {row.standard_error:.4f}, width {row.width:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    show(rows())
