"""The command line: parses, calls, prints, exits; measures nothing. One file per command."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, Annotated

import typer

from collapsecli import __version__
from collapsecli.cli.check import check
from collapsecli.cli.compare import compare
from collapsecli.cli.import_ import import_
from collapsecli.cli.interrupts import StoppedBySignal
from collapsecli.cli.merge import merge
from collapsecli.cli.probe import probe
from collapsecli.cli.report import report
from collapsecli.cli.schema import schema
from collapsecli.cli.suites import suites
from collapsecli.cli.trend import trend
from collapsecli.errors import CollapseError, SuiteError
from collapsecli.sanitize import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    name="collapse",
    help="Measure mode collapse in language models: what a model keeps saying, how much, and how sure that is.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (probe, check, merge, report, compare, trend, suites, schema):
    app.command()(command)
app.command("import")(import_)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"collapse {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Measure mode collapse in language models: what a model keeps saying, how much, and how sure that is."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1, 2, 3, 4, 75 or 128 + signal (see the README)."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        app(args=words, prog_name="collapse", obj=tuple(words))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except StoppedBySignal as stop:
        return stop.exit_code
    except Exception as error:  # noqa: BLE001 - the last resort
        return _failed(error)
    return 0


def entry_point() -> None:
    """The `collapse` program: `main`, and nothing on stdout after it."""
    code = main()
    sys.stdout.flush()
    os.dup2(2, 1)  # a library that says goodbye says it to stderr
    raise SystemExit(code)


def _failed(error: Exception) -> int:
    """Say what went wrong, in one line (one per fault of a suite), and give its exit code."""
    if isinstance(error, SuiteError):
        _say(*map(str, error.faults))
    if isinstance(error, CollapseError):
        _say(_line(error))
        return error.exit_code
    if os.environ.get("COLLAPSE_DEBUG"):
        traceback.print_exception(error)
    _say(f"error: {type(error).__name__}: {error} (set COLLAPSE_DEBUG=1 for the traceback)")
    return CollapseError.exit_code


def _line(error: CollapseError) -> str:
    return f"error: {error.message}" + (f"; {error.hint}" if error.hint else "")


def _say(*lines: str) -> None:
    """Errors quote files, models and other programs: nothing of that may steer the terminal."""
    for line in lines:
        print(visible(line, newlines=True), file=sys.stderr)
