"""Memory that nobody uses any more, handed back to the system between the stages of a run. Holds none itself."""

from __future__ import annotations

import ctypes
from contextlib import suppress

import pyarrow as pa


def hand_back_memory() -> None:
    """Give back what is free: Arrow and the C library keep what a stage once needed, beside what the next one does."""
    pa.default_memory_pool().release_unused()
    with suppress(AttributeError, OSError):  # not glibc: then it stays as it is
        ctypes.CDLL(None).malloc_trim(0)
