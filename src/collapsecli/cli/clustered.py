"""`collapse probe --engine ray`: what a command does to sample on a cluster, and what is seen of it meanwhile."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from collapsecli import demo
from collapsecli.cli.interrupts import Interrupts
from collapsecli.cli.options import EngineChoice
from collapsecli.cli.progress import ProgressDisplay
from collapsecli.cli.streams import libraries_log_to, log_traceback
from collapsecli.errors import EngineStartError, IncompleteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collapsecli.cli.plans import Asked
    from collapsecli.cli.starting import Starter
    from collapsecli.cluster.board import Progress
    from collapsecli.cluster.sampling import Workers
    from collapsecli.engines import EngineName
    from collapsecli.records import Model
    from collapsecli.runs import RunFolder

_DRAWING: Mapping[EngineChoice, EngineName] = {
    EngineChoice.vllm: "vllm",
    EngineChoice.ray: "vllm",
    EngineChoice.server: "server",
    EngineChoice.scripted: "scripted",
}
_SCRIPTS = frozenset({".yaml", ".yml"})


def drawing_engine(chosen: EngineChoice, models: Sequence[Model] = ()) -> EngineName:
    """The engine that draws: on a cluster that is vLLM, or the scripted one where the models are script files."""
    scripts = [Path(model.location).suffix in _SCRIPTS for model in models]
    if chosen is EngineChoice.ray and scripts and all(scripts):
        return "scripted"
    return _DRAWING[chosen]


def cluster_workers(asked: Asked, starter: Starter, store: str | None, shard: str | None) -> Workers:
    """The workers that the command line asks for.

    Raises UsageError for a store that cannot be used and for a slice of one's own, and what `require_ray` raises.
    """
    from collapsecli.cluster.connection import require_ray
    from collapsecli.cluster.sampling import Workers
    from collapsecli.cluster.store import checked_store

    if shard is not None:
        raise UsageError("--shard is one part of a plan, and a cluster samples all of them", hint="leave --shard out")
    require_ray()
    options = starter.options
    return Workers(
        count=options.replicas,
        engine=starter.engine,
        options={
            model.name: replace(
                options,
                model=_seen_from_anywhere(model.location),
                adapters={name: _seen_from_anywhere(place) for name, place in model.adapters.items()},
                replicas=1,
            )
            for model in asked.models
        },
        store=checked_store(store) if store else "",
    )


def refuse_store(store: str | None) -> None:
    """Raises UsageError where a store is named and no cluster asked for."""
    if store:
        raise UsageError("--store is for a cluster, and none is asked for", hint="--engine ray")


def _seen_from_anywhere(location: str) -> str:
    """A location that does not depend on the folder that we are in: a worker is in another one."""
    is_here = demo.model_path(location) is None and Path(location).exists()
    return str(Path(location).resolve()) if is_here else location


def sample_clustered(run: RunFolder, asked: Asked, workers: Workers, resume: str, *, quiet: bool) -> bool:
    """Sample under guard, as a process of one engine does: signals save first, libraries write to the log."""
    from collapsecli.cluster.charter import read_charter
    from collapsecli.cluster.sampling import sample_on_cluster

    if read_charter(run) is None:  # else it is ours already, though no slice may have been begun
        run.prepare()
    with Interrupts() as interrupts, libraries_log_to(run.log_path) as people:
        with ClusterDisplay(people, interrupts, quiet=quiet) as display:
            display.joining(run)
            try:
                complete = sample_on_cluster(run, asked.plan, workers, display)
            except UsageError:
                raise
            except Exception as error:
                log_traceback(run.log_path)
                raise _with_way_on(error, run, resume) from error
        if interrupts.received is not None:
            say_on = f"collapse report {run.path}" if complete else resume
            print(f"stopped; what came back is saved. To go on: {say_on}", file=people)
        interrupts.raise_if_received()
    if not complete and not run.started:
        raise IncompleteError(f"{run.path}: slices are missing; what came back is saved", hint=f"to go on: {resume}")
    return complete


def _with_way_on(error: Exception, run: RunFolder, resume: str) -> Exception:
    if isinstance(error, EngineStartError):
        error.hint = "; ".join(filter(None, [error.hint, f"the log of {run.path} and those of its slices say more"]))
    elif isinstance(error, IncompleteError) and not error.hint:
        error.hint = f"to go on: {resume}"
    return error


class ClusterDisplay(ProgressDisplay):
    """The same display for a ClusterWatch: counts come from all workers, a second or two late."""

    def joining(self, run: RunFolder) -> None:
        """Ray is being reached, or started, which takes seconds."""
        # From now on a signal is seen by the loop that looks after the workers, which lets them save.
        self._interrupts.ask_to_stop = _go_on
        self.starting("Ray", run.run_id, str(run.log_path))
        self._planned: Mapping[int, int] = {}
        self._workers = 0

    def sharing_out(self, model: str, planned: Mapping[int, int], workers: int) -> None:
        self._planned, self._workers = planned, workers
        slices = f"{len(planned)} slices" if len(planned) > 1 else "one slice"
        self._say(f"sampling {model} in {slices} with {workers} worker{'s' if workers > 1 else ''}")
        self._last_line = time.monotonic()
        self._bar.update(self._task, description=f"sampling {model}", total=sum(planned.values()), completed=0)

    def progressed(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last_line < self._seconds_between:
            return
        self._last_line = now
        counts = [progress.counts.get(number, (planned, 0)) for number, planned in self._planned.items()]
        planned, saved = (sum(column) for column in zip(*counts, strict=True))
        slices, workers = len(self._planned), self._workers
        note = f"{progress.done} of {slices} slices done, {min(progress.ready, workers)} of {workers} workers ready"
        if self._live:
            self._bar.update(self._task, completed=saved, total=planned, note=note)
        else:
            self._say(f"{saved} of {planned} completions, {note}")


def _go_on() -> None:
    """What a signal does at once: nothing."""
