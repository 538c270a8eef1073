"""What the benchmarks share: an honest ratio, and a place for figures."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from collapsecli.hardware import processor_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIGURES = Path(__file__).parent / "figures"


def median_ratio(ours_s: Sequence[float], theirs_s: Sequence[float]) -> tuple[float, float, float]:
    """Median of the paired ratios ours / theirs, with the ends of its 95 % bootstrap interval over pairs."""
    ratios = np.asarray(ours_s) / np.asarray(theirs_s)
    picks = np.random.default_rng(0).integers(0, len(ratios), (10_000, len(ratios)))
    low, high = np.quantile(np.median(ratios[picks], axis=1), [0.025, 0.975])
    return float(np.median(ratios)), float(low), float(high)


def store(name: str, figures: Mapping[str, object]) -> None:
    """Write figures down with the hardware and the day they are from."""
    FIGURES.mkdir(exist_ok=True)
    stamped = {"measured_on": processor_name(), "day": datetime.now(UTC).date().isoformat(), **figures}
    (FIGURES / f"{name}.json").write_text(json.dumps(stamped, indent=1) + "\n", encoding="utf-8")
