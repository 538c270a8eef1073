"""`collapse probe`: plan, sample, judge, report."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from collapsecli.cli.interrupts import Interrupts, StoppedBySignal
from collapsecli.cli.options import (
    Adapters,
    EngineArguments,
    EngineChoice,
    FailOn,
    Force,
    FormatNames,
    GateChoice,
    Margin,
    MaxSamples,
    Models,
    Numbers,
    Only,
    Out,
    Quiet,
    Samples,
    Suites,
    Tags,
    TrustRemoteCode,
)
from collapsecli.cli.screen import say
from collapsecli.errors import EngineStartError, IncompleteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from collapsecli.cli.plans import Asked
    from collapsecli.cli.starting import Starter
    from collapsecli.conclusions import JudgedSide
    from collapsecli.engines import Engine
    from collapsecli.runs import RunFolder


def probe(
    context: typer.Context,
    suites: Suites,
    model: Models = None,
    adapter: Adapters = None,
    engine: Annotated[
        EngineChoice, typer.Option("--engine", help="What draws the completions.", metavar="vllm|scripted")
    ] = EngineChoice.vllm,
    samples: Samples = None,
    max_samples: MaxSamples = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            min=0,
            help="Seed of the run (default: a random one, recorded).",
            show_default=False,
        ),
    ] = None,
    engine_arg: EngineArguments = None,
    formats: FormatNames = None,
    only: Only = None,
    tag: Tags = None,
    out: Out = None,
    run_id: Annotated[
        str | None,
        typer.Option(
            "--run-id", metavar="ID", help="Name of the run; the same name again resumes it.", show_default=False
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="RUN",
            help="A run to hold this one against when it is done: its path, the beginning of its id, RUN:MODEL.",
            show_default=False,
        ),
    ] = None,
    margin: Margin = 0.1,
    force: Force = False,
    fail_on: FailOn = None,
    numbers: Numbers = False,
    quiet: Quiet = False,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Sample every prompt of a suite and say which collapsed, onto what, and how sure that is."""
    from collapsecli.cli.plans import Draws, models_asked, plan_run
    from collapsecli.cli.reporting import flag_gates, report_run
    from collapsecli.cli.starting import Starter, engine_arguments
    from collapsecli.engines import require_engine
    from collapsecli.runs import RunFolder, new_run_id, runs_root

    draws = Draws(samples, max_samples, seed, tuple(name.value for name in formats or ()))
    models = models_asked(model or (), adapter or ())
    asked = plan_run(suites, engine.value, models, draws, only=only or (), tags=tag or ())
    starter = Starter(
        engine.value,
        engine_arguments(engine, engine_arg or ()),
        trust_remote_code,
        own_process=len(asked.models) > 1,
    )
    require_engine(engine.value)
    if len(asked.models) > 1 or any(model.adapters for model in asked.models):
        for model_asked in asked.models:
            starter.require(model_asked)
    run = RunFolder.named(runs_root(out), new_run_id() if run_id is None else run_id)
    gates = fail_on or ()
    against = _baseline(baseline, asked, run, runs_root(out), gates, force=force)
    resume = _resume_command(context.obj or (), run)
    with _disk_errors(run, resume):
        if not _sample(run, asked, starter, resume, quiet=quiet):
            raise IncompleteError(f"{run.path}: {_missing(run)}; what came back is saved", hint=f"to go on: {resume}")
        flags = flag_gates([gate for gate in gates if gate != _REGRESSED])
        code = report_run(run, flags, quiet=quiet, numbers=numbers)
        if against is not None:
            code = max(code, _held_against(against, run, margin, force=force, gate=_REGRESSED in gates, quiet=quiet))
        raise typer.Exit(code)


_REGRESSED = GateChoice.regressed


