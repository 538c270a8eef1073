"""The sampling phase on a GPU: an architecture of 8 billion parameters with made-up weights. Downloads nothing.

What is measured does not depend on what the weights say: our sampling phase against a plain `LLM.generate`, against its
fastest raw form and against one request for every completion; what a seed for every request costs; how long the engine
takes to start, with and without compiling; memory. The figures go to `figures/gpu.json` with the GPU's name.
`--tiny` runs all of it on any machine with a model of nothing, to see that it runs, and stores nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import string
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arms import ARMS, OURS, ratios, raw, stored_arms, unseeded
from arms import measured as measured_arms
from figures import store

from collapsecli.cli.streams import libraries_log_to
from collapsecli.engines import EngineOptions
from collapsecli.engines.environment import set_environment
from collapsecli.engines.vllm import VllmEngine
from collapsecli.records import Cell, EngineInfo, Sampling
from collapsecli.runs import Manifest, SuiteSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from arms import Timed

SEEDED, UNSEEDED = "seeded", "unseeded"
GIB = 1 << 30
MARKS = ("<s>", "</s>")  # the last two entries of the tokenizer


@dataclass(frozen=True, slots=True)
class Size:
    """A model's architecture, and the work it is given: prompts, completions of each, tokens of each."""

    config: Mapping[str, object]
    prompts: int
    samples: int
    max_tokens: int
    context: int


# The shapes of Llama 3.1 8B.
LARGE = Size(
    {"vocab_size": 128_256, "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
     "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "rope_theta": 500_000.0,
     "rms_norm_eps": 1e-5, "dtype": "bfloat16"},
    prompts=50, samples=32, max_tokens=128, context=4096,
)  # fmt: skip
TINY = Size(
    {"vocab_size": 2048, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
     "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32, "rope_theta": 10_000.0,
     "rms_norm_eps": 1e-5, "dtype": "float32"},
    prompts=4, samples=8, max_tokens=12, context=256,
)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- the model


def write_model(folder: Path, size: Size) -> None:
    """A model's folder without weights: its architecture, and a tokenizer of its own with as many entries."""
    vocabulary = int(str(size.config["vocab_size"]))
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "attention_bias": False,
        "mlp_bias": False, "tie_word_embeddings": False, "max_position_embeddings": size.context,
        "bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, **size.config,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=1), "utf-8")
    write_tokenizer(folder, vocabulary)


def write_tokenizer(folder: Path, vocabulary: int) -> None:
    """A byte-level BPE of `vocabulary` entries: bytes, pairs of letters, pairs of such pairs, and two marks."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = string.ascii_lowercase
    pairs = list(itertools.product(letters, letters))
    halves = ["".join(pair) for pair in pairs]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = list(itertools.islice((*pairs, *itertools.product(halves, halves)), vocabulary - len(alphabet) - 2))
    entries = [*alphabet, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE({entry: at for at, entry in enumerate(entries)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(mark, special=True) for mark in MARKS])
    begin, end = MARKS
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=begin, eos_token=end).save_pretrained(folder)


def options_of(folder: Path, size: Size, *, eager: bool | None = None) -> EngineOptions:
    """How the engine of this model is asked for; `eager` None leaves compiling to the engine's defaults."""
    compiling = {} if eager is None else {"enforce_eager": eager}
    return EngineOptions(str(folder), {"load_format": "dummy", "max_model_len": size.context, **compiling})


def cells_of(size: Size) -> list[Cell]:
    """A cell for each of as many different prompts."""
    sampling = Sampling(samples=size.samples, max_tokens=size.max_tokens)
    return [
        Cell(f"p{at}@t1.0", "gpu", f"p{at}", "", "", 1.0, "dummy", "", f"Tell a story with the number {at} in it.", (),
             "", sampling)
        for at in range(size.prompts)
    ]  # fmt: skip


def of_round(cells: Sequence[Cell], number: int) -> Manifest:
    """What is drawn in a round: the same cells with other seeds."""
    drawn = EngineInfo("vllm", "", "dummy", {})
    suite = SuiteSource("gpu", "", "", "")
    return Manifest("gpu", "2026-01-01T00:00:00+00:00", 2000 + number, (suite,), tuple(cells), {"dummy": drawn})


