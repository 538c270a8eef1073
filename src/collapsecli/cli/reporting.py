"""What every command that ends in a report does: judge, print, and turn gates into an exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collapsecli.cli.screen import say, screen_width, show
from collapsecli.cli.streams import log_traceback
from collapsecli.errors import CollapseError
from collapsecli.pipeline import conclude
from collapsecli.report.terminal import report_blocks
from collapsecli.verdict import tripped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collapsecli.cli.options import GateChoice
    from collapsecli.records import Equivalence, Rules
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
    return GATE_TRIPPED if any(tripped(gate.value, conclusions.results) for gate in gates) else 0