def _baseline(
    name: str | None, asked: Asked, run: RunFolder, root: Path, gates: Sequence[GateChoice], *, force: bool
) -> JudgedSide | None:
    """The run to hold this one against: found, and asked the same, before anything is sampled."""
    if name is None:
        if _REGRESSED in gates:
            raise UsageError("--fail-on regressed needs a run to hold this one against", hint="name it: --baseline RUN")
        return None
    from collapsecli.comparing import info_of, planned_cells, refuse_unlike
    from collapsecli.comparison.pairing import unlike
    from collapsecli.sides import side_of

    against = side_of(name, root)
    if against.run.path.resolve() == run.path.resolve():
        raise UsageError(f"--baseline {name} is this run itself", hint="name the run to hold it against")
    base, info = planned_cells(against), info_of(against)
    for sampled in dict.fromkeys(cell.sampled for cell in asked.plan.cells):
        cells = [cell for cell in asked.plan.cells if cell.sampled == sampled]
        refuse_unlike(unlike(base, cells, info, None), force=force)
    return against


def _held_against(against: JudgedSide, run: RunFolder, margin: float, *, force: bool, gate: bool, quiet: bool) -> int:
    """Compare every model of the run with the baseline."""
    from collapsecli.cli.held_against import report_against
    from collapsecli.conclusions import judged

    codes = []
    for side in judged(run).sides():
        if not quiet:
            say("")
        codes.append(report_against(against, side, margin, force=force, gate=gate, quiet=quiet))
    return max(codes, default=0)


def _sample(run: RunFolder, asked: Asked, starter: Starter, resume: str, *, quiet: bool) -> bool:
    """Sample under guard: signals save first, libraries write to the log. True when the run is complete."""
    from collapsecli.cli.progress import ProgressDisplay
    from collapsecli.cli.streams import libraries_log_to, log_traceback
    from collapsecli.pipeline import sample_run

    run.prepare()
    with Interrupts() as interrupts, libraries_log_to(run.log_path) as people:
        with ProgressDisplay(people, interrupts, quiet=quiet) as display:

            def start(name: str) -> Engine:
                model = next(model for model in asked.models if model.name == name)
                return starter.start(model, display, run.log_path)

            try:
                complete = sample_run(run, asked.plan, start, display)
            except StoppedBySignal:
                print("stopped before sampling had begun; nothing was lost", file=people)
                raise
            except UsageError:
                raise
            except Exception as error:
                log_traceback(run.log_path)
                raise _with_way_on(error, run, resume) from error
        if interrupts.received is not None:
            say_on = f"collapse report {run.path}" if complete else resume
            print(f"stopped; what came back is saved. To go on: {say_on}", file=people)
        interrupts.raise_if_received()
    return complete


def _missing(run: RunFolder) -> str:
    state = run.state()
    missing = f"{state['planned'] - state['saved']:,} of {state['planned']:,} completions are missing"
    return missing + (f" ({state['failed']:,} failed in a way that may pass)" if state["failed"] else "")


@contextmanager
def _disk_errors(run: RunFolder, resume: str) -> Iterator[None]:
    """A disk that is full or read-only is not the program's fault: once it is mended, the run goes on."""
    from collapsecli.runs import DISK_ERRORS

    try:
        yield
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        raise IncompleteError(f"cannot write to {run.path}: {error.strerror}", hint=f"to go on: {resume}") from error


def _with_way_on(error: Exception, run: RunFolder, resume: str) -> Exception:
    if isinstance(error, EngineStartError):
        error.hint = "; ".join(filter(None, [error.hint, f"its own words are in {run.log_path}"]))
    elif isinstance(error, IncompleteError) and not error.hint:
        error.hint = f"to go on: {resume}"
    return error


def _resume_command(argv: Sequence[str], run: RunFolder) -> str:
    named = any(word == "--run-id" or word.startswith("--run-id=") for word in argv)
    words = ["collapse", *argv, *([] if named else ["--run-id", run.path.name])]
    return " ".join(map(shlex.quote, words))
