"""`collapse compare`: a run held against its base; needs an engine only to score again."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from collapsecli.cli.options import (
    AsJson,
    Endpoint,
    EngineArguments,
    EngineChoice,
    EquivalenceName,
    Force,
    KeyFile,
    Margin,
    Out,
    TrustRemoteCode,
)
from collapsecli.cli.options import equivalence_of as parsed_equivalence
from collapsecli.errors import IncompleteError

if TYPE_CHECKING:
    from collapsecli.cli.starting import Starter
    from collapsecli.conclusions import JudgedSide


class CompareGate(StrEnum):
    """Gates of a comparison by name."""

    regressed = "regressed"


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="BASE RUN",
            help="Two runs: paths, beginnings of ids, or `latest`; RUN:MODEL of one that sampled several. One run that "
            "sampled two models is compared with itself.",
            show_default=False,
        ),
    ],
    rescore: Annotated[
        bool,
        typer.Option(
            "--rescore",
            help="Let both models score the draws of both (needs vLLM, here or at --endpoint; kept beside the runs).",
        ),
    ] = False,
    force: Force = False,
    margin: Margin = 0.1,
    fail_on: Annotated[
        list[CompareGate] | None,
        typer.Option(
            "--fail-on",
            metavar="GATE",
            help="Exit 3 when: `regressed` a cell is worse than in the base, significantly and by more than --margin.",
            show_default=False,
        ),
    ] = None,
    equivalence: EquivalenceName = None,
    as_json: AsJson = False,
    endpoint: Endpoint = None,
    key_file: KeyFile = None,
    engine_arg: EngineArguments = None,
    trust_remote_code: TrustRemoteCode = False,
    out: Out = None,
) -> None:
    """Hold a run against its base: did it narrow, widen or move, on which prompts, and in which words."""
    from collapsecli.cli.held_against import report_against
    from collapsecli.errors import UsageError
    from collapsecli.runs import runs_root
    from collapsecli.sides import sides_of

    if len(runs) > len(("base", "run")):
        raise UsageError(
            f"{len(runs)} runs are named, and two are compared", hint="`collapse trend` shows many in a row"
        )
    if (endpoint or key_file) and not rescore:
        raise UsageError("a server is asked for nothing but scores here", hint="add --rescore, or leave it out")
    base, run = sides_of(runs, runs_root(out), parsed_equivalence(equivalence) if equivalence else None)
    if rescore:
        from collapsecli.cli.clustered import drawing_engine
        from collapsecli.cli.starting import Starter, engine_chosen, engine_options

        engine = engine_chosen(None, endpoint)
        options = engine_options(
            engine,
            engine_arg or (),
            endpoint=endpoint,
            key_file=key_file,
            trust_remote_code=trust_remote_code,
        )
        _rescore(base, run, Starter(drawing_engine(engine), options, own_process=engine is EngineChoice.vllm))
    raise typer.Exit(
        report_against(base, run, margin, force=force, gate=bool(fail_on), as_json=as_json, rescored=rescore)
    )


def _rescore(base: JudgedSide, run: JudgedSide, starter: Starter) -> None:
    """Let both models score the draws of both sides, under guard: signals save first, libraries write to the log."""
    from collapsecli.cli.interrupts import Interrupts
    from collapsecli.cli.progress import ProgressDisplay
    from collapsecli.cli.streams import libraries_log_to
    from collapsecli.comparing import rescore_both, why_not_rescored
    from collapsecli.engines import require_engine, require_options

    if why_not_rescored(base, run):
        return  # and the report says so
    require_engine(starter.engine)
    require_options(starter.engine, starter.options)
    log = run.run.log_path
    with Interrupts() as interrupts, libraries_log_to(log) as people:
        with ProgressDisplay(people, interrupts, quiet=False) as display:
            is_whole = rescore_both(base, run, lambda model: starter.start(model, display, log), display)
        if interrupts.received is not None:
            print("stopped; what was scored is saved, and the same command goes on", file=people)
        interrupts.raise_if_received()
    if not is_whole:
        raise IncompleteError("not everything could be scored", hint="the same command goes on")
