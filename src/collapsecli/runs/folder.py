"""The run folder: one place that knows which file is where and what a half-finished run still needs."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import socket
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from collapsecli.errors import IncompleteError, UsageError
from collapsecli.runs.durable import write_text_whole, write_whole
from collapsecli.runs.manifest import Manifest, manifest_json, read_manifest
from collapsecli.runs.rows import (
    JUDGED_COLUMNS,
    cells_table,
    completions_of,
    contrasts_table,
    modes_table,
    samples_table,
    scored_of,
    scores_table,
)
from collapsecli.runs.shards import ShardWriter, broken_files, read_whole, write_row_groups, write_rows
from collapsecli.runs.tables import SAMPLES, SCHEMA_VERSION, SCORES, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from collapsecli.records import Cell, Completion, Conclusions, Scored

# A failure of this kind may go away: its draw is tried again, with its own seed. Every other failure stays.
TRANSIENT = frozenset({"connection", "engine", "rate_limit", "server", "timeout"})

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# What a disk says when neither the program nor its user is at fault: once it is mended, the run goes on.
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})

_BEFORE_A_RUN = frozenset({".lock", "log.txt"})  # what a run that could not start leaves
_SCORED_BY = "scored_by"  # in the metadata of scores.parquet
_ROW_GROUP_ROWS = 16_384
_ROW_GROUP_CHARACTERS = 256 * 1024 * 1024  # at most 1 GiB as UTF-8


def new_run_id(now: datetime | None = None) -> str:
    """A fresh id that sorts by time: `20261123T020000Z-7q3f`."""
    moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    return f"{moment}-{''.join(secrets.choice('23456789abcdefghjkmnpqrstuvwxyz') for _ in range(4))}"


def runs_root(out: Path | None = None) -> Path:
    """The folder that holds runs: the one given, else `COLLAPSE_RUNS`, else `runs`."""
    return out or Path(os.environ.get("COLLAPSE_RUNS") or "runs")


def find_run(name: str, root: Path) -> RunFolder:
    """A run by path, by id or the beginning of one, or `latest`.

    Raises UsageError when there is none, or more than one.
    """
    if name and (Path(name) / "run.json").is_file():
        return RunFolder(Path(name))
    name = name.rstrip("/") or "?"
    runs = sorted((path.parent for path in root.glob("*/run.json")), key=_created_at)
    if name == "latest":
        matching = runs[-1:]
    else:
        matching = [run for run in runs if run.name == name] or [run for run in runs if run.name.startswith(name)]
    if len(matching) == 1:
        return RunFolder(matching[0])
    if matching:
        raise UsageError(
            f"{name!r} could be any of {', '.join(run.name for run in matching[:5])}", hint="say more of it"
        )
    known = ", ".join(run.name for run in runs[-3:])
    raise UsageError(
        f"no run {name!r}: not a run's folder, and no id in {root}/ begins so",
        hint=f"the newest there: {known}" if known else "say where they are with -o DIR",
    )


def _created_at(folder: Path) -> tuple[str, str]:
    try:
        return read_manifest(folder / "run.json").created_at, folder.name
    except UsageError:
        return "", folder.name


class RunFolder:
    """One run on disk. Reading needs no lock; writing happens inside `locked`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def named(cls, root: Path, run_id: str) -> RunFolder:
        """The folder of a run id below `root`, which need not exist yet.

        Raises UsageError for an id that is no plain name.
        """
        if not _RUN_ID.fullmatch(run_id):
            raise UsageError(
                f"{run_id!r} is no run id", hint="letters, digits, '.', '_' and '-', beginning with a letter or digit"
            )
        return cls(root / run_id)

    @property
    def samples_path(self) -> Path:
        """All completions, once the run is complete."""
        return self.path / "samples.parquet"

    @property
    def parts_path(self) -> Path:
        """The folder of the shards."""
        return self.path / "parts"

    @property
    def log_path(self) -> Path:
        """What the engine and its libraries said, and the tracebacks."""
        return self.path / "log.txt"

    @property
    def started(self) -> bool:
        """Whether there is a manifest: the run was begun before."""
        return (self.path / "run.json").is_file()

    def prepare(self) -> None:
        """Make the folder.

        Raises UsageError where it cannot be made, or where it holds something that is no run: a run is never mixed
        into other people's files.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            found = {path.name for path in self.path.iterdir()}
        except OSError as error:
            if error.errno in DISK_ERRORS:
                raise
            raise UsageError(f"cannot make the run's folder {self.path}: {error.strerror}", hint="choose -o") from error
        # Our lock marks a folder as ours: without it even a lone log.txt is somebody else's.
        others = found - _BEFORE_A_RUN if ".lock" in found else found
        if others and not self.started:
            raise UsageError(
                f"{self.path} is not empty and no run: it holds {', '.join(sorted(others)[:3])}",
                hint="choose another --run-id or -o",
            )

    def forget(self, *, keep_log: bool) -> None:
        """Take back a run that never drew anything: nothing stays but, where it helps, the log, marked as ours."""
        for name in ("run.json", "state.json", *([] if keep_log else [".lock", "log.txt"])):
            (self.path / name).unlink(missing_ok=True)
        for folder in (self.parts_path, self.path):
            with suppress(OSError):  # not empty, or not there: then it stays as it is
                folder.rmdir()

    def manifest(self) -> Manifest:
        """What run.json says, and of the second wave what was planned since.

        Raises UsageError where it is missing or not one of ours.
        """
        manifest = read_manifest(self.path / "run.json")
        injected: dict[str, str] = {}
        given_up: dict[str, str] = {}
        for cell_id, planned, reason in self._branches():
            known, text = (given_up, reason) if reason else (injected, planned)
            known[cell_id] = text
        return manifest.with_branches(injected, given_up)

    def write_manifest(self, manifest: Manifest) -> None:
        """Put run.json in place, whole."""
        write_text_whole(self.path / "run.json", manifest_json(manifest))
        self._branches_path.unlink(missing_ok=True)

    def note_branch(self, cell_id: str, injected: str, reason: str) -> None:
        """Keep what a cell of the second wave begins with, or why it is given up, without writing all of run.json."""
        with self._branches_path.open("a", encoding="utf-8") as notes:
            notes.write(json.dumps([cell_id, injected, reason]) + "\n")

    @property
    def _branches_path(self) -> Path:
        return self.path / "branches.jsonl"

    def _branches(self) -> Iterator[tuple[str, str, str]]:
        try:
            lines = self._branches_path.read_text("utf-8").splitlines(keepends=True)
        except FileNotFoundError:
            return
        for line in lines:
            if line.endswith("\n"):  # a kill may leave half a line: it is planned again, to the same end
                cell_id, injected, reason = json.loads(line)
                yield cell_id, injected, reason

    def state(self) -> dict[str, Any]:
        """What state.json says; empty where there is none yet."""
        try:
            state: dict[str, Any] = json.loads((self.path / "state.json").read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return state

    def write_state(self, state: str, **counts: object) -> None:
        """Put state.json in place: running, complete, incomplete or failed, with counts."""
        content = {"state": state, **counts, "updated_at": datetime.now(UTC).isoformat(timespec="seconds")}
        write_text_whole(self.path / "state.json", json.dumps({**self.state(), **content}, indent=1) + "\n")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process.

        Raises IncompleteError, naming the holder, while another process works on it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "another process"
                raise IncompleteError(f"{self.path} is being written by {holder}", hint="wait for it to end") from error
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    # ----------------------------------------------------------------------------------------------- completions

    def shard_writer(self, manifest: Manifest, engine_version: str) -> ShardWriter[Completion]:
        """A writer for new completions of the planned cells."""
        cells = {cell.cell_id: cell for cell in manifest.cells}
        to_table = partial(
            samples_table,
            cells=cells, run_id=manifest.run_id, engine_version=engine_version, metadata=_metadata(manifest),
        )  # fmt: skip
        return ShardWriter(self.parts_path, to_table)

    def kept(self, planned: Sequence[Cell]) -> dict[str, dict[int, int]]:
        """What came back so far: {cell_id: {sample_index: failed attempts}}, 0 where the completion is there for good.

        An index that never came back is not in it.
        """
        columns = ["cell_id", "sample_index", "error_kind", "attempt"]
        tables = self._tables(columns)
        kept: dict[str, dict[int, int]] = {cell.cell_id: {} for cell in planned}
        sizes = {cell.cell_id: cell.sampling.samples for cell in planned}
        for table in tables:
            for cell_id, index, error_kind, attempt in zip(*(table[c].to_pylist() for c in columns), strict=True):
                if index >= sizes.get(cell_id, 0):
                    continue  # a stray: nothing of this plan
                owed = attempt if error_kind in TRANSIENT else 0
                known = kept[cell_id].get(index, owed)
                kept[cell_id][index] = max(known, owed) if known and owed else 0
        return kept

    def tidied(self) -> list[Path]:
        """Clear what a kill left half-written, and move files of completions that cannot be read aside.

        Returns the new paths of the latter. Nothing is deleted that was ever whole.
        """
        for half in (*self.path.glob(".*.tmp"), *self.parts_path.glob(".*.tmp")):
            half.unlink()
        return [path.rename(path.with_suffix(f".broken-{time.time_ns()}")) for path in broken_files(self._files())]

    def _files(self) -> list[Path]:
        """Every file that holds completions, the shards first."""
        return [*sorted(self.parts_path.glob("*.parquet")), *self.path.glob("samples.parquet")]

    def _tables(self, columns: list[str] | None = None) -> list[pa.Table]:
        return read_whole(self._files(), columns)

    def compact(self, manifest: Manifest) -> int:
        """Put all completions of the plan into samples.parquet, sorted, each once; returns their number."""
        tables = self._tables()
        schema = arrow_schema(SAMPLES, _metadata(manifest))
        rows = pa.concat_tables([table.cast(schema) for table in tables]) if tables else schema.empty_table()
        whole = rows.take(pa.array(_planned_rows(rows, manifest.cells), pa.int64()))
        write_whole(
            self.samples_path,
            lambda aside: write_rows(whole, aside, row_group_size=_ROW_GROUP_ROWS),
        )
        return int(whole.num_rows)

    def write_samples(self, manifest: Manifest, engine_version: str, completions: Iterable[Completion]) -> None:
        """Put completions that were made elsewhere, in the order of the plan, straight into samples.parquet.

        They are taken a row group at a time: a large import is never held as objects.
        """
        cells = {cell.cell_id: cell for cell in manifest.cells}
        metadata = _metadata(manifest)
        groups = (
            samples_table(group, cells, manifest.run_id, engine_version, metadata) for group in _grouped(completions)
        )
        schema = arrow_schema(SAMPLES, metadata)
        write_whole(self.samples_path, lambda aside: write_row_groups(groups, schema, aside))

    def completions(self, planned: Sequence[Cell]) -> Iterator[tuple[Cell, list[Completion]]]:
        """The completions of every planned cell, in the order of the plan; those of an incomplete run too."""
        is_complete = self.state().get("state") == "complete"  # else there may be shards that came after it
        compacted = read_whole(list(self.path.glob("samples.parquet")) if is_complete else [], JUDGED_COLUMNS)
        tables = [part.replace_schema_metadata() for part in compacted or self._tables(JUDGED_COLUMNS)]
        empty = pa.schema([arrow_schema(SAMPLES).field(name) for name in JUDGED_COLUMNS]).empty_table()
        table = pa.concat_tables(tables) if tables else empty
        table = table.take(pa.array(_planned_rows(table, planned), pa.int64()))
        rows = completions_of(table)
        counts = {entry["values"]: entry["counts"] for entry in pc.value_counts(table["cell_id"]).to_pylist()}
        for cell in planned:
            yield cell, [next(rows) for _ in range(counts.get(cell.cell_id, 0))]

    def write_scores(self, manifest: Manifest, scored: Sequence[Scored], models: Iterable[str]) -> None:
        """Put scores.parquet in place: all that was scored, and by which models, even if these could score nothing."""
        metadata = {**_metadata(manifest), _SCORED_BY: json.dumps(sorted(models))}
        table = scores_table(scored, manifest.run_id, metadata)
        write_whole(self.path / "scores.parquet", lambda aside: write_rows(table, aside))

    @property
    def scored_by(self) -> frozenset[str]:
        """The models that have scored what they can; none where the file cannot be read."""
        tables = read_whole(list(self.path.glob("scores.parquet")), ["cell_id"], SCORES)
        if not tables:
            return frozenset()
        said = (tables[0].schema.metadata or {}).get(_SCORED_BY.encode())
        return frozenset(self.manifest().models if said is None else json.loads(said))

    def scores(self) -> dict[str, list[Scored]]:
        """The texts of each cell that were scored; empty where none was, or where the file cannot be read."""
        columns = [column.name for column in SCORES]
        tables = read_whole(list(self.path.glob("scores.parquet")), columns, SCORES)
        return scored_of(tables[0]) if tables else {}

    # ------------------------------------------------------------------------------------------------ conclusions

    def write_conclusions(self, manifest: Manifest, conclusions: Conclusions, summary: Mapping[str, object]) -> None:
        """Put cells.parquet, modes.parquet, contrasts.parquet and summary.json in place."""
        metadata = _metadata(manifest)
        cells = cells_table(conclusions.results, manifest.run_id, metadata)
        modes = modes_table(conclusions.results, manifest.run_id, metadata)
        contrasts = contrasts_table(conclusions.contrasts, manifest.run_id, metadata)
        write_whole(self.path / "cells.parquet", lambda aside: write_rows(cells, aside))
        write_whole(self.path / "modes.parquet", lambda aside: write_rows(modes, aside))
        write_whole(self.path / "contrasts.parquet", lambda aside: write_rows(contrasts, aside))
        write_text_whole(self.path / "summary.json", json.dumps(summary, indent=1, ensure_ascii=True) + "\n")


def _metadata(manifest: Manifest) -> dict[str, str]:
    return {"schema_version": SCHEMA_VERSION, "run_id": manifest.run_id, "fingerprint": manifest.fingerprint}


def _grouped(completions: Iterable[Completion]) -> Iterator[list[Completion]]:
    """As many completions as a row group takes, or fewer where they are long: an array of texts has a limit."""
    group: list[Completion] = []
    characters = 0
    for completion in completions:
        group.append(completion)
        characters += len(completion.text) + len(completion.prompt) + len(completion.reasoning or "")
        if len(group) == _ROW_GROUP_ROWS or characters > _ROW_GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _planned_rows(table: pa.Table, planned: Sequence[Cell]) -> list[int]:
    """Row numbers of the plan's completions, sorted by cell and index; of several rows for one, the one to keep.

    A completion beats a failure, and a later attempt an earlier one.
    """
    order = {cell.cell_id: (at, cell.sampling.samples) for at, cell in enumerate(planned)}
    best: dict[tuple[int, int], tuple[bool, int, int]] = {}
    columns = ("cell_id", "sample_index", "error_kind", "attempt")
    for row, (cell_id, index, error_kind, attempt) in enumerate(
        zip(*(table[name].to_pylist() for name in columns), strict=True)
    ):
        at, samples = order.get(cell_id, (-1, 0))
        if index >= samples:
            continue
        candidate = (error_kind is None, attempt, -row)
        best[at, index] = max(best.get((at, index), candidate), candidate)
    return [-best[key][2] for key in sorted(best)]