# ---------------------------------------------------------------------------------------------------------- measuring


def started(folder: Path, size: Size, *, eager: bool | None) -> tuple[VllmEngine, dict[str, float]]:
    """An engine, and the seconds of the import of vLLM and of the start itself."""
    began = time.perf_counter()
    set_environment(str(folder))
    import_module("vllm")
    imported = time.perf_counter()
    engine = VllmEngine(options_of(folder, size, eager=eager))
    return engine, {"import_s": imported - began, "start_s": time.perf_counter() - imported}


def start_alone(folder: Path, *, tiny: bool) -> dict[str, float]:
    """The same of an engine that compiles nothing, in a process that ends with it: its memory is free again."""
    command = [sys.executable, __file__, "--start-eager", str(folder), *(["--tiny"] if tiny else [])]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds: dict[str, float] = json.loads(told.splitlines()[-1])
    return seconds


def memory() -> dict[str, float]:
    """The most that this process held so far, GiB: in the machine's memory and, where there is one, on the GPU."""
    import torch

    held = {"host_peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB}
    if torch.cuda.is_available():
        held |= {
            "gpu_peak_allocated_gib": torch.cuda.max_memory_allocated() / GIB,
            "gpu_peak_reserved_gib": torch.cuda.max_memory_reserved() / GIB,
        }
    return held


def figures_of(size: Size, found: Mapping[str, Sequence[Timed]]) -> dict[str, Any]:
    """Sizes, our ratio to every other arm that drew the same, tokens a second, and what the seeds cost."""
    same = [name for name in found if name not in {OURS, SEEDED, UNSEEDED}]
    rate = {name: statistics.median(one.tokens / one.wall_s for one in timed) for name, timed in found.items()}
    return {
        "completions": size.prompts * size.samples,
        "tokens": found[OURS][-1].tokens,
        "rounds": len(found[OURS]),
        "tokens_per_s": rate,
        "ratios": {name: ratios(found, OURS, name) for name in same},
        "seeded_over_unseeded": statistics.median(
            (seeded.wall_s / seeded.tokens) / (free.wall_s / free.tokens)
            for seeded, free in zip(found[SEEDED], found[UNSEEDED], strict=True)
        ),
        "arms": stored_arms(found),
    }


def gpu_name() -> str | None:
    """What the GPU calls itself; None without one."""
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else None


def main() -> int:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--tiny", action="store_true", help="a model of nothing, on any machine; stores nothing")
    parser.add_argument("--at-most", type=float, help="fail when ours takes more of the plain call's time than this")
    parser.add_argument("--start-eager", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    size = TINY if asked.tiny else LARGE
    gpu = gpu_name()
    if gpu is None and not asked.tiny:
        print("no GPU is here: this benchmark is about one; --tiny runs it on any machine", file=sys.stderr)
        return 2
    if asked.start_eager:
        with libraries_log_to(Path(os.devnull)):
            engine, seconds = started(asked.start_eager, size, eager=True)
            engine.close()
        print(json.dumps(seconds))
        return 0
    with tempfile.TemporaryDirectory() as folder, libraries_log_to(Path(os.devnull)) as people:
        write_model(Path(folder), size)
        eager = start_alone(Path(folder), tiny=asked.tiny)
        engine, start = started(Path(folder), size, eager=None)
        arms = {**ARMS, SEEDED: raw, UNSEEDED: unseeded}
        found = measured_arms(engine, partial(of_round, cells_of(size)), arms, asked.rounds, people)
        engine.close()
    figures = {
        "gpu": gpu, "vllm": engine.info.version, "model": "Llama 3.1 8B by its shapes, made-up weights",
        "start": start, "start_eager": eager, "memory": memory(), **figures_of(size, found),
    }  # fmt: skip
    print(json.dumps({name: value for name, value in figures.items() if name != "arms"}, indent=1))
    if gpu is not None and not asked.tiny:
        store("gpu", figures)
    ratio = figures["ratios"]["generate"]["wall"][0]
    if asked.at_most is not None and ratio > asked.at_most:
        print(f"ours takes {ratio:.3f} of the time of generate, and may take {asked.at_most}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
