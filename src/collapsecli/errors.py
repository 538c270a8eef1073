"""What can go wrong, as the caller sees it: one line of what happened, one line of what to do, one exit code.

CollapseError                1   unexpected
├── UsageError               2   wrong arguments; nothing was started
│   └── SuiteError           2   a suite with faults, each with its place; nothing was started
├── EngineStartError         4   the engine is not installed, has no memory, or cannot load the model
└── IncompleteError         75   the run stopped early and can be resumed
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class CollapseError(Exception):
    """Base of every error that this program raises on purpose."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CollapseError):
    """The arguments cannot be served as they are; nothing was started."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a user's file, with its place. Lines and columns count from 1; 0 means the whole file."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class SuiteError(UsageError):
    """A suite that cannot be run, with every fault found in it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        count = f"{len(self.faults)} fault" + ("s" if len(self.faults) != 1 else "")
        super().__init__(f"{count} in the suite; nothing was started", hint="mend the lines above and run again")


class EngineStartError(CollapseError):
    """The engine could not start."""

    exit_code = 4


class IncompleteError(CollapseError):
    """The run stopped before its plan was done; what was sampled is kept and the same command resumes it."""

    exit_code = 75
