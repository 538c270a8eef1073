"""Files of prompts in, rows with their lines out. Knows no prompt, only fields."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One record. `line` is its first line; in a file without lines, its number from 1."""

    line: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that cannot be read; line 0 is the whole file."""

    line: int
    message: str


def rows(suffix: str, content: bytes, fields: tuple[str, ...]) -> Iterator[Row | BadRow]:
    """The rows of a file; `fields` is what the caller will look at. Never raises."""
    return READERS[suffix](content, fields)


def _jsonl(content: bytes, _fields: tuple[str, ...]) -> Iterator[Row | BadRow]:
    for line, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not raw.strip():
            continue
        try:
            values = json.loads(raw.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            yield BadRow(line, f"not JSON: {error}")
            continue
        yield Row(line, values) if isinstance(values, dict) else BadRow(line, "a row is a JSON object")


def _csv(content: bytes, _fields: tuple[str, ...]) -> Iterator[Row | BadRow]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield BadRow(content.count(b"\n", 0, error.start) + 1, f"byte 0x{content[error.start]:02x} is not UTF-8")
        return
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        before = reader.line_num
        for cells in reader:
            line, before = before + 1, reader.line_num
            if not cells:
                continue
            if len(cells) > len(header):
                yield BadRow(line, f"{len(cells)} cells under {len(header)} column names")
                continue
            yield Row(line, dict(zip(header, cells, strict=False)))
    except csv.Error as error:
        yield BadRow(reader.line_num, f"not CSV: {error}")


def _parquet(content: bytes, fields: tuple[str, ...]) -> Iterator[Row | BadRow]:
    import pyarrow as pa  # heavy, and only parquet needs it
    import pyarrow.parquet as pq  # the same

    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        present = [name for name in dict.fromkeys(fields) if name in file.schema_arrow.names]
        records = file.read(columns=present).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        yield BadRow(0, f"not parquet: {str(error).partition(chr(10))[0]}")
        return
    for line, values in enumerate(records, start=1):
        yield Row(line, values)


READERS: dict[str, Callable[[bytes, tuple[str, ...]], Iterator[Row | BadRow]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
