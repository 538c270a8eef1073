"""What more replicas on one machine bring: completions per second of one and of several, in interleaved rounds.

The scripted engine takes a fixed time for each draw and no processor: how far its rate is from K times that of one is
what sharing costs. The bundled model on vLLM shows the same on as many cores as there are replicas.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from figures import median_ratio, store

from collapsecli.cli.streams import libraries_log_to
from collapsecli.engines import EngineOptions, SampleRequest, start_engine
from collapsecli.records import Model
from collapsecli.seeds import cell_seeds
from collapsecli.suite import load, plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collapsecli.engines import Engine, EngineName
    from collapsecli.records import Cell

SUITE = Path(__file__).parents[1] / "prompts" / "quickstart.yaml"
ANSWERS = {" Heads.": 0.6, " Tails.": 0.4}


def cells_of(copies: int, samples: int) -> list[Cell]:
    """The quickstart suite's cells, each several times under other names."""
    planned = plan(load(SUITE), models=[Model.at("demo-base")], samples=samples).cells
    return [replace(cell, cell_id=f"{copy}-{cell.cell_id}") for copy in range(copies) for cell in planned]


def seconds(engine: Engine, cells: Sequence[Cell], seed: int) -> float:
    """Wall time in which an engine draws everything that the cells plan."""
    seeds = cell_seeds(seed, {cell.cell_id: cell.sampling.samples for cell in cells})
    requests = [SampleRequest(cell, seeds[cell.cell_id], tuple(range(cell.sampling.samples))) for cell in cells]
    began = time.perf_counter()
    n = sum(1 for _ in engine.sample(requests))
    took_s = time.perf_counter() - began
    if n != sum(cell.sampling.samples for cell in cells):
        raise SystemExit(f"{n} completions came back")
    return took_s


def measured(
    name: EngineName, options: EngineOptions, cells: Sequence[Cell], replicas: Sequence[int], rounds: int
) -> dict[str, object]:
    """Completions per second of so many replicas each, and of the most against one. The first round is not kept."""
    n = sum(cell.sampling.samples for cell in cells)
    engines = {k: start_engine(name, replace(options, replicas=k), own_process=True) for k in replicas}
    took_s: dict[int, list[float]] = {k: [] for k in replicas}
    for at in range(rounds + 1):
        order = list(replicas) if at % 2 else list(reversed(replicas))
        for k in order:
            came_s = seconds(engines[k], cells, seed=1000 + at)
            took_s[k] += [came_s] if at else []
    for engine in engines.values():
        engine.close()
    most = max(replicas)
    ratio, low, high = median_ratio(took_s[1], took_s[most])
    rates: Mapping[str, float] = {str(k): round(n / sorted(took_s[k])[len(took_s[k]) // 2], 1) for k in replicas}
    return {
        "completions": n, "rounds": rounds, "replicas": most,
        "speedup": ratio, "speedup_low": low, "speedup_high": high,
        "completions_per_s": rates, "seconds": {str(k): took_s[k] for k in replicas},
    }  # fmt: skip


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--delay-ms", type=float, default=2.0)
    parser.add_argument("--no-vllm", action="store_true", help="the scripted engine alone")
    asked = parser.parse_args()

    figures: dict[str, dict[str, object]] = {}
    cells = cells_of(copies=2, samples=asked.samples)
    with tempfile.TemporaryDirectory() as folder, libraries_log_to(Path(os.devnull)) as people:
        script = Path(folder) / "script.yaml"
        prompts = {cell.prompt_id + (f"/{cell.injection}" if cell.injection else ""): ANSWERS for cell in cells}
        script.write_text(json.dumps({"prompts": prompts, "delay_s": asked.delay_ms / 1000}), "utf-8")
        arms: list[tuple[EngineName, EngineOptions, tuple[int, ...]]] = [
            ("scripted", EngineOptions(str(script)), (1, 2, 4))
        ]
        if not asked.no_vllm:
            arms.append(("vllm", EngineOptions("demo-base"), (1, 2)))
        for name, options, replicas in arms:
            print(f"{name}: {replicas} replicas", file=people, flush=True)
            figures[name] = measured(name, options, cells, replicas, asked.rounds)
    for engine, found in figures.items():
        print(engine, json.dumps({key: value for key, value in found.items() if key != "seconds"}))
    store("replicas", {"delay_ms": asked.delay_ms, **figures})


if __name__ == "__main__":
    main()
