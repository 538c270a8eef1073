"""Records to table rows and back. Knows the columns; knows no files."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from collapsecli.records import Completion
from collapsecli.runs.tables import CELLS, MODES, SAMPLES, arrow_schema
from collapsecli.sanitize import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from collapsecli.records import Cell, CellResult, Estimate


def samples_table(
    completions: Sequence[Completion],
    cells: Mapping[str, Cell],
    run_id: str,
    engine_version: str,
    metadata: Mapping[str, str],
) -> pa.Table:
    """Completions as a table with the columns of samples.parquet."""
    of = [cells[completion.cell_id] for completion in completions]
    columns: dict[str, Sequence[object]] = {
        "run_id": [run_id] * len(of),
        "engine_version": [engine_version] * len(of),
        "suite": [cell.suite for cell in of],
        **_cell_columns(of),
        "sample_index": [row.sample_index for row in completions],
        "seed": [row.seed for row in completions],
        "prompt": [storable(row.prompt) for row in completions],
        "text": [storable(row.text) for row in completions],
        "token_ids": [row.token_ids for row in completions],
        "token_logprobs": [row.token_logprobs for row in completions],
        "logprob": [row.logprob for row in completions],
        "n_tokens": [len(row.token_ids) for row in completions],
        "n_prompt_tokens": [row.n_prompt_tokens for row in completions],
        "finish_reason": [row.finish_reason for row in completions],
        "error_kind": [row.error_kind for row in completions],
        "error": [row.error and storable(row.error) for row in completions],
        "attempt": [row.attempt for row in completions],
        "logprob_kind": [row.logprob_kind for row in completions],
        "reasoning": [row.reasoning and storable(row.reasoning) for row in completions],
        "created_at": [datetime.fromtimestamp(row.created_at, UTC) for row in completions],
    }
    return _table(columns, arrow_schema(SAMPLES, metadata))


def completions_of(table: pa.Table) -> Iterator[Completion]:
    """The completions in a table with (at least) the columns of samples.parquet that a judge needs."""
    rows = zip(*(table.column(name).to_pylist() for name in _JUDGED), strict=True)
    for row in rows:
        values: dict[str, Any] = dict(zip(_JUDGED, row, strict=True))
        values["token_ids"] = tuple(values["token_ids"])
        yield Completion(**values, prompt="", token_logprobs=(), n_prompt_tokens=0)


# Columns that a verdict is made of; the rest of a row is for people.
_JUDGED = (
    "cell_id", "sample_index", "seed", "text", "token_ids", "logprob", "finish_reason", "error_kind", "attempt",
    "logprob_kind", "reasoning",
)  # fmt: skip
JUDGED_COLUMNS = list(_JUDGED)


def cells_table(results: Sequence[CellResult], run_id: str, metadata: Mapping[str, str]) -> pa.Table:
    """Results as a table with the columns of cells.parquet."""
    of = [result.cell for result in results]
    heaviest = [result.modes[0] if result.modes else None for result in results]
    columns: dict[str, Sequence[object]] = {
        "run_id": [run_id] * len(of),
        "suite": [cell.suite for cell in of],
        **_cell_columns(of),
        "n": [result.n for result in results],
        "n_valid": [result.n_valid for result in results],
        "n_truncated": [result.n_truncated for result in results],
        "n_failed": [result.n_failed for result in results],
        **_estimate_columns("valid_rate", [result.valid_rate for result in results]),
        "mode": [mode and storable(mode.text) for mode in heaviest],
        "mode_count": [mode and mode.count for mode in heaviest],
        **_estimate_columns("mode_mass", [result.mode_mass for result in results]),
        **_estimate_columns("effective_modes", [result.effective_modes for result in results]),
        **_estimate_columns("collision", [result.collision for result in results]),
        **_estimate_columns("distinct_10", [result.distinct_10 for result in results]),
        "seen_mass": [result.seen_mass for result in results],
        "mode_probability": [result.mode_probability for result in results],
        "exact_absent": [result.absent for result in results],
        "repeats": [result.draws.repeats for result in results],
        "repeats_expected": [result.draws.expected if result.draws.draws else None for result in results],
        "unread": [storable(result.unread) if result.unread_count else None for result in results],
        "unread_count": [result.unread_count for result in results],
        "p_value": [None] * len(of),
        "q_value": [None] * len(of),
        "coverage": [None] * len(of),
        "expect": [cell.expect.word for cell in of],
        "verdict": [result.verdict for result in results],
        "flag": [result.flag for result in results],
    }
    return _table(columns, arrow_schema(CELLS, metadata))


def modes_table(results: Iterable[CellResult], run_id: str, metadata: Mapping[str, str]) -> pa.Table:
    """The modes of all cells as a table with the columns of modes.parquet."""
    modes = [(result.cell.cell_id, mode) for result in results for mode in result.modes]
    columns: dict[str, Sequence[object]] = {
        "run_id": [run_id] * len(modes),
        "cell_id": [cell_id for cell_id, _ in modes],
        "rank": [mode.rank for _, mode in modes],
        "mode": [storable(mode.text) for _, mode in modes],
        "count": [mode.count for _, mode in modes],
        **_estimate_columns("share", [mode.share for _, mode in modes]),
        "probability": [mode.probability for _, mode in modes],
        "sample_index": [mode.sample_index for _, mode in modes],
    }
    return _table(columns, arrow_schema(MODES, metadata))


def _cell_columns(cells: Sequence[Cell]) -> dict[str, Sequence[object]]:
    names = ("cell_id", "prompt_id", "variant", "injection", "temperature", "model", "adapter")
    return {name: [getattr(cell, name) for cell in cells] for name in names}


def _estimate_columns(name: str, estimates: Sequence[Estimate]) -> dict[str, Sequence[object]]:
    return {
        name: [estimate.value for estimate in estimates],
        f"{name}_low": [estimate.low for estimate in estimates],
        f"{name}_high": [estimate.high for estimate in estimates],
    }


def _table(columns: Mapping[str, Sequence[object]], schema: pa.Schema) -> pa.Table:
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)
