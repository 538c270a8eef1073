"""`collapse report`: judge a run again and print its report; needs no engine."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from collapsecli.cli.options import EquivalenceName, FailOn, Numbers, Out, Quiet, Run, equivalence_of
from collapsecli.errors import UsageError
from collapsecli.records import Rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def report(
    run: Run,
    out: Out = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            "--rules",
            metavar="NAME=VALUE",
            help="A threshold for this judgement: collapsed, diverse, alpha or fdr; repeatable.",
            show_default=False,
        ),
    ] = None,
    equivalence: EquivalenceName = None,
    numbers: Numbers = False,
    fail_on: FailOn = None,
    quiet: Quiet = False,
) -> None:
    """Judge a run again and print its report. Needs no GPU and no vLLM."""
    from collapsecli.cli.reporting import flag_gates, report_run
    from collapsecli.runs import find_run, runs_root

    changed = _thresholds(rule or ())
    found = find_run(run, runs_root(out))
    raise typer.Exit(
        report_run(
            found,
            flag_gates(fail_on),
            quiet=quiet,
            numbers=numbers,
            rules=partial(_replaced, changed) if changed else None,
            equivalence=equivalence_of(equivalence) if equivalence else None,
        )
    )


def _replaced(changed: Mapping[str, float], rules: Rules) -> Rules:
    new = replace(rules, **changed)
    if new.diverse >= new.collapsed:
        raise UsageError(f"--rules: diverse ({new.diverse:g}) must lie below collapsed ({new.collapsed:g})")
    return new


def _thresholds(pairs: Sequence[str]) -> dict[str, float]:
    names = [field.name for field in fields(Rules)]
    thresholds: dict[str, float] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            thresholds[name] = float(value)
        except ValueError:
            thresholds[name] = -1.0
        highest = 1.0 if name == "fdr" else math.nextafter(1, 0)  # a rate of 1 withholds no flag
        if name not in names or not 0 < thresholds[name] <= highest:
            raise UsageError(
                f"--rules {pair!r} is no threshold", hint=f"one of {', '.join(names)}, between 0 and 1: `collapsed=0.6`"
            )
    return thresholds
