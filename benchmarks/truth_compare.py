"""Do the numbers of two runs held against each other keep what they claim: simulated pairs of cells with known laws.

`rows` gives the coverage of every interval, `errors` how often a test of no difference finds one where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from known import LOST, equal, follow, standard_error, zipf
from truth_balls import REACH, Near
from truth_intervals import STANDARD_ERRORS, columns, row_of
from truth_variants import ALPHA, DRAWS, RUNS, Laws, alike, show

from collapsecli.metrics import measure
from collapsecli.metrics.paired import mean, p_no_change, ratio
from collapsecli.metrics.twosample import between, collision_change, moved, two_sample
from collapsecli.records import UNDEFINED, Estimate
from collapsecli.verdict import q_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from known import Bools, Floats, Labels
    from truth_intervals import Row

    Known = dict[str, tuple[Estimate, float]]
    Relation = Callable[[np.random.Generator, int, int], Bools]

SEED = 20_260_108
UNEQUAL = (16, 64)

# -------------------------------------------------------------------------------------------------- two laws of answers

LAWS = (
    Laws("the same mode of 0.9", alike(2, [0.9])),
    Laws("modes of 0.9, another one in each", 0.9 * np.eye(2)),
    Laws("a mode that grows from 0.5 to 0.8", np.array([[0.5], [0.8]])),
    Laws("no two agree, then a mode of 0.5", np.array([[0.0], [0.5]])),
    Laws("a coin, then 0.8", np.array([[0.5, 0.5], [0.8, 0.2]])),
    Laws("ten equal, then five of them", np.array([equal(10), np.repeat([0.2, 0.0], 5)])),
    Laws("twice ten equal", alike(2, equal(10))),
    Laws("twice Zipf over 100", alike(2, zipf(100))),
    Laws("Zipf over 100, then with a mode of 0.4", np.array([zipf(100), 0.6 * zipf(100) + 0.4 * np.eye(100)[0]])),
    Laws("certain, then certainly otherwise", np.eye(2)),
    Laws("a mode that shrinks from 1 to 0.97", np.array([[1.0], [0.97]])),
    Laws("a mode that grows from 0.5 to 0.8, a fifth of it lost", np.array([[0.5], [0.8]]), losing=True),
    Laws("a coin, then 0.8, a fifth of one side lost", np.array([[0.5, 0.5], [0.8, 0.2]]), losing=True),
)


def rows(runs: int = RUNS) -> Iterator[Row]:
    """The coverage of every interval of two runs."""
    yield from rows_of_classes(runs // 2)
    yield from rows_of_relations(runs // 2)
    yield from rows_of_prompts(runs // 4)


def rows_of_classes(runs: int) -> Iterator[Row]:
    """Answers that are the same or not as their labels are."""
    for place, laws in enumerate(LAWS):
        for draws in DRAWS:
            generator = np.random.default_rng([SEED, place, draws])
            labels = np.stack([laws.draw(draws, generator) for _ in range(runs)]).astype(np.int32)
            collisions = [_collisions(side) for side in labels.transpose(1, 0, 2)]
            found = [_of_classes(*one, laws) for one in zip(labels, collisions[0], collisions[1], strict=True)]
            yield from _rows(laws.name, f"N = {draws}", found)


def _collisions(labels: Labels) -> list[Estimate]:
    """The collision probability of R runs, as every cell has it."""
    (seen,) = follow(labels, (labels.shape[1],))
    found = measure(seen.samples(ALPHA))["collision"]
    return [
        UNDEFINED if np.isnan(value) else Estimate(value, low, high)
        for value, low, high in np.stack([found.value, found.low, found.high], axis=1).tolist()
    ]


def _of_classes(labels: Labels, base: Estimate, run: Estimate, laws: Laws) -> Known:
    sides = [side[side != LOST] for side in labels]
    lost = [len(side) - len(kept) for side, kept in zip(labels, sides, strict=True)]
    answers = np.concatenate(sides)
    answers = np.where(answers < laws.masses.shape[1], answers, -1 - np.arange(len(answers)))
    same, n_base = answers[:, None] == answers, len(sides[0])
    rest = 1 - laws.masses.sum(axis=1)
    apart = (np.abs(laws.masses[0] - laws.masses[1]).sum() + rest[rest > 1e-9].sum()) / 2
    agree, change = float(laws.masses[0] @ laws.masses[1]), float(np.diff((laws.masses**2).sum(axis=1))[0])
    return {
        "moved": (moved(same, n_base, ALPHA, *lost, transitive=True), float(apart)),
        "between": (between(same, n_base, ALPHA, *lost), agree),
        "collision_change": (collision_change(base, run, same, n_base, ALPHA, *lost), change),
        "collision_change, of pairs": (
            collision_change(UNDEFINED, UNDEFINED, same, n_base, ALPHA, *lost),
            change,
        ),
    }


def _rows(regime: str, plan: str, found: Sequence[Known]) -> Iterator[Row]:
    for name in found[0]:
        truths = np.array([one[name][1] for one in found])
        estimates = columns([one[name][0] for one in found])
        yield row_of(name, regime, plan, estimates, truths)


# ------------------------------------------------------------------------------------------------------ no equivalence


@dataclass(frozen=True, slots=True)
class Related:
    """Two laws under a relation that is not transitive; truths: total variation, agreement, change of collision."""

    name: str
    draw: Relation
    apart: float
    between: float
    change: float


def arcs(of_base: float, of_run: float, width: float) -> Related:
    """Answers on a circle, the same if near; a share of each side lies on one arc, the others anywhere."""
    on_arc, anywhere = 1 - (1 - min(REACH / width, 1.0)) ** 2, 2 * REACH

    def agree(one: float, other: float) -> float:
        return one * other * on_arc + (1 - one * other) * anywhere

    def draw(generator: np.random.Generator, n_base: int, n_run: int) -> Bools:
        share = np.repeat([of_base, of_run], [n_base, n_run])
        places = generator.random(n_base + n_run)
        return Near(np.where(generator.random(len(share)) < share, width * places, places)).reaches(REACH)

    return Related(
        f"near on a circle, {of_base:.3g} then {of_run:.3g} on an arc of {width:.3g}",
        draw,
        abs(of_run - of_base) * (1 - width),
        agree(of_base, of_run),
        agree(of_run, of_run) - agree(of_base, of_base),
    )


def hubs(of_base: float, of_run: float) -> Related:
    """No two answers are the same, but for hubs that every answer is the same as: the worst that pairs can be."""

    def draw(generator: np.random.Generator, n_base: int, n_run: int) -> Bools:
        is_hub = generator.random(n_base + n_run) < np.repeat([of_base, of_run], [n_base, n_run])
        same: Bools = is_hub[:, None] | is_hub | np.eye(len(is_hub), dtype=np.bool_)
        return same

    missed, missed_run = 1 - of_base, 1 - of_run
    return Related(
        f"hubs of {of_base:.3g}, then of {of_run:.3g}",
        draw,
        1.0 if missed or missed_run else 0.0,
        1 - missed * missed_run,
        missed**2 - missed_run**2,
    )


RELATED = (arcs(0.5, 0.5, 2 * REACH), arcs(0.2, 0.7, 2 * REACH), arcs(0.5, 0.9, 0.2), hubs(0.05, 0.05), hubs(0.05, 0.3))


def rows_of_relations(runs: int) -> Iterator[Row]:
    """Answers that may be the same as two others that are not."""
    for (place, law), draws in product(enumerate(RELATED), DRAWS):
        generator = np.random.default_rng([SEED, len(LAWS) + place, draws])
        relations = (law.draw(generator, draws, draws) for _ in range(runs))
        yield from _rows(law.name, f"N = {draws}", [_of_relation(same, draws, law) for same in relations])


def _of_relation(same: Bools, n_base: int, law: Related) -> Known:
    return {
        "moved": (moved(same, n_base, ALPHA), law.apart),
        "between": (between(same, n_base, ALPHA), law.between),
        "collision_change, of pairs": (collision_change(UNDEFINED, UNDEFINED, same, n_base, ALPHA), law.change),
    }


# -------------------------------------------------------------------------------------------------------- over prompts


@dataclass(frozen=True, slots=True)
class Changes:
    """A law of one number a prompt, and what is admitted of its interval by the fewest prompts from which it is."""

    name: str
    draw: Callable[[np.random.Generator, int], Floats]
    mean: float
    floors: tuple[tuple[int, float], ...] = ((6, 0.93),)

    def floor(self, prompts: int) -> float:
        """The documented share of intervals that hold the mean."""
        return next(floor for least, floor in reversed(self.floors) if prompts >= least)


def _unchanged(share: float, draw: Callable[[np.random.Generator, int], Floats]) -> Callable[..., Floats]:
    """Most prompts do not change at all."""
    return lambda generator, prompts: np.where(generator.random(prompts) < share, 0.0, draw(generator, prompts))


PROMPTS = (6, 10, 20, 50)
CHANGES = (
    Changes("normal", lambda g, n: g.normal(0.3, 1, n), 0.3),
    Changes("Student's t of three degrees", lambda g, n: g.standard_t(3, n), 0.0),
    Changes("two humps", lambda g, n: -6 * g.beta(0.4, 0.4, n), -3.0),
    Changes("exponential", lambda g, n: g.exponential(1, n), 1.0, ((6, 0.89), (10, 0.92))),
    Changes("lognormal", lambda g, n: g.lognormal(0, 1, n), float(np.exp(0.5)), ((6, 0.84), (10, 0.88), (20, 0.91))),
    Changes("0.7 unchanged, the rest normal", _unchanged(0.7, lambda g, n: g.normal(1, 1, n)), 0.3,
            ((6, 0.86), (10, 0.89), (20, 0.94))),
    Changes("0.8 unchanged, the rest exponential", _unchanged(0.8, lambda g, n: g.exponential(3, n)), 0.6,
            ((6, 0.83), (10, 0.86), (20, 0.92))),
    Changes("one in ten falls by five, the rest hardly moves",
            lambda g, n: g.normal(0, 0.4, n) - 5 * (g.random(n) < 0.1), -0.5, ((6, 0.55), (20, 0.83), (50, 0.93))),
)  # fmt: skip


def rows_of_prompts(runs: int) -> Iterator[Row]:
    """The mean over prompts, and the geometric one of ratios."""
    for (place, law), prompts in product(enumerate(CHANGES), PROMPTS):
        generator = np.random.default_rng([SEED, len(LAWS) + len(RELATED) + place, prompts])
        found = [mean(law.draw(generator, prompts), ALPHA, generator) for _ in range(runs)]
        yield row_of("mean over prompts", law.name, f"P = {prompts}", columns(found), law.mean, law.floor(prompts))
    for prompts in PROMPTS:
        generator = np.random.default_rng([SEED, prompts])
        sides = (np.exp(generator.normal([[0.0], [0.5]], 1, (2, prompts))) for _ in range(runs))
        ratios = columns([ratio(base, run, ALPHA, generator).change for base, run in sides])
        yield row_of("ratio over prompts", "lognormal", f"P = {prompts}", ratios, float(np.exp(0.5)))


# ------------------------------------------------------------------------------------------------------------- errors


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    """How often a test at ALPHA finds a difference where there is none, or more than the one there is."""

    test: str
    regime: str
    plan: str
    runs: int
    share: float
    standard_error: float
    bound: float

    @property
    def ok(self) -> bool:
        """Whether it does so no more often than is documented."""
        return self.share <= self.bound + STANDARD_ERRORS * self.standard_error


def _classes(masses: Floats) -> Relation:
    """Answers of two laws (2, K), the same if their labels are."""

    def draw(generator: np.random.Generator, n_base: int, n_run: int) -> Bools:
        labels = np.concatenate(
            [Laws("", masses[[side]]).draw(n, generator)[0] for side, n in enumerate((n_base, n_run))]
        )
        labels = np.where(labels < masses.shape[1], labels, -1 - np.arange(len(labels)))
        same: Bools = labels[:, None] == labels
        return same

    return draw


def _apart(masses: Floats) -> Floats:
    """The masses (2, 2 K) of two laws that are alike and have no answer in common."""
    nothing = np.zeros_like(masses)
    return np.array([np.append(masses, nothing), np.append(nothing, masses)])


NULLS: dict[str, Relation] = {
    "a mode of 0.9": _classes(alike(2, [0.9])),
    "a mode of 0.3": _classes(alike(2, [0.3])),
    "a coin": _classes(alike(2, equal(2))),
    "ten equal": _classes(alike(2, equal(10))),
    "Zipf over 100": _classes(alike(2, zipf(100))),
    "near on a circle": arcs(0.5, 0.5, 2 * REACH).draw,
    "hubs": hubs(0.2, 0.2).draw,
}

# Another law with the same collision probability: something moved, nothing became narrower or wider.
MOVED: dict[str, Relation] = {
    "modes of 0.9, another one in each": _classes(0.9 * np.eye(2)),
    "modes of 0.5, another one in each": _classes(0.5 * np.eye(2)),
    "a coin, then a mode of 0.7071": _classes(np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 0.5**0.5]])),
    "ten equal, then ten others": _classes(_apart(equal(10))),
    "Zipf over 100, then 100 others": _classes(_apart(zipf(100))),
}
MOVED_BOUNDS = {16: 0.22, 64: 0.08}  # by the draws of the smaller side
SIZES = ((16, 16), (64, 64), UNEQUAL)
FAMILY = 50


def errors(runs: int = RUNS) -> Iterator[FalseAlarm]:
    """The size of every test of no difference, and of all discoveries among cells that did not change."""
    for place, (name, draw) in enumerate(NULLS.items()):
        for sizes in SIZES:
            found = _p_values(draw, sizes, runs // 2, np.random.default_rng([SEED, place, *sizes]))
            yield _alarm("collision", name, _plan(sizes), found[:, 0])
            yield _alarm("shift", name, _plan(sizes), found[:, 1])
    for place, (name, draw) in enumerate(MOVED.items()):
        for sizes in SIZES:
            generator = np.random.default_rng([SEED, len(NULLS) + place, *sizes])
            alone, borne_out = _where_moved(draw, sizes, runs // 2, generator)
            yield _alarm("collision, where something moved", name, _plan(sizes), alone, MOVED_BOUNDS[min(sizes)])
            yield _alarm("the same, and the interval of its change", name, _plan(sizes), borne_out)
    yield from _families(max(runs // 20, 1))
    for place, law in enumerate(CHANGES):
        for prompts in PROMPTS:
            generator = np.random.default_rng([SEED, place, prompts])
            changes = (law.draw(generator, prompts) - law.draw(generator, prompts) for _ in range(runs // 2))
            found = np.array([p_no_change(change, generator) for change in changes])
            yield _alarm("sign flips", law.name, f"P = {prompts}", found)


def _p_values(draw: Relation, sizes: tuple[int, int], runs: int, generator: np.random.Generator) -> Floats:
    """The p-values of both tests (R, 2)."""
    found = (two_sample(draw(generator, *sizes), sizes[0], least_p=ALPHA, generator=generator) for _ in range(runs))
    return np.array([(one.p_collision, one.p_shift) for one in found], np.float64)


def _where_moved(
    draw: Relation, sizes: tuple[int, int], runs: int, generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """The p-values (R,) of the collision test, and the same, 1 where the interval of the change holds zero."""
    relations = [draw(generator, *sizes) for _ in range(runs)]
    p = np.array([two_sample(same, sizes[0], least_p=ALPHA, generator=generator).p_collision for same in relations])
    classes = np.array([same.argmax(axis=1) for same in relations], np.int32)
    sides = (_collisions(classes[:, : sizes[0]]), _collisions(classes[:, sizes[0] :]))
    changes = columns(
        collision_change(base, run, same, sizes[0], ALPHA) for base, run, same in zip(*sides, relations, strict=True)
    )
    return p, np.where((changes.low > 0) | (changes.high < 0), p, 1.0)


def _families(families: int) -> Iterator[FalseAlarm]:
    """Whether anything is discovered among cells that did not change, as Benjamini and Hochberg discover it."""
    generator = np.random.default_rng([SEED, FAMILY])
    least: list[list[float]] = []
    laws = tuple(NULLS.values())
    for _ in range(families):
        relations = (laws[cell % len(laws)](generator, 64, 64) for cell in range(FAMILY))
        tests = [two_sample(same, 64, least_p=ALPHA / FAMILY, generator=generator) for same in relations]
        collisions, shifts = [one.p_collision or 0.0 for one in tests], [one.p_shift or 0.0 for one in tests]
        least.append([min(q_values(collisions)), min(q_values(shifts))])
    for test, column in zip(("collision", "shift"), np.array(least).T, strict=True):
        yield _alarm(f"{test}, any of {FAMILY} cells", "no cell changed", _plan((64, 64)), column)


def _alarm(test: str, regime: str, plan: str, found: Floats, bound: float = ALPHA) -> FalseAlarm:
    share = float((found <= ALPHA).mean())
    return FalseAlarm(test, regime, plan, len(found), share, standard_error(share, len(found)), bound)


def _plan(sizes: tuple[int, int]) -> str:
    return f"N = {sizes[0]}" if sizes[0] == sizes[1] else f"N = {sizes[0]} and {sizes[1]}"


if __name__ == "__main__":
    show(rows())
    for alarm in errors():
        print("ok " if alarm.ok else "NOT", alarm, flush=True)
