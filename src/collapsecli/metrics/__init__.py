"""Numbers about one cell, each with its interval. Pure functions of counts and probabilities; no text, no files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collapsecli.metrics import categorical
from collapsecli.metrics.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from collapsecli.records import Estimate

__all__ = ["METRICS", "Metric", "Sample", "measure"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number about one cell: its name in the records and columns, how it is measured, and in which unit."""

    name: str
    estimate: Callable[[Sample], Estimate]
    unit: str


METRICS = (
    Metric("valid_rate", categorical.valid_rate, unit="fraction"),
    Metric("mode_mass", categorical.mode_mass, unit="fraction"),
    Metric("collision", categorical.collision, unit="fraction"),
    Metric("effective_modes", categorical.effective_modes, unit="modes"),
    Metric("distinct_10", categorical.distinct_10, unit="modes"),
)


def measure(sample: Sample) -> dict[str, Estimate]:
    """Every metric of one cell, by name."""
    return {metric.name: metric.estimate(sample) for metric in METRICS}
