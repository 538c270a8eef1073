"""`collapse compare`: a run held against its base; needs an engine only to score again."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from collapsecli.cli.options import AsJson, EngineArguments, EquivalenceName, Force, Margin, Out, TrustRemoteCode
from collapsecli.cli.options import equivalence_of as parsed_equivalence
from collapsecli.errors import IncompleteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collapsecli.conclusions import JudgedSide
    from collapsecli.engines import EngineName


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
        typer.Option("--rescore", help="Let both models score the draws of both (needs vLLM; kept beside the runs)."),
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
    base, run = sides_of(runs, runs_root(out), parsed_equivalence(equivalence) if equivalence else None)
    if rescore:
        _rescore(base, run, engine_arg or (), trust_remote_code=trust_remote_code)
    raise typer.Exit(
        report_against(base, run, margin, force=force, gate=bool(fail_on), as_json=as_json, rescored=rescore)
    )


def _rescore(base: JudgedSide, run: JudgedSide, engine_args: Sequence[str], *, trust_remote_code: bool) -> None:
    """Let both models score the draws of both sides, under guard: signals save first, libraries write to the log."""
    from collapsecli.cli.interrupts import Interrupts
    from collapsecli.cli.options import EngineChoice
    from collapsecli.cli.progress import ProgressDisplay
    from collapsecli.cli.starting import Starter, engine_arguments
    from collapsecli.cli.streams import libraries_log_to
    from collapsecli.comparing import rescore_both, why_not_rescored
    from collapsecli.engines import require_engine

    if why_not_rescored(base, run):
        return  # and the report says so
    name: EngineName = "vllm"
    starter = Starter(name, engine_arguments(EngineChoice.vllm, engine_args), trust_remote_code, own_process=True)
    require_engine(name)
    log = run.run.log_path
    with Interrupts() as interrupts, libraries_log_to(log) as people:
        with ProgressDisplay(people, interrupts, quiet=False) as display:
            is_whole = rescore_both(base, run, lambda model: starter.start(model, display, log), display)
        if interrupts.received is not None:
            print("stopped; what was scored is saved, and the same command goes on", file=people)
        interrupts.raise_if_received()
    if not is_whole:
        raise IncompleteError("not everything could be scored", hint="the same command goes on")
