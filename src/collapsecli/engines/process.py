"""An engine in a process of its own, with which its memory is surely given back. Knows no engine.

Before it is given a request, whoever asked has seen every row that came before: all is as in one process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from contextlib import contextmanager, suppress
from itertools import count, islice
from multiprocessing.connection import Connection
from threading import Condition, Lock
from typing import TYPE_CHECKING, Any, Literal

from collapsecli.engines.devices import shares
from collapsecli.errors import CollapseError, EngineStartError, IncompleteError, SuiteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from collapsecli.engines import EngineName, EngineOptions, SampleRequest, Score, ScoreRequest
    from collapsecli.engines.devices import Share
    from collapsecli.records import Cell, Completion, EngineInfo

Kind = Literal["row", "pull", "done", "failed", "died"]
Word = tuple[int, str, Any]  # of which call, what, and its arguments
Event = tuple[int, Kind, Any]  # of which call, what, and its value
Packed = tuple[str, str, str, tuple[Any, ...]]  # an error of this program: its class, message, hint and faults

STOP = signal.SIGUSR2  # a signal reaches the child's main thread, however busy its others are
_START = 0  # the first call
_SCORES_AT_ONCE = 64  # texts to score that are asked for in one go: they depend on no result
_SECONDS_BETWEEN_LOOKS = 0.5  # at whether the child lives, while it says nothing
_SECONDS_TO_CLOSE = 20.0
_SECONDS_TO_GIVE_UP = 2.0  # for a child whose start failed, or was given up
_ERRORS = {kind.__name__: kind for kind in (CollapseError, UsageError, EngineStartError, IncompleteError)}


class EngineProcessError(Exception):
    """The engine's process died, or something in it did that only it knows."""


