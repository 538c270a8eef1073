"""Does a run of 10^6 completions fit the memory of one of 10^4? Whole processes, the scripted engine, no GPU.

Two shapes: many cells of 64 completions (thousands of prompts at five temperatures, half of them typed, half short
texts), and a hundred cells of 10^4 typed completions. `collapse probe` samples, compacts, judges and reports;
`collapse report` does the last two again. Each is a process of its own, and its peak is what the system says of it.

    python benchmarks/memory.py            # 10^4, 10^5 and 10^6 of both shapes: half an hour on two cores
    python benchmarks/memory.py --most 5   # without the largest
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from figures import store

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_GROWTH = 1.2  # of the peak, from 10^4 completions to the most
TEMPERATURES = (0.6, 0.8, 1.0, 1.2, 1.4)
_NOUNS = [
    "house", "river", "garden", "machine", "winter", "letter", "harbour", "mountain", "teacher", "window", "forest",
    "engine", "story", "bridge",
]  # fmt: skip
_VERBS = ["keeps", "remembers", "leaves", "watches", "builds", "forgets", "follows", "mends"]
_LOOKS = ["old", "quiet", "bright", "hidden", "narrow", "distant", "patient", "broken", "silver", "empty"]


@dataclass(frozen=True, slots=True)
class Shape:
    """How the completions of a run are spread: `samples` to a cell, a cell for each prompt and temperature."""

    name: str
    samples: int
    temperatures: tuple[float, ...]
    typed_only: bool

    def prompts(self, completions: int) -> int:
        """As many prompts as make at least so many completions."""
        return -(-completions // (self.samples * len(self.temperatures)))


SHAPES = (
    Shape("many cells", 64, TEMPERATURES, typed_only=False),
    Shape("large cells", 10_000, (1.0,), typed_only=True),
)


@dataclass(frozen=True, slots=True)
class Stage:
    """One process: its peak in MB (of 10^6 bytes), and how long it took."""

    command: str
    peak_mb: float
    seconds: float
    cpu_seconds: float


def write_suite(folder: Path, shape: Shape, prompts: int) -> None:
    """`suite.yaml` with its prompt files, and `script.yaml` with what is answered: eight distributions in turn."""
    stream = random.Random(7)  # noqa: S311 - the same suite every time
    answers = [*(_numbers(stream, at) for at in range(4)), *(_sentences(stream, at) for at in range(4))]
    rows: dict[str, list[str]] = {"typed": [], "free": []}
    script = ["prompts:"]
    for number in range(prompts):
        kind = number % (4 if shape.typed_only else 8)
        name = f"p{number:05d}"
        asked = (
            f"Q: Tell me a number between 1 and 100, please. This is question {number}.\nA:"
            if kind < 4
            else f"Q: Write one short sentence about the {_NOUNS[number % 14]}, {_LOOKS[number % 10]}, {number}.\nA:"
        )
        rows["typed" if kind < 4 else "free"].append(json.dumps({"id": name, "text": asked}))
        script.append(f"  {name}: *k{kind}" if number >= 8 else f"  {name}: &k{kind} {json.dumps(answers[kind])}")
    entries = []
    for name, answer in (("typed", ", answer: {integer: [1, 100]}"), ("free", "")):
        if rows[name]:
            (folder / f"{name}.jsonl").write_text("\n".join(rows[name]) + "\n", encoding="utf-8")
            temperatures = list(shape.temperatures)
            entries.append(f"  - {{file: {name}.jsonl, id: id, text: text{answer}, temperatures: {temperatures}}}")
    sampling = f"sampling: {{samples: {shape.samples}, max_tokens: 32}}"
    suite = ["schema: 1", "name: memory", "model: scripted", sampling, "prompts:", *entries]
    (folder / "suite.yaml").write_text("\n".join(suite) + "\n", encoding="utf-8")
    (folder / "script.yaml").write_text("\n".join(script) + "\n", encoding="utf-8")


def _numbers(stream: random.Random, steepness: int) -> dict[str, float]:
    return {f" {number}.": _weight(at, steepness) for at, number in enumerate(stream.sample(range(1, 101), 20))}


def _sentences(stream: random.Random, steepness: int) -> dict[str, float]:
    words = (_LOOKS, _NOUNS, _VERBS, _LOOKS, _NOUNS)
    drawn = ([stream.choice(kind) for kind in words] for _ in range(24))
    return {
        f" The {look} {noun} {verb} the {other} {thing}.": _weight(at, steepness)
        for at, (look, noun, verb, other, thing) in enumerate(drawn)
    }


def _weight(rank: int, steepness: int) -> float:
    return float(round((1 + rank) ** (-0.3 * steepness), 6))


def measured(command: str, arguments: Sequence[str], log: Path) -> Stage:
    """Run one command of the tool in a process of its own. Raises RuntimeError where it fails."""
    began = time.perf_counter()
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "collapsecli", command, *arguments],
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, "COLUMNS": "100"},
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}: {log.read_text()[-2000:]}")
    kilobytes = used.ru_maxrss
    seconds = time.perf_counter() - began
    return Stage(command, round(kilobytes * 1024 / 1e6, 1), round(seconds, 1), round(used.ru_utime + used.ru_stime, 1))


def run_of(shape: Shape, completions: int) -> list[Stage]:
    """The stages of one run."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        write_suite(folder, shape, shape.prompts(completions))
        run, script = folder / "runs" / "run", str(folder / "script.yaml")
        engine = ["--engine", "scripted", "-m", script, "--seed", "1"]
        probe = [str(folder / "suite.yaml"), *engine, "-o", str(run.parent), "--run-id", run.name]
        return [measured("probe", probe, folder / "probe.txt"), measured("report", [str(run)], folder / "report.txt")]


def main() -> int:
    """Measure, print, store; 1 where memory grows beyond the promise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, choices=(5, 6), default=6, help="the largest run: 10 to the power of it")
    parser.add_argument("--no-store", action="store_true", help="only print")
    options = parser.parse_args()
    figures: dict[str, object] = {}
    grown: list[float] = []
    for shape in SHAPES:
        least: dict[str, float] = {}
        for power in range(4, options.most + 1):
            completions = shape.prompts(10**power) * len(shape.temperatures) * shape.samples
            stages = run_of(shape, 10**power)
            figures[f"{shape.name}, 10^{power}"] = {
                "cells": completions // shape.samples,
                "completions": completions,
                "completions_per_s": round(completions / stages[0].seconds),
                "stages": [asdict(stage) for stage in stages],
            }
            for stage in stages:
                growth = stage.peak_mb / least.setdefault(stage.command, stage.peak_mb)
                print(
                    f"{shape.name}, {completions:>9,} completions, {stage.command:<6} "
                    f"{stage.peak_mb:6.1f} MB ({growth:.2f}x), {stage.seconds:6.1f} s",
                    flush=True,
                )
                grown.append(growth)
    figures["most_growth"] = round(max(grown), 3)
    if not options.no_store:
        store("memory", figures)
    return int(max(grown) > MOST_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
