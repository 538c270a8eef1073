"""How often the contrasts of restarts hold the truth: cells whose completions begin anew with a known probability.

Counts are drawn many at once; what is said of each pair of counts is said by `restarts`, of real texts. Some runs are
drawn by the scripted engine and judged.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from truth_intervals import NOMINAL, Row, columns, row_of
from truth_rule import RULES

from collapsecli.contrasts.drawn import Drawn
from collapsecli.contrasts.restart import restarts
from collapsecli.engines import SampleRequest
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.judge import judge_cell
from collapsecli.metrics.shares import difference
from collapsecli.metrics.shares import share as share_of
from collapsecli.records import Cell, Completion, Estimate, Sampling

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from known import Integers

    from collapsecli.records import CellResult

SHARES = (0.01, 0.05, 0.3, 0.5, 0.9)
AGAINST = (*SHARES, 0.99)
DRAWS = (32, 64, 128)
RUNS = 10_000
SEED = 20_260_103
_LOSS_SHARE = 0.1
_LOOKS = (16, 32, 64, 128)
_HALF = RULES.collapsed
_THROUGH_ALL = 64  # draws
_RUNS_FOR_ONE_THROUGH_ALL = 20
_PROMPT = "The best man raised his glass."
_MARKER = "The End"
_ANEW, _ON = " He wept. The End.\n\nIt was spring in the garden.", " He wept, and it was spring in the garden."


class Counted(NamedTuple):
    """How many of the texts of a cell that came back begin anew, how many there are, and how many were lost."""

    hits: int
    n: int
    lost: int = 0


class Found(NamedTuple):
    """What is said of a plain cell and of one that was injected with something."""

    plain: Estimate
    injected: Estimate
    difference: Estimate
    p_value: float


def _cell(cell_id: str, injection: str) -> Cell:
    return Cell(cell_id, "truth", "toast", "", injection, 1.0, "known", "", _PROMPT, (), "", Sampling())


PLAIN, INJECTED = _cell("toast@t1.0", ""), _cell("toast/murderer@t1.0", "murderer")


@cache
def said_of(plain: Counted, injected: Counted) -> Found:
    """What `restarts` says of two cells with these counts."""
    return _said(_drawn(PLAIN, plain), _drawn(INJECTED, injected))


def _said(plain: Drawn, injected: Drawn) -> Found:
    before, after, apart = restarts(plain, [injected])
    if apart.p_value is None:
        raise ValueError("a difference without a p-value")
    return Found(before.estimate, after.estimate, apart.estimate, apart.p_value)


def _drawn(cell: Cell, counted: Counted) -> Drawn:
    anew, on = _completion(cell, _ANEW), _completion(cell, _ON)
    completions = (anew,) * counted.hits + (on,) * (counted.n - counted.hits)
    return Drawn(_result(cell), completions, counted.lost, RULES.alpha)


@cache
def _completion(cell: Cell, text: str) -> Completion:
    return Completion(cell.cell_id, 0, 0, _PROMPT, text, (), (), None, 1, "stop")


@cache
def _result(cell: Cell) -> CellResult:
    """Of a cell that is searched for one marker: the others would only take time."""
    return judge_cell(replace(cell, restarts=(_MARKER,)), [], RULES)


# ---------------------------------------------------------------------------------------------------------------- rows


def rows(runs: int) -> Iterator[Row]:
    """A row for every interval, pair of shares and number of draws."""
    generator = np.random.default_rng(SEED)
    for draws in DRAWS:
        for share in AGAINST:
            found = (said_of(Counted(hits, draws), Counted(0, draws)) for hits in _hits(share, draws, runs, generator))
            yield row_of("restarts", f"{share:g}", f"N = {draws}", columns(one.plain for one in found), share)
        for plain, injected in itertools.product(SHARES, AGAINST):
            pairs = zip(_hits(plain, draws, runs, generator), _hits(injected, draws, runs, generator), strict=True)
            several = [said_of(Counted(hits, draws), Counted(more, draws)) for hits, more in pairs]
            yield from _of_differences(several, plain, injected, f"N = {draws}")
    yield from _with_losses(runs, generator)
    yield from _adaptive(runs, generator)
    yield from _through_the_engine(max(runs // _RUNS_FOR_ONE_THROUGH_ALL, 1))


def _hits(share: float, draws: int, runs: int, generator: np.random.Generator) -> list[int]:
    hits: list[int] = generator.binomial(draws, share, runs).tolist()
    return hits


def _of_differences(several: Iterable[Found], plain: float, injected: float, plan: str) -> Iterator[Row]:
    found = list(several)
    regime = f"{injected:g} against {plain:g}"
    yield row_of("restart_difference", regime, plan, columns(one.difference for one in found), injected - plain)
    if plain == injected:  # the test does not reject where its error rate is at most the p-value
        up_to_p = columns(Estimate(one.p_value, 0.0, one.p_value) for one in found)
        yield row_of("p-value", regime, plan, up_to_p, RULES.alpha)


def _with_losses(runs: int, generator: np.random.Generator) -> Iterator[Row]:
    """A tenth is lost of what begins anew in the plain cell, and of what goes on in the other: never at random."""
    for draws, (plain, injected) in itertools.product(DRAWS, ((0.05, 0.5), (0.3, 0.3), (0.9, 0.5), (0.9, 0.05))):
        several = []
        for hits, more in zip(
            _hits(plain, draws, runs, generator), _hits(injected, draws, runs, generator), strict=True
        ):
            lost, more_lost = generator.binomial((hits, draws - more), _LOSS_SHARE).tolist()
            before, after = Counted(hits - lost, draws - lost, lost), Counted(more, draws - more_lost, more_lost)
            several.append(said_of(before, after))
        plan = f"N = {draws}, some lost"
        regime = f"{plain:g} beside {injected:g}"
        yield row_of("restarts", regime, plan, columns(one.plain for one in several), plain)
        yield from _of_differences(several, plain, injected, plan)


def _adaptive(runs: int, generator: np.random.Generator) -> Iterator[Row]:
    """Two adaptive cells, each sampled until its share is surely below or above one half: as verdicts are."""
    for plain, injected in ((0.01, 0.99), (0.05, 0.3), (0.3, 0.3), (0.45, 0.45), (0.9, 0.05)):
        before, after = (_at_looks(share, runs, generator).tolist() for share in (plain, injected))
        found = columns(_difference(_stopped(more), _stopped(hits)) for hits, more in zip(before, after, strict=True))
        regime = f"{injected:g} against {plain:g}"
        yield row_of("restart_difference", regime, f"adaptive to {_LOOKS[-1]}", found, injected - plain)


def _stopped(hits: Sequence[int]) -> Estimate:
    """The share at the look that decides, or at the last one, from the hits (K,) until each."""
    looks = [_share_at_look(count, draws) for count, draws in zip(hits, _LOOKS, strict=True)]
    return next((one for one in looks if (one.low or 0.0) > _HALF or (one.high or 0.0) < _HALF), looks[-1])


@cache
def _share_at_look(hits: int, draws: int) -> Estimate:
    return share_of(hits, draws, RULES.alpha / len(_LOOKS))


_difference = lru_cache(maxsize=1 << 20)(difference)


def _at_looks(share: float, runs: int, generator: np.random.Generator) -> Integers:
    """Draws (R, K) that begin anew, until each look."""
    hits: Integers = generator.binomial(np.diff(_LOOKS, prepend=0), share, (runs, len(_LOOKS))).cumsum(axis=1)
    return hits


def _through_the_engine(runs: int) -> Iterator[Row]:
    """The same with completions of the scripted engine, judged."""
    shares = {PLAIN.cell_id: 0.05, INJECTED.cell_id: 0.3}
    answers = {
        cell.cell_id.rpartition("@")[0]: {_ANEW: shares[cell.cell_id], _ON: 1 - shares[cell.cell_id]}
        for cell in (PLAIN, INJECTED)
    }
    engine = ScriptedEngine(Script("restarts", answers))
    found = []
    for run in range(runs):
        cells = []
        for place, cell in enumerate((PLAIN, INJECTED)):
            asked = replace(cell, sampling=Sampling(samples=_THROUGH_ALL))
            seed = (2 * run + place) << 20
            completions = list(engine.sample([SampleRequest(asked, seed, tuple(range(_THROUGH_ALL)))]))
            cells.append(Drawn.of(judge_cell(asked, completions, RULES), completions, RULES.alpha))
        found.append(_said(*cells))
    plan = f"N = {_THROUGH_ALL}, through the engine"
    yield row_of("restarts", "0.05", plan, columns(one.plain for one in found), 0.05)
    yield from _of_differences(found, 0.05, 0.3, plan)


def main() -> None:
    """Print the rows."""
    began = time.monotonic()
    for row in rows(RUNS):
        held = f"{row.held:.4f} ± {row.standard_error:.4f}"
        print(
            f"{row.interval:20} {row.regime:18} {row.plan:28} {row.runs:6} {held} width {row.width:.3f} {row.outcome}"
        )
    print(f"{time.monotonic() - began:.0f} s, nominal {NOMINAL:g}")


if __name__ == "__main__":
    main()
