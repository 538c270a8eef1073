"""A trend as rows, one a cell and step: columns declared once, for parquet and JSON alike. Knows no screen."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import pyarrow as pa

from collapsecli.runs import Column
from collapsecli.runs.tables import arrow_schema, estimate_columns
from collapsecli.sanitize import storable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collapsecli.compared import Step, Trend, TrendCell
    from collapsecli.records import CellResult, Estimate

_METRICS = {
    "mode_mass": "share of the most frequent answer, with the interval of the mode's true mass",
    "effective_modes": "1 / collision: how many equally likely answers would agree as often",
    "collision": "probability that two draws give the same answer",
    "distinct_10": "expected number of different answers among 10 draws",
}


TREND = (
    Column("suite", pa.string(), "name of the suite"),
    Column("question", pa.string(), "the cell without its model: the same at every step"),
    Column("step", pa.string(), "what the step is called"),
    Column("step_index", pa.int64(), "its place in the order, from 0"),
    Column("at", pa.float64(), "the number that it is ordered by", nullable=True),
    Column("run_id", pa.string(), "the run"),
    Column("model", pa.string(), "what was sampled"),
    Column("adapter", pa.string(), "name of the adapter on the model, empty without"),
    Column("n", pa.int64(), "completions that were judged, failures included"),
    Column("n_valid", pa.int64(), "those of them with a readable answer"),
    Column("mode", pa.string(), "the most frequent answer", nullable=True),
    *(column for name, meaning in _METRICS.items() for column in estimate_columns(name, meaning)),
    Column("mode_mass_certain_low", pa.float64(), "certain lower end of mode_mass, by probabilities", nullable=True),
    Column("mode_mass_certain_high", pa.float64(), "certain upper end of mode_mass, by probabilities", nullable=True),
    Column("verdict", pa.string(), "what the draws prove", nullable=True),
    Column("flag", pa.string(), "the verdict read against what the suite expects", nullable=True),
    Column("first_collapsed", pa.bool_(), "whether this is the first step at which the cell is collapsed"),
)


def trend_table(trend: Trend) -> pa.Table:
    """One row for each cell and step that has it, with the columns of TREND."""
    rows = [
        {"suite": storable(result.cell.suite), "question": cell.question, **_row(trend.steps[k], k, cell, result)}
        for cell in trend.cells
        for k, result in enumerate(cell.results)
        if result is not None
    ]
    return pa.Table.from_pylist(rows, arrow_schema(TREND))


def trend_json(trend: Trend) -> dict[str, object]:
    """The trend as JSON, in the words of the table; null where a number is undefined or unbounded.

    Of each mean there are its estimates step by step, in the order of `steps`, and the change from first to last.
    """
    return {
        "schema": 1,
        "suites": trend.suites,
        "alpha": trend.alpha,
        "steps": [{"step": step.name, "at": step.at, **asdict(step.side)} for step in trend.steps],
        "overall": {
            name: {"n": trend.n[name], "steps": [_finite("mean", e) for e in estimates], **_change(trend, name)}
            for name, estimates in trend.overall.items()
        },
        "cells": [_cell(trend, cell) for cell in trend.cells],
        "notes": trend.notes,
    }


def _cell(trend: Trend, cell: TrendCell) -> dict[str, object]:
    first = cell.first_collapsed
    suites = dict.fromkeys(result.cell.suite for result in cell.results if result is not None)
    return {
        "suite": next(iter(suites), ""),
        "question": cell.question,
        "first_collapsed": None if first is None else trend.steps[first].name,
        "stays": cell.stays,
        "steps": [
            _bounded(_row(trend.steps[k], k, cell, result))
            for k, result in enumerate(cell.results)
            if result is not None
        ],
    }


def _row(step: Step, place: int, cell: TrendCell, result: CellResult) -> dict[str, object]:
    """All columns but the two that a cell has in common at all steps."""
    return {
        "step": storable(step.name),
        "step_index": place,
        "at": step.at,
        "run_id": step.side.run_id,
        "model": storable(step.side.model),
        "adapter": step.side.adapter,
        "n": result.n_judged,
        "n_valid": result.n_valid,
        "mode": storable(result.modes[0].text) if result.modes else None,
        **{key: value for name in _METRICS for key, value in _ends(name, result.metric(name)).items()},
        "mode_mass_certain_low": result.metric("mode_mass_certain").low,
        "mode_mass_certain_high": result.metric("mode_mass_certain").high,
        "verdict": result.verdict,
        "flag": result.flag,
        "first_collapsed": cell.first_collapsed == place,
    }


def _change(trend: Trend, name: str) -> dict[str, object]:
    difference = trend.change.get(name)
    if difference is None:
        return {}
    return _bounded({**_ends("change", difference.change), "p_value": difference.p_value})


def _ends(name: str, estimate: Estimate) -> dict[str, object]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _finite(name: str, estimate: Estimate) -> dict[str, object]:
    return _bounded(_ends(name, estimate))


def _bounded(row: dict[str, object]) -> dict[str, object]:
    """JSON has no number for what is unbounded."""
    return dict(_with_null(row))


def _with_null(row: dict[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in row.items():
        yield name, None if isinstance(value, float) and not math.isfinite(value) else value
