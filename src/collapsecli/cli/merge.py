"""`collapse merge`: join the slices of a run, and report on all of it; needs no engine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collapsecli.cli.options import FailOn, Numbers, Out, Quiet
from collapsecli.errors import IncompleteError, UsageError
from collapsecli.sanitize import visible

if TYPE_CHECKING:
    from collapsecli.merging import Merged
    from collapsecli.runs import RunFolder


def merge(
    run: Annotated[
        str,
        typer.Argument(metavar="RUN", help="The run that the slices are of: its id or its path.", show_default=False),
    ],
    slices: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SLICE]...", help="The slices' folders (default: all in RUN/slices).", show_default=False
        ),
    ] = None,
    out: Out = None,
    numbers: Numbers = False,
    fail_on: FailOn = None,
    quiet: Quiet = False,
) -> None:
    """Join the slices that `collapse probe --shard` sampled into one run, and print its report."""
    from collapsecli.cli.reporting import disk_errors, flag_gates, report_run
    from collapsecli.merging import merge as joined
    from collapsecli.runs import RunFolder, runs_root

    gates = flag_gates(fail_on)
    into = _run_of(run, runs_root(out))
    given = [RunFolder(path) for path in slices or ()] or into.slice_folders()
    if not given:
        raise UsageError(f"{into.path} has no slices", hint="name their folders after it, or say with -o where it is")
    with disk_errors(into, "the same command"):
        merged = joined(into, given, lambda what: print(visible(f"warning: {what}"), file=sys.stderr))
        code = report_run(into, gates if merged.complete else (), quiet=quiet, numbers=numbers)
    if not merged.complete:
        raise IncompleteError(f"{into.path} is incomplete: {_lacking(merged)}", hint=_way_on(merged, into))
    raise typer.Exit(code)


def _run_of(name: str, root: Path) -> RunFolder:
    """A path where it is one, else an id below the folder that holds runs.

    What only happens to be called so is none.
    """
    from collapsecli.runs import RunFolder

    path = Path(name)
    here = RunFolder(path.resolve() if path.name in {"", ".."} else path)
    if os.sep in name or name == "." or here.started or here.slice_folders():
        return here
    return RunFolder.named(root, name)


def _lacking(merged: Merged) -> str:
    said = [
        f"{_numbers(numbers)} of {merged.of} {'is' if len(numbers) == 1 else 'are'} {what}"
        for numbers, what in ((merged.missing, "missing"), (merged.unfinished, "unfinished"))
        if numbers
    ]
    return "; ".join(said) or "it needs draws that no slice has"


def _way_on(merged: Merged, run: RunFolder) -> str:
    lacking = (*merged.missing, *merged.unfinished)
    if lacking:
        return f"sample with --shard {min(lacking)}/{merged.of} as the others were, then join again"
    return f"to draw them: collapse probe … --run-id {run.run_id}, without --shard"


def _numbers(numbers: tuple[int, ...], most: int = 8) -> str:
    named = ", ".join(map(str, numbers[:most])) + (f" and {len(numbers) - most} more" if len(numbers) > most else "")
    return f"slice {named}" if len(numbers) == 1 else f"slices {named}"
