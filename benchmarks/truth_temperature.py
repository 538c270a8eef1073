"""How often the contrasts of a temperature sweep hold the truth: sweeps of known distributions, tempered as declared.

Most runs are simulated many at once and put through the functions that the contrasts are made of; some are drawn by the
scripted engine, judged, and put through `temperature` wholly.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from known import Truth, draw, follow, zipf
from scipy import optimize, special
from truth_intervals import NOMINAL, Row, columns, row_of
from truth_rule import RULES

from collapsecli.contrasts.drawn import Drawn
from collapsecli.contrasts.temperature import temperature
from collapsecli.engines import SampleRequest, ScoreRequest
from collapsecli.engines.scripted import Script, ScriptedEngine, _tempered
from collapsecli.judge import judge_cell
from collapsecli.metrics import Estimates
from collapsecli.metrics.categorical import mode_mass
from collapsecli.metrics.shares import share
from collapsecli.metrics.tempering import half_temperature, tempered_bounds
from collapsecli.records import Cell, Estimate, Expect, IntegerAnswer, Sampling, Scored

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from known import Floats, Integers, Labels, Seen

GRID = (0.5, 0.7, 1.0, 1.3, 1.6, 2.0)
DRAWS = (32, 64, 128)
REFERENCE = GRID.index(1.0)
HOTTEST = len(GRID) - 1
SEED = 20_260_102
RUNS = 10_000
_THROUGH_ALL = 64  # draws
_RUNS_FOR_ONE_THROUGH_ALL = 200
_ANSWERS = 100
_COLDEST, _HOTTEST = 0.02, 20.0


@dataclass(frozen=True, eq=False)
class Regime:
    """A distribution of K answers at temperature 1, the first the most probable, and whether heat changes it at all."""

    name: str
    masses: Floats
    melts: bool = True

    @property
    def weights(self) -> dict[str, float]:
        """The same as a script has them: answers 1, 2, … with their weights."""
        return {str(place + 1): mass for place, mass in enumerate(self.masses.tolist())}

    @cached_property
    def by_temperature(self) -> Floats:
        """The probability (T, K) of every answer at every temperature of the grid."""
        return np.array([self._at(one) if self.melts else self.masses for one in GRID])

    @cached_property
    def predicted(self) -> Floats:
        """What a softmax makes of the distribution (T, K), be it true or not."""
        return np.array([self._at(one) for one in GRID])

    def half_of(self, answer: int) -> float:
        """The temperature at which an answer holds half: 0 if it holds less everywhere, infinite if never less."""

        def excess(temperature: float) -> float:
            return float((self._at(temperature) if self.melts else self.masses)[answer]) - 0.5

        if excess(_COLDEST) <= 0:
            return 0.0
        return float(optimize.brentq(excess, _COLDEST, _HOTTEST)) if excess(_HOTTEST) < 0 else math.inf

    def _at(self, temperature: float) -> Floats:
        return np.array(list(_tempered(self.weights, temperature).values()))


def _over(first: Sequence[float], answers: int = _ANSWERS) -> Floats:
    """Masses (K,) of some answers; the others share the rest equally."""
    rest = (1 - math.fsum(first)) / (answers - len(first))
    return np.append(np.array(first), np.full(answers - len(first), rest))


REGIMES = (
    Regime("one mode over 99 equal", _over([special.expit(6.79 - math.log(99))])),
    Regime("half of it just below 1.3", _over([special.expit(0.2999 * math.log(99))])),
    Regime("half of it just above 1.3", _over([special.expit(0.3001 * math.log(99))])),
    Regime("Zipf, cubed, over 100", zipf(_ANSWERS, 3)),
    Regime("two near-equal modes", _over([0.49, 0.45])),
    Regime("plateau at half", _over([0.52, 0.46])),
    Regime("ten equal", _over([0.1], 10)),
    Regime("0.9, and no heat melts it", _over([0.9]), melts=False),
)


# ---------------------------------------------------------------------------------------------------- many runs at once


@dataclass(frozen=True, slots=True, eq=False)
class Sweeps:
    """R sweeps of one distribution with N draws at each temperature.

    seen: what the reference cells show; mode: (R,) the answer that each says most often, of equals the earliest;
    hits: (T, R) draws of it at each temperature, at the reference the largest count.
    """

    regime: Regime
    draws: int
    seen: Seen
    mode: Labels
    hits: Integers

    @staticmethod
    def of(regime: Regime, runs: int, draws: int, generator: np.random.Generator) -> Sweeps:
        """Draw them."""
        labels = draw(Truth(regime.name, regime.masses), runs, draws, generator)
        counts = np.zeros((runs, len(regime.masses)), np.int64)
        np.add.at(counts, (np.arange(runs)[:, None], labels), 1)
        of_draws = np.take_along_axis(counts, labels, axis=1)
        mode = np.take_along_axis(labels, of_draws.argmax(axis=1)[:, None], axis=1)[:, 0]
        hits = generator.binomial(draws, regime.by_temperature[:, mode])
        hits[REFERENCE] = counts.max(axis=1)
        (seen,) = follow(labels, (draws,), regime.masses)
        return Sweeps(regime, draws, seen, mode, hits)

    def mass(self, alpha: float) -> Estimates:
        """The mode mass at the reference."""
        return mode_mass(self.seen.samples(alpha))

    def share(self, place: int, alpha: float) -> Estimates:
        """The share of the mode at one temperature that is not the reference's."""
        return columns([_share(hits, self.draws, alpha) for hits in self.hits[place].tolist()])

    def truth(self, place: int) -> Floats:
        """The true share (R,) of each run's mode."""
        found: Floats = self.regime.by_temperature[place, self.mode]
        return found

    def excess(self, place: int) -> Floats:
        """The true share less what a softmax predicts (R,)."""
        found: Floats = self.truth(place) - self.regime.predicted[place, self.mode]
        return found


