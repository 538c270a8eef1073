"""From suites on the command line to the plan of a run."""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from collapsecli.errors import UsageError
from collapsecli.pipeline import RunPlan
from collapsecli.records import Model
from collapsecli.runs import RunFolder, SuiteSource, git_revision, plan_digest
from collapsecli.sanitize import visible
from collapsecli.seeds import hashed_seed
from collapsecli.slices import parsed_slice
from collapsecli.suite import builtin, load_all, plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collapsecli.engines import EngineName
    from collapsecli.suite import FormatName, Suite

_SCRIPTED = (Model.at("demo-base"),)  # unless told: the scripted engine draws from its measured truth table
_ADAPTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Draws:
    """How many completions per cell, asked how, under which seed, as the command line says it: above the suites."""

    samples: int | None = None
    max_samples: int | None = None
    seed: int | None = None
    formats: tuple[FormatName, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """The plan of a run, and the models (or scripts) that it samples, each with where its engine finds it."""

    plan: RunPlan
    models: tuple[Model, ...]


def plan_run(
    paths: Sequence[Path],
    engine: EngineName,
    models: Sequence[Model],
    draws: Draws,
    *,
    only: Sequence[str],
    tags: Sequence[str],
) -> Asked:
    """Load the suites and plan their cells.

    Raises SuiteError with every fault of all of them, UsageError when nothing is selected or no model is named.
    """
    suites = load_suites(paths)
    asked = tuple(models) or (_SCRIPTED if engine == "scripted" else _own_models(suites))
    if engine == "scripted":
        asked = tuple(Model(f"scripted:{Path(one.location).name}", one.location, one.adapters) for one in asked)
    _refuse_repeats([one.name for one in asked])
    samples, cap = draws.samples, draws.max_samples
    planned = plan(*suites, models=asked, samples=samples, max_samples=cap, formats=draws.formats, only=only, tags=tags)
    revision = git_revision(suites[0].source.path.resolve().parent)
    return Asked(RunPlan(tuple(map(_source, suites)), planned.cells, draws.seed, revision), asked)


def only_slice(words: str, run: RunFolder, asked: Asked, *, named: bool, held_against: bool) -> tuple[RunFolder, Asked]:
    """The folder and the plan of one slice of a run, given as `3/16`.

    Unless a seed is given, all slices of the same plan under the same run id agree on one, without asking each other.
    Raises UsageError for what is no slice, and where the run can have none.
    """
    number, of = parsed_slice(words)
    if not named:
        raise UsageError("--shard needs the id of the run that all slices are of", hint="the same in each: --run-id ID")
    if held_against:
        raise UsageError("a slice is no whole run to hold against --baseline", hint="join them first: collapse merge")
    if run.started and run.manifest().joined is None:
        raise UsageError(f"{run.path} is sampled as a whole and has no slices", hint="choose another --run-id")
    plan = asked.plan
    seed = hashed_seed("run", run.run_id, plan_digest(plan.cells)) if plan.seed is None else plan.seed
    return run.slice_folder(number, of), replace(asked, plan=replace(plan, seed=seed, slice=(number, of)))


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


def models_asked(locations: Sequence[str], adapters: Sequence[str]) -> tuple[Model, ...]:
    """The models that the command line names, the adapters on the first of them.

    Raises UsageError for adapters that are no NAME=PATH, or stand without a model.
    """
    named: dict[str, str] = {}
    for pair in adapters:
        name, equals, location = pair.partition("=")
        if not equals or not location or not _ADAPTER.fullmatch(name):
            raise UsageError(
                f"--adapter {pair!r} is no NAME=PATH", hint="a name of letters, digits, '.', '_' and '-': `dpo=./dpo`"
            )
        if name in named:
            raise UsageError(f"two adapters are called `{name}`", hint="give each a name of its own")
        named[name] = location
    if named and not locations:
        raise UsageError("--adapter needs the model that it is loaded on", hint="name it with -m")
    return tuple(Model.at(location, {} if at else named) for at, location in enumerate(locations))


def _own_models(suites: Sequence[Suite]) -> tuple[Model, ...]:
    """The models that the suites name, where they agree."""
    named = [suite.models for suite in suites if suite.models]
    if not named:
        raise UsageError("no model: the suite names none", hint="name one with -m, or write `model:` into the suite")
    if any(models != named[0] for models in named):
        several = sorted({model.name for models in named for model in models})
        raise UsageError(f"the suites name several models: {', '.join(several)}", hint="choose with -m")
    return named[0]


def _refuse_repeats(names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise UsageError(f"the model {repeated[0]} is named twice", hint="once is enough: raise -n")
