"""A worker on a cluster: holds one engine for its life, and samples slices with it as one process samples a run."""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
import threading
import time
import traceback
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collapsecli.cluster.board import versions_here
from collapsecli.cluster.charter import read_charter
from collapsecli.cluster.kept import KeptEngine
from collapsecli.cluster.store import Mirror
from collapsecli.engines import start_engine
from collapsecli.engines.process import packed
from collapsecli.errors import CollapseError, EngineStartError, IncompleteError, UsageError
from collapsecli.pipeline import RunPlan, sample_run
from collapsecli.runs import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collapsecli.cluster.board import Sitting
    from collapsecli.engines import Engine, EngineName, EngineOptions
    from collapsecli.engines.process import Packed
    from collapsecli.records import Completion
    from collapsecli.schedule import Schedule

WHOLE = 0  # the number that stands for the whole run: what is left to draw when the slices are joined
_MOST_ATTEMPTS = 3
_SECONDS_BETWEEN_WORDS = 1.0
_SECONDS_BEFORE_ANOTHER_TRY = 5.0  # what a killed worker held on a GPU may take that long to come back


@dataclass(frozen=True, slots=True)
class Assignment:
    """What all workers of a round are told: the plan, cut into `of` slices, of which the cells of `model` are due.

    `run_path` is where the driver sees the run. With a `store` (URL of the run in it) workers use folders of
    their own.
    """

    run_path: str
    plan: RunPlan
    of: int
    model: str
    engine: EngineName
    options: EngineOptions
    token: str
    store: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a slice in a round: whether it has all it needs, why it has not, and what should be known."""

    number: int
    complete: bool = False
    error: Packed | None = None
    notices: tuple[str, ...] = ()


class SliceSampler:
    """What Ray makes of every worker: called with the number of a slice, it gives back what became of it."""

    def __init__(self, assignment: Assignment, board: Any) -> None:
        self._assignment = assignment
        self._board = board
        self._engine: KeptEngine | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[bytes]]:
        """One slice, as a batch of one row {"number": …}; gives {"outcome": …}, pickled."""
        number = int(batch["number"][0])
        try:
            outcome = self._outcome(number, self._asked("begun", number))
        finally:
            self._asked("ended", number)
        return {"outcome": [pickle.dumps(outcome)]}

    def _asked(self, method: str, *words: object) -> Any:
        import ray

        return ray.get(getattr(self._board, method).remote(*words))

    def _outcome(self, number: int, sitting: Sitting) -> Outcome:
        if sitting.stopped:
            return Outcome(number)
        watch = _Reporter(self._board, number)
        try:
            self._refuse(number, sitting)
            with self._folder(number) as run, _words_to(run.log_path), watch.reporting():
                outcome = Outcome(number, self._sampled(run, number, watch))
        except _LaterError:
            outcome = Outcome(number)
        except CollapseError as error:
            self._leave_if_ill(error, sitting)
            outcome = _failed(number, error)
        except OSError as error:
            where = f"on {os.uname().nodename}: {error.strerror or error}"
            outcome = _failed(number, IncompleteError(f"slice {number} cannot be written {where}"))
        except Exception as error:  # noqa: BLE001 - told to the driver, for whom it is one slice of many
            outcome = _failed(number, CollapseError(f"slice {number}: {type(error).__name__}: {error}"))
        return replace(outcome, notices=tuple(watch.notices))

    def _refuse(self, number: int, sitting: Sitting) -> None:
        if sitting.attempt > _MOST_ATTEMPTS:
            raise IncompleteError(f"slice {number} is given up: {_MOST_ATTEMPTS} workers died of it, one by one")
        if unlike := self._asked("unlike", versions_here()):
            raise UsageError(
                f"a worker on {os.uname().nodename} is unlike the others: {unlike}",
                hint="install the same on every node",
            )

    def _sampled(self, run: RunFolder, number: int, watch: _Reporter) -> bool:
        plan = self._assignment.plan
        part = plan if number == WHOLE else replace(plan, slice=(number, self._assignment.of))
        try:
            return sample_run(run, part, self._start, watch)
        except _LaterError:
            raise
        except Exception:
            traceback.print_exc()  # to the log of the slice
            raise

    def _start(self, model: str) -> Engine:
        if model != self._assignment.model:
            raise _LaterError(f"{model} has a round of its own")
        if self._engine is None:
            self._engine = KeptEngine(start_engine(self._assignment.engine, self._assignment.options))
            self._asked("started", f"{os.uname().nodename} {os.getpid()}")
        return self._engine

    def _leave_if_ill(self, error: CollapseError, sitting: Sitting) -> None:
        """End this process where its engine is broken: Ray starts another, which takes up the same slice."""
        died = isinstance(error, IncompleteError) and self._engine is not None
        # Where engines start elsewhere, this one had bad luck: memory that a killed worker has not given back yet.
        unlucky = isinstance(error, EngineStartError) and self._asked("others_started")
        if (died or unlucky) and sitting.attempt < _MOST_ATTEMPTS:
            time.sleep(_SECONDS_BEFORE_ANOTHER_TRY if unlucky else 0)
            os._exit(1)

    @contextmanager
    def _folder(self, number: int) -> Iterator[RunFolder]:
        """The folder of a slice: the run's own, or one on this machine that is a copy of the store's."""
        told = self._assignment
        with ExitStack() as stack:
            if told.store:
                scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="collapse-")))
                run = RunFolder(scratch / Path(told.run_path).name)
            else:
                run = RunFolder(Path(told.run_path))
                charter = read_charter(run)
                if charter is None or charter.token != told.token:
                    raise UsageError(
                        f"the run at {run.path} is not there for the worker on {os.uname().nodename}",
                        hint="put runs on a disk that all nodes share (-o DIR), or name a store: --store URL",
                    )
            folder = run if number == WHOLE else run.slice_folder(number, told.of)
            folder.path.mkdir(parents=True, exist_ok=True)
            mirror = Mirror(folder.path, stored_at(told.store, folder, number)) if told.store else None
            if mirror:
                mirror.pull()
            with mirror.kept_up() if mirror else nullcontext():
                yield folder


class _LaterError(IncompleteError):
    """The slice goes on with another model, in a later round."""


def stored_at(store: str, folder: RunFolder, number: int) -> str:
    """Where a store (URL of the run in it) keeps a slice, or the joined run."""
    return f"{store}/whole" if number == WHOLE else f"{store}/slices/{folder.path.name}"


def _failed(number: int, error: CollapseError) -> Outcome:
    return Outcome(number, error=packed(error))


@contextmanager
def _words_to(path: Path) -> Iterator[None]:
    """Send what the engine and its libraries print to the log of the slice."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in (*saved, log):
            os.close(descriptor)


