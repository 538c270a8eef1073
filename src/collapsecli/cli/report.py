"""`collapse report`: judge a run again and print its report; needs no engine."""

from __future__ import annotations

from dataclasses import fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from collapsecli.cli.options import FailOn, Out, Quiet, Run
from collapsecli.errors import UsageError
from collapsecli.records import Rules

if TYPE_CHECKING:
    from collections.abc import Sequence


class EquivalenceChoice(StrEnum):
    """Readings of free text by name."""

    exact = "exact"
    lexical = "lexical"


def report(
    run: Run,
    out: Out = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            "--rules",
            metavar="NAME=VALUE",
            help="A threshold for this judgement: collapsed, diverse or alpha; repeatable.",
            show_default=False,
        ),
    ] = None,
    equivalence: Annotated[
        EquivalenceChoice | None,
        typer.Option("--equivalence", help="When two free texts count as the same.", show_default=False),
    ] = None,
    fail_on: FailOn = None,
    quiet: Quiet = False,
) -> None:
    """Judge a run again and print its report. Needs no GPU and no vLLM."""
    from collapsecli.cli.reporting import report_run
    from collapsecli.runs import find_run, runs_root

    changed = _thresholds(rule or ())
    found = find_run(run, runs_root(out))
    raise typer.Exit(
        report_run(
            found,
            fail_on or (),
            quiet=quiet,
            rules=(lambda rules: replace(rules, **changed)) if changed else None,
            equivalence=equivalence.value if equivalence else None,
        )
    )


def _thresholds(pairs: Sequence[str]) -> dict[str, float]:
    names = [field.name for field in fields(Rules)]
    thresholds: dict[str, float] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            thresholds[name] = float(value)
        except ValueError:
            thresholds[name] = -1.0
        if name not in names or not 0 < thresholds[name] < 1:
            raise UsageError(
                f"--rules {pair!r} is no threshold", hint=f"one of {', '.join(names)}, between 0 and 1: `collapsed=0.6`"
            )
    return thresholds
