"""`collapse probe`: plan, sample, judge, report."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from collapsecli.cli.interrupts import Interrupts, StoppedBySignal
from collapsecli.cli.options import (
    Adapters,
    Endpoint,
    EngineArguments,
    EngineChoice,
    FailOn,
    Force,
    FormatNames,
    GateChoice,
    KeyFile,
    Margin,
    MaxSamples,
    Models,
    Numbers,
    Only,
    Out,
    Quiet,
    Replicas,
    Samples,
    Shard,
    Store,
    Suites,
    Tags,
    TensorParallel,
    TrustRemoteCode,
)
from collapsecli.cli.screen import say
from collapsecli.errors import EngineStartError, IncompleteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
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
        EngineChoice | None,
        typer.Option(
            "--engine",
            help="What draws the completions (default: vllm, or the server at --endpoint).",
            metavar="vllm|server|ray|scripted",
            show_default=False,
        ),
    ] = None,
    endpoint: Endpoint = None,
    key_file: KeyFile = None,
    replicas: Replicas = 1,
    tp: TensorParallel = 1,
    store: Store = None,
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
    shard: Shard = None,
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
    from collapsecli.cli.clustered import cluster_workers, drawing_engine, refuse_store, sample_clustered
    from collapsecli.cli.plans import Draws, models_asked, only_slice, plan_run
    from collapsecli.cli.reporting import disk_errors, flag_gates, report_run
    from collapsecli.cli.starting import Starter, engine_chosen, engine_options
    from collapsecli.embedding import require_encoders
    from collapsecli.engines import require_engine, require_options
    from collapsecli.runs import RunFolder, new_run_id, runs_root

    chosen = engine_chosen(engine, endpoint)
    draws = Draws(samples, max_samples, seed, tuple(name.value for name in formats or ()))
    models = models_asked(model or (), adapter or ())
    drawing = drawing_engine(chosen, models)
    asked = plan_run(suites, drawing, models, draws, only=only or (), tags=tag or ())
    options = engine_options(
        chosen,
        engine_arg or (),
        endpoint=endpoint,
        key_file=key_file,
        replicas=replicas,
        tensor_parallel=tp,
        trust_remote_code=trust_remote_code,
    )
    # An encoder may need the memory that the engine held, and only the end of a process surely gives it back.
    is_embedded = require_encoders(asked.plan.cells)
    several = len(asked.models) > 1 or is_embedded
    starter = Starter(drawing, options, own_process=several and chosen is not EngineChoice.server)
    workers = cluster_workers(asked, starter, store, shard) if chosen is EngineChoice.ray else None
    if workers is None:
        refuse_store(store)
        require_engine(drawing)
        require_options(drawing, options)
    if len(asked.models) > 1 or any(model.adapters for model in asked.models):
        for model_asked in asked.models:
            starter.require(model_asked)
    run = RunFolder.named(runs_root(out), new_run_id() if run_id is None else run_id)
    gates = fail_on or ()
    against = _baseline(baseline, asked, run, runs_root(out), gates, force=force)
    if shard is not None:
        run, asked = only_slice(shard, run, asked, named=run_id is not None, held_against=against is not None)
    elif workers is None:
        run.refuse_unjoined()
    resume = _resume_command(context.obj or (), run)
    with disk_errors(run, resume):
        if not (
            sample_clustered(run, asked, workers, resume, quiet=quiet)
            if workers
            else _sample(run, asked, starter, resume, quiet=quiet)
        ):
            raise IncompleteError(f"{run.path}: {_missing(run)}; what came back is saved", hint=f"to go on: {resume}")
        if not run.manifest().cells:
            say(str(run.path) if quiet else f"slice {shard} has no cells: there are fewer groups of them than slices")
            raise typer.Exit
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


def _with_way_on(error: Exception, run: RunFolder, resume: str) -> Exception:
    if isinstance(error, EngineStartError):
        error.hint = "; ".join(filter(None, [error.hint, f"its own words are in {run.log_path}"]))
    elif isinstance(error, IncompleteError):
        error.hint = "; ".join(filter(None, [error.hint, f"to go on: {resume}"]))
    return error


def _resume_command(argv: Sequence[str], run: RunFolder) -> str:
    named = any(word == "--run-id" or word.startswith("--run-id=") for word in argv)
    words = ["collapse", *argv, *([] if named else ["--run-id", run.path.name])]
    return " ".join(map(shlex.quote, words))
