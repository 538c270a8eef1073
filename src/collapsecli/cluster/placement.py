"""What a worker asks of a cluster, and whether so many fit. Pure; knows nodes by their resources only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from collapsecli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# A worker on processors asks Ray for less than it uses: a cluster whose every core is given away waits for ever.
_CPU_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Share:
    """What Ray is asked for, for each worker: cores and GPUs."""

    cpus: float
    gpus: int


def share_of(nodes: Sequence[Mapping[str, float]], workers: int, tensor_parallel: int, *, on_gpus: bool) -> Share:
    """What each of so many workers asks for on nodes with these resources ({"CPU": 8, "GPU": 1}).

    A worker lies on one node: `tensor_parallel` GPUs of it, or one of its cores where no node has a GPU or none is
    wanted. Raises UsageError where they can never all be placed, since Ray would wait for ever.
    """
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    if on_gpus and any(gpus):
        _refuse_more(workers, sum(count // tensor_parallel for count in gpus), f"{_each(tensor_parallel)}", gpus, "GPU")
        return Share(0.0, tensor_parallel)
    if tensor_parallel > 1:
        raise UsageError(
            f"--tp {tensor_parallel} divides a model over GPUs, and the cluster has none",
            hint="leave --tp out, or add nodes with GPUs",
        )
    cores = [int(node.get("CPU", 0)) for node in nodes]
    _refuse_more(workers, sum(cores), "a core each", cores, "core")
    return Share(_CPU_SHARE, 0)


def _refuse_more(workers: int, fitting: int, need: str, counts: Sequence[int], unit: str) -> None:
    if workers > fitting:
        found = ", ".join(f"{count} {unit}{'' if count == 1 else 's'}" for count in counts if count) or "nothing"
        raise UsageError(
            f"{workers} workers with {need} do not fit on the cluster: its nodes have {found}",
            hint=f"--replicas {fitting} fits" if fitting else "add nodes first: an autoscaler is not waited for",
        )


def _each(tensor_parallel: int) -> str:
    return "a GPU each" if tensor_parallel == 1 else f"{tensor_parallel} GPUs of one node each"
