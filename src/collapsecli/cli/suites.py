"""`collapse suites`: the suites that come with the program, listed or printed; samples nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from collapsecli.cli.screen import say, show
from collapsecli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def suites(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A built-in suite, to print it.", show_default=False)
    ] = None,
) -> None:
    """List the built-in suites, or print one: `collapse suites rng > my.yaml` copies it."""
    from collapsecli.suite import builtin

    if name is None:
        show([_table(path for path in map(builtin.find, builtin.names()) if path), Text(), Text(_WAYS_ON)])
        return
    path = builtin.find(name)
    if path is None:
        raise UsageError(f"there is no built-in suite {name!r}", hint=_near(name, builtin.names()))
    say(path.read_text("utf-8").removesuffix("\n"))


_WAYS_ON = (
    "`collapse probe NAME -m MODEL` runs one, `collapse suites NAME` prints it, `collapse check NAME` shows its cells"
)


def _table(paths: Iterator[Path]) -> Table:
    from collapsecli.suite import load, plan

    table = Table(box=None, pad_edge=False)
    table.add_column("suite", no_wrap=True)
    for heading in ("prompts", "cells", "completions", "tokens"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("what it asks", overflow="fold")
    for path in paths:
        suite = load(path)
        totals = plan(suite, model="").totals
        table.add_row(
            Text(path.stem),
            f"{len(suite.prompts):,}",
            f"{totals.cells:,}",
            f"{totals.completions:,}",
            f"≤{totals.tokens:,}",
            Text(headline(suite.text)),
        )
    return table


def headline(text: str) -> str:
    """The first comment of a suite's text, up to its first colon or the end of its first sentence; "" where none is."""
    comment = re.match(r"(?:#[^\n]*\n)+", text)
    lines = comment[0].splitlines() if comment else []
    said = " ".join(line.lstrip("#").strip() for line in lines)
    return re.split(r"[:;.](?:\s|$)", said, maxsplit=1)[0]


def _near(name: str, known: tuple[str, ...]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
