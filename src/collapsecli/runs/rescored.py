"""What another model gives to the tokens of a run: kept beside it, in a folder for each model that was asked.

Knows no engine but by its description, and never says what the numbers mean.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collapsecli.runs.durable import write_text_whole
from collapsecli.runs.manifest import fingerprint_of
from collapsecli.runs.shards import ShardWriter, broken_files, read_whole
from collapsecli.runs.tables import RESCORED, SAMPLES, arrow_schema
from collapsecli.sanitize import storable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from collapsecli.records import EngineInfo
    from collapsecli.runs.folder import RunFolder
    from collapsecli.runs.tables import Column

# Scores come back far faster than completions are drawn, and cost far less to have again: a kill may lose more of them.
_SHARD_ROWS = 1024


@dataclass(frozen=True, slots=True)
class RescoredCompletion:
    """A completion as another model sees it: a row of the table `rescored`.

    `token_logprobs` (nats, one per sampled token, end and stop tokens included) are the untouched model's; empty with
    an `error`.
    """

    cell_id: str
    sample_index: int
    token_logprobs: Sequence[float]
    error: str | None = None


class OwedCompletion(NamedTuple):
    """A completion by its tokens alone."""

    cell_id: str
    sample_index: int
    token_ids: tuple[int, ...]


class Owed:
    """Completions that a model still has to score, each once; their tokens become objects only as they are asked for.

    `prompt_tokens` is the number of tokens that the prompts of their cells had when they were drawn, where it is known.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        known = table.filter(pc.greater(table["n_prompt_tokens"], 0))
        known = known.group_by("cell_id").aggregate([("n_prompt_tokens", "max")])
        counts = zip(known["cell_id"].to_pylist(), known["n_prompt_tokens_max"].to_pylist(), strict=True)
        self.prompt_tokens: dict[str, int] = dict(counts)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @property
    def cell_ids(self) -> frozenset[str]:
        """The cells that they belong to."""
        return frozenset(self._table["cell_id"].unique().to_pylist())

    def __iter__(self) -> Iterator[OwedCompletion]:
        for batch in self._table.to_batches():
            tokens = batch["token_ids"]
            values = tokens.values.to_numpy()
            ends = pairwise(tokens.offsets.to_pylist())
            names, indices = batch["cell_id"].to_pylist(), batch["sample_index"].to_pylist()
            for cell_id, sample_index, (begin, end) in zip(names, indices, ends, strict=True):
                yield OwedCompletion(cell_id, sample_index, tuple(values[begin:end].tolist()))


class RescoredFolder:
    """`RUN/rescored/DIGEST`: what one model, with one adapter or none, gives to the completions of a run.

    The digest is of all that can change a model's log-probabilities: another revision has another folder. Reading
    needs no lock; writing happens inside the lock of the run.
    """

    def __init__(self, run: RunFolder, info: EngineInfo, adapter: str) -> None:
        self._run, self._info, self._adapter = run, info, adapter
        named = {"name": info.name, "model": info.model, "adapter": adapter}
        identity = {f"model's {name}": value for name, value in info.identity.items()}
        self.path = run.path / "rescored" / fingerprint_of({**named, **identity})

    def begin(self) -> None:
        """Make the folder, and write down in it what scores."""
        self.path.mkdir(parents=True, exist_ok=True)
        described = {**asdict(self._info), "adapter": self._adapter}
        write_text_whole(self.path / "model.json", json.dumps(described, ensure_ascii=True, indent=1) + "\n")

    def tidied(self) -> list[Path]:
        """Clear what a kill left half-written, and move shards that cannot be read aside; returns their new paths."""
        for half in self.path.glob(".*.tmp"):
            half.unlink()
        broken = broken_files(self._files(), RESCORED)
        return [path.rename(path.with_suffix(f".broken-{time.time_ns()}")) for path in broken]

    def writer(self, run_id: str) -> ShardWriter[RescoredCompletion]:
        """A writer of more rows."""
        to_table = partial(rescored_table, run_id=run_id, model=self._info.model, adapter=self._adapter)
        return ShardWriter(self.path, to_table, _SHARD_ROWS)

    def owed(self, limits: Mapping[str, int]) -> Owed:
        """The completions of some cells that are not here yet; of each cell those with an index below its limit.

        Failures and completions without tokens (imported ones) cannot be scored and are not among them.
        """
        columns = ["cell_id", "sample_index", "token_ids", "n_tokens", "n_prompt_tokens", "error_kind"]
        drawn = _drawn(self._run, columns)
        cells, most = pa.array(list(limits), pa.string()), np.fromiter(limits.values(), np.int64, len(limits))
        cell, index = _cell_numbers(drawn, cells), drawn["sample_index"].to_numpy()
        scorable = pc.and_(pc.is_null(drawn["error_kind"]), pc.greater(drawn["n_tokens"], 0)).to_numpy()
        rows = np.flatnonzero((cell >= 0) & scorable)
        rows = rows[index[rows] < most[cell[rows]]]
        kept = self.rows(["cell_id", "sample_index"])
        here = _identities(_cell_numbers(kept, cells), kept["sample_index"].to_numpy())
        asked, first = np.unique(_identities(cell[rows], index[rows]), return_index=True)
        wanted = np.zeros(drawn.num_rows, bool)
        wanted[rows[first[~np.isin(asked, here)]]] = True
        return Owed(drawn.filter(pa.array(wanted)))

    def rows(self, columns: list[str]) -> pa.Table:
        """These columns of all rows that can be read, in the order in which they were written."""
        return _joined(read_whole(self._files(), columns, RESCORED), RESCORED, columns)

    def _files(self) -> list[Path]:
        return sorted(self.path.glob("*.parquet"))


