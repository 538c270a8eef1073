"""The same completions drawn in several ways from one engine, and what each way took. Knows no suite and no figures.

Every arm samples with the same seeds, so all arms sample the same tokens: what differs is what is done around them.
"""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow.compute as pc
import pyarrow.parquet as pq
from figures import median_ratio

from collapsecli.ledger import Ledger
from collapsecli.pipeline import collect
from collapsecli.records import Rules
from collapsecli.runs import RunFolder
from collapsecli.schedule import Schedule
from collapsecli.seeds import cell_seeds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TextIO

    from collapsecli.engines import Engine
    from collapsecli.engines.vllm import VllmEngine
    from collapsecli.records import Cell, Completion
    from collapsecli.runs import Manifest

    Arm = Callable[[VllmEngine, Manifest], "Timed"]

OURS = "ours"
PLAIN = "generate"
REPEATS = "repeats"


class Timed(NamedTuple):
    """What an arm took, by the clock and as CPU time of all threads of the process, and the tokens that it sampled."""

    wall_s: float
    cpu_s: float
    tokens: int


class Stopwatch:
    """Time of the clock and of all threads of this process, since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stopped(self, tokens: int) -> Timed:
        """What passed, for so many tokens."""
        return Timed(time.perf_counter() - self._wall, time.process_time() - self._cpu, tokens)


class Silent:
    """Nobody looks on."""

    stopped = False

    def sampling(self, engine: Engine, schedule: Schedule) -> None:
        """Nothing to say."""

    def noticed(self, what: str) -> None:
        """Nothing to say."""

    def advanced(self, completion: Completion, saved: int) -> None:
        """Nothing to say."""


# --------------------------------------------------------------------------------------------------------------- arms


def ours(engine: VllmEngine, manifest: Manifest) -> Timed:
    """The whole sampling phase of a probe: from requests to rows on disk."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        run.write_manifest(manifest)
        schedule = Schedule(manifest.cells, _seeds(manifest), lambda _: Rules(), lambda _: False)
        stopwatch = Stopwatch()
        collect(Ledger(run, manifest, Silent()), schedule, engine)
        took = stopwatch.stopped(0)
        shards = [pq.read_table(path, columns=["n_tokens"]) for path in run.parts_path.glob("*.parquet")]
        return took._replace(tokens=sum(int(pc.sum(shard["n_tokens"]).as_py()) for shard in shards))


def plain(engine: VllmEngine, manifest: Manifest) -> Timed:
    """One `LLM.generate` as a user would write it: n completions a prompt, log-probabilities, all else by default."""
    prompts, params = _asked(engine, manifest)
    stopwatch = Stopwatch()
    outputs = engine._llm.generate(prompts, params, use_tqdm=False)
    return stopwatch.stopped(0)._replace(tokens=_tokens(outputs))


def repeats(engine: VllmEngine, manifest: Manifest) -> Timed:
    """One `LLM.generate` in which every completion is a request of its own, as evaluation harnesses repeat a prompt."""
    from vllm import SamplingParams, TokensPrompt

    seeds = _seeds(manifest)
    each = [(cell, index) for cell in manifest.cells for index in range(cell.sampling.samples)]
    prompts = [TokensPrompt(prompt_token_ids=engine._prompt(cell).token_ids) for cell, _ in each]
    params = [SamplingParams(seed=seeds[cell.cell_id] + index, **_sampling(cell)) for cell, index in each]
    stopwatch = Stopwatch()
    outputs = engine._llm.generate(prompts, params, use_tqdm=False)
    return stopwatch.stopped(0)._replace(tokens=_tokens(outputs))


def raw(engine: VllmEngine, manifest: Manifest, *, flat: bool = True, stepped: bool = False) -> Timed:
    """The least that gives the same columns: undecoded, then texts in batches and log-probabilities in lists.

    `flat` log-probabilities or one dictionary per token; `LLM.generate`, or its engine `stepped` by hand in a window.
    """
    prompts, params = _asked(engine, manifest, undecoded=True, flat_logprobs=flat)
    stopwatch = Stopwatch()
    rows: list[tuple[str, Sequence[int], list[float]]] = []
    finished = _stepped(engine, prompts, params) if stepped else engine._llm.generate(prompts, params, use_tqdm=False)
    for output in finished:
        token_ids = [one.token_ids for one in output.outputs]
        texts = engine._tokenizer.batch_decode(token_ids, skip_special_tokens=True)
        logprobs = (_flat_logprobs(one) if flat else _sampled_logprobs(one) for one in output.outputs)
        rows.extend(zip(texts, token_ids, logprobs, strict=True))
    return stopwatch.stopped(sum(len(token_ids) for _, token_ids, _ in rows))


def _flat_logprobs(drawn: Any) -> list[float]:
    return list(drawn.logprobs.logprobs)


def _sampled_logprobs(drawn: Any) -> list[float]:
    return [at[token].logprob for token, at in zip(drawn.token_ids, drawn.logprobs, strict=True)]


def unseeded(engine: VllmEngine, manifest: Manifest) -> Timed:
    """`raw` without a seed for any request: what the engine's own sampler would do. It samples other tokens."""
    prompts, params = _asked(engine, manifest, undecoded=True, flat_logprobs=True)
    for one in params:
        one.seed = None
    stopwatch = Stopwatch()
    outputs = engine._llm.generate(prompts, params, use_tqdm=False)
    return stopwatch.stopped(0)._replace(tokens=_tokens(outputs))


