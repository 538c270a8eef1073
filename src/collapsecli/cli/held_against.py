"""What every command that ends in a comparison does: compare, print, and turn the gate into an exit code."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from collapsecli.cli.reporting import GATE_TRIPPED, named
from collapsecli.cli.screen import say, screen_width, show
from collapsecli.comparing import hold_against, is_complete, why_not_rescored, with_divergences
from collapsecli.errors import IncompleteError
from collapsecli.report.compare import comparison_blocks
from collapsecli.report.compare_json import comparison_json
from collapsecli.sanitize import visible

if TYPE_CHECKING:
    from collapsecli.compared import Comparison
    from collapsecli.conclusions import JudgedSide


def report_against(
    base: JudgedSide,
    run: JudgedSide,
    margin: float,
    *,
    force: bool = False,
    gate: bool = False,
    as_json: bool = False,
    rescored: bool = False,
    quiet: bool = False,
) -> int:
    """Compare two sides and print what is said of them; 3 when the `gate` is set and a cell regressed, else 0.

    Raises UsageError for sides that were not asked the same, unless forced, and IncompleteError where the gate is set
    and a run is incomplete.
    """
    comparison = (
        _scored(hold_against(base, run, margin, force=force), base, run)
        if rescored
        else hold_against(base, run, margin, force=force)
    )
    if as_json:
        say(json.dumps(comparison_json(comparison), indent=1, ensure_ascii=True, allow_nan=False))
    elif not quiet:
        show(comparison_blocks(comparison, screen_width()))
    if gate and not (is_complete(base) and is_complete(run)):
        raise IncompleteError("a run is incomplete, and no gate can be passed", hint="resume it first")
    regressed = [visible(cell.question) for cell in comparison.cells if cell.regressed] if gate else []
    if regressed:
        print(f"--fail-on regressed: {named(regressed)}", file=sys.stderr)
    return GATE_TRIPPED if regressed else 0


def _scored(comparison: Comparison, base: JudgedSide, run: JudgedSide) -> Comparison:
    from dataclasses import replace

    unscored = why_not_rescored(base, run)
    if unscored:
        print(visible(f"not rescored: {unscored}"), file=sys.stderr)
    return replace(comparison, unscored=unscored) if unscored else with_divergences(comparison, base, run)
