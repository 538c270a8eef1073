"""Is rescoring a run as fast as vLLM's own `prompt_logprobs`? Interleaved, in one process, on one engine.

Ours: the whole stage, from the run on disk to the scores on disk beside it.
Theirs: one call of `LLM.generate` for the same tokens, in three forms: as a user would write it, without decoding, and
with flat log-probabilities. What a user would still have to do, read the run and keep the numbers, is not timed.
CPU time of the whole process stands beside the clock's: on a machine with other work it is the steadier of the two.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import shutil
import sys
import tempfile
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from figures import median_ratio, store

from collapsecli.cli.streams import libraries_log_to
from collapsecli.engines import EngineOptions, SampleRequest
from collapsecli.engines.vllm import VllmEngine
from collapsecli.records import Cell, Sampling
from collapsecli.rescoring import rescore
from collapsecli.runs import Manifest, RunFolder, SuiteSource
from collapsecli.runs.rescored import rescored

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collapsecli.engines import Engine

MODEL = "demo-base"
BEGINNINGS = ("Once upon", "Once upon a time", "Once upon a time there", "Once upon a time there was")
OURS = "ours"
PLAIN = "generate"  # the raw call, as a user would write it
RAW_FORMS: dict[str, dict[str, bool]] = {
    PLAIN: {},
    "generate, detokenize=False": {"detokenize": False},
    "generate, detokenize=False, flat_logprobs=True": {"detokenize": False, "flat_logprobs": True},
}


class Silent:
    """Nobody looks on."""

    stopped = False

    def noticed(self, what: str) -> None:
        """Nothing to say."""

    def scoring(self, engine: Engine, owed: int) -> None:
        """Nothing to say."""

    def scored(self, saved: int) -> None:
        """Nothing to say."""


class Timed(NamedTuple):
    """What an arm took, and the log-probability (nats) that it found for every completion."""

    wall_s: float
    cpu_s: float
    logprobs: list[float]


class Stopwatch:
    """Time of the clock and of all threads of this process, since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stopped(self) -> tuple[float, float]:
        """Seconds of both."""
        return time.perf_counter() - self._wall, time.process_time() - self._cpu


class Work:
    """A run on disk, and the same tokens as a user would have them in memory."""

    def __init__(self, engine: VllmEngine, folder: Path, samples: int, max_tokens: int) -> None:
        cells = [cell_of(text, samples, max_tokens) for text in BEGINNINGS]
        self.engine, self.cells = engine, cells
        self.run = RunFolder(folder / "run")
        self.run.path.mkdir()
        suite = SuiteSource("rescoring", "", "", "")
        self.manifest = Manifest("run", "2026-01-01T00:00:00+00:00", 1, (suite,), tuple(cells))
        self.run.write_manifest(self.manifest)
        requests = [SampleRequest(cell, at << 30, tuple(range(samples))) for at, cell in enumerate(cells, start=1)]
        with self.run.shard_writer(self.manifest, "vllm") as shards:
            for completion in engine.sample(requests):
                shards.add(completion)
        self.run.compact(self.manifest)
        self.run.write_state("complete")
        self.drawn = [one for _, completions in self.run.completions(cells) for one in completions]
        prompts = {cell.cell_id: engine._llm.get_tokenizer().encode(cell.text) for cell in cells}
        self.token_ids = [[*prompts[one.cell_id], *one.token_ids] for one in self.drawn]

    def ours(self) -> Timed:
        """The whole stage."""
        shutil.rmtree(self.run.path / "rescored", ignore_errors=True)
        stopwatch = Stopwatch()
        if not rescore(self.run, self.manifest, self.cells, self.engine, "", Silent()):
            sys.exit("the stage did not score everything")
        took = stopwatch.stopped()
        found = rescored(self.run, self.engine.info, "")
        return Timed(*took, [found[one.cell_id][one.sample_index][0] for one in self.drawn])

    def theirs(self, options: dict[str, bool]) -> Timed:
        """One plain call; its log-probabilities are read out untimed."""
        from vllm import SamplingParams, TokensPrompt

        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, **options)
        prompts = [TokensPrompt(prompt_token_ids=ids) for ids in self.token_ids]
        stopwatch = Stopwatch()
        outputs = self.engine._llm.generate(prompts, params)
        took = stopwatch.stopped()
        logprobs = [
            math.fsum(
                output.prompt_logprobs[at][ids[at]].logprob for at in range(len(ids) - len(one.token_ids), len(ids))
            )
            for output, ids, one in zip(outputs, self.token_ids, self.drawn, strict=True)
        ]
        return Timed(*took, logprobs)


