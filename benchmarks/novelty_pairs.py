"""Does `compare` call the same pairs of models different as NoveltyBench's own classes do? All 78 pairs of 13 models.

The yardstick: a paired bootstrap over the 100 prompts of the published number of classes, computed here and without the
program. Against it stands the program's own word on every pair, from the completions as they are imported: by the
published classes, and by shared words. Exits with 1 unless by the classes at least 90 % agree. Skips where the
completions are absent; ten minutes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from figures import store
from word_weights import REFERENCE

from collapsecli.cli import main as collapse
from collapsecli.comparing import hold_against
from collapsecli.comparison.outcomes import MARGIN
from collapsecli.conclusions import judged
from collapsecli.runs import RunFolder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from collapsecli.conclusions import JudgedSide

    Floats = NDArray[np.float64]

ALPHA = 0.05
RESAMPLES = 9_999
LEAST_AGREEMENT = 0.9


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A pair that one calls different and the other does not: the changes of both, and the program's p-value."""

    base: str
    run: str
    classes: float
    classes_low: float
    classes_high: float
    distinct_10: float
    p_value: float


def published(model: str) -> Floats:
    """The number of classes (100,) that the benchmark's classifier found among ten completions of each prompt.

    In the order of the prompts' ids: each file has an order of its own.
    """
    lines = (REFERENCE / model / "partitions.jsonl").read_text("utf-8").splitlines()
    rows = sorted((json.loads(line) for line in lines), key=lambda row: str(row["id"]))
    return np.array([max(row["partition"]) + 1 for row in rows], np.float64)


def bootstrap(changes: Floats, generator: np.random.Generator) -> tuple[float, float]:
    """The percentile interval of a mean over prompts."""
    means = changes[generator.integers(len(changes), size=(RESAMPLES, len(changes)))].mean(axis=1)
    low, high = np.quantile(means, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def imported(model: str, folder: Path, equivalence: str) -> JudgedSide:
    """The completions of a model as a run, judged."""
    name = f"{model}-{equivalence}"
    path = str(REFERENCE / model / "partitions.jsonl")
    words = ["import", path, "-m", model, "--run-id", name, "-o", str(folder), "--equivalence", equivalence, "-q"]
    if collapse(words):
        raise RuntimeError(f"{path} could not be imported")
    (side,) = judged(RunFolder(folder / name)).sides()
    return side


def agreement(sides: Mapping[str, JudgedSide]) -> tuple[int, list[Disagreement]]:
    """The number of pairs, and those on which the program and the yardstick differ, in significance or direction."""
    classes = {model: published(model) for model in sides}
    generator = np.random.default_rng(20_260_101)
    differing, couples = [], list(combinations(sides, 2))
    for base, run in couples:
        changes = classes[run] - classes[base]
        low, high = bootstrap(changes, generator)
        theirs = 0.0 if low <= 0 <= high else float(np.sign(changes.mean()))
        found = hold_against(sides[base], sides[run], MARGIN, force=False).overall["distinct_10"]
        change, p_value = found.change.value or 0.0, found.p_value or 0.0
        ours = float(np.sign(change)) if p_value <= ALPHA else 0.0
        if ours != theirs:
            differing.append(Disagreement(base, run, float(changes.mean()), low, high, change, p_value))
    return len(couples), differing


def main() -> int:
    """Print, store."""
    models = sorted(path.parent.name for path in REFERENCE.glob("*/partitions.jsonl"))
    if not models:
        print("skipped: the completions are absent")
        return 0
    figures: dict[str, object] = {"alpha": ALPHA, "models": len(models)}
    shares = {}
    with tempfile.TemporaryDirectory() as folder:
        for equivalence in ("given", "lexical"):
            sides = {model: imported(model, Path(folder), equivalence) for model in models}
            pairs, differing = agreement(sides)
            shares[equivalence] = 1 - len(differing) / pairs
            figures |= {
                "pairs": pairs,
                equivalence: {
                    "agreement": round(shares[equivalence], 4),
                    "differing": [asdict(one) for one in differing],
                },
            }
            print(f"{equivalence}: {pairs - len(differing)} of {pairs} pairs agree")
            for one in differing:
                ends = f"[{one.classes_low:+.2f}, {one.classes_high:+.2f}]"
                print(f"  {one.base} -> {one.run}: classes {one.classes:+.2f} {ends}, "
                      f"distinct@10 {one.distinct_10:+.2f}, p {one.p_value:.3f}")  # fmt: skip
    store("novelty_pairs", figures)
    return int(shares["given"] < LEAST_AGREEMENT)


if __name__ == "__main__":
    sys.exit(main())
