"""The child's side of an engine in a process of its own. Ends with its parent, whatever ended that."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, Queue, SimpleQueue
from typing import TYPE_CHECKING, Any

from collapsecli.engines import ENGINES, require_engine
from collapsecli.engines.process import STOP, packed
from collapsecli.errors import CollapseError, EngineStartError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from collapsecli.engines import Engine, EngineName, EngineOptions
    from collapsecli.engines.process import Event, Kind, Word
    from collapsecli.records import EngineInfo

# Events that wait to be sent, and that are sent in one go: with the pipe they bound what is drawn ahead of the parent.
_WAITING, _AT_ONCE = 128, 64


class _AbandonedError(Exception):
    """The parent has lost interest in what is being drawn, or is gone."""


def serve() -> None:
    """Run the engine that the parent names, until the parent wants no more.

    Its words come in by stdin; the first gives the descriptors, inherited, of its events and of the lifeline.
    """
    words = Connection(os.dup(0), writable=False)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    call, _, (events, lifeline, name, options) = words.recv()
    _leave_signals_to_the_parent()
    child = _Child(words, Connection(_uninherited(events), readable=False), _uninherited(lifeline))
    child.run(call, name, options)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # nothing is left to save, and libraries may take their time over tidying up


def _uninherited(descriptor: int) -> int:
    """The same file under a number that workers of the engine will not hold open: duplicates are not inherited."""
    duplicate = os.dup(descriptor)
    os.close(descriptor)
    return duplicate


def _leave_signals_to_the_parent() -> None:
    # A job's manager may signal every process of it, and a child that dies of that takes with it what it has drawn.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Workers of an engine are ended by this one, and would inherit that it is ignored, but no handler.
    signal.signal(signal.SIGTERM, _do_nothing)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    pass


class _Child:
    """The engine, in the main thread, between what the parent says and what it is told."""

    def __init__(self, words: Connection, events: Connection, lifeline: int) -> None:
        self._words, self._events, self._lifeline = words, events, lifeline
        self._inbox: SimpleQueue[Word | None] = SimpleQueue()  # None: the parent wants no more
        self._outbox: Queue[Event] = Queue(_WAITING)
        self._engine: Engine | None = None

    def run(self, call: int, name: EngineName, options: EngineOptions) -> None:
        """Start the engine in answer to the first call, and do what the parent says, one call after the other."""
        for work in (self._watch_parent, self._listen, self._send):
            threading.Thread(target=work, daemon=True).start()
        self._answer(call, self._start, (name, options))
        while (word := self._inbox.get()) is not None:
            self._heed(word)
        if self._engine is not None:
            self._engine.close()

    # --------------------------------------------------------------------------------------------------- threads

    def _watch_parent(self) -> None:
        os.read(self._lifeline, 1)  # nothing is ever written to it
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._inbox.put(self._words.recv())
        self._inbox.put(None)

    def _send(self) -> None:
        is_heard = True
        while True:
            events = [self._outbox.get()]
            with suppress(Empty):
                while len(events) < _AT_ONCE:
                    events.append(self._outbox.get_nowait())
            try:
                if is_heard:
                    self._events.send(events)
            except OSError:
                is_heard = False  # the parent is closing: whoever waits for room here must get to read it
            for _ in events:
                self._outbox.task_done()

    # ----------------------------------------------------------------------------------------------------- calls

    def _heed(self, word: Word) -> None:
        call, what, value = word
        if what in {"sample", "score"}:
            self._answer(call, self._draw, (call, what))
        elif what in {"check", "tokens"}:
            self._answer(call, getattr(self._engine, what), value)
        # Else it is of a call that has ended in the meantime.

    def _answer(self, call: int, function: Callable[..., object], arguments: Sequence[object]) -> None:
        try:
            result = function(*arguments)
        except CollapseError as error:
            if isinstance(error, EngineStartError):
                traceback.print_exc()  # for the log: what is told does not hold what it died of
            self._tell(call, "failed", packed(error))
        except Exception as error:  # the engine is broken: its last words, and its end
            self._tell(call, "died", f"{type(error).__name__}: {error}")
            self._outbox.join()
            raise
        else:
            self._tell(call, "done", result)

    def _tell(self, call: int, kind: Kind, value: object) -> None:
        self._outbox.put((call, kind, value))

    def _start(self, name: EngineName, options: EngineOptions) -> tuple[EngineInfo, int]:
        require_engine(name)
        self._engine = engine = ENGINES[name](options)  # here: a divided model would ask for one more process
        signal.signal(STOP, lambda *_: engine.stop())
        return self._engine.info, self._engine.room

    def _draw(self, call: int, method: str) -> None:
        rows = getattr(self._engine, method)(self._requests(call))
        with suppress(_AbandonedError), closing(rows):
            for row in rows:
                self._tell(call, "row", row)
                while not self._inbox.empty():
                    self._heed_within(call, self._inbox.get())

    def _requests(self, call: int) -> Iterator[Any]:
        """What the parent asks for, pulled as the engine pulls it."""
        while True:
            self._tell(call, "pull", None)
            while (requests := self._heed_within(call, self._inbox.get())) is None:
                pass
            if not requests:
                return
            yield from requests

    def _heed_within(self, call: int, word: Word | None) -> list[Any] | None:
        """Do what the parent says while it draws; gives the requests that it sends."""
        if word is None:
            self._inbox.put(None)
            raise _AbandonedError
        of, what, value = word
        if of != call:
            self._heed(word)
            return None
        if what == "abandon":
            raise _AbandonedError
        requests: list[Any] = value
        return requests
