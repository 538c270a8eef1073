"""One round on a cluster: the slices are the rows of a Ray dataset, and workers map them to what became of them."""

from __future__ import annotations

import pickle
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from collapsecli.cluster.board import Board, versions_here
from collapsecli.cluster.placement import share_of
from collapsecli.cluster.worker import SliceSampler
from collapsecli.engines.process import unpacked
from collapsecli.errors import IncompleteError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collapsecli.cluster.board import Progress
    from collapsecli.cluster.placement import Share
    from collapsecli.cluster.worker import Assignment, Outcome
    from collapsecli.errors import CollapseError

_SECONDS_BETWEEN_LOOKS = 0.5
_MOST_FAILED_SLICES = 3
_SECONDS_TO_SAVE = 120.0  # for workers that were told to end: a shard, its way to the store, scores


class ClusterWatch(Protocol):
    """Who looks on while a cluster samples, and may end it."""

    @property
    def stopped(self) -> bool:
        """Whether the run was asked to end early."""

    def noticed(self, what: str) -> None:
        """Something that the user should know of, but that stops nothing."""

    def sharing_out(self, model: str, planned: Mapping[int, int], workers: int) -> None:
        """A round begins for so many workers: slices, each with the completions that it plans as far as is known."""

    def progressed(self, progress: Progress) -> None:
        """How far the round is; called about twice a second."""


@dataclass(slots=True)
class _Rows:
    """What a round gives back, taken in a thread of its own: the main thread is for signals and for who looks on."""

    dataset: Any
    arrived: queue.SimpleQueue[Outcome]
    error: Exception | None = None
    over: bool = False

    def take(self) -> None:
        """Take all there are."""
        try:
            for row in self.dataset.iter_rows():
                self.arrived.put(pickle.loads(row["outcome"]))  # noqa: S301 - our own workers' words
        except Exception as error:  # noqa: BLE001 - raised where somebody listens
            self.error = error
        self.over = True


def share(workers: int, assignment: Assignment) -> Share:
    """What each worker asks of the cluster that we are connected to. Raises UsageError where so many do not fit."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return share_of(nodes, workers, assignment.options.tensor_parallel, on_gpus=assignment.engine == "vllm")


def sample_round(
    assignment: Assignment, planned: Mapping[int, int], workers: int, watch: ClusterWatch
) -> list[Outcome]:
    """Sample some slices with so many workers at once; gives what became of each that came to an end.

    `planned` says of each how many completions it plans, as far as is known.

    What failed is raised, as what it was for the worker, when the others are done; a failure that is none of a slice,
    or the third, ends the round for all, who save what they have. Raises IncompleteError where Ray itself fails.
    """
    asked = share(workers, assignment)
    workers = min(workers, len(planned))
    watch.sharing_out(assignment.model, planned, workers)
    board = _board()
    rows = _Rows(_dataset(assignment, list(planned), workers, asked, board), queue.SimpleQueue())
    threading.Thread(target=rows.take, name="rows", daemon=True).start()
    return _looked_after(rows, board, watch)


def _board() -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Board).options(num_cpus=0, scheduling_strategy=here).remote(versions_here())


def _dataset(assignment: Assignment, numbers: Sequence[int], workers: int, asked: Share, board: Any) -> Any:
    """The lazy dataset of a round. A dead worker is replaced and its slice given to another, by Ray's own defaults."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    return ray.data.from_items(
        [{"number": number} for number in numbers], override_num_blocks=len(numbers)
    ).map_batches(
        SliceSampler,
        fn_constructor_kwargs={"assignment": assignment, "board": board},
        batch_size=1,
        compute=ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
        num_cpus=asked.cpus,
        num_gpus=asked.gpus,
    )


def _looked_after(rows: _Rows, board: Any, watch: ClusterWatch) -> list[Outcome]:
    """Wait for the rows of a round, show how far it is, and end it when somebody wants that."""
    outcomes: list[Outcome] = []
    failures: list[CollapseError] = []
    stopped_at: float | None = None
    while True:
        is_last = rows.over
        while not rows.arrived.empty():
            outcome = rows.arrived.get()
            outcomes.append(outcome)
            for notice in outcome.notices:
                watch.noticed(notice)
            failures += [unpacked(outcome.error)] if outcome.error else []
        if is_last:
            break
        progress: Progress = _asked(board, "progress")
        watch.progressed(progress)
        if stopped_at is None and (watch.stopped or _are_everybodys(failures)):
            stopped_at = time.monotonic()
            _asked(board, "stop")
        elif stopped_at is not None and time.monotonic() - stopped_at > _SECONDS_TO_SAVE:
            break
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    if failures:
        raise min(failures, key=lambda error: isinstance(error, IncompleteError))
    if rows.error is not None and stopped_at is None:
        said = (str(rows.error).strip().splitlines() or [""])[-1]
        raise IncompleteError(f"Ray gave up: {type(rows.error).__name__}: {said}") from rows.error
    return outcomes


def _are_everybodys(failures: Sequence[CollapseError]) -> bool:
    """Whether other slices would fail as well: a model that cannot be loaded, a full disk."""
    return len(failures) >= _MOST_FAILED_SLICES or any(not isinstance(error, IncompleteError) for error in failures)


def _asked(board: Any, method: str) -> Any:
    import ray

    try:
        return ray.get(getattr(board, method).remote())
    except ray.exceptions.RayError as error:
        raise IncompleteError(f"Ray was lost: {type(error).__name__}") from error
