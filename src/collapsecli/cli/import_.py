"""`collapse import`: completions made elsewhere become a run; needs no engine."""

from __future__ import annotations

import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collapsecli.cli.interrupts import Interrupts, StoppedBySignal
from collapsecli.cli.options import EquivalenceName, FailOn, Numbers, Out, Quiet, equivalence_of
from collapsecli.errors import IncompleteError, UsageError
from collapsecli.sanitize import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collapsecli.imports import Asked, Gathering, Layout, Source
    from collapsecli.runs import RunFolder
    from collapsecli.verdict import Gate


class LayoutChoice(StrEnum):
    """Layouts by name."""

    noveltybench = "noveltybench"
    lm_eval = "lm-eval"
    openai_batch = "openai-batch"
    trl = "trl"
    verl = "verl"
    plain = "plain"


Files = Annotated[
    list[Path], typer.Argument(metavar="FILE", help="Files of completions: jsonl, csv or parquet.", show_default=False)
]


def import_(
    files: Files,
    layout: Annotated[
        LayoutChoice | None,
        typer.Option(
            "--layout",
            metavar="NAME",
            help=f"{', '.join(LayoutChoice)}; recognised from the content unless given.",
            show_default=False,
        ),
    ] = None,
    field_map: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="NAME=FIELD,…",
            help="Which field is which: text, and prompt_id, prompt, temperature, model, class, finish_reason, "
            "logprob, step; dotted paths reach into JSON.",
            show_default=False,
        ),
    ] = None,
    answer: Annotated[
        str | None,
        typer.Option(
            "--answer",
            metavar="YAML",
            help="How to read an answer, as in a suite: '{integer: [1, 100]}' (default: text).",
            show_default=False,
        ),
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect",
            metavar="YAML",
            help="What the verdict is read against, as in a suite: diverse (default: none, a verdict without a flag).",
            show_default=False,
        ),
    ] = None,
    equivalence: EquivalenceName = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature",
            metavar="T",
            min=0,
            help="Sampling temperature, where the file does not say.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("-m", "--model", metavar="NAME", help="Model, where the file does not say.", show_default=False),
    ] = None,
    max_malformed: Annotated[
        float,
        typer.Option(
            "--max-malformed", metavar="SHARE", min=0, max=1, help="Refuse files with a larger share of malformed rows."
        ),
    ] = 0.05,
    out: Out = None,
    run_id: Annotated[
        str | None, typer.Option("--run-id", metavar="ID", help="Name of the run, a new one.", show_default=False)
    ] = None,
    fail_on: FailOn = None,
    numbers: Numbers = False,
    quiet: Quiet = False,
) -> None:
    """Turn completions made elsewhere into a run and say what collapsed. Needs no GPU and no vLLM."""
    from collapsecli import imports
    from collapsecli.cli.reporting import flag_gates

    if temperature is not None and math.isinf(temperature):
        raise UsageError("--temperature is infinite", hint="for example 0.7")
    fields = imports.parse_map(field_map or ())
    name, threshold, encoder = equivalence_of(equivalence or "lexical")
    if encoder:
        from collapsecli.engines.encoding import require_encoder

        require_encoder(encoder)  # before anything is written
    spec, expected = imports.answer_and_expectation(answer, expect)
    gates = flag_gates(fail_on)
    if expected.kind == "none" and set(gates) - {"invalid"}:
        raise UsageError(
            "--fail-on looks at flags, and nothing is expected of an import: it could never trip",
            hint="say what is expected: --expect diverse",
        )
    with Interrupts():
        try:
            sources = [imports.open_source(path) for path in files]
            found = imports.layout_of(sources, layout.value if layout else None, fields)
            gathering = imports.read(found, sources, fields)
            _tell_malformed(gathering)
            suite = imports.suite_name(found, sources[0])
            asked = imports.Asked(suite, spec, expected, name, threshold, temperature, model, encoder)
            folders = _store(gathering, asked, sources, found, max_malformed, out, run_id)
        except StoppedBySignal:
            print("stopped; nothing was written", file=sys.stderr)
            raise
    if not quiet:
        _tell_found(gathering, sources, found, name, folders)
    raise typer.Exit(_report(folders, gates, quiet=quiet, numbers=numbers))


def _store(
    gathering: Gathering,
    asked: Asked,
    sources: Sequence[Source],
    layout: Layout,
    max_malformed: float,
    out: Path | None,
    run_id: str | None,
) -> list[RunFolder]:
    """Write the runs, all of them or none."""
    from collapsecli.imports import run_folders, sound_notes, write_runs
    from collapsecli.runs import DISK_ERRORS, new_run_id, runs_root

    notes = sound_notes(gathering, max_malformed, asked.equivalence)
    runs = gathering.runs(asked)
    folders = run_folders(runs_root(out), new_run_id() if run_id is None else run_id, runs)
    files = {str(source.path.resolve()): source.sha256() for source in sources}
    try:
        write_runs(folders, runs, files, layout.name, [*notes, *gathering.notices])
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        raise IncompleteError(
            f"cannot write to {folders[0].path.parent}: {error.strerror}; nothing was kept", hint="run it again"
        ) from error
    return folders


def _tell_malformed(gathering: Gathering) -> None:
    """Every malformed row, or the first of them, with its place: none is dropped in silence."""
    for row in gathering.malformed:
        print(visible(f"{row.place}: {row.reason}"), file=sys.stderr)
    more = gathering.malformed_rows - sum(row.rows for row in gathering.malformed)
    if more:
        print(f"and {more:,} more malformed rows", file=sys.stderr)


def _tell_found(
    gathering: Gathering,
    sources: Sequence[Source],
    layout: Layout,
    equivalence: str,
    folders: Sequence[RunFolder],
) -> None:
    where = str(sources[0].path) if len(sources) == 1 else f"{len(sources)} files"
    runs = "" if len(folders) == 1 else f", {len(folders)} runs, one per step"
    print(visible(f"{gathering.draws:,} completions from {where}, layout {layout.name}{runs}"), file=sys.stderr)
    if gathering.with_class and equivalence != "given":
        again = f"collapse report {folders[-1].path} --equivalence given"
        print(visible(f"the completions came with classes; to group by them: {again}"), file=sys.stderr)


def _report(folders: Sequence[RunFolder], gates: Sequence[Gate], *, quiet: bool, numbers: bool) -> int:
    """Judge every run. Of several steps the last one's report is printed, and the paths of the others before it."""
    from collapsecli.cli.reporting import report_run

    codes = [report_run(folder, gates, quiet=quiet or folder is not folders[-1], numbers=numbers) for folder in folders]
    return max(codes)
