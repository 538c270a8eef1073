"""Printing to the result stream: as wide as the screen, coloured where it is one, whole or not at all."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from rich.console import Console

from collapsecli.report.sparkline import BARS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

NARROWEST, WIDEST = 60, 160


def screen_width() -> int:
    """Columns to write for: those of the terminal, or of `COLUMNS`, within reason."""
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))


def show(blocks: Iterable[RenderableType]) -> None:
    """Print blocks to stdout."""
    console = Console(file=sys.stdout, width=screen_width(), highlight=False)
    # Trailing spaces are padding for a screen; in a file or a diff they are noise.
    say("\n".join(line.rstrip() for block in blocks for line in _rendered(console, block).splitlines()))


def _rendered(console: Console, block: RenderableType) -> str:
    """One block as it is printed: the styled pieces of thousands are never held at once."""
    with console.capture() as capture:
        console.print(block)
    return capture.get()


# What the reports are drawn with, one character for one, where stdout cannot carry more than ASCII.
_PLAIN = str.maketrans({"✗": "x", "✓": "+", "·": "-", "–": "-", "…": "~", "“": '"', "”": '"', "≥": ">", "≤": "<",
                        "∞": "*", "⏎": "/", "→": ">", "↓": "v", "▼": "v", "▲": "^", "◆": "#", "≈": "~",
                        **dict(zip(BARS, "_.,:=+*#", strict=True))})  # fmt: skip


def _for_stdout(text: str) -> str:
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
    return text


def say(result: str) -> None:
    """Print a result to stdout; a reader that has left is owed nothing more, and that is no error."""
    try:
        print(_for_stdout(result), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter would fail again when it flushes
