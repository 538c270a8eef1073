"""`collapse probe`: plan, sample, judge, report."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from collapsecli.cli.interrupts import Interrupts, StoppedBySignal
from collapsecli.cli.options import (
    EngineChoice,
    FailOn,
    FormatNames,
    MaxSamples,
    Model,
    Numbers,
    Only,
    Out,
    Quiet,
    Samples,
    Suites,
    Tags,
)
from collapsecli.errors import EngineStartError, IncompleteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collapsecli.engines import EngineOptions
    from collapsecli.pipeline import RunPlan
    from collapsecli.runs import RunFolder


def probe(
    context: typer.Context,
    suites: Suites,
    model: Model = None,
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
    engine_arg: Annotated[
        list[str] | None,
        typer.Option(
            "-e",
            "--engine-arg",
            metavar="KEY=VALUE",
            help="An argument of vLLM's engine, its value as YAML; repeatable.",
            show_default=False,
        ),
    ] = None,
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
    fail_on: FailOn = None,
    numbers: Numbers = False,
    quiet: Quiet = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let the model's repository run its own code.")
    ] = False,
) -> None:
    """Sample every prompt of a suite and say which collapsed, onto what, and how sure that is."""
    from collapsecli.cli.plans import Draws, plan_run
    from collapsecli.cli.reporting import report_run
    from collapsecli.engines import EngineOptions, require_engine
    from collapsecli.runs import RunFolder, new_run_id, runs_root

    draws = Draws(samples, max_samples, seed, tuple(name.value for name in formats or ()))
    asked = plan_run(suites, engine.value, model, draws, only=only or (), tags=tag or ())
    options = EngineOptions(asked.location, _engine_arguments(engine, engine_arg or ()), trust_remote_code)
    require_engine(engine.value)
    run = RunFolder.named(runs_root(out), new_run_id() if run_id is None else run_id)
    resume = _resume_command(context.obj or (), run)
    with _disk_errors(run, resume):
        if not _sample(run, asked.plan, engine, options, resume, quiet=quiet):
            raise IncompleteError(f"{run.path}: {_missing(run)}; what came back is saved", hint=f"to go on: {resume}")
        raise typer.Exit(report_run(run, fail_on or (), quiet=quiet, numbers=numbers))


def _sample(
    run: RunFolder, plan: RunPlan, engine: EngineChoice, options: EngineOptions, resume: str, *, quiet: bool
) -> bool:
    """Sample under guard: signals save first, libraries write to the log. True when the run is complete."""
    from collapsecli.cli.progress import ProgressDisplay
    from collapsecli.cli.streams import libraries_log_to, log_traceback
    from collapsecli.engines import Engine, start_engine
    from collapsecli.pipeline import sample_run

    run.prepare()
    with Interrupts() as interrupts, libraries_log_to(run.log_path) as people:
        with ProgressDisplay(people, interrupts, quiet=quiet) as display:

            def start() -> Engine:
                display.starting(engine.value, options.model, str(run.log_path))
                return start_engine(engine.value, options)

            try:
                complete = sample_run(run, plan, start, display)
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


def _engine_arguments(engine: EngineChoice, pairs: Sequence[str]) -> dict[str, object]:
    if pairs and engine is not EngineChoice.vllm:
        raise UsageError(f"-e sets arguments of vLLM, and the engine is {engine.value}", hint="leave -e out")
    arguments: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"-e {pair!r} is no KEY=VALUE", hint="for example `-e max_model_len=4096`")
        try:
            arguments[name.replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"-e {name}: {value!r} is no YAML value") from error
    return arguments
