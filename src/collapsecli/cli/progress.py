"""What is seen on stderr while a run is sampled. Never more than two refreshes a second; plain lines off a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from collapsecli.sanitize import visible

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, TextIO

    from collapsecli.cli.interrupts import Interrupts
    from collapsecli.engines import Engine
    from collapsecli.records import Completion
    from collapsecli.schedule import Schedule

_REFRESHES_PER_SECOND = 2
_SECONDS_BETWEEN_LINES = 30.0


class ProgressDisplay:
    """A Watch (see the ledger) that shows how far sampling is, and passes a signal on to the engine."""

    def __init__(self, people: TextIO, interrupts: Interrupts, *, quiet: bool) -> None:
        self._interrupts = interrupts
        self._quiet = quiet
        console = Console(file=people)
        self._live = console.is_terminal and not quiet
        self._seconds_between = 1 / _REFRESHES_PER_SECOND if self._live else _SECONDS_BETWEEN_LINES
        self._people = people
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=console,
            refresh_per_second=_REFRESHES_PER_SECOND,
            transient=True,
            # What libraries print goes to the log: rich would catch it before it gets there, and show it above the bar.
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not self._live,
        )
        self._began = self._last_line = time.monotonic()
        self._tokens = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    @property
    def stopped(self) -> bool:
        return self._interrupts.received is not None

    def starting(self, engine: str, model: str, log: str) -> None:
        """The engine is being started, which takes from seconds to minutes."""
        self._say(f"starting {engine} on {model} (its own words go to {log})")
        for earlier in self._bar.task_ids:  # of the model before
            self._bar.remove_task(earlier)
        self._task = self._bar.add_task(f"starting {engine}", total=None, note="")

    def sampling(self, engine: Engine, schedule: Schedule) -> None:
        self._interrupts.ask_to_stop = engine.stop
        if self.stopped:
            engine.stop()
        self._schedule = schedule
        self._say(f"sampling {schedule.planned - schedule.saved} of {schedule.planned} completions")
        self._began = self._last_line = time.monotonic()
        self._tokens = 0
        self._bar.update(self._task, description="sampling", total=schedule.planned, completed=schedule.saved)

    def scoring(self, engine: Engine, owed: int) -> None:
        """An engine begins to score so many completions: the part of a Watch that rescoring needs."""
        self._interrupts.ask_to_stop = engine.stop
        if self.stopped:
            engine.stop()
        self._say(f"scoring {owed} completions")
        self._scored, self._owed = 0, owed
        self._last_line = time.monotonic()
        self._bar.update(self._task, description="scoring", total=owed, completed=0)

    def scored(self, saved: int) -> None:
        """One more completion was scored; `saved` of this sitting are on disk."""
        self._scored += 1
        now = time.monotonic()
        if now - self._last_line < self._seconds_between:
            return
        self._last_line = now
        if self._live:
            self._bar.update(self._task, completed=self._scored, note=f"{saved} saved")
        else:
            self._say(f"{self._scored} of {self._owed} completions scored, {saved} saved")

    def noticed(self, what: str) -> None:
        self._bar.console.print(Text(f"warning: {visible(what)}", "yellow"))

    def advanced(self, completion: Completion, saved: int) -> None:
        self._tokens += len(completion.token_ids)
        now = time.monotonic()
        if now - self._last_line < self._seconds_between:
            return
        self._last_line = now
        done, planned, (decided, cells) = self._schedule.saved, self._schedule.planned, self._schedule.decided
        if self._live:
            rate = self._tokens / max(now - self._began, 1e-9)
            note = f"{decided} of {cells} cells done · {saved} saved · {rate:,.0f} tokens/s"
            self._bar.update(self._task, completed=done, total=planned, note=note)
        else:
            self._say(f"{done} of {planned} completions, {saved} saved, {decided} of {cells} cells done")

    def _say(self, line: str) -> None:
        if not self._live and not self._quiet:
            print(visible(line), file=self._people, flush=True)
