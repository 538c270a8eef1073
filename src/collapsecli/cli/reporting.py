"""What every command that ends in a report does: judge, print, and turn gates into an exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from collapsecli.cli.screen import say, screen_width, show
from collapsecli.cli.streams import log_traceback
from collapsecli.errors import CollapseError, IncompleteError
from collapsecli.pipeline import conclude
from collapsecli.report.terminal import report_blocks
from collapsecli.sanitize import visible
from collapsecli.verdict import tripped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from collapsecli.cli.options import GateChoice
    from collapsecli.records import CellResult, Equivalence, Rules
    from collapsecli.runs import RunFolder

GATE_TRIPPED = 3


def report_run(
    run: RunFolder,
    gates: Sequence[GateChoice],
    *,
    quiet: bool,
    rules: Callable[[Rules], Rules] | None = None,
    equivalence: Equivalence | None = None,
) -> int:
    """Judge a run and print its report, or with `quiet` its path alone; 3 when a gate trips, else 0."""
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
        show(report_blocks(conclusions, screen_width()))
    if gates and not conclusions.complete:
        raise IncompleteError(f"{run.path} is incomplete, and no gate can be passed", hint="resume it first")
    shut = {gate.value: tripped(gate.value, conclusions.results) for gate in gates}
    if not quiet:
        _say_tripped(shut)
    return GATE_TRIPPED if any(shut.values()) else 0


def _say_tripped(shut: Mapping[str, Sequence[CellResult]]) -> None:
    for gate, cells in shut.items():
        if cells:
            names = ", ".join(visible(result.cell.cell_id) for result in cells[:5])
            more = f" and {len(cells) - 5} more" if len(cells) > 5 else ""
            print(f"--fail-on {gate}: {names}{more}", file=sys.stderr)