def rescored(run: RunFolder, info: EngineInfo, adapter: str) -> dict[str, dict[int, tuple[float, int]]]:
    """What a model gives to the completions of a run: {cell_id: {sample_index: (log-probability, tokens)}}.

    Log-probabilities are in nats, of whole completions. Completions that the model has not scored, or could not score,
    are not in it.
    """
    table = RescoredFolder(run, info, adapter).rows(["cell_id", "sample_index", "logprob", "n_tokens"])
    table = table.filter(pc.is_valid(table["logprob"]))
    cells = table["cell_id"].unique()
    cell = _cell_numbers(table, cells)
    order = np.argsort(cell, kind="stable")
    index, logprob, n_tokens = (table[name].to_numpy()[order] for name in ("sample_index", "logprob", "n_tokens"))
    ends = np.searchsorted(cell[order], np.arange(len(cells) + 1))
    found = {}
    for cell_id, begin, end in zip(cells.to_pylist(), ends[:-1], ends[1:], strict=True):
        numbers = zip(logprob[begin:end].tolist(), n_tokens[begin:end].tolist(), strict=True)
        found[cell_id] = dict(zip(index[begin:end].tolist(), numbers, strict=True))  # of two rows for one, the later
    return found


def unscored(run: RunFolder, info: EngineInfo, adapter: str) -> dict[str, int]:
    """Why a model could not score completions of a run: {reason: completions}; what it was never asked is not in it."""
    table = RescoredFolder(run, info, adapter).rows(["cell_id", "sample_index", "error"])
    failed = (
        table.filter(pc.is_valid(table["error"])).group_by(["cell_id", "sample_index"]).aggregate([("error", "max")])
    )
    return {entry["values"]: entry["counts"] for entry in pc.value_counts(failed["error_max"]).to_pylist()}


def rescored_table(rows: Sequence[RescoredCompletion], run_id: str, model: str, adapter: str) -> pa.Table:
    """Rescored completions as a table with the columns that are declared for them."""
    columns: dict[str, Sequence[object]] = {
        "run_id": [run_id] * len(rows),
        "cell_id": [row.cell_id for row in rows],
        "sample_index": [row.sample_index for row in rows],
        "model": [storable(model)] * len(rows),
        "adapter": [adapter] * len(rows),
        "n_tokens": [len(row.token_logprobs) for row in rows],
        "token_logprobs": [row.token_logprobs for row in rows],
        "logprob": [None if row.error is not None else math.fsum(row.token_logprobs) for row in rows],
        "error": [row.error and storable(row.error) for row in rows],
    }
    schema = arrow_schema(RESCORED, {"run_id": run_id})
    return pa.Table.from_arrays([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def _drawn(run: RunFolder, columns: list[str]) -> pa.Table:
    """The completions of a run: from samples.parquet, unless there may be shards that came after it."""
    whole = list(run.path.glob(run.samples_path.name))
    is_complete = run.state().get("state") == "complete"
    tables = read_whole(whole if is_complete else [], columns)
    return _joined(tables or read_whole([*sorted(run.parts_path.glob("*.parquet")), *whole], columns), SAMPLES, columns)


def _joined(tables: Sequence[pa.Table], known: Sequence[Column], columns: list[str]) -> pa.Table:
    schema = arrow_schema(known)
    empty = pa.schema([schema.field(name) for name in columns]).empty_table()
    return pa.concat_tables([table.replace_schema_metadata() for table in tables] or [empty])


def _cell_numbers(table: pa.Table, cells: pa.Array) -> NDArray[np.int64]:
    """The place of each row's cell among some cells, -1 for any other."""
    places = pc.fill_null(pc.index_in(table["cell_id"], value_set=cells), -1)
    return np.asarray(places.to_numpy(), np.int64)


def _identities(cell: NDArray[np.int64], sample_index: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for a cell and an index."""
    return (cell << 32) + sample_index
