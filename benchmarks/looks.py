"""What do looks save? A fixed number of draws against looks up to the same cap, with and without drawing ahead.

On one engine, in interleaved rounds, with other seeds each: the whole sampling phase with all rows on disk.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from figures import median_ratio, store
from speed import SUITE, Silent, manifest_of

from collapsecli.cli.streams import libraries_log_to
from collapsecli.engines import EngineOptions
from collapsecli.engines.vllm import VllmEngine
from collapsecli.ledger import Ledger
from collapsecli.pipeline import collect
from collapsecli.records import Model, Rules
from collapsecli.runs import RunFolder
from collapsecli.schedule import Schedule
from collapsecli.seeds import cell_seeds
from collapsecli.suite import load, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from collapsecli.engines import SampleRequest
    from collapsecli.records import Cell, Completion


class Roomy:
    """The same engine, which says that it has room for many completions at once: then it is asked to draw ahead."""

    room = 256

    def __init__(self, engine: VllmEngine) -> None:
        self._engine = engine

    def sample(self, requests: Iterable[SampleRequest | None]) -> Generator[Completion, None, None]:
        """Draw what is asked."""
        return self._engine.sample(requests)


class Counting(Silent):
    """Nobody looks on, but counts what comes back."""

    def __init__(self) -> None:
        self.drawn = 0

    def advanced(self, completion: Completion, saved: int) -> None:
        """One more."""
        super().advanced(completion, saved)
        self.drawn += 1


def sampled(cells: Sequence[Cell], seed: int, engine: VllmEngine | Roomy) -> tuple[float, int, int]:
    """Seconds of the sampling phase, the completions drawn, and those that count."""
    manifest = manifest_of(cells, seed)
    seeds = cell_seeds(seed, {cell.cell_id: cell.sampling.samples for cell in cells})
    schedule = Schedule(cells, seeds, lambda _: Rules(), lambda _: False)
    watch = Counting()
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        run.write_manifest(manifest)
        began = time.perf_counter()
        collect(Ledger(run, manifest, watch), schedule, engine)  # type: ignore[arg-type]  # all that is used of an engine
        seconds = time.perf_counter() - began
    return seconds, watch.drawn, sum(schedule.looks.values())


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--cap", type=int, default=512)
    asked = parser.parse_args()
    fixed = plan(load(SUITE), models=[Model.at("demo-base")], samples=asked.cap).cells
    looks = tuple(replace(cell, sampling=replace(cell.sampling, adaptive=True)) for cell in fixed)
    with libraries_log_to(Path(os.devnull)) as people:
        engine = VllmEngine(EngineOptions("demo-base"))
        arms: dict[str, Callable[[int], tuple[float, int, int]]] = {
            "fixed": lambda seed: sampled(fixed, seed, engine),
            "looks": lambda seed: sampled(looks, seed, engine),
            "looks_ahead": lambda seed: sampled(looks, seed, Roomy(engine)),
        }
        figures: dict[str, list[tuple[float, int, int]]] = {name: [] for name in arms}
        for turn in range(-1, asked.rounds):  # the first is a warm-up
            names = list(arms) if turn % 2 else list(arms)[::-1]
            for name in names:
                found = arms[name](1000 + turn)
                if turn >= 0:
                    figures[name].append(found)
            print(f"round {turn + 1}", file=people, flush=True)
        engine.close()
    seconds = {name: [took for took, _, _ in found] for name, found in figures.items()}
    stored: dict[str, object] = {"cells": len(fixed), "cap": asked.cap, "rounds": asked.rounds}
    for name in ("looks", "looks_ahead"):
        ratio, low, high = median_ratio(seconds[name], seconds["fixed"])
        drawn = sum(drawn for _, drawn, _ in figures[name]) / asked.rounds
        counted = sum(counted for _, _, counted in figures[name]) / asked.rounds
        print(
            f"{name} / fixed: median time ratio {ratio:.3f} [95 % {low:.3f}, {high:.3f}], {asked.rounds} rounds; "
            f"{drawn:,.0f} drawn, {counted:,.0f} counted, of {len(fixed) * asked.cap:,} fixed"
        )
        stored[name] = {"ratio": ratio, "ratio_low": low, "ratio_high": high, "drawn": drawn, "counted": counted}
    store("looks", {**stored, "seconds": seconds})


if __name__ == "__main__":
    main()