RAW_FORMS: Mapping[str, Arm] = {
    "raw": raw,
    "raw, dictionaries": lambda engine, manifest: raw(engine, manifest, flat=False),
    "raw, stepped": lambda engine, manifest: raw(engine, manifest, stepped=True),
    "raw, stepped, dictionaries": lambda engine, manifest: raw(engine, manifest, flat=False, stepped=True),
}
RAW = "raw"  # the fastest of them wherever it was measured
ARMS: Mapping[str, Arm] = {OURS: ours, PLAIN: plain, RAW: raw, REPEATS: repeats}


def _seeds(manifest: Manifest) -> dict[str, int]:
    return cell_seeds(manifest.seed, {cell.cell_id: cell.sampling.samples for cell in manifest.cells})


def _sampling(cell: Cell) -> dict[str, Any]:
    sampling = cell.sampling
    stop = {"stop": list(sampling.stop)} if sampling.stop else {}
    return {"temperature": sampling.temperature, "max_tokens": sampling.max_tokens, "logprobs": 0, **stop}


def _asked(
    engine: VllmEngine, manifest: Manifest, *, undecoded: bool = False, **options: bool
) -> tuple[list[Any], list[Any]]:
    """A prompt and its parameters for every cell; what ends at a stop string has to be decoded as it comes."""
    from vllm import SamplingParams, TokensPrompt

    seeds = _seeds(manifest)
    prompts = [TokensPrompt(prompt_token_ids=engine._prompt(cell).token_ids) for cell in manifest.cells]
    params = [
        SamplingParams(
            n=cell.sampling.samples,
            seed=seeds[cell.cell_id],
            detokenize=bool(cell.sampling.stop) or not undecoded,
            **_sampling(cell),
            **options,
        )
        for cell in manifest.cells
    ]
    return prompts, params


def _stepped(engine: VllmEngine, prompts: Sequence[Any], params: Sequence[Any]) -> Iterator[Any]:
    """Every request's final output, with no more sequences in flight than the engine's window asks for."""
    from vllm.sampling_params import RequestOutputKind

    inner, waiting = engine._engine, iter(enumerate(zip(prompts, params, strict=True)))
    more = True
    while True:
        while more and inner.get_num_unfinished_requests() < engine._window:
            following = next(waiting, None)
            if following is None:
                more = False
                break
            number, (prompt, asked) = following
            asked.output_kind = RequestOutputKind.FINAL_ONLY
            inner.add_request(f"raw-{number}", prompt, asked)
        if not inner.has_unfinished_requests():
            return
        yield from (output for output in inner.step() if output.finished)


def _tokens(outputs: Sequence[Any]) -> int:
    return sum(len(one.token_ids) for output in outputs for one in output.outputs)


# ---------------------------------------------------------------------------------------------------------- measuring


def measured(
    engine: VllmEngine, manifest_of: Callable[[int], Manifest], arms: Mapping[str, Arm], rounds: int, people: TextIO
) -> dict[str, list[Timed]]:
    """What every arm took in every round, the order rotated from round to round; one more round comes first, uncounted.

    `manifest_of` gives a round's completions. Raises ValueError where arms that share their seeds sampled other tokens.
    """
    names, found = list(arms), {name: list[Timed]() for name in arms}
    for number in range(-1, rounds):
        manifest, turn = manifest_of(number), number % len(names)
        timed = {name: _alone(arms[name], engine, manifest) for name in (*names[turn:], *names[:turn])}
        if len({timed[name].tokens for name in names if arms[name] is not unseeded}) != 1:
            raise ValueError(f"the arms did not sample the same: {timed}")
        if number >= 0:
            for name in names:
                found[name].append(timed[name])
            said = ", ".join(f"{name} {timed[name].wall_s:.2f}" for name in names)
            print(f"round {number + 1} of {rounds}, seconds: {said}", file=people, flush=True)
    return found


def _alone(arm: Arm, engine: VllmEngine, manifest: Manifest) -> Timed:
    """An arm's time, not that of what the one before it left: its garbage is gone, and no prompt is known already."""
    gc.collect()
    engine._llm.reset_prefix_cache()
    return arm(engine, manifest)


def ratios(found: Mapping[str, Sequence[Timed]], arm: str, against: str) -> dict[str, list[float]]:
    """The median paired ratio of two arms by the clock and by CPU time, each with the ends of its 95 % interval."""
    pairs = {
        "wall": ([one.wall_s for one in found[arm]], [one.wall_s for one in found[against]]),
        "cpu": ([one.cpu_s for one in found[arm]], [one.cpu_s for one in found[against]]),
    }
    return {name: list(median_ratio(*times)) for name, times in pairs.items()}


def stored_arms(found: Mapping[str, Sequence[Timed]]) -> dict[str, dict[str, list[float]]]:
    """Every time that was measured, as it is stored."""
    return {
        name: {"wall_s": [one.wall_s for one in timed], "cpu_s": [one.cpu_s for one in timed]}
        for name, timed in found.items()
    }
