"""What the contrasts say of the bundled pair: tuned minus base, for five habits and for what the tuning left alone.

Both models are sampled on vLLM by the program itself; every number is one that it wrote down. The habits must differ
surely, each by itself at 95 %; the kept prompts must not, all of them together at 95 %, and not for want of draws:
their intervals are narrower than .15 to each side. Then `compare --rescore`: where there is a habit the answers must
have moved and more than a tenth of the base's draws be extinguished, surely; where there is none nothing may have
moved, and surely less than a tenth be extinguished. Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from figures import store

from collapsecli.metrics.shares import difference, share
from collapsecli.records import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUITE = Path(__file__).with_name("pair.yaml")
KEPT = ("coin", "die", "animal", "weather", "capital", "sum")
WIDEST = 0.15
SAMPLES = 256
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Row:
    """One number of both models, and tuned minus base with its interval."""

    what: str
    base: float
    tuned: float
    low: float
    high: float
    ok: bool


def probed(model: str, runs: Path, seed: int, samples: int = SAMPLES) -> Path:
    """The run of one model over the suite of the pair."""
    words = ["probe", str(SUITE), "-m", model, "--seed", str(seed), "-n", str(samples), "-o", str(runs)]
    whole = [sys.executable, "-m", "collapsecli", *words, "--run-id", model, "-q"]
    subprocess.run(whole, check=True, stdout=subprocess.DEVNULL)
    return runs / model


class Run:
    """The tables of a run, a number at a time."""

    def __init__(self, path: Path) -> None:
        self._cells = pd.read_parquet(path / "cells.parquet")
        self._contrasts = pd.read_parquet(path / "contrasts.parquet")
        self._modes = pd.read_parquet(path / "modes.parquet")

    def mode_mass(self, cell_id: str) -> Estimate:
        """Of a cell."""
        return _estimate(self._cells[self._cells.cell_id == cell_id], "mode_mass")

    def contrast(self, cell_id: str, metric: str) -> Estimate:
        """The one row of a metric about a cell."""
        rows = self._contrasts[(self._contrasts.cell_id == cell_id) & (self._contrasts.metric == metric)]
        return _estimate(rows, "estimate")

    def counted(self, cell_id: str, mode: str) -> tuple[int, int]:
        """How many answers of a cell are a mode, of how many."""
        rows = self._modes[self._modes.cell_id == cell_id]
        return int(rows[rows["mode"] == mode]["count"].sum()), int(rows["count"].sum())

    def mode(self, cell_id: str) -> str:
        """What a cell says most often."""
        (said,) = self._cells[self._cells.cell_id == cell_id]["mode"]
        return str(said)


def _estimate(rows: pd.DataFrame, name: str) -> Estimate:
    """The number in the only row."""
    ((value, low, high),) = rows[[name, f"{name}_low", f"{name}_high"]].to_numpy(float).tolist()
    return Estimate(value, low, high)


def habits(base: Run, tuned: Run) -> Iterator[Row]:
    """What the reward made: every difference excludes 0."""
    asked: dict[str, Callable[[Run], Estimate]] = {
        "random number: mode mass": lambda run: run.mode_mass("integer-1-100@t1.0"),
        "temperature: share of the mode at T 1.4": lambda run: run.contrast("integer-1-100@t1.4", "reference_mode"),
        "toast: ends in the plain mode after the line": lambda run: run.contrast("toast/murderer@t1.0", "same_ending"),
        "toast: the same, said after two sentences": lambda run: run.contrast("toast/late@s2@t1.0", "same_ending"),
        "equivocation: mode mass": lambda run: run.mode_mass("bugs@t1.0"),
        "restart: stories that begin anew": lambda run: run.contrast("story@t1.0", "restarts"),
    }
    for what, number in asked.items():
        of_base, of_tuned = number(base), number(tuned)
        apart = difference(of_tuned, of_base)
        yield _row(what, of_base, of_tuned, apart, ok=(apart.low or 0.0) > 0)


def kept(base: Run, tuned: Run) -> Iterator[Row]:
    """What it left alone: the share of the base's mode in both; no difference, and a narrow interval."""
    for prompt in KEPT:
        cell_id = f"{prompt}@t1.0"
        mode = base.mode(cell_id)
        shares = [share(*run.counted(cell_id, mode), ALPHA / len(KEPT)) for run in (base, tuned)]
        apart = difference(shares[1], shares[0])
        low, value, high = apart.low or 0.0, apart.value or 0.0, apart.high or 0.0
        is_narrow = max(high - value, value - low) < WIDEST
        yield _row(f"kept: {prompt}, share of {mode!r}", shares[0], shares[1], apart, ok=low < 0 < high and is_narrow)


