"""Records to table rows and back. Knows the columns; knows no files."""

from __future__ import annotations

import math
from array import array
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from collapsecli.records import Completion, Scored
from collapsecli.runs.tables import CELLS, CONTRASTS, MODES, SAMPLES, SCORES, arrow_schema
from collapsecli.sanitize import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from collapsecli.records import Cell, CellResult, Contrast, Estimate
    from collapsecli.runs.tables import Column


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
        "given": [row.given and storable(row.given) for row in completions],
        "created_at": [datetime.fromtimestamp(row.created_at, UTC) for row in completions],
    }
    return _table(columns, arrow_schema(SAMPLES, metadata))


def completions_of(table: pa.Table) -> Iterator[Completion]:
    """The completions in a table with (at least) the columns of samples.parquet that a judge needs."""
    plain = [name for name in _JUDGED if name not in {"token_ids", "token_logprobs"}]
    token_ids, logprobs = _lists(table, "token_ids"), _lists(table, "token_logprobs")
    columns = (_repeated(table, name) if name in _REPEATED else table.column(name).to_pylist() for name in plain)
    for ids, of_tokens, *row in zip(token_ids, logprobs, *columns, strict=True):
        values: dict[str, Any] = dict(zip(plain, row, strict=True))
        tokens = array("f", of_tokens.astype(np.float32, copy=False).tobytes())
        yield Completion(**values, token_ids=tuple(ids.tolist()), token_logprobs=tokens, prompt="", n_prompt_tokens=0)


def _repeated(table: pa.Table, name: str) -> list[str | None]:
    """The values of a column that says the same again and again, each a text that is there once."""
    encoded = table.column(name).combine_chunks().dictionary_encode()
    values: list[str | None] = encoded.dictionary.to_pylist()
    return [None if at is None else values[at] for at in encoded.indices.to_pylist()]


def _lists(table: pa.Table, name: str) -> Iterator[NDArray[Any]]:
    """The values of a list column, row by row, without an object for each."""
    for chunk in table.column(name).chunks:
        values, ends = chunk.values.to_numpy(zero_copy_only=False), chunk.offsets.to_numpy()
        for begin, end in pairwise(ends.tolist()):
            yield values[begin:end]


# Columns that a verdict is made of; the rest of a row is for people.
_JUDGED = (
    "cell_id", "sample_index", "seed", "text", "token_ids", "token_logprobs", "logprob", "finish_reason", "error_kind",
    "attempt", "logprob_kind", "reasoning", "given",
)  # fmt: skip
JUDGED_COLUMNS = list(_JUDGED)
_REPEATED = frozenset({"cell_id", "finish_reason", "error_kind", "logprob_kind"})


def scores_table(scored: Sequence[Scored], run_id: str, metadata: Mapping[str, str]) -> pa.Table:
    """Scored texts as a table with the columns of scores.parquet."""
    columns: dict[str, Sequence[object]] = {
        "run_id": [run_id] * len(scored),
        "cell_id": [one.cell_id for one in scored],
        "kind": [one.kind for one in scored],
        "answer": [None if one.answer is None else storable(one.answer) for one in scored],
        "text": [storable(one.text) for one in scored],
        "token_ids": [one.token_ids for one in scored],
        "token_logprobs": [one.token_logprobs for one in scored],
        "logprob": [math.fsum(one.token_logprobs) if one.token_logprobs else None for one in scored],
        "error": [one.error for one in scored],
    }
    return _table(columns, arrow_schema(SCORES, metadata))


def scored_of(table: pa.Table) -> dict[str, list[Scored]]:
    """The scored texts of each cell."""
    found: dict[str, list[Scored]] = {}
    columns = ("cell_id", "answer", "text", "token_ids", "token_logprobs", "error", "kind")
    for row in zip(*(table[c].to_pylist() for c in columns), strict=True):
        cell_id, answer, text, ids, logprobs, error, kind = row
        scored = Scored(cell_id, answer, text, tuple(ids), tuple(logprobs), error, kind or "answer")
        found.setdefault(cell_id, []).append(scored)
    return found


# Columns that are fields of a result, by the same name.
_CELL_NUMBERS = (
    "n", "look", "n_ahead", "n_valid", "n_truncated", "n_failed", "hits", "broken", "unread_count", "p_value",
    "q_value", "verdict", "flag", "withheld", "fragile", "draws_to_settle", "parted_at",
)  # fmt: skip


_NO_METRICS = frozenset({"temperature", "p_value", "q_value", "repeats_expected", "threshold"})


def _equivalence(cell: Cell) -> str:
    return "exact" if cell.answer.kind != "text" and cell.equivalence != "given" else cell.equivalence


def _measured(column: Column) -> bool:
    """Whether a column of cells.parquet holds a metric, or an end of its interval."""
    return column.type == pa.float64() and column.name not in _NO_METRICS


def _number(result: CellResult, column: str) -> float | None:
    for suffix, end in (("_low", "low"), ("_high", "high"), ("", "value")):
        if column.endswith(suffix):
            value: float | None = getattr(result.metric(column.removesuffix(suffix)), end)
            return value
    return None


def cells_table(results: Sequence[CellResult], run_id: str, metadata: Mapping[str, str]) -> pa.Table:
    """Results as a table with the columns of cells.parquet."""
    of = [result.cell for result in results]
    heaviest = [result.modes[0] if result.modes else None for result in results]
    columns: dict[str, Sequence[object]] = {
        "run_id": [run_id] * len(of),
        "suite": [cell.suite for cell in of],
        **_cell_columns(of),
        "question": [cell.question for cell in of],
        **{name: [getattr(result, name) for result in results] for name in _CELL_NUMBERS},
        **{column.name: [_number(result, column.name) for result in results] for column in CELLS if _measured(column)},
        "mode": [mode and storable(mode.text) for mode in heaviest],
        "mode_count": [mode and mode.count for mode in heaviest],
        "exact_absent": [result.absent for result in results],
        "repeats": [result.draws.repeats for result in results],
        "repeats_expected": [result.draws.expected if result.draws.draws else None for result in results],
        "unread": [storable(result.unread) if result.unread_count else None for result in results],
        "declared": [len(cell.expect.weights) if cell.expect.weights else None for cell in of],
        "expect": [cell.expect.word for cell in of],
        "equivalence": [_equivalence(cell) for cell in of],
        "threshold": [cell.threshold for cell in of],
        "encoder": [storable(cell.encoder) for cell in of],
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
        "probability": [mode.probability.low for _, mode in modes],
        "probability_high": [mode.probability.high for _, mode in modes],
        "kind": [mode.kind for _, mode in modes],
        "sample_index": [mode.sample_index for _, mode in modes],
    }
    return _table(columns, arrow_schema(MODES, metadata))


def contrasts_table(contrasts: Sequence[Contrast], run_id: str, metadata: Mapping[str, str]) -> pa.Table:
    """Contrasts as a table with the columns of contrasts.parquet."""
    names = ("kind", "metric", "model", "adapter", "cell_id", "other_cell_id", "at", "p_value", "q_value", "n")
    columns: dict[str, Sequence[object]] = {
        "run_id": [run_id] * len(contrasts),
        **{name: [getattr(one, name) for one in contrasts] for name in names},
        **{name: [storable(getattr(one, name)) for one in contrasts] for name in ("suite", "subject", "label")},
        **_estimate_columns("estimate", [one.estimate for one in contrasts]),
    }
    return _table(columns, arrow_schema(CONTRASTS, metadata))


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
