"""summary.json: the conclusions in the words of the tables, for programs that want one small file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Generic, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

    from collapsecli.records import CellResult, Conclusions, Contrast

Item = TypeVar("Item")


def summary_of(conclusions: Conclusions) -> dict[str, object]:
    """The conclusions in the words of the tables, for summary.json."""
    flags = [result.flag for result in conclusions.results]
    verdicts = [result.verdict for result in conclusions.results]
    return {
        "schema": 1,
        "run_id": conclusions.run_id,
        "suites": conclusions.suites,
        "models": conclusions.models,
        "engine": conclusions.engine,
        "seed": conclusions.seed,
        "rules": {suite: asdict(rules) for suite, rules in conclusions.rules},
        "complete": conclusions.complete,
        "planned": conclusions.planned,
        "saved": conclusions.saved,
        "flags": {flag: flags.count(flag) for flag in ("flagged", "open", "expected")},
        "verdicts": {str(verdict): verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)},
        "draws": {**asdict(conclusions.draws), "surplus_p_value": conclusions.surplus_p_value},
        "cells": _Said(conclusions.results, _cell),
        "contrasts": _Said(conclusions.contrasts, _contrast),
    }


class _Said(Sequence[dict[str, object]], Generic[Item]):
    """Items in words, each when it is looked at: of thousands of cells one is held."""

    def __init__(self, items: Sequence[Item], said: Callable[[Item], dict[str, object]]) -> None:
        self._items, self._said = items, said

    @overload
    def __getitem__(self, at: int) -> dict[str, object]: ...
    @overload
    def __getitem__(self, at: slice) -> list[dict[str, object]]: ...
    def __getitem__(self, at: int | slice) -> dict[str, object] | list[dict[str, object]]:
        return list(map(self._said, self._items[at])) if isinstance(at, slice) else self._said(self._items[at])

    def __len__(self) -> int:
        return len(self._items)


def _cell(result: CellResult) -> dict[str, object]:
    """A cell in a few of the words of cells.parquet."""
    return {
        "cell_id": result.cell.cell_id,
        "n": result.n,
        "n_valid": result.n_valid,
        "mode": result.modes[0].text if result.modes else None,
        "mode_mass": result.mode_mass.value,
        "mode_mass_low": result.mode_mass.low,
        "mode_mass_high": result.mode_mass.high,
        "verdict": result.verdict,
        "flag": result.flag,
    }


def _contrast(row: Contrast) -> dict[str, object]:
    """A row in the words of contrasts.parquet; null also where it is unbounded, for which JSON has no number."""
    said = asdict(row)
    estimate = said.pop("estimate")
    ends = {"estimate": estimate["value"], "estimate_low": estimate["low"], "estimate_high": estimate["high"]}
    return {**said, **{name: end if end is None or math.isfinite(end) else None for name, end in ends.items()}}
