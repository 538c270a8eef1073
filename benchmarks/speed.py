"""Is the sampling phase of a probe as fast as vLLM itself? Paired, interleaved, in one process, on one engine.

Ours: the whole sampling phase, from requests to rows on disk, with log-probabilities of every token.
Theirs: one plain `LLM.generate` of the same completions with `logprobs=0` and everything else left at its default.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq
from figures import median_ratio, store

from collapsecli.cli.streams import libraries_log_to
from collapsecli.engines import EngineOptions
from collapsecli.engines.vllm import VllmEngine
from collapsecli.ledger import Ledger
from collapsecli.pipeline import collect
from collapsecli.records import EngineInfo, Model, Rules
from collapsecli.runs import Manifest, RunFolder, SuiteSource
from collapsecli.schedule import Schedule
from collapsecli.seeds import cell_seeds
from collapsecli.suite import load, plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collapsecli.engines import Engine
    from collapsecli.records import Cell, Completion

SUITE = Path(__file__).parents[1] / "prompts" / "quickstart.yaml"


class Silent:
    """Nobody looks on."""

    stopped = False

    def sampling(self, engine: Engine, schedule: Schedule) -> None:
        """Nothing to say."""

    def noticed(self, what: str) -> None:
        """Nothing to say."""

    def advanced(self, completion: Completion, saved: int) -> None:
        """Nothing to say."""


def cells_of(copies: int, samples: int) -> list[Cell]:
    """The quickstart suite's cells, each several times under other names, so that there is work for seconds."""
    planned = plan(load(SUITE), models=[Model.at("demo-base")], samples=samples).cells
    return [replace(cell, cell_id=f"{copy}-{cell.cell_id}") for copy in range(copies) for cell in planned]


def manifest_of(cells: Sequence[Cell], seed: int) -> Manifest:
    """A manifest of these cells."""
    suite = SuiteSource("speed", str(SUITE), "", "")
    drawn = EngineInfo("vllm", "", "demo-base", {})
    return Manifest("speed", "2026-01-01T00:00:00+00:00", seed, (suite,), tuple(cells), {"demo-base": drawn})


def time_ours(engine: VllmEngine, manifest: Manifest) -> tuple[float, int]:
    """Seconds of the sampling phase with all rows on disk, and the tokens sampled."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        run.write_manifest(manifest)
        seeds = cell_seeds(manifest.seed, {cell.cell_id: cell.sampling.samples for cell in manifest.cells})
        schedule = Schedule(manifest.cells, seeds, lambda _: Rules(), lambda _: False)
        began = time.perf_counter()
        collect(Ledger(run, manifest, Silent()), schedule, engine)
        seconds = time.perf_counter() - began
        run.compact(manifest)
        tokens = int(pc.sum(pq.read_table(run.samples_path, columns=["n_tokens"])["n_tokens"]).as_py())
    return seconds, tokens


def time_theirs(engine: VllmEngine, manifest: Manifest) -> tuple[float, int]:
    """Seconds of one plain call for the same completions, and the tokens sampled."""
    from vllm import SamplingParams, TokensPrompt

    seeds = cell_seeds(manifest.seed, {cell.cell_id: cell.sampling.samples for cell in manifest.cells})
    prompts = [TokensPrompt(prompt_token_ids=engine._prompt(cell).token_ids) for cell in manifest.cells]
    params = [
        SamplingParams(
            n=cell.sampling.samples,
            seed=seeds[cell.cell_id],
            temperature=cell.sampling.temperature,
            max_tokens=cell.sampling.max_tokens,
            stop=list(cell.sampling.stop),
            logprobs=0,
        )
        for cell in manifest.cells
    ]
    began = time.perf_counter()
    outputs = engine._llm.generate(prompts, params)
    seconds = time.perf_counter() - began
    return seconds, sum(len(one.token_ids) for output in outputs for one in output.outputs)


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--at-most", type=float, default=1.0, help="fail when the median ratio is above this")
    asked = parser.parse_args()

    cells = cells_of(asked.copies, asked.samples)
    ours, theirs, tokens = [], [], 0
    with libraries_log_to(Path(os.devnull)) as people:
        engine = VllmEngine(EngineOptions("demo-base"))
        for pair in range(-1, asked.pairs):  # the first is a warm-up
            manifest = manifest_of(cells, seed=1000 + pair)
            arms = (time_ours, time_theirs) if pair % 2 else (time_theirs, time_ours)
            timed = {arm: arm(engine, manifest) for arm in arms}
            if len({count for _, count in timed.values()}) != 1:
                sys.exit(f"the arms did not sample the same: {timed}")
            if pair < 0:
                continue
            ours.append(timed[time_ours][0])
            theirs.append(timed[time_theirs][0])
            tokens = timed[time_ours][1]
            print(f"pair {pair + 1:2d}: {ours[-1]:.2f} s / {theirs[-1]:.2f} s", file=people, flush=True)
        engine.close()
    ratio, low, high = median_ratio(ours, theirs)
    completions = sum(cell.sampling.samples for cell in cells)
    print(
        f"sampling phase / LLM.generate(logprobs=0): median ratio {ratio:.3f} [95 % {low:.3f}, {high:.3f}], "
        f"{len(ours)} pairs of {completions:,} completions ({tokens:,} tokens)"
    )
    store(
        "speed",
        {"ratio": ratio, "ratio_low": low, "ratio_high": high, "pairs": len(ours), "completions": completions,
         "tokens": tokens, "ours_s": ours, "generate_s": theirs},
    )  # fmt: skip
    if ratio > asked.at_most:
        sys.exit(f"slower than {asked.at_most}")


if __name__ == "__main__":
    main()
