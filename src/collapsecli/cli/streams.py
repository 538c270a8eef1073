"""stdout is the result, stderr is for people, and what libraries print goes to the run's log."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def log_traceback(path: Path) -> None:
    """Append the traceback of the error in hand to a log: the screen gets one line, and who asks gets the rest."""
    with suppress(OSError), path.open("a", encoding="utf-8", errors="replace") as log:
        traceback.print_exc(file=log)


@contextmanager
def libraries_log_to(path: Path) -> Iterator[TextIO]:
    """Send file descriptors 1 and 2 to a log, so that no library, and no child of one, can write between our lines.

    Guarded at the descriptors, because engines write from C code and from child processes too. Gives the real stderr,
    for what people should see; the real stdout comes back at the end of the block.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        with open(saved[1], "w", encoding="utf-8", errors="replace", closefd=False) as people:
            yield people
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in (*saved, log):
            os.close(descriptor)
