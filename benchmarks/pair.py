"""What the contrasts say of the bundled pair: tuned minus base, for five habits and for what the tuning left alone.

Both models are sampled on vLLM by the program itself; every number is one that it wrote down. The habits must differ
surely, each by itself at 95 %; the kept prompts must not, all of them together at 95 %, and not for want of draws:
their intervals are narrower than .15 to each side. Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
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
    for row in rows:
        ends = f"[{row.low:+.3f}, {row.high:+.3f}]"
        print(f"{row.what:48} {row.base:6.3f} {row.tuned:6.3f}  {ends}  {'ok' if row.ok else 'NOT'}")
    store("pair", {"seed": arguments.seed, "samples": SAMPLES, "rows": [asdict(row) for row in rows]})
    return int(not all(row.ok for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
