"""A run under way: what is written down of it while it is sampled, and who looks on. Samples nothing itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from collapsecli.errors import UsageError
from collapsecli.runs import differences, fingerprint_fields, fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collapsecli.engines import Engine
    from collapsecli.records import Cell, Completion
    from collapsecli.runs import Manifest, RunFolder
    from collapsecli.schedule import Schedule


class Watch(Protocol):
    """Who looks on while a run is sampled, and may end it."""

    @property
    def stopped(self) -> bool:
        """Whether the run was asked to end early."""

    def sampling(self, engine: Engine, schedule: Schedule) -> None:
        """Sampling begins; the schedule knows at any time what is there and what is planned."""

    def noticed(self, what: str) -> None:
        """Something that the user should know of, but that stops nothing."""

    def advanced(self, completion: Completion, saved: int) -> None:
        """One more completion came back; `saved` of this sitting are on disk."""


class Ledger:
    """A run under way: its folder, and its manifest, which grows as cells of the second wave are planned.

    Until an engine has been accepted for the run nothing is written: a run that is refused stays as it was.
    """

    def __init__(self, run: RunFolder, manifest: Manifest, watch: Watch) -> None:
        self.run = run
        self.watch = watch
        self.engine: Engine | None = None
        self._begun = manifest
        self._injected: dict[str, str] = {}
        self._given_up: dict[str, str] = {}

    @property
    def manifest(self) -> Manifest:
        """The manifest as far as it is known."""
        return self._begun.with_branches(self._injected, self._given_up)

    def accept(self, model: str, engine: Engine) -> None:
        """Go on with the engine of a model, and write down that it is this one.

        Raises UsageError when the run was begun with another one, or when the engine cannot serve a cell.
        """
        manifest = self.manifest
        before = fingerprint_fields(manifest.seed, manifest.cells, manifest.engines)
        engines = {**manifest.engines, model: engine.info}
        now = fingerprint_fields(manifest.seed, manifest.cells, engines)
        if model in manifest.engines:
            refuse_differences(self.run, before, now)
        engine.check([cell for cell in manifest.drawn_cells if cell.model == model and cell.branch is None])
        self._begun = replace(manifest, engines=engines, fingerprint=fingerprint_of(now))
        self.engine = engine
        self.run.write_manifest(self.manifest)

    def refused(self, cell: Cell) -> str | None:
        """Why the engine cannot serve a cell of the second wave, whose prompt nobody knew before; None if it can."""
        try:
            if self.engine is not None:
                self.engine.check([cell])
        except UsageError as error:
            return error.message
        return None

    def branched(self, cell: Cell, planned: Cell | str) -> str | None:
        """Keep what a cell of the second wave is to be, or why it cannot be; gives back why it is refused."""
        refused = planned if isinstance(planned, str) else self.refused(planned)
        injected = "" if refused or isinstance(planned, str) else planned.injected
        if refused:
            self._given_up[cell.cell_id] = refused
            self.watch.noticed(f"{cell.cell_id} is not sampled: {refused}")
        else:
            self._injected[cell.cell_id] = injected
        if self.engine is not None:
            self.run.note_branch(cell.cell_id, injected, refused or "")
        return refused


def refuse_differences(run: RunFolder, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise UsageError, with what differs, where a run was begun with something else."""
    changed = differences(before, now)
    if changed:
        shown = "".join(f"\n  {line}" for line in changed[:12])
        more = f"\n  and {len(changed) - 12} more" if len(changed) > 12 else ""
        raise UsageError(
            f"run {run.path.name} was begun with something else, and mixing the two would mean nothing:{shown}{more}",
            hint="leave --run-id out to begin a new run",
        )
