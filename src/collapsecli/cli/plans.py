"""From suites on the command line to the plan of a run."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from collapsecli.errors import UsageError
from collapsecli.pipeline import RunPlan
from collapsecli.runs import SuiteSource, git_revision
from collapsecli.sanitize import visible
from collapsecli.suite import builtin, load_all, plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collapsecli.engines import EngineName
    from collapsecli.suite import FormatName, Suite

_SCRIPT_BY_DEFAULT = "demo-base"  # the scripted engine then draws from its measured truth table


@dataclass(frozen=True, slots=True)
class Draws:
    """How many completions per cell, asked how, under which seed, as the command line says it: above the suites."""

    samples: int | None = None
    max_samples: int | None = None
    seed: int | None = None
    formats: tuple[FormatName, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """The plan of a run, and where its engine finds the model (or the script)."""

    plan: RunPlan
    location: str


def plan_run(
    paths: Sequence[Path],
    engine: EngineName,
    model: str | None,
    draws: Draws,
    *,
    only: Sequence[str],
    tags: Sequence[str],
) -> Asked:
    """Load the suites and plan their cells.

    Raises SuiteError with every fault of all of them, UsageError when nothing is selected or no model is named.
    """
    suites = load_suites(paths)
    location = model or _SCRIPT_BY_DEFAULT if engine == "scripted" else _one_model(suites, model)
    name = f"scripted:{Path(location).name}" if engine == "scripted" else location
    samples, cap = draws.samples, draws.max_samples
    planned = plan(*suites, model=name, samples=samples, max_samples=cap, formats=draws.formats, only=only, tags=tags)
    revision = git_revision(suites[0].source.path.resolve().parent)
    return Asked(RunPlan(tuple(map(_source, suites)), planned.cells, draws.seed, revision), location)


def load_suites(paths: Sequence[Path]) -> tuple[Suite, ...]:
    """The suites in some files, or built-in ones by name; what is worth a warning in them is said on stderr.

    Raises SuiteError with every fault of all of them.
    """
    suites = load_all([_file_of(path) for path in paths])
    for warning in (one for suite in suites for one in suite.warnings):
        print(visible(f"warning: {warning}"), file=sys.stderr)
    return suites


def _file_of(path: Path) -> Path:
    """The file that is meant: that at the path, or the built-in suite of that name."""
    found = builtin.find(str(path))
    return found if found is not None and not path.is_file() else path


def _source(suite: Suite) -> SuiteSource:
    files = {str(file.path): file.sha256 for file in suite.files}
    return SuiteSource(suite.name, str(suite.source.path), suite.source.sha256, suite.text, files, suite.rules)


def _one_model(suites: Sequence[Suite], model: str | None) -> str:
    if model:
        return model
    named = sorted({suite.model for suite in suites if suite.model})
    if len(named) == 1:
        return named[0]
    if named:
        raise UsageError(f"the suites name several models: {', '.join(named)}", hint="choose one with -m")
    raise UsageError("no model: the suite names none", hint="name one with -m, or write `model:` into the suite")
