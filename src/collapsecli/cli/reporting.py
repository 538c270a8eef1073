"""What every command that ends in a report does: judge, print, and turn gates into an exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from collapsecli.pipeline import conclude
from collapsecli.report.terminal import print_report
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
    conclusions = conclude(run, rules, equivalence)
    if quiet:
        print(run.path)
    else:
        print_report(conclusions, sys.stdout)
    return GATE_TRIPPED if any(tripped(gate.value, conclusions.results) for gate in gates) else 0
