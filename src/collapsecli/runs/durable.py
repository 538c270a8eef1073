"""Files that are either whole or not there: written aside, synced, renamed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file aside, then put it in place of `path` in one step that survives a power cut.

    Raises OSError; the file at `path` is then what it was before.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(aside)
        synced(aside)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    synced(path.parent)


def write_text_whole(path: Path, text: str) -> None:
    """`write_whole` for a small text."""
    write_pieces_whole(path, (text,))


def write_pieces_whole(path: Path, pieces: Iterable[str]) -> None:
    """`write_whole` for a text that is too long to be held."""
    write_whole(path, lambda aside: _write_pieces(aside, pieces))


def _write_pieces(path: Path, pieces: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(pieces)


def synced(path: Path) -> None:
    """Wait until the disk holds a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
