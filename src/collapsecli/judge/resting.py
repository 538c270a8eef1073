"""Results that wait for a report: their numbers and modes lie on disk, all else of them stays. Judges nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from collapsecli.records import Estimate, Mode
from collapsecli.spilled import Spill, SpilledMapping, SpilledSequence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collapsecli.records import CellResult


class RestingResults:
    """Takes results as they are found. What is large in them, they have from disk when they are asked for it."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, ...], int] = {}  # hardly ever more than two: with probabilities and without
        self._metrics = Spill(self._packed_metrics, self._metrics_of)
        self._modes = Spill(_packed_modes, _modes_of)

    def lay_down(self, result: CellResult) -> CellResult:
        """The same result, a tenth as large in memory."""
        modes = SpilledSequence(self._modes, result.modes)
        return replace(result, metrics=SpilledMapping(self._metrics, result.metrics), modes=modes)

    def _packed_metrics(self, metrics: Mapping[str, Estimate]) -> object:
        names = self._names.setdefault(tuple(metrics), len(self._names))
        return names, *(end for estimate in metrics.values() for end in _ends(estimate))

    def _metrics_of(self, packed: Sequence[Any]) -> Mapping[str, Estimate]:
        names = list(self._names)[packed[0]]
        return {name: Estimate(*packed[at : at + 3]) for name, at in zip(names, range(1, len(packed), 3), strict=True)}


def _ends(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    return estimate.value, estimate.low, estimate.high


def _packed_modes(modes: Sequence[Mode]) -> object:
    return [
        (
            mode.rank, mode.text, mode.count, _ends(mode.share), _ends(mode.probability), mode.sample_index,
            mode.exemplar, mode.said, mode.kind,
        )
        for mode in modes
    ]  # fmt: skip


def _modes_of(packed: Sequence[Any]) -> Sequence[Mode]:
    return tuple(
        Mode(rank, text, count, Estimate(*share), Estimate(*probability), index, exemplar, said, kind)
        for rank, text, count, share, probability, index, exemplar, said, kind in packed
    )
