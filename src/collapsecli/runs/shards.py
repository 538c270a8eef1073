"""Rows on their way to disk: small parquet files that are never changed again."""

from __future__ import annotations

import errno
import threading
import time
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from collapsecli.runs.durable import write_whole
from collapsecli.runs.tables import SAMPLES, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from collapsecli.runs.tables import Column

# A kill loses what is not on disk: at most a shard that is being written, and as much again that waits behind it.
UNSAVED_ROWS = 256
SHARD_ROWS = UNSAVED_ROWS // 2
SHARD_SECONDS = 30.0

Row = TypeVar("Row")


class ShardWriter(Generic[Row]):
    """Writes rows in the background, a shard at a time: a kill loses at most twice `shard_rows` of them.

    A shard is closed after `shard_rows` rows or `SHARD_SECONDS` seconds, whichever comes first. An error of the disk is
    raised by the next `add` or at the end of the `with` block; what was saved before it stays saved.
    """

    def __init__(
        self, folder: Path, to_table: Callable[[Sequence[Row]], pa.Table], shard_rows: int = SHARD_ROWS
    ) -> None:
        self._folder = folder
        self._to_table = to_table
        self._shard_rows = shard_rows
        self._waiting: list[Row] = []
        self._opened_at = 0.0  # when the first of those that wait came
        self._ended = False
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, name="shards")
        self.saved = 0

    def __enter__(self) -> Self:
        self._folder.mkdir(exist_ok=True)
        self._names = _free_names(self._folder)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()
        if error is None:
            self._raise_error()

    def add(self, row: Row) -> None:
        """Hand over one row; waits while the disk is far behind.

        Raises OSError when an earlier shard could not be written.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < self._shard_rows)
            self._raise_error()
            self._waiting.append(row)
            # Waking the other thread takes longer than the row does: only a shard's first and last are worth it.
            if len(self._waiting) == 1:
                self._opened_at = time.monotonic()
                self._changed.notify_all()
            elif len(self._waiting) == self._shard_rows:
                self._changed.notify_all()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _write(self) -> None:
        while rows := self._next_shard():
            self._write_shard(rows)

    def _next_shard(self) -> list[Row]:
        """The rows of the next shard, once it is full, was open for its time or is the last one; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            self._changed.wait_for(
                lambda: len(self._waiting) >= self._shard_rows or self._ended,
                timeout=self._opened_at + SHARD_SECONDS - time.monotonic(),
            )
            rows, self._waiting = self._waiting, []
            self._changed.notify_all()
        return rows

    def _write_shard(self, rows: Sequence[Row]) -> None:
        if self._error is not None:
            return  # the disk has failed: nothing more is promised, and `add` says so
        try:
            table = self._to_table(rows)
            write_whole(next(self._names), lambda aside: write_rows(table, aside))
        except BaseException as error:  # noqa: BLE001 - carried to the thread that samples
            self._error = error
        else:
            self.saved += len(rows)


def _free_names(folder: Path) -> Iterator[Path]:
    taken = [int(path.stem) for path in folder.glob("*.parquet") if path.stem.isdigit()]
    number = max(taken, default=0)
    while True:
        number += 1
        yield folder / f"{number:06d}.parquet"


def write_rows(table: pa.Table, path: Path, row_group_size: int | None = None) -> None:
    """A parquet file whose every page has a checksum, so that damage is found when it is read and not believed."""
    pq.write_table(table, path, row_group_size=row_group_size, **_as_stored(table.schema))


def write_row_groups(tables: Iterable[pa.Table], schema: pa.Schema, path: Path) -> None:
    """The same for a file that is too large to be held: each table becomes a row group."""
    with pq.ParquetWriter(path, schema, **_as_stored(schema)) as writer:
        for table in tables:
            writer.write_table(table)


def _as_stored(schema: pa.Schema) -> dict[str, Any]:
    """How a table is written: without a dictionary of log-probabilities, which hardly ever repeat, in half the time."""
    dictionary = [
        f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name
        for field in schema
        if not (pa.types.is_list(field.type) and pa.types.is_floating(field.type.value_type))
    ]
    return {"compression": "zstd", "write_page_checksum": True, "use_dictionary": dictionary}


def read_whole(
    paths: Sequence[Path], columns: list[str] | None = None, known: Sequence[Column] = SAMPLES
) -> list[pa.Table]:
    """The tables in those files that can be read, in order; `known` are all columns that such a file may have.

    Raises OSError where a file may be whole but the system does not let us read it.
    """
    tables = (_read(path, columns, known) for path in paths)
    return [table for table in tables if table is not None]


def broken_files(paths: Sequence[Path], known: Sequence[Column] = SAMPLES) -> list[Path]:
    """The files among these that are no whole parquet files, in any of their columns; read a row group at a time."""
    return [path for path in paths if not _is_whole(path, known)]


class BrokenFileError(OSError):
    """A file that is no whole parquet file."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(errno.EIO, "no whole parquet file", str(path))


def read_row_groups(
    path: Path | str, columns: Sequence[str], known: Sequence[Column] = SAMPLES, only: int | None = None
) -> Iterator[pa.Table]:
    """These columns of a file, a row group at a time, or of the `only` one; their types are the declared ones.

    Raises BrokenFileError where the bytes are not what they were, and OSError where the system does not let us read.
    """
    schema = schema_of(columns, known)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            later = _later_columns(file.schema_arrow, columns, known)
            present = [name for name in columns if name not in {column.name for column in later}]
            for number in range(file.num_row_groups) if only is None else (only,):
                table = file.read_row_group(number, present, use_threads=False)
                for column in later:
                    table = table.append_column(column.name, pa.nulls(table.num_rows, column.type))
                yield table.select(list(columns)).replace_schema_metadata().cast(schema)
    except (pa.ArrowInvalid, KeyError) as error:  # the latter: it lacks a column
        raise BrokenFileError(path) from error
    except OSError as error:
        if error.errno is not None:  # the system's own word: no permission, too many open files, …
            raise
        raise BrokenFileError(path) from error  # Arrow's: the bytes are not what they were


def schema_of(columns: Sequence[str], known: Sequence[Column] = SAMPLES) -> pa.Schema:
    """The declared schema of some columns, in the order given."""
    declared = {column.name: column for column in known}
    return arrow_schema(declared[name] for name in columns).remove_metadata()


def _is_whole(path: Path, known: Sequence[Column]) -> bool:
    try:
        for _ in read_row_groups(path, [column.name for column in known], known):
            pass
    except BrokenFileError:
        return False
    return True


def _read(path: Path, columns: list[str] | None, known: Sequence[Column]) -> pa.Table | None:
    wanted = columns or [column.name for column in known]
    try:
        later = _later_columns(pq.read_schema(path), wanted, known)
        present = [name for name in wanted if name not in {column.name for column in later}]
        table = pq.read_table(path, columns=present, page_checksum_verification=True)
        for column in later:
            table = table.append_column(column.name, pa.nulls(table.num_rows, column.type))
        return table.select(wanted)
    except pa.ArrowInvalid:
        return None
    except OSError as error:
        if error.errno is not None:  # the system's own word: no permission, too many open files, …
            raise
        return None  # Arrow's: the bytes are not what they were


def _later_columns(schema: pa.Schema, wanted: Sequence[str], known: Sequence[Column]) -> list[Column]:
    """The wanted columns that may be null and that a file lacks: it was written before there were any."""
    return [column for column in known if column.nullable and column.name in wanted and column.name not in schema.names]
