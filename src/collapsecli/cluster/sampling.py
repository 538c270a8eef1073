"""From a plan to completions on disk, by way of a cluster. Reads like the method section; judges nothing."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from collapsecli.cluster.charter import charter_path, chartered
from collapsecli.cluster.connection import connected
from collapsecli.cluster.rounds import sample_round
from collapsecli.cluster.store import Mirror, checked_store
from collapsecli.cluster.worker import WHOLE, Assignment, stored_at
from collapsecli.errors import UsageError
from collapsecli.merging import merge
from collapsecli.pipeline import sample_run
from collapsecli.runs import RunFolder
from collapsecli.slices import divided, first_looks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from collapsecli.cluster.charter import Charter
    from collapsecli.cluster.rounds import ClusterWatch
    from collapsecli.engines import Engine, EngineName, EngineOptions
    from collapsecli.pipeline import RunPlan
    from collapsecli.records import Completion
    from collapsecli.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Workers:
    """Who samples: so many workers, each with an engine of its own.

    `options` are those of every model's engine, by the name that cells give it. Without a `store` (URL of a folder of
    runs) all nodes have to see the run's folder where we see it.
    """

    count: int
    engine: EngineName
    options: Mapping[str, EngineOptions] = field(default_factory=dict)
    store: str = ""


def sample_on_cluster(run: RunFolder, plan: RunPlan, workers: Workers, watch: ClusterWatch) -> bool:
    """Begin or resume a run on a cluster; True when everything is there.

    The plan is cut into slices, which workers sample as runs of their own; they are joined when all are there, and
    what only the whole shows to be missing is drawn by one worker. Raises what sampling a run raises, and UsageError
    for workers that do not fit on the cluster. Whatever is raised, what was sampled stays.
    """
    store = f"{checked_store(workers.store)}/{run.run_id}" if workers.store else ""
    with _held(run):
        charter = _agreed(run, plan, workers, store)
        plan = replace(plan, seed=charter.seed)
        slices = [run.slice_folder(number, charter.of) for number in range(1, charter.of + 1)]
        owed = _owed(run, plan, charter, watch)
        if not owed and merge(run, slices, watch.noticed).complete:
            return True
        with connected():
            for model in dict.fromkeys(cell.model for cell in plan.cells):
                planned = _of_model(model, owed, plan, charter)
                if planned and not watch.stopped:
                    told = _assignment(run, plan, charter, workers, model, store)
                    sample_round(told, planned, workers.count, watch)
            _pulled(run, charter, owed, store)
            if watch.stopped or not all(folder.started for folder in slices):
                return False
            if merge(run, slices, watch.noticed).complete:
                return True
            return _sample_rest(run, plan, charter, workers, store, watch)


@contextmanager
def _held(run: RunFolder) -> Iterator[None]:
    """One driver at a time; the run itself is held by who writes it. A run that never began leaves nothing."""
    with run.locked():
        pass  # which marks the folder as ours, and makes sure that nobody writes it
    slices = charter_path(run).parent
    with RunFolder(slices).locked():
        try:
            yield
        except BaseException as error:
            if not run.started and not any(path.is_dir() for path in slices.iterdir()):
                shutil.rmtree(slices)
                run.forget(keep_log=not isinstance(error, UsageError))
            raise


def _agreed(run: RunFolder, plan: RunPlan, workers: Workers, store: str) -> Charter:
    """The charter of the run, which lies in the store as well: another machine may go on with it."""
    mirror = Mirror(charter_path(run).parent, f"{store}/charter") if store else None
    if mirror:
        mirror.pull()
    charter = chartered(run, plan, workers.count)
    if mirror:
        mirror.push()
    _pulled(run, charter, range(1, charter.of + 1), store)
    return charter


def _pulled(run: RunFolder, charter: Charter, numbers: Sequence[int], store: str) -> None:
    for number in numbers if store else ():
        folder = run.slice_folder(number, charter.of)
        Mirror(folder.path, stored_at(store, folder, number)).pull()
        if not any(folder.path.iterdir()):
            folder.path.rmdir()


def _owed(run: RunFolder, plan: RunPlan, charter: Charter, watch: ClusterWatch) -> list[int]:
    """The slices that lack something. Those that were begun are read as the plan is now, or refused."""
    onlooker = _Onlooker(watch)
    owed = []
    for number, places in enumerate(divided(plan.cells, charter.of), start=1):
        folder = run.slice_folder(number, charter.of)
        part = replace(plan, slice=(number, charter.of))
        if (places and not folder.started) or not sample_run(folder, part, _no_engine, onlooker):
            owed.append(number)
    return owed


def _of_model(model: str, numbers: Sequence[int], plan: RunPlan, charter: Charter) -> dict[int, int]:
    """Of some slices those that have cells of a model, with the completions planned at their first looks."""
    slices = divided(plan.cells, charter.of)
    cells = {number: [plan.cells[place] for place in slices[number - 1]] for number in numbers}
    own = {number: [cell for cell in ours if cell.model == model] for number, ours in cells.items()}
    return {number: first_looks(ours) for number, ours in own.items() if ours}


def _sample_rest(
    run: RunFolder, plan: RunPlan, charter: Charter, workers: Workers, store: str, watch: ClusterWatch
) -> bool:
    """Draw what the joined run lacks: looks that only the whole family of cells asks for, failures that may pass."""
    mirror = Mirror(run.path, stored_at(store, run, WHOLE), own=frozenset({run.log_path.name})) if store else None
    if mirror:
        mirror.push()
    complete = False
    for model in dict.fromkeys(cell.model for cell in plan.cells):
        if not watch.stopped and not complete:
            told = _assignment(run, plan, charter, workers, model, store)
            outcomes = sample_round(told, {WHOLE: 0}, 1, watch)
            complete = any(outcome.complete for outcome in outcomes)
    if mirror:
        mirror.pull()
    return complete and sample_run(run, plan, _no_engine, _Onlooker(watch))


def _assignment(
    run: RunFolder, plan: RunPlan, charter: Charter, workers: Workers, model: str, store: str
) -> Assignment:
    return Assignment(
        str(Path(run.path).resolve()),
        plan, charter.of, model, workers.engine, workers.options[model], charter.token, store,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Onlooker:
    """A Watch (see the ledger) that ends a sitting before it starts an engine: what is there is read, nothing drawn."""

    watch: ClusterWatch
    stopped: bool = True

    def sampling(self, engine: Engine, schedule: Schedule) -> None:
        """Never happens."""

    def noticed(self, what: str) -> None:
        """See Watch."""
        self.watch.noticed(what)

    def advanced(self, completion: Completion, saved: int) -> None:
        """Never happens."""


def _no_engine(model: str) -> Engine:
    raise AssertionError(f"the driver draws nothing of {model}")
