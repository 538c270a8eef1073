"""Signals: the first saves and stops, the second leaves at once. Knows no engine but that it can be stopped."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

_SECONDS_UNTIL_A_SECOND_COUNTS = 1.0
_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class StoppedBySignal(BaseException):
    """A signal asked the program to end. Not an Exception: no library may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class Interrupts:
    """Handlers for SIGHUP, SIGINT and SIGTERM, in place inside a `with` block.

    Before `ask_to_stop` is set there is nothing to save: the first signal raises StoppedBySignal where the program
    stands. From then on the first signal calls it and lets the program come to an end by itself.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._received_at = 0.0
        self.ask_to_stop: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        # What is ignored (SIGHUP under nohup) stays ignored.
        heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._handle) for number in heeded}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def raise_if_received(self) -> None:
        """Raise StoppedBySignal if a signal came and was served in the meantime."""
        if self.received is not None:
            raise StoppedBySignal(self.received)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        now = time.monotonic()
        if self.received is not None:
            # A closing terminal may send the same signal twice: only one that comes later is an order to leave at once.
            if now - self._received_at > _SECONDS_UNTIL_A_SECOND_COUNTS:
                os._exit(128 + number)
            return
        self.received, self._received_at = number, now
        if self.ask_to_stop is None:
            raise StoppedBySignal(number)
        self.ask_to_stop()
