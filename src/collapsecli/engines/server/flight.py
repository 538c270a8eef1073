"""Work that is under way at a server, between the caller's thread and the loop's. Knows neither bodies nor answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterator

    from collapsecli.engines.server.talk import Talk

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """Something to be asked, and how much of the room it takes while it is."""

    work: Callable[[], Coroutine[Any, Any, T]]
    size: int


class Flight(Generic[T]):
    """A window of jobs that is kept full. What waits to be taken is in the window too: `room` bounds memory."""

    def __init__(self, talk: Talk, room: int) -> None:
        self._talk, self._room = talk, room
        self._landed: SimpleQueue[tuple[int, T | BaseException] | None] = SimpleQueue()  # None: stopped
        self._in_flight = 0
        self._stopped = False

    def results(self, jobs: Iterator[Job[T] | None]) -> Generator[T, None, None]:
        """The results of jobs as they land; jobs are pulled as there is room, and a None ends the pulling for now.

        Raises what a job raises. However it ends, nothing stays under way.
        """
        self._talk.spawn(self._watch())
        try:
            while not self._stopped:
                self._admit(jobs)
                if not self._in_flight:
                    return
                landed = self._landed.get()
                if landed is None:
                    return
                size, result = landed
                self._in_flight -= size
                if isinstance(result, BaseException):
                    raise result
                yield result
        finally:
            self._talk.abandon()

    def stop(self) -> None:
        """End soon. Safe in a signal handler."""
        self._stopped = True
        self._landed.put(None)

    def _admit(self, jobs: Iterator[Job[T] | None]) -> None:
        # While a server falters, what is under way tells soon enough whether it is gone.
        while self._in_flight < self._room and not (self._in_flight and self._talk.is_faltering):
            job = next(jobs, None)
            if job is None:
                return
            self._in_flight += job.size
            self._talk.spawn(self._done(job))

    async def _done(self, job: Job[T]) -> None:
        try:
            result: T | BaseException = await job.work()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised again on the caller's thread
            result = error
        self._landed.put((job.size, result))

    async def _watch(self) -> None:
        try:
            await self._talk.watched()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - raised again on the caller's thread
            self._landed.put((0, error))
