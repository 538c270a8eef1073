"""Write the reports and figures of the README again, from real runs and from the stored figures."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from figures import FIGURES

ROOT = Path(__file__).parents[1]
SEED = "1"


def report_of(model: str) -> str:
    """The top of the report of a bundled model on the quickstart suite: heading and table, 80 columns."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "collapsecli", "probe", "prompts/quickstart.yaml", "--model", model,
            "--seed", SEED, "--out", folder,
        ]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    table = done.stdout.split("\n\n")[:2]
    return (
        f"```\n$ collapse probe prompts/quickstart.yaml --model {model} --seed {SEED}\n" + "\n\n".join(table) + "\n```"
    )


def figures() -> str:
    """The stored figures in words."""
    speed = json.loads((FIGURES / "speed.json").read_text("utf-8"))
    coverage = json.loads((FIGURES / "coverage.json").read_text("utf-8"))
    held = "; ".join(
        f"{coverage[model]['held']} of {coverage[model]['cells']} cells of {model}"
        for model in ("demo-base", "demo-tuned")
    )
    return (
        f"- The whole sampling phase, rows on disk, takes **{speed['ratio']:.2f}** of the time of one plain "
        f"`LLM.generate` of the same completions with `logprobs=0` (median of {speed['pairs']} interleaved pairs of "
        f"{speed['completions']:,} completions, 95 % [{speed['ratio_low']:.2f}, {speed['ratio_high']:.2f}]; "
        f"{speed['measured_on']}, vLLM on the CPU, demo-base).\n"
        f"- The printed 95 % interval holds the true mode mass, known exactly from the model's weights, in {held} "
        f"({coverage['seeds']} seeds of {len(coverage['prompts'])} prompts, {coverage['samples']} draws each)."
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
        ("figures", figures()),
    ):
        text = replaced(text, name, block)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