def cell_of(text: str, samples: int, max_tokens: int) -> Cell:
    """A cell that is sampled as the model is."""
    return Cell(
        cell_id=f"{text}@t1.0", suite="rescoring", prompt_id=text, variant="", injection="", temperature=1.0,
        model=MODEL, adapter="", text=text, messages=(), injected="",
        sampling=Sampling(samples=samples, max_tokens=max_tokens),
    )  # fmt: skip


def measure(work: Work, rounds: int) -> dict[str, list[Timed]]:
    """What every arm took, in turns that begin with another one each; the first round is a warm-up."""
    arms: dict[str, Callable[[], Timed]] = {
        OURS: work.ours,
        **{name: partial(work.theirs, options) for name, options in RAW_FORMS.items()},
    }
    names = list(arms)
    taken: dict[str, list[Timed]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in (*names[turn % len(names) :], *names[: turn % len(names)]):
            gc.collect()  # a million dictionaries of one arm are not cleared away at the cost of the next
            taken[name].append(arms[name]())
        if not all(_agree(one[-1].logprobs, other[-1].logprobs) for one, other in pairwise(taken.values())):
            sys.exit("the arms did not find the same log-probabilities")
    return {name: timed[1:] for name, timed in taken.items()}


def _agree(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(math.isclose(a, b, abs_tol=1e-3) for a, b in zip(one, other, strict=True))


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--samples", type=int, default=384, help="completions of each of the four prompts")
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--at-most", type=float, default=1.05, help="fail above this ratio to a plain call's CPU")
    asked = parser.parse_args()
    with libraries_log_to(Path(os.devnull)), tempfile.TemporaryDirectory() as folder:
        engine = VllmEngine(EngineOptions(MODEL))
        work = Work(engine, Path(folder), asked.samples, asked.max_tokens)
        taken = measure(work, asked.rounds)
        engine.close()
    tokens = sum(len(one.token_ids) for one in work.drawn)
    print(f"{len(work.drawn):,} completions, {tokens:,} tokens, {asked.rounds} rounds")
    ratios = {name: _ratios(taken[OURS], taken[name]) for name in RAW_FORMS}
    for name, of_form in ratios.items():
        said = (f"{of} {ratio:.3f} [95 % {low:.3f}, {high:.3f}]" for of, (ratio, low, high) in of_form.items())
        print(f"rescoring stage / {name}: median ratio of {', of '.join(said)}")
    fastest = max(RAW_FORMS, key=lambda name: ratios[name]["cpu_s"][0])
    store(
        "rescoring",
        {
            "completions": len(work.drawn), "tokens": tokens, "rounds": asked.rounds, "fastest_raw_form": fastest,
            "ratios": {
                name: {of: dict(zip(("ratio", "low", "high"), ends, strict=True)) for of, ends in of_form.items()}
                for name, of_form in ratios.items()
            },
            "wall_s": {name: [one.wall_s for one in timed] for name, timed in taken.items()},
            "cpu_s": {name: [one.cpu_s for one in timed] for name, timed in taken.items()},
        },
    )  # fmt: skip
    if ratios[PLAIN]["cpu_s"][0] > asked.at_most:
        sys.exit(f"slower than {asked.at_most} times {PLAIN}")


def _ratios(ours: Sequence[Timed], theirs: Sequence[Timed]) -> dict[str, tuple[float, float, float]]:
    return {
        "wall_s": median_ratio([one.wall_s for one in ours], [one.wall_s for one in theirs]),
        "cpu_s": median_ratio([one.cpu_s for one in ours], [one.cpu_s for one in theirs]),
    }


if __name__ == "__main__":
    main()