class EngineProcess:
    """The engine of a name, run by a child. One sampling or scoring at a time; what it raises there is raised here.

    It is kept to the devices of a `share`; a divided model has one, of the first devices there are. While one thread
    takes rows others may ask for everything else. Raises what starting the engine raises, and EngineStartError when its
    process dies of it; with `is_awaited=False` that is left to `await_start`, so that several start at the same time.
    """

    def __init__(
        self, name: EngineName, options: EngineOptions, share: Share | None = None, *, is_awaited: bool = True
    ) -> None:
        if share is None and options.tensor_parallel > 1:
            share = shares(name, options)[0]
        self._calls = count(_START + 1)
        self._arrived: dict[int, deque[tuple[Kind, Any]]] = {_START: deque()}  # by call, of those that are under way
        self._speaking, self._ending, self._listening = Lock(), Lock(), Condition()
        self._is_listened_to = False
        self._is_drawing = self._stopped = self._closed = False
        descriptors = self._spawn(share)
        with self._ended_on_failure():
            if share is not None and share.cores:
                # Before it is told what to load: what libraries make of the number of cores, they make when loaded.
                os.sched_setaffinity(self._process.pid, share.cores)
            fitted = options if share is None else share.fitted(options)
            self._say(_START, "start", (*descriptors, name, fitted))
        if is_awaited:
            self.await_start()

    def await_start(self) -> None:
        """Wait until the engine is ready. Raises what starting it raises; its process is then gone."""
        with self._ended_on_failure():
            self._started = self._result(_START)

    @property
    def events(self) -> Connection:
        """Where the child's words come in: to be waited for beside those of others."""
        return self._events

    @property
    def pid(self) -> int:
        """The child's process."""
        return self._process.pid

    @property
    def has_died(self) -> bool:
        """Whether the child is no more."""
        return self._closed or self._process.poll() is not None

    @property
    def info(self) -> EngineInfo:
        info: EngineInfo = self._started[0]
        return info

    @property
    def room(self) -> int:
        room: int = self._started[1]
        return room

    def check(self, cells: Sequence[Cell]) -> None:
        self._called("check", cells)

    def sample(self, requests: Iterable[SampleRequest | None]) -> Generator[Completion, None, None]:
        return self._rows("sample", iter(requests), at_once=1)

    def tokens(self, cell: Cell, text: str) -> tuple[int, ...]:
        tokens: tuple[int, ...] = self._called("tokens", cell, text)
        return tokens

    def score(self, requests: Iterable[ScoreRequest]) -> Generator[Score, None, None]:
        return self._rows("score", iter(requests), at_once=_SCORES_AT_ONCE)

    def stop(self) -> None:
        self._stopped = True
        if not self._closed:
            self._process.send_signal(STOP)

    def close(self) -> None:
        with self._ending:  # who comes second waits until it has ended
            if not self._closed:
                self.stop()
                self._end(_SECONDS_TO_CLOSE)

    # ----------------------------------------------------------------------------------------------------- calls

    def _called(self, method: str, *arguments: object) -> Any:
        call = next(self._calls)
        self._arrived[call] = deque()
        self._say(call, method, arguments)
        return self._result(call)

    def _result(self, call: int) -> Any:
        try:
            return self._event(call)[1]
        finally:
            self._arrived.pop(call, None)

    def _rows(self, method: str, requests: Iterator[Any], *, at_once: int) -> Generator[Any, None, None]:
        if self._is_drawing:
            raise RuntimeError("the engine is drawing already: one iterator at a time")
        if self._closed:
            return
        call, self._is_drawing = next(self._calls), True
        self._arrived[call] = deque()
        kind: Kind = "row"
        try:
            self._say(call, method, ())
            while kind != "done":
                kind, value = self._event(call)
                if kind == "row":
                    yield value
                elif kind == "pull":
                    self._say(call, "requests", list(islice(requests, at_once)))
        except EngineProcessError:
            if not (self._stopped and self.has_died):
                raise
            # It died while it was being stopped: what it had not sent is missing, as after any stop.
        finally:
            self._is_drawing = False
            self._arrived.pop(call, None)
            if kind != "done" and not self.has_died:
                with suppress(EngineProcessError):
                    self._say(call, "abandon", ())

    def _say(self, call: int, what: str, value: object) -> None:
        try:
            with self._speaking:
                self._words.send((call, what, value))
        except OSError as error:
            raise self._death() from error

    def _event(self, call: int) -> tuple[Kind, Any]:
        """The next event of a call; what comes for other calls waits for them, if they are still under way."""
        arrived = self._arrived[call]
        with self._listening:
            while not arrived:
                if self._is_listened_to:  # by another thread, which hears what comes for this one, too
                    self._listening.wait()
                else:
                    self._listen()
        kind, value = arrived.popleft()
        if kind == "failed":
            raise unpacked(value)
        if kind == "died":
            raise EngineProcessError(value)
        return kind, value

    def _listen(self) -> None:
        """Take the child's next words, without the lock, and put each where it belongs."""
        self._is_listened_to = True
        self._listening.release()
        try:
            events = self._received()
        finally:
            self._listening.acquire()
            self._is_listened_to = False
            self._listening.notify_all()
        for of, kind, value in events:
            if of in self._arrived:
                self._arrived[of].append((kind, value))

    def _received(self) -> list[Event]:
        try:
            while not self._events.poll(_SECONDS_BETWEEN_LOOKS):
                # A worker of the child's may hold its end of the pipe open: its silence alone proves nothing.
                if self._process.poll() is not None and not self._events.poll(0):
                    raise self._death()
            events: list[Event] = self._events.recv()
        except (EOFError, OSError) as error:
            raise self._death() from error
        return events

    # --------------------------------------------------------------------------------------------------- process

    @contextmanager
    def _ended_on_failure(self) -> Iterator[None]:
        try:
            yield
        except EngineProcessError as error:
            self._end(_SECONDS_TO_GIVE_UP)
            raise EngineStartError(
                f"the engine could not start: {error}", hint="its log says more; free memory, or ask for less of it"
            ) from error
        except BaseException:
            self._end(_SECONDS_TO_GIVE_UP)
            raise

    def _spawn(self, share: Share | None) -> tuple[int, int]:
        """Start the child; gives the numbers of its ends of the pipe for events and of the lifeline."""
        read_words, write_words = os.pipe()
        read_events, write_events = os.pipe()
        read_lifeline, self._lifeline = os.pipe()  # its end tells the child that this process is gone
        self._words = Connection(write_words, readable=False)
        self._events = Connection(read_events, writable=False)
        try:
            # A session of its own: what a terminal sends to the parent's group is the parent's to pass on. Files of the
            # folder that we happen to be in are no modules of ours (-P).
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", "from collapsecli.engines.child import serve; serve()"],
                stdin=read_words,
                pass_fds=(write_events, read_lifeline),
                start_new_session=True,
                env={**os.environ, **(share.environment if share is not None else {})},
            )
        finally:
            for descriptor in (read_words, write_events, read_lifeline):
                os.close(descriptor)
        return write_events, read_lifeline

    def _death(self) -> EngineProcessError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS_BETWEEN_LOOKS)
        code = self._process.poll()
        if self._closed:
            return EngineProcessError("its process was closed")
        if code is None or code >= 0:
            return EngineProcessError(f"its process ended with exit code {code}" if code else "its process ended")
        memory = ", as happens when memory runs out" if -code == signal.SIGKILL else ""
        return EngineProcessError(f"its process was killed by {signal.Signals(-code).name}{memory}")

    def _end(self, patience_s: float) -> None:
        """Let the child end, make it end after a while, and leave nothing of its group behind."""
        self._closed = True
        self._words.close()  # the child reads that nothing more is asked
        self._events.close()  # and is not held up by what nobody takes
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._lifeline)


def packed(error: CollapseError) -> Packed:
    """An error as it travels between processes: by its parts, since not all of its kinds can be pickled."""
    faults = error.faults if isinstance(error, SuiteError) else ()
    return type(error).__name__, error.message, error.hint, faults


def unpacked(parts: Packed) -> CollapseError:
    """The error again."""
    kind, message, hint, faults = parts
    return SuiteError(faults) if faults else _ERRORS[kind](message, hint=hint)