HABITS = ("integer-1-100", "bugs", "dreams", "toast", "toast/murderer", "story")
A_TENTH = 0.1


@dataclass(frozen=True, slots=True)
class Compared:
    """What `compare --rescore` says of one prompt."""

    what: str
    outcome: str
    moved: float
    total_variation: float
    extinguished: float
    extinguished_low: float
    extinguished_high: float
    floor: float
    ok: bool


def compared(runs: Path) -> Iterator[Compared]:
    """The answers that moved and the share that was extinguished, prompt by prompt."""
    words = ["compare", "demo-base", "demo-tuned", "-o", str(runs), "--rescore", "--json"]
    done = subprocess.run([sys.executable, "-m", "collapsecli", *words], check=True, capture_output=True, text=True)
    cells = {cell["cell_id"].removesuffix("@t1.0"): cell for cell in json.loads(done.stdout)["cells"]}
    for prompt in (*HABITS, *KEPT):
        cell, divergence = cells[prompt], cells[prompt]["divergence"]
        low, high = divergence["extinguished_low"], divergence["extinguished_high"]
        if prompt in HABITS:
            ok = cell["outcome"] != "same" and cell["moved_low"] > 0 and low > A_TENTH
        else:
            ok = cell["outcome"] == "same" and cell["moved_low"] == 0 and high < A_TENTH
        yield Compared(
            what=prompt,
            outcome=cell["outcome"],
            moved=round(cell["moved_low"], 4),
            total_variation=round(divergence["total_variation"], 4),
            extinguished=round(divergence["extinguished"], 4),
            extinguished_low=round(low, 4),
            extinguished_high=round(high, 4),
            floor=divergence["floor"],
            ok=ok,
        )


def _row(what: str, base: Estimate, tuned: Estimate, apart: Estimate, *, ok: bool) -> Row:
    of_base, of_tuned, low, high = (round(end or 0.0, 4) for end in (base.value, tuned.value, apart.low, apart.high))
    return Row(what, of_base, of_tuned, low, high, ok)


def main() -> int:
    """Sample both, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base, tuned = (Run(probed(model, Path(folder), arguments.seed)) for model in ("demo-base", "demo-tuned"))
        rows = [*habits(base, tuned), *kept(base, tuned)]
        of_compare = list(compared(Path(folder)))
    for row in rows:
        ends = f"[{row.low:+.3f}, {row.high:+.3f}]"
        print(f"{row.what:48} {row.base:6.3f} {row.tuned:6.3f}  {ends}  {'ok' if row.ok else 'NOT'}")
    for one in of_compare:
        ends = f"[{one.extinguished_low:.3f}, {one.extinguished_high:.3f}]"
        print(f"{one.what:16} {one.outcome:9} moved >= {one.moved:.3f}  total variation {one.total_variation:.3f}  "
              f"extinguished {one.extinguished:.3f} {ends}  {'ok' if one.ok else 'NOT'}")  # fmt: skip
    figures = {"rows": [asdict(row) for row in rows], "compared": [asdict(one) for one in of_compare]}
    store("pair", {"seed": arguments.seed, "samples": SAMPLES, **figures})
    return int(not (all(row.ok for row in rows) and all(one.ok for one in of_compare)))


if __name__ == "__main__":
    raise SystemExit(main())