class _Reporter:
    """A Watch (see the ledger) that tells the board how far a slice is, and stops the engine when the board says so."""

    def __init__(self, board: Any, number: int) -> None:
        self._board, self._number = board, number
        self._schedule: Schedule | None = None
        self._engine: Engine | None = None
        self.notices: list[str] = []
        self.stopped = False

    def sampling(self, engine: Engine, schedule: Schedule) -> None:
        """See Watch."""
        self._engine, self._schedule = engine, schedule
        if self.stopped:
            engine.stop()

    def noticed(self, what: str) -> None:
        """See Watch."""
        self.notices.append(what)

    def advanced(self, completion: Completion, saved: int) -> None:
        """See Watch: the schedule knows as much."""

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Tell the board every second while the block runs, and once at its end."""
        over = threading.Event()
        thread = threading.Thread(target=self._report_until, args=(over,), name="reporter", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self._report()

    def _report_until(self, over: threading.Event) -> None:
        while not over.wait(_SECONDS_BETWEEN_WORDS):
            self._report()

    def _report(self) -> None:
        import ray

        schedule = self._schedule
        planned, saved = (schedule.planned, schedule.saved) if schedule else (0, 0)
        try:
            is_over = ray.get(self._board.heard.remote(self._number, planned, saved))
        except ray.exceptions.RayError:
            is_over = True  # nobody looks on any more: save, and end
        if is_over and not self.stopped:
            self.stopped = True
            if self._engine is None:
                # Nothing is being drawn, so there is nothing to save, and an engine may take minutes to start. The
                # process that Ray puts in place of this one is told at once that all are to end.
                os._exit(1)
            self._engine.stop()
