"""Which devices of this machine each engine gets: GPUs, or cores where there are none. Imports no engine library."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from collapsecli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from collapsecli.engines import EngineName, EngineOptions

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_NONE_VISIBLE = frozenset({"", "-1", "NoDevFiles"})  # the last is what Slurm says to a job without GPUs
_LISTED_GPU = re.compile(r"GPU (\d+):")
_LISTED_MIG = re.compile(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)")
_SECONDS_TO_LIST = 30.0
_DRIVER = Path("/proc/driver/nvidia/gpus")
_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
# Of a machine's memory, what all engines on its cores may take together: vLLM gives each of them a share of the whole.
_MEMORY_OF_ALL = 0.3


@dataclass(frozen=True, slots=True)
class Share:
    """The devices of one engine, and what keeps it to them: variables, cores, and arguments that may be overruled."""

    label: str
    environment: Mapping[str, str] = field(default_factory=dict)
    cores: frozenset[int] = frozenset()
    arguments: Mapping[str, object] = field(default_factory=dict)

    def fitted(self, options: EngineOptions) -> EngineOptions:
        """The options of the one engine that has this share."""
        return replace(options, replicas=1, arguments={**self.arguments, **options.arguments})


def shares(name: EngineName, options: EngineOptions) -> list[Share]:
    """The share of each of the `replicas` engines that are asked for; no two have a device in common.

    Raises UsageError for more than this machine has, and for a server: its devices are not ours to give.
    """
    replicas, per_replica = options.replicas, options.tensor_parallel
    if name == "server":
        raise UsageError(
            "replicas and devices are of engines on this machine, and a server has its own",
            hint="leave --replicas and --tp out: set them where the server is started",
        )
    if name == "scripted":
        return [Share("none")] * replicas
    if gpus := visible_gpus(os.environ.get(_VISIBLE), listed_gpus):
        return gpu_shares(gpus, replicas, per_replica)
    return core_shares(_own_cores(), replicas, per_replica)


def visible_gpus(visible: str | None, listed: Callable[[], Sequence[str]]) -> tuple[str, ...]:
    """The GPUs that engines may use, by names that CUDA knows: as CUDA_VISIBLE_DEVICES has them, or all `listed`."""
    if visible is None:
        return tuple(listed())
    names = tuple(name.strip() for name in visible.split(","))
    # CUDA heeds the names up to the first that names nothing.
    ends = next((at for at, name in enumerate(names) if name in _NONE_VISIBLE), len(names))
    return names[:ends]


def gpu_shares(gpus: Sequence[str], replicas: int, per_replica: int) -> list[Share]:
    """`per_replica` GPUs for each replica, in their order. Raises UsageError when there are too few."""
    needed = replicas * per_replica
    if needed > len(gpus):
        fitting = len(gpus) // per_replica
        raise UsageError(
            f"{_asked(replicas, per_replica, 'GPU')}, and {len(gpus)} can be seen: {', '.join(gpus)}",
            hint=f"ask for --replicas {fitting}" if fitting else f"ask for --tp {len(gpus)} at most",
        )
    return [_gpu_share(gpus[at : at + per_replica]) for at in range(0, needed, per_replica)]


def core_shares(cores: Sequence[int], replicas: int, per_replica: int) -> list[Share]:
    """All cores, divided as evenly as can be between the replicas. Raises UsageError when there are too few.

    Each of a replica's `per_replica` devices is a set of cores; neighbours in `cores` stay together.
    """
    needed = replicas * per_replica
    if needed > len(cores):
        raise UsageError(
            f"{_asked(replicas, per_replica, 'core')}, and {len(cores)} may be used",
            hint=f"ask for {len(cores)} at most, --replicas times --tp",
        )
    sets = [tuple(cores[at * len(cores) // needed : (at + 1) * len(cores) // needed]) for at in range(needed)]
    return [_core_share(sets[at : at + per_replica], needed) for at in range(0, needed, per_replica)]


def listed_gpus() -> tuple[str, ...]:
    """The NVIDIA GPUs of this machine: as `nvidia-smi` lists them, or where it is not there by the driver's count."""
    try:
        command = ["nvidia-smi", "-L"]
        listing = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS_TO_LIST, check=True)  # noqa: S603 - no part of it comes from outside
    except (OSError, subprocess.SubprocessError):
        return tuple(map(str, range(len(list(_DRIVER.glob("*"))))))
    return gpus_in(listing.stdout)


def gpus_in(listing: str) -> tuple[str, ...]:
    """The GPUs in the words of `nvidia-smi -L`: by number, or the instances (MIG) that one is divided into by UUID."""
    gpus: list[list[str]] = []
    for line in listing.splitlines():
        if found := _LISTED_GPU.match(line):
            gpus.append([found[1]])
        elif gpus and (found := _LISTED_MIG.match(line)):
            gpus[-1].append(found[1])
    return tuple(name for number, *instances in gpus for name in (instances or [number]))


def _gpu_share(gpus: Sequence[str]) -> Share:
    names = ",".join(gpus)
    return Share(f"GPU {names}", {_VISIBLE: names})


def _core_share(sets: Sequence[Sequence[int]], engines: int) -> Share:
    cores = [core for cores in sets for core in cores]
    environment = {}
    if len(sets) > 1:
        # Unless told, vLLM wants a memory node for each worker, and most machines have one.
        environment["VLLM_CPU_OMP_THREADS_BIND"] = "|".join(",".join(map(str, cores)) for cores in sets)
    return Share(
        label=f"core{'s'[: len(cores) > 1]} {','.join(map(str, cores))}",
        environment=environment,
        cores=frozenset(cores),
        arguments={"gpu_memory_utilization": round(_MEMORY_OF_ALL / engines, 4)},
    )


def _asked(replicas: int, per_replica: int, device: str) -> str:
    each = f" of {per_replica} {device}s" if per_replica > 1 else ""
    who = f"{replicas} replicas{each} need" if replicas > 1 else f"an engine{each} needs"
    return f"{who} {replicas * per_replica}" + ("" if each else f" {device}{'s'[: replicas > 1]}")


def _own_cores() -> list[int]:
    """The cores that this process may use, those of one physical core side by side."""
    if not hasattr(os, "sched_getaffinity"):
        return list(range(os.cpu_count() or 1))
    return sorted(os.sched_getaffinity(0), key=lambda core: (_first_sibling(core), core))


def _first_sibling(core: int) -> int:
    try:
        siblings = Path(_SIBLINGS.format(core)).read_text("ascii")
        return int(re.split(r"[,\-]", siblings.strip())[0])
    except (OSError, ValueError):
        return core
