"""Write the reports and figures of the README again, from real runs and from the stored figures."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from figures import FIGURES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parents[1]
SEED = "1"


CONTRASTS = ("hotter sampling", "after an injection", "roads not taken")


COMMAND = (sys.executable, "-m", "collapsecli")


def shown(words: str, wanted: Callable[[Sequence[str]], Sequence[str]], runs: Path | None = None) -> str:
    """A command and those parts of its report, 80 columns wide, that are wanted of all parts."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*COMMAND, *words.split(), "--out", str(runs or folder)]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    parts = "\n\n".join(wanted(done.stdout.split("\n\n")))
    return f"```\n$ collapse {words}\n{parts}\n```"


def report_of(model: str) -> str:
    """The top of the report of a bundled model on the quickstart suite: heading and table."""
    return shown(f"probe prompts/quickstart.yaml --model {model} --seed {SEED}", lambda parts: parts[:2])


def contrasts() -> str:
    """Some blocks of contrasts of the suite by which the bundled pair is told apart."""
    words = f"probe benchmarks/pair.yaml --model demo-tuned --seed {SEED} --only integer* --only toast* --only bugs"
    return shown(words, lambda parts: _those(parts, CONTRASTS))


COMPARED = ("quickstart:", "mean over prompts", "cells", "what became common")


def comparison() -> str:
    """What `compare` says first of the bundled pair: headline, means, cells, and the phrases that became common."""
    with tempfile.TemporaryDirectory() as folder:
        for model in ("demo-base", "demo-tuned"):
            words = ["probe", "quickstart", "--model", model, "--seed", SEED, "--run-id", model, "--out", folder, "-q"]
            subprocess.run([*COMMAND, *words], cwd=ROOT, check=True, capture_output=True)
        return shown("compare demo-base demo-tuned", lambda parts: _those(parts, COMPARED), Path(folder))


def _those(parts: Sequence[str], begin: tuple[str, ...]) -> list[str]:
    return [part for part in parts if part.startswith(begin)]


def figures() -> str:
    """The stored figures in words."""
    speed = json.loads((FIGURES / "speed.json").read_text("utf-8"))
    coverage = json.loads((FIGURES / "coverage.json").read_text("utf-8"))
    held = "; ".join(
        f"{coverage[model]['held']} of {coverage[model]['cells']} cells of {model}"
        for model in ("demo-base", "demo-tuned")
    )
    rescoring = json.loads((FIGURES / "rescoring.json").read_text("utf-8"))
    plain, fastest = (
        rescoring["ratios"][form]["cpu_s"]["ratio"] for form in ("generate", rescoring["fastest_raw_form"])
    )
    novelty = json.loads((FIGURES / "novelty_pairs.json").read_text("utf-8"))
    agreed = {name: round(novelty["pairs"] * novelty[name]["agreement"]) for name in ("given", "lexical")}
    return (
        f"- The whole sampling phase, rows on disk, takes **{speed['ratio']:.2f}** of the time of one plain "
        f"`LLM.generate` of the same completions with `logprobs=0` (median of {speed['pairs']} interleaved pairs of "
        f"{speed['completions']:,} completions, 95 % [{speed['ratio_low']:.2f}, {speed['ratio_high']:.2f}]; "
        f"{speed['measured_on']}, vLLM on the CPU, demo-base).\n"
        f"- The printed 95 % interval holds the true mode mass, known exactly from the model's weights, in {held} "
        f"({coverage['seeds']} seeds of {len(coverage['prompts'])} prompts, {coverage['samples']} draws each).\n"
        f"- `compare --rescore` takes **{plain:.2f}** of the CPU time of one plain `LLM.generate` with "
        f"`prompt_logprobs=0` of the same tokens, and {fastest:.2f} of that of its fastest form.\n"
        f"- Of all {novelty['pairs']} pairs of the {novelty['models']} models of NoveltyBench `compare` calls the same "
        f"ones different as a paired bootstrap on the published classes: {agreed['given']} of {novelty['pairs']} by "
        f"these classes, {agreed['lexical']} by shared words."
    )


def replaced(text: str, name: str, block: str) -> str:
    """The text with a new block between the marks of a name."""
    mark, end = f"<!-- {name}: written by benchmarks/readme.py -->\n", "<!-- end -->"
    before, found, rest = text.partition(mark)
    if not found or end not in rest:
        sys.exit(f"the README has no place for {name}")
    return f"{before}{mark}{block}\n{rest[rest.index(end) :]}"


def main() -> None:
    """Replace what stands between the marks."""
    path = ROOT / "README.md"
    text = path.read_text("utf-8")
    for name, block in (
        ("demo-base", report_of("demo-base")),
        ("demo-tuned", report_of("demo-tuned")),
        ("contrasts", contrasts()),
        ("comparison", comparison()),
        ("figures", figures()),
    ):
        text = replaced(text, name, block)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
