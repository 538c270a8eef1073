"""How often the contrasts of restarts hold the truth: cells whose completions begin anew with a known probability.

Counts are drawn many at once; what is said of each pair of counts is said by `restarts`, of real texts. Some runs are
drawn by the scripted engine and judged.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from truth_intervals import NOMINAL, Row, columns, row_of
from truth_rule import RULES

from collapsecli.contrasts.drawn import Drawn
from collapsecli.contrasts.restart import restarts
from collapsecli.engines import SampleRequest
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.judge import judge_cell
from collapsecli.records import Cell, Completion, Estimate, Sampling

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from known import Integers

SHARES = (0.01, 0.05, 0.3, 0.5, 0.9)
AGAINST = (*SHARES, 0.99)
DRAWS = (32, 64, 128)
RUNS = 10_000
SEED = 20_260_103
_LOSS_SHARE = 0.1
_LOOKS = (16, 32, 64, 128)
_THROUGH_ALL = 64  # draws
_RUNS_FOR_ONE_THROUGH_ALL = 20
_PROMPT = "The best man raised his glass."
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


def _cell(cell_id: str, injection: str, draws: int) -> Cell:
    return Cell(
        cell_id, "truth", "toast", "", injection, 1.0, "known", "", _PROMPT, (), "", Sampling(samples=draws)
    )  # fmt: skip


PLAIN, INJECTED = _cell("toast@t1.0", "", 1), _cell("toast/murderer@t1.0", "murderer", 1)


@cache
def said_of(plain: Counted, injected: Counted, alpha: float = RULES.alpha) -> Found:
    """What `restarts` says of two cells with these counts, at an error rate of each."""
    return _said(_drawn(PLAIN, plain, alpha), _drawn(INJECTED, injected, alpha))


def _said(plain: Drawn, injected: Drawn) -> Found:
    before, after, apart = restarts(plain, [injected])
    if apart.p_value is None:
        raise ValueError("a difference without a p-value")
    return Found(before.estimate, after.estimate, apart.estimate, apart.p_value)


def _drawn(cell: Cell, counted: Counted, alpha: float) -> Drawn:
    texts = [_ANEW] * counted.hits + [_ON] * (counted.n - counted.hits)
    completions = tuple(replace(_completion(cell), text=text, sample_index=at) for at, text in enumerate(texts))
    return Drawn(judge_cell(cell, [], RULES), completions, counted.lost, alpha)


@cache
def _completion(cell: Cell) -> Completion:
    return Completion(cell.cell_id, 0, 0, _PROMPT, _ON, (), (), None, 1, "stop")


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
    yield from _at_any_look(runs, generator)
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
        yield row_of("restarts", f"{plain:g}", plan, columns(one.plain for one in several), plain)
        yield from _of_differences(several, plain, injected, plan)


def _at_any_look(runs: int, generator: np.random.Generator) -> Iterator[Row]:
    """Two adaptive cells, each stopped at the look that is worst: the interval must hold at all pairs of looks."""
    alpha = RULES.alpha / len(_LOOKS)
    for plain, injected in ((0.01, 0.99), (0.05, 0.3), (0.3, 0.3), (0.5, 0.5), (0.9, 0.05)):
        before, after = _at_looks(plain, runs, generator), _at_looks(injected, runs, generator)
        worst = []
        for one, other in zip(before.tolist(), after.tolist(), strict=True):
            ends = [
                said_of(Counted(hits, n), Counted(more, m), alpha).difference
                for (hits, n), (more, m) in itertools.product(
                    zip(one, _LOOKS, strict=True), zip(other, _LOOKS, strict=True)
                )
            ]
            worst.append(Estimate(0.0, max(end.low or 0.0 for end in ends), min(end.high or 0.0 for end in ends)))
        regime = f"{injected:g} against {plain:g}"
        yield row_of("restart_difference", regime, "at every pair of looks", columns(worst), injected - plain)


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
