"""`collapse trend`: one suite over checkpoints, sizes or nights; needs no engine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collapsecli.cli.options import Out
from collapsecli.errors import IncompleteError, UsageError
from collapsecli.sanitize import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from collapsecli.compared import Trend
    from collapsecli.conclusions import JudgedSide
    from collapsecli.runs import RunFolder

Runs = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN",
        help="Runs (path, beginning of an id, or `latest`), or folders that hold runs.",
        show_default=False,
    ),
]


def trend(
    runs: Runs,
    order: Annotated[
        str | None,
        typer.Option(
            "--order",
            metavar="ORDER",
            help="NAME,NAME,… (every step once), time, or name: by the number in the names (step, checkpoint, "
            "parameters). Default: name where that tells all apart, else time.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the trend as JSON instead of the report.")] = False,
    parquet: Annotated[
        Path | None,
        typer.Option("--parquet", metavar="FILE", help="Write one row per cell and step.", show_default=False),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write the trend as one self-contained page.", show_default=False),
    ] = None,
    out: Out = None,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Print the paths that were written and nothing else.")
    ] = False,
) -> None:
    """Show what changes over several runs of one suite: checkpoints, sizes or nights. Needs no GPU and no vLLM."""
    from collapsecli.runs import runs_root
    from collapsecli.trends import runs_of

    if quiet and not (as_json or parquet or html):
        raise UsageError(
            "--quiet prints the paths that were written, and none is", hint="--html FILE or --parquet FILE"
        )
    folders, notes = runs_of(runs, runs_root(out))
    found = _trend(folders, order, notes)
    written = [_written(path, write) for path, write in _files(found, parquet, html)]
    _tell(found, written, as_json=as_json, quiet=quiet)


def _trend(folders: Sequence[RunFolder], order: str | None, notes: Sequence[str]) -> Trend:
    """Judge every run, and put the models of all of them in order."""
    from collapsecli.conclusions import judged
    from collapsecli.trends import Place, ordered, said_incomplete, trend_of

    sides = [side for folder in folders for side in judged(folder).sides()]
    drawn = [side for side in sides if _is_drawn(side)]
    undrawn = [
        f"{side.side.run_id} has no completions of {side.side.name} and is left out"
        for side in sides
        if not _is_drawn(side)
    ]
    placed = ordered([Place(side.side, side.manifest.created_at) for side in drawn], order)
    steps = [(step, drawn[place].results) for step, place in zip(placed.steps, placed.places, strict=True)]
    incomplete = filter(None, map(said_incomplete, folders))
    alpha = max(rules.alpha for side in drawn for rules in side.rules.values())
    return trend_of(steps, alpha, [placed.words, *notes, *undrawn, *incomplete, *_unlike_rules(drawn)])


def _is_drawn(side: JudgedSide) -> bool:
    return any(result.n for result in side.results)


def _unlike_rules(sides: Sequence[JudgedSide]) -> Iterator[str]:
    """Suites that were judged by other thresholds at some steps."""
    suites = dict.fromkeys(suite for side in sides for suite in side.rules)
    unlike = [suite for suite in suites if len({side.rules[suite] for side in sides if suite in side.rules}) > 1]
    if unlike:
        yield f"the rules of {', '.join(unlike)} are not the same at all steps: verdicts are not the same claim"


# --------------------------------------------------------------------------------------------------------------- output


def _files(found: Trend, parquet: Path | None, html: Path | None) -> Iterator[tuple[Path, Callable[[Path], None]]]:
    """The files that are asked for, each with what writes it."""
    from collapsecli.report.trend_html import trend_page
    from collapsecli.runs.shards import write_rows
    from collapsecli.trends import trend_table

    if parquet is not None:
        yield parquet, lambda aside: write_rows(trend_table(found), aside)
    if html is not None:
        yield html, lambda aside: _write_text(aside, trend_page(found))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _written(path: Path, write: Callable[[Path], None]) -> Path:
    """Put a file in place, whole or not at all."""
    from collapsecli.runs import DISK_ERRORS
    from collapsecli.runs.durable import write_whole

    try:
        write_whole(path, write)
    except OSError as error:
        if error.errno in DISK_ERRORS:
            raise IncompleteError(f"cannot write {path}: {error.strerror}", hint="run it again") from error
        raise UsageError(f"cannot write {path}: {error.strerror}", hint="is there such a folder?") from error
    return path


def _tell(found: Trend, written: Sequence[Path], *, as_json: bool, quiet: bool) -> None:
    """The result to stdout, the rest to stderr; quiet, the paths are the result unless JSON is."""
    from collapsecli.cli.screen import say, screen_width, show
    from collapsecli.report.trend import trend_blocks
    from collapsecli.trends import trend_json

    if as_json:
        say(json.dumps(trend_json(found), indent=1, ensure_ascii=True, allow_nan=False))
    elif quiet:
        say("\n".join(map(str, written)))
    else:
        show(trend_blocks(found, screen_width()))
    if quiet:
        return
    told = [f"note: {note}" for note in found.notes] if as_json else []
    for line in (*told, *(f"wrote {path}" for path in written)):
        print(visible(line), file=sys.stderr)
