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
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from collapsecli.errors import IncompleteError, UsageError
from collapsecli.runs.durable import write_pieces_whole, write_text_whole, write_whole
from collapsecli.runs.located import IDENTITY, locate
from collapsecli.runs.manifest import Manifest, manifest_pieces, read_manifest
from collapsecli.runs.memory import hand_back_memory
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
from collapsecli.runs.streamed import in_blocks, json_pieces
from collapsecli.runs.tables import CELLS, CONTRASTS, MODES, SAMPLES, SCHEMA_VERSION, SCORES, arrow_schema
from collapsecli.spilled import MOST_RECENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from collapsecli.records import Cell, Completion, Conclusions, Scored
    from collapsecli.runs.located import Kept, Located
    from collapsecli.runs.tables import Column

Item = TypeVar("Item")

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
# What a disk says when neither the program nor its user is at fault: once it is mended, the run goes on.
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})

_BEFORE_A_RUN = frozenset({".lock", "log.txt"})  # what a run that could not start leaves
_SLICES = "slices"
_IN_SLICES = re.compile(r"[0-9]+-of-[0-9]+|\.?cluster\.json.*|\.lock")  # what lies in a folder of slices that is ours
_SCORED_BY, _SCORED_CELLS = "scored_by", "scored_cells"  # in the metadata of scores.parquet
_ROW_GROUP_ROWS = 8192
_ROWS_AT_ONCE = 4096  # that are read to be judged
_ITEMS_AT_ONCE = MOST_RECENT  # results and contrasts that become rows: what lies on disk is looked at once
_BLOCKS_IN_A_ROW_GROUP = 16
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
    if not matching:
        for path in (Path(name), root / name):
            RunFolder(path).refuse_unjoined()
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
    """One run on disk. Reading needs no lock; writing happens inside `locked`.

    Its id is the folder's name; that of a slice is the id of the run that it is a part of.
    """

    def __init__(self, path: Path, run_id: str | None = None) -> None:
        self.path = path
        self.run_id = path.name if run_id is None else run_id
        self._known: tuple[tuple[int, int, int] | None, Manifest] | None = None

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

    def slice_folder(self, number: int, of: int) -> RunFolder:
        """The folder of a slice of this run, which need not exist yet."""
        return RunFolder(self.path / _SLICES / f"{number:02d}-of-{of:02d}", self.run_id)

    def slice_folders(self) -> list[RunFolder]:
        """The slices of this run that were begun."""
        begun = sorted(path.parent for path in self.path.glob(f"{_SLICES}/*/run.json"))
        return [RunFolder(path, self.run_id) for path in begun]

    def refuse_unjoined(self) -> None:
        """Raise UsageError where nothing but slices of this run is there."""
        if not self.started and self.slice_folders():
            raise UsageError(
                f"{self.path} was sampled in slices, and they are not joined", hint=f"collapse merge {self.path}"
            )

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
        others -= {_SLICES} if self._slices_are_ours() else set()
        if others and not self.started:
            raise UsageError(
                f"{self.path} is not empty and no run: it holds {', '.join(sorted(others)[:3])}",
                hint="choose another --run-id or -o",
            )

    def _slices_are_ours(self) -> bool:
        """Whether nothing but slices is where they belong.

        Those that could not start leave an empty folder or a log.
        """
        folder = self.path / _SLICES
        return folder.is_dir() and all(_IN_SLICES.fullmatch(path.name) for path in folder.iterdir())

    def forget(self, *, keep_log: bool) -> None:
        """Take back a run that never drew anything: nothing stays but, where it helps, the log, marked as ours."""
        for name in ("run.json", "state.json", *([] if keep_log else [".lock", "log.txt"])):
            (self.path / name).unlink(missing_ok=True)
        made_for_a_slice = (self.path.parent, self.path.parents[1]) if self.path.parent.name == _SLICES else ()
        for folder in (self.parts_path, self.path, *made_for_a_slice):
            with suppress(OSError):  # not empty, or not there: then it stays as it is
                folder.rmdir()

    def manifest(self) -> Manifest:
        """What run.json says, and of the second wave what was planned since.

        Raises UsageError where it is missing or not one of ours.
        """
        manifest = self._begun()
        injected: dict[str, str] = {}
        given_up: dict[str, str] = {}
        for cell_id, planned, reason in self._branches():
            known, text = (given_up, reason) if reason else (injected, planned)
            known[cell_id] = text
        return manifest.with_branches(injected, given_up)

    def _begun(self) -> Manifest:
        """What run.json says. It is read again only if it was written anew: cells by the thousand are held once."""
        if self._known is None or self._known[0] != self._written():
            self._known = self._written(), read_manifest(self._manifest_path)
        return self._known[1]

    def _written(self) -> tuple[int, int, int] | None:
        """Which writing of run.json is there."""
        try:
            found = self._manifest_path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    @property
    def _manifest_path(self) -> Path:
        return self.path / "run.json"

    def write_manifest(self, manifest: Manifest) -> None:
        """Put run.json in place, whole."""
        write_pieces_whole(self._manifest_path, manifest_pieces(manifest))
        self._branches_path.unlink(missing_ok=True)
        self._known = self._written(), manifest

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

    def kept(self, planned: Sequence[Cell]) -> Kept:
        """What came back so far: {cell_id: {sample_index: failed attempts}}, 0 where the completion is there for good.

        An index that never came back is not in it.
        """
        return self._located(planned, IDENTITY).kept()

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

    def compact(self, manifest: Manifest) -> int:
        """Put all completions of the plan into samples.parquet, sorted, each once; returns their number.

        A row group is held at a time, whatever the order in which they came.
        """
        hand_back_memory()  # of sampling
        located = locate(self._files(), manifest.cells, [column.name for column in SAMPLES])
        schema = arrow_schema(SAMPLES, _metadata(manifest))
        groups = (rows.cast(schema) for rows in located.in_blocks(_ROW_GROUP_ROWS))
        write_whole(self.samples_path, lambda aside: write_row_groups(groups, schema, aside))
        hand_back_memory()
        return located.rows

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
        for cell, rows in self._located(planned, JUDGED_COLUMNS).by_cell(_ROWS_AT_ONCE):
            yield cell, list(completions_of(rows))

    def _located(self, planned: Sequence[Cell], columns: Sequence[str]) -> Located:
        """Where the completions are: in samples.parquet alone, unless there may be shards that came after it."""
        is_complete = self.state().get("state") == "complete"
        located = locate(list(self.path.glob("samples.parquet")) if is_complete else [], planned, columns)
        return located if located.files else locate(self._files(), planned, columns)

    def write_scores(
        self, manifest: Manifest, scored: Sequence[Scored], models: Iterable[str], cells: Sequence[str] = ()
    ) -> None:
        """Put scores.parquet in place: all that was scored, and by which models, even if these could score nothing.

        `cells` are those that were scored before all cells of their model were there.
        """
        said = {_SCORED_BY: sorted(models), **({_SCORED_CELLS: cells} if cells else {})}
        metadata = _metadata(manifest) | {name: json.dumps(names) for name, names in said.items()}
        table = scores_table(scored, manifest.run_id, metadata)
        write_whole(self.path / "scores.parquet", lambda aside: write_rows(table, aside))

    @property
    def scored_by(self) -> frozenset[str]:
        """The models that have scored what they can; none where the file cannot be read."""
        said = self._said_of_scores()
        if said is None:
            return frozenset()
        models = said.get(_SCORED_BY.encode())
        return frozenset(self.manifest().models if models is None else json.loads(models))

    @property
    def scored_cells(self) -> frozenset[str]:
        """The cells that were scored before all cells of their model were there."""
        return frozenset(json.loads((self._said_of_scores() or {}).get(_SCORED_CELLS.encode(), "[]")))

    def _said_of_scores(self) -> dict[bytes, bytes] | None:
        """The metadata of scores.parquet, None where it cannot be read."""
        tables = read_whole(list(self.path.glob("scores.parquet")), ["cell_id"], SCORES)
        return (tables[0].schema.metadata or {}) if tables else None

    def scores(self) -> dict[str, list[Scored]]:
        """The texts of each cell that were scored; empty where none was, or where the file cannot be read."""
        columns = [column.name for column in SCORES]
        tables = read_whole(list(self.path.glob("scores.parquet")), columns, SCORES)
        return scored_of(tables[0]) if tables else {}

    # ------------------------------------------------------------------------------------------------ conclusions

    def write_conclusions(self, manifest: Manifest, conclusions: Conclusions, summary: Mapping[str, object]) -> None:
        """Put cells.parquet, modes.parquet, contrasts.parquet and summary.json in place."""
        hand_back_memory()  # of judging
        found = conclusions.results
        self._write_table("cells", manifest, found, cells_table, CELLS)
        self._write_table("modes", manifest, found, modes_table, MODES)
        self._write_table("contrasts", manifest, conclusions.contrasts, contrasts_table, CONTRASTS)
        write_pieces_whole(self.path / "summary.json", json_pieces(summary))
        hand_back_memory()

    def _write_table(
        self,
        name: str,
        manifest: Manifest,
        items: Sequence[Item],
        to_table: Callable[[Sequence[Item], str, Mapping[str, str]], pa.Table],
        columns: Sequence[Column],
    ) -> None:
        """A table of many items, some of them at a time."""
        metadata = _metadata(manifest)
        blocks = (to_table(block, manifest.run_id, metadata) for block in in_blocks(items, _ITEMS_AT_ONCE))
        groups = (pa.concat_tables(tables) for tables in in_blocks(blocks, _BLOCKS_IN_A_ROW_GROUP))
        schema = arrow_schema(columns, metadata)
        write_whole(self.path / f"{name}.parquet", lambda aside: write_row_groups(groups, schema, aside))


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
