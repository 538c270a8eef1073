"""One sampling, or scoring, shared by several engines: a thread drains each, whoever asked gets the rows of all.

Knows no processes and no devices. Requests are pulled in the thread that takes the rows, and in no other.
"""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Literal

from collapsecli.engines.process import EngineProcessError
from collapsecli.engines.stock import Stock

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from collapsecli.engines import Engine, Score
    from collapsecli.engines.stock import Request
    from collapsecli.records import Completion

Method = Literal["sample", "score"]

_ROWS_AHEAD = 256  # of the reader: what more comes waits in the engines
_SECONDS_BETWEEN_LOOKS = 0.5  # at whether all was stopped: a signal handler can wake nobody


class SharedCall:
    """A call of `method` on all `engines` at once, by their numbers.

    An engine takes what it asks for as it has room, so that a faster one gets more; up to `ahead` draws wait for that.
    An engine that dies (EngineProcessError) is left out, and `on_death` told of it in its thread; any other error ends
    the call.
    """

    def __init__(
        self,
        engines: Mapping[int, Engine],
        method: Method,
        requests: Iterator[Request | None],
        *,
        ahead: int,
        is_stopped: Callable[[], bool],
        on_death: Callable[[int, Exception], None],
    ) -> None:
        self._method, self._pending, self._ahead = method, requests, ahead
        self._is_stopped, self._on_death = is_stopped, on_death
        self._stock = Stock(engines)
        self._rows: list[Completion | Score] = []
        self._may_ask = True  # nothing more is asked after a None, until rows came back, nor after the end
        self._has_ended = False  # nothing more is asked at all
        self._no_more = self._abandoned = False  # engines are given no more; their rows are wanted no more
        self._failure: BaseException | None = None
        # One lock guards all of the above. A signal handler never takes it: it would wait for the thread it stands in.
        lock = threading.Lock()
        self._work, self._news, self._space = (threading.Condition(lock) for _ in range(3))
        self._n_running = len(engines)
        self._threads = [
            threading.Thread(target=self._run, args=(number, engine), name=f"replica {number}", daemon=True)
            for number, engine in engines.items()
        ]

    @property
    def n_given_up(self) -> int:
        """Draws that will not come, though an engine is left: they were in flight when one died, twice."""
        return self._stock.n_given_up

    @property
    def is_whole(self) -> bool:
        """Whether everything came that there is to ask for."""
        return self._has_ended and self._stock.is_empty and not self.n_given_up

    def rows(self) -> Generator[Completion | Score, None, None]:
        """What the engines give, in any order. When engines died, `is_whole` says afterwards whether all came."""
        try:
            self._refill()
            for thread in self._threads:
                thread.start()
            while rows := self._arrived():
                for row in rows:
                    yield row
                    self._may_ask = not self._has_ended
                    if self._wants_more:
                        self._refill()
            if self._failure is not None:
                raise self._failure
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Want nothing more: the threads end by themselves, each at its engine's next word."""
        with self._work:
            self._no_more = self._abandoned = True
            self._wake_all()

    def join(self, patience_s: float | None = None) -> None:
        """Wait until no thread uses an engine any more, for at most so many seconds."""
        until = None if patience_s is None else time.monotonic() + patience_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(until and max(0.0, until - time.monotonic()))

    # ------------------------------------------------------------------------------------- the thread of the reader

    def _refill(self) -> None:
        """Pull requests until enough wait. Not under the lock: whoever makes them may take their time, or fail."""
        while self._may_ask and self._stock.n_waiting < self._ahead and not self._is_stopped():
            try:
                request = next(self._pending)
            except StopIteration:
                request, self._has_ended = None, True
            with self._work:
                if request is None:
                    self._may_ask = False
                else:
                    self._stock.add(request)
                self._work.notify_all()

    def _arrived(self) -> list[Completion | Score]:
        """The rows that have come by now, at least one; none when nothing more will come."""
        while True:
            with self._news:
                while not (self._rows or self._is_over or self._wants_more):
                    if self._is_stopped():
                        self._wake_all()  # who waits for work
                    self._news.wait(_SECONDS_BETWEEN_LOOKS)
                if self._rows or self._is_over:
                    rows, self._rows = self._rows, []
                    self._space.notify_all()
                    return rows
            self._refill()

    @property
    def _is_over(self) -> bool:
        is_drawn = self._stock.is_empty and not self._may_ask
        return self._failure is not None or not self._n_running or (is_drawn and not self._is_stopped())

    @property
    def _wants_more(self) -> bool:
        return self._may_ask and 2 * self._stock.n_waiting < self._ahead and not self._is_stopped()

    # ------------------------------------------------------------------------------------- the threads of the engines

    def _run(self, number: int, engine: Engine) -> None:
        try:
            while self._has_work():
                self._drain(number, engine)
        except EngineProcessError as error:
            with self._work:
                self._stock.lose(number)
                self._wake_all()
            self._on_death(number, error)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread of whoever asked
            with self._work:
                self._failure = self._failure or error
                self._no_more = self._abandoned = True
        finally:
            with self._work:
                self._n_running -= 1
                self._wake_all()

    def _has_work(self) -> bool:
        """Whether anything is left to be given to an engine; waits until that is known."""
        with self._work:
            while not (self._stock.n_waiting or self._no_more or self._is_stopped()):
                self._work.wait()
            return not (self._no_more or self._is_stopped())

    def _drain(self, number: int, engine: Engine) -> None:
        draws: Callable[..., Generator[Completion | Score, None, None]] = getattr(engine, self._method)
        with closing(draws(self._requests(number))) as rows:
            for row in rows:
                if not self._has_come(number, row):
                    return
        if self._stock.is_busy(number) and not self._is_stopped():
            raise EngineProcessError("it ended before it had given everything")

    def _requests(self, number: int) -> Iterator[Request | None]:
        """What an engine is given, as it asks: None while there is nothing for it now, but it has something to do."""
        while given := self._given(number):
            yield from given

    def _given(self, number: int) -> tuple[Request | None, ...]:
        """The next request for an engine; empty when there will be none in this call of its method."""
        stock = self._stock
        with self._work:
            while not (self._no_more or self._is_stopped()):
                if stock.n_waiting and not (self._method == "sample" and stock.is_ahead(number)):
                    request = stock.take(number)
                    if self._wants_more:
                        self._news.notify()
                    return (request,)
                if self._has_ended and not stock.n_waiting:
                    break  # should another engine die, what it loses is drawn in one more call
                # Texts to be scored depend on no row: there is no "nothing for now" among them.
                if self._method == "sample" and stock.is_busy(number):
                    return (None,)
                self._work.wait()
        return ()

    def _has_come(self, number: int, row: Completion | Score) -> bool:
        """Hand a row on, when there is room; False when nobody wants it any more."""
        with self._work:
            while len(self._rows) >= _ROWS_AHEAD and not self._abandoned:
                self._space.wait()
            if self._abandoned:
                return False
            self._rows.append(row)
            self._stock.came_back(number, row)
            self._news.notify()
            return True

    def _wake_all(self) -> None:
        for condition in (self._work, self._news, self._space):
            condition.notify_all()
