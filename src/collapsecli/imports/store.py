"""Gathered completions in, run folders out: complete at once, or not there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collapsecli.errors import UsageError
from collapsecli.records import IMPORTED, EngineInfo
from collapsecli.runs import Manifest, RunFolder, SuiteSource, fingerprint_fields, fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from collapsecli.imports.gather import Gathered

_SEED = 0  # nothing is drawn


def run_folders(root: Path, run_id: str, runs: Sequence[Gathered]) -> list[RunFolder]:
    """The folders that the runs will have, one per step, none of which is there yet.

    Raises UsageError where one is: draws cannot be added to a finished run.
    """
    folders = [RunFolder.named(root, run_id if run.step is None else f"{run_id}-step{run.step:06d}") for run in runs]
    for folder in folders:
        if folder.started:
            raise UsageError(
                f"there is a run {folder.path.name} already, and completions cannot be added to it",
                hint="choose another --run-id, or leave it out",
            )
    return folders


def write_runs(
    folders: Sequence[RunFolder], runs: Sequence[Gathered], files: Mapping[str, str], layout: str, notes: Sequence[str]
) -> None:
    """Put the runs in their folders, all or none of them. `files` are the digests of the files, by path.

    Raises UsageError where a folder cannot be made, OSError where the disk fails.
    """
    for number, (folder, run) in enumerate(zip(folders, runs, strict=True)):
        try:
            _write_run(folder, run, files, layout, notes)
        except BaseException:
            for written in folders[:number]:
                _take_back(written)
            raise


def _write_run(folder: RunFolder, run: Gathered, files: Mapping[str, str], layout: str, notes: Sequence[str]) -> None:
    """Manifest, completions, state."""
    engine = EngineInfo(
        name=IMPORTED,
        version=layout,
        model=", ".join(dict.fromkeys(cell.model for cell in run.cells)),
        identity={f"file {number}": sha256 for number, sha256 in enumerate(files.values(), start=1)},
        details={f"file {number}": path for number, path in enumerate(files, start=1)},
        notes=tuple(notes),
    )
    engines = dict.fromkeys((cell.model for cell in run.cells), engine)
    first, sha256 = next(iter(files.items()))
    manifest = Manifest(
        run_id=folder.path.name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=_SEED,
        # An import has no suite: its files stand for it.
        suites=(SuiteSource(run.cells[0].suite, first, sha256, text="", files=dict(files)),),
        cells=run.cells,
        engines=engines,
        fingerprint=fingerprint_of(fingerprint_fields(_SEED, run.cells, engines)),
    )
    folder.prepare()
    with folder.locked():
        try:
            folder.write_manifest(manifest)
            folder.write_samples(manifest, f"{IMPORTED} {layout}", run.completions())
            saved = sum(cell.sampling.samples for cell in run.cells)
            folder.write_state("complete", attempts=1, planned=saved, saved=saved, failed=0)
        except BaseException:
            _take_back(folder)
            raise


def _take_back(folder: RunFolder) -> None:
    folder.samples_path.unlink(missing_ok=True)
    folder.forget(keep_log=False)
