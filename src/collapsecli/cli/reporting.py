"""What every command that ends in a report does: judge, print, and turn gates into an exit code."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from collapsecli.cli.options import GateChoice
from collapsecli.cli.screen import say, screen_width, show
from collapsecli.cli.streams import log_traceback
from collapsecli.conclusions import conclude
from collapsecli.errors import CollapseError, IncompleteError, UsageError
from collapsecli.report.terminal import report_blocks
from collapsecli.runs import DISK_ERRORS
from collapsecli.sanitize import visible
from collapsecli.verdict import GATES, tripped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from collapsecli.records import CellResult, Rules, Sameness
    from collapsecli.runs import RunFolder
    from collapsecli.verdict import Gate

GATE_TRIPPED = 3


def report_run(
    run: RunFolder,
    gates: Sequence[Gate],
    *,
    quiet: bool,
    numbers: bool = False,
    rules: Callable[[Rules], Rules] | None = None,
    equivalence: Sameness | None = None,
) -> int:
    """Judge a run and print its report, or with `quiet` its path alone; 3 when a gate trips, else 0.

    Raises IncompleteError where a gate is asked of an incomplete run, and CollapseError where probabilities came back
    that cannot be true: the engine's word is then worth nothing.
    """
    try:
        conclusions = conclude(run, rules, equivalence)
    except CollapseError:
        raise
    except Exception:
        log_traceback(run.log_path)
        raise
    if quiet:
        say(str(run.path))
    else:
        show(report_blocks(conclusions, screen_width(), numbers=numbers))
    broken = [visible(result.cell.cell_id) for result in conclusions.results if result.broken]
    if broken:
        raise CollapseError(
            f"the log-probabilities of {named(broken)} are not those of the distribution sampled from",
            hint="another engine or logprobs_mode is needed; the completions themselves are saved",
        )
    if gates and not conclusions.complete:
        raise IncompleteError(f"{run.path} is incomplete, and no gate can be passed", hint="resume it first")
    shut = {gate: tripped(gate, conclusions.results) for gate in gates}
    if not quiet:
        _say_tripped(shut)
    return GATE_TRIPPED if any(shut.values()) else 0


@contextmanager
def disk_errors(run: RunFolder, way_on: str) -> Iterator[None]:
    """A disk that is full or read-only is not the program's fault: once it is mended, the run goes on."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        raise IncompleteError(f"cannot write to {run.path}: {error.strerror}", hint=f"to go on: {way_on}") from error


def flag_gates(asked: Sequence[GateChoice] | None) -> list[Gate]:
    """The gates that look at one run alone. Raises UsageError for the one that needs another run."""
    if GateChoice.regressed in (asked or ()):
        raise UsageError(
            "--fail-on regressed needs a run to hold this one against",
            hint="collapse compare BASE RUN --fail-on regressed, or collapse probe … --baseline BASE",
        )
    return [gate for gate in GATES if gate in {one.value for one in asked or ()}]


def _say_tripped(shut: Mapping[Gate, Sequence[CellResult]]) -> None:
    for gate, cells in shut.items():
        if cells:
            names = [visible(result.cell.cell_id) for result in cells]
            print(f"--fail-on {gate}: {named(names)}", file=sys.stderr)


def named(names: Sequence[str], most: int = 5) -> str:
    """The first of some names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
