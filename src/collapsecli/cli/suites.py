"""`collapse suites`: the suites that come with the program, listed or printed; samples nothing."""

from __future__ import annotations

import difflib
import re
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from collapsecli.cli.screen import say, show
from collapsecli.errors import UsageError

_WAYS_ON = (
    "`collapse probe NAME -m MODEL` runs one, `collapse suites NAME` prints it. The bundled demo models know the world "
    "of quickstart alone."
)


def suites(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A built-in suite, to print it.", show_default=False)
    ] = None,
) -> None:
    """List the built-in suites, or print one: `collapse suites rng > my.yaml` copies it."""
    from collapsecli.suite import builtin

    if name is None:
        show([_table(builtin.names()), Text(), Text(_WAYS_ON)])
        return
    path = builtin.find(name)
    if path is None:
        raise UsageError(f"there is no built-in suite {name!r}", hint=_near(name, builtin.names()))
    say(path.read_text("utf-8").removesuffix("\n"))


def headline(text: str) -> str:
    """What a suite's text says first: its head comment up to a colon or the end of a sentence; "" where it has none."""
    head = re.match(r"(?:#[^\n]*(?:\n|$))+", text)
    said = " ".join(line.lstrip("#").strip() for line in head[0].splitlines()) if head else ""
    return re.split(r"[:;.](?:\s|$)|(?<=[?!])\s", said, maxsplit=1)[0]


def _table(names: tuple[str, ...]) -> Table:
    from collapsecli.suite import builtin, load_all, plan

    table = Table(box=None, pad_edge=False)
    table.add_column("suite", no_wrap=True)
    for heading in ("prompts", "cells", "completions", "tokens"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("what it asks", overflow="fold")
    paths = [path for path in map(builtin.find, names) if path]
    for name, suite in zip(names, load_all(paths), strict=True):
        totals = plan(suite, models=()).totals
        table.add_row(
            name,
            f"{len(suite.prompts):,}",
            f"{totals.cells:,}",
            f"{totals.completions:,}",
            f"≤{totals.tokens:,}",
            Text(headline(suite.text)),
        )
    return table


def _near(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