@lru_cache(maxsize=1 << 12)
def _share(hits: int, draws: int, alpha: float) -> Estimate:
    return share(hits, draws, alpha)


@lru_cache(maxsize=1 << 16)
def _bounds(low: float, high: float, power: float, answers: int) -> Estimate:
    return tempered_bounds(Estimate(None, low, high), power, answers)


def rows_of(sweeps: Sweeps) -> Iterator[Row]:
    """The coverage of every interval of R sweeps."""
    regime, plan, alpha = sweeps.regime, f"N = {sweeps.draws}", RULES.alpha
    mass = sweeps.mass(alpha)
    shares = [mass if place == REFERENCE else sweeps.share(place, alpha) for place in range(len(GRID))]
    yield row_of("reference_mode, at 1", regime.name, plan, mass, float(regime.masses[0]))
    yield row_of("reference_mode, at 1, of the chosen", regime.name, plan, mass, sweeps.truth(REFERENCE))
    for place in (0, HOTTEST):
        yield row_of(f"reference_mode, at {GRID[place]:g}", regime.name, plan, shares[place], sweeps.truth(place))
    halves = {mode: regime.half_of(mode) for mode in set(sweeps.mode.tolist())}
    true_half = np.array([halves[mode] for mode in sweeps.mode.tolist()])
    yield row_of("t_half", regime.name, plan, _halves(shares, sweeps.draws), true_half)
    for place in (0, HOTTEST):
        bounds = _predicted(mass, place, len(regime.masses))
        target = regime.predicted[place, sweeps.mode]
        yield row_of(f"predicted_mode, bounds, at {GRID[place]:g}", regime.name, plan, bounds, target)
    observed, excess = shares[HOTTEST], sweeps.excess(HOTTEST)
    exact = regime.predicted[HOTTEST, sweeps.mode]
    found = Estimates(observed.value - exact, observed.low - exact, observed.high - exact)
    yield row_of("persistence, scored", regime.name, plan, found, excess)
    observed, bounds = (
        sweeps.share(HOTTEST, alpha / 2),
        _predicted(sweeps.mass(alpha / 2), HOTTEST, len(regime.masses)),
    )
    found = Estimates(bounds.value, observed.low - bounds.high, observed.high - bounds.low)
    yield row_of("persistence, bounds", regime.name, plan, found, excess)


def _halves(shares: Sequence[Estimates], draws: int) -> Estimates:
    single = [[estimates[run] for estimates in shares] for run in range(len(shares[0]))]
    return columns([half_temperature(GRID, of_run, [draws] * len(GRID)) for of_run in single])


def _predicted(mass: Estimates, place: int, answers: int) -> Estimates:
    ends = zip(mass.low.tolist(), mass.high.tolist(), strict=True)
    return columns([_bounds(low, high, 1 / GRID[place], answers) for low, high in ends])


