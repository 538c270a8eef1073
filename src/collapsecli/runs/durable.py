"""Files that are either whole or not there: written aside, synced, renamed."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file aside, then put it in place of `path` in one step that survives a power cut.

    Raises OSError; the file at `path` is then what it was before.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(aside)
        with _opened(aside, os.O_RDONLY) as descriptor:
            os.fsync(descriptor)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    with _opened(path.parent, os.O_RDONLY | os.O_DIRECTORY) as directory:
        os.fsync(directory)


def write_text_whole(path: Path, text: str) -> None:
    """`write_whole` for a small text."""
    write_whole(path, lambda aside: _write_text(aside, text))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