# ---------------------------------------------------------------------------------------------------- through all of it


def rows_through_all(runs: int) -> Iterator[Row]:
    """The coverage of the rows of `temperature` itself, of sweeps drawn by the engine: all that melt, together."""
    found: dict[str, list[tuple[Estimate, float]]] = {}
    for regime in REGIMES:
        if regime.melts:
            for run in range(runs):
                for name, estimate, truth in _through_all(regime, run):
                    found.setdefault(name, []).append((estimate, truth))
    for name, several in found.items():
        truths = np.array([truth for _, truth in several])
        estimates = columns([estimate for estimate, _ in several])
        yield row_of(name, "all that melt, by `temperature` itself", f"N = {_THROUGH_ALL}", estimates, truths)


def _through_all(regime: Regime, run: int) -> Iterator[tuple[str, Estimate, float]]:
    """Every estimate of one sweep beside its truth; every second one has its declared answers scored."""
    sweep = _drawn(regime, run, scores=run % 2 == 0)
    place = int(sweep[REFERENCE].result.modes[0].text) - 1
    half = regime.half_of(place)
    for row in temperature(sweep):
        at = GRID.index(row.at) if row.at is not None else REFERENCE
        if row.metric == "reference_mode":
            yield row.metric, row.estimate, float(regime.by_temperature[at, 0 if at == REFERENCE else place])
        elif row.metric == "predicted_mode":
            yield f"{row.metric}, {row.label}", row.estimate, float(regime.predicted[at, place])
        elif row.metric == "persistence":
            yield f"{row.metric}, {row.label}", row.estimate, 0.0
        elif row.metric == "t_half":
            yield row.metric, row.estimate, half


def _drawn(regime: Regime, run: int, *, scores: bool) -> list[Drawn]:
    """One sweep, drawn by the scripted engine and judged."""
    expect = Expect("uniform", weights=tuple((answer, 1 / len(regime.masses)) for answer in regime.weights))
    texts = {answer: f" {answer}." for answer in regime.weights}
    weights = {texts[answer]: mass for answer, mass in regime.weights.items()}
    engine = ScriptedEngine(Script(regime.name, {"sweep": weights}))
    drawn = []
    for place, one in enumerate(GRID):
        cell = Cell(
            f"sweep@t{one}", "truth", "sweep", "", "", one, "known", "", "Q: ?\nA:", (), "",
            Sampling(samples=_THROUGH_ALL, temperature=one), answer=IntegerAnswer(1, len(regime.masses)),
            expect=expect, equivalence="exact",
        )  # fmt: skip
        seed = ((REGIMES.index(regime) * RUNS + run) * len(GRID) + place) * _THROUGH_ALL
        completions = list(engine.sample([SampleRequest(cell, seed, tuple(range(_THROUGH_ALL)))]))
        scored = []
        if scores and place == REFERENCE:
            tokens = {answer: (*engine.tokens(cell, text), 0) for answer, text in texts.items()}
            found = engine.score(ScoreRequest(answer, cell, ids) for answer, ids in tokens.items())
            scored = [
                Scored(cell.cell_id, name, texts[name], tokens[name], of_one.token_logprobs)
                for name, of_one in zip(tokens, found, strict=True)
            ]
        drawn.append(Drawn.of(judge_cell(cell, completions, RULES), completions, RULES.alpha, scored))
    return drawn


def rows(runs: int) -> Iterator[Row]:
    """The coverage of every interval of a sweep, by regime and number of draws."""
    generator = np.random.default_rng(SEED)
    for regime in REGIMES:
        for draws in DRAWS:
            yield from rows_of(Sweeps.of(regime, runs, draws, generator))
    yield from rows_through_all(max(2, runs // _RUNS_FOR_ONE_THROUGH_ALL))


def main() -> None:
    """Print the rows, and exit with 1 if one is below nominal by more than its error allows."""
    print("interval | regime | plan | runs | held | width | both ends | outcome")
    found = []
    for row in rows(RUNS):
        found.append(row)
        print(
            f"{row.interval} | {row.regime} | {row.plan} | {row.runs} | {row.held:.4f} ± {row.standard_error:.4f} | "
            f"{row.width:.3f} | {row.bounded:.0%} | {row.outcome}",
            flush=True,
        )
    if not all(row.ok for row in found):
        sys.exit(f"below {NOMINAL:g}")


if __name__ == "__main__":
    main()
