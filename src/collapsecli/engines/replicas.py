"""Several equal engines on one machine, each in a process of its own with devices of its own. Knows no engine."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from collapsecli.engines import SampleRequest
from collapsecli.engines.devices import shares
from collapsecli.engines.groups import in_groups
from collapsecli.engines.process import EngineProcess, EngineProcessError
from collapsecli.engines.sharing import SharedCall
from collapsecli.errors import EngineStartError, IncompleteError
from collapsecli.sanitize import visible

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from collapsecli.engines import EngineName, EngineOptions, Score, ScoreRequest
    from collapsecli.engines.devices import Share
    from collapsecli.engines.sharing import Method
    from collapsecli.records import Cell, Completion, EngineInfo

_SECONDS_BETWEEN_LOOKS = 0.5  # at whether each child lives, while it starts
_SECONDS_TO_LEAVE = 5.0  # for an engine that was stopped, before its process is made to end
_DRAWS_AHEAD = 64  # wait for each replica at least: two groups of one prompt


class Replicas:
    """`options.replicas` equal engines that share every sampling and every scoring.

    Which of them draws changes nothing, since draws depend on seed and index alone. When one dies the others draw what
    it had in flight; IncompleteError is raised, after all else has come, where none is left or where draws were in
    flight at two deaths. Raises what starting an engine raises; UsageError for more devices than this machine has;
    EngineStartError where the engines turn out not to be equal.
    """

    def __init__(self, name: EngineName, options: EngineOptions) -> None:
        self._shares = shares(name, options)
        self._engines = _started(name, options, self._shares)
        self._deaths: dict[int, str] = {}  # of which words each died
        self._burying = threading.Lock()
        self._call: SharedCall | None = None
        self._is_drawing = self._stopped = self._closed = False

    @property
    def info(self) -> EngineInfo:
        info, n = self._engines[0].info, len(self._engines)
        devices = " | ".join(share.label for share in self._shares)
        notes = tuple(f"replica {number + 1} of {n} died: {words}" for number, words in dict(self._deaths).items())
        return replace(
            info,
            details={**info.details, "replicas": str(n), "replica_devices": devices},
            notes=(*info.notes, *notes),
        )

    @property
    def room(self) -> int:
        return sum(engine.room for engine in self._living.values())

    def check(self, cells: Sequence[Cell]) -> None:
        self._asked_of_one("check", cells)

    def sample(self, requests: Iterable[SampleRequest | None]) -> Generator[Completion, None, None]:
        return self._rows("sample", _cut(requests))

    def tokens(self, cell: Cell, text: str) -> tuple[int, ...]:
        tokens: tuple[int, ...] = self._asked_of_one("tokens", cell, text)
        return tokens

    def score(self, requests: Iterable[ScoreRequest]) -> Generator[Score, None, None]:
        return self._rows("score", iter(requests))

    def stop(self) -> None:
        self._stopped = True
        for engine in self._engines:
            engine.stop()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.stop()
        if self._call is not None:
            self._call.abandon()
            self._call.join(_SECONDS_TO_LEAVE)
        _close(self._engines)

    # ----------------------------------------------------------------------------------------------------- calls

    @property
    def _living(self) -> dict[int, EngineProcess]:
        return {number: engine for number, engine in enumerate(self._engines) if number not in self._deaths}

    def _is_stopped(self) -> bool:
        return self._stopped

    def _asked_of_one(self, method: str, *arguments: object) -> Any:
        """What the first that lives says: they are equal."""
        for number, engine in self._living.items():
            try:
                return getattr(engine, method)(*arguments)
            except EngineProcessError as error:
                self._bury(number, error)
        raise self._none_left()

    def _rows(self, method: Method, requests: Iterator[Any]) -> Generator[Any, None, None]:
        if self._is_drawing:
            raise RuntimeError("the engine is drawing already: one iterator at a time")
        if self._is_stopped():
            return
        if self._call is not None:
            self._call.join()  # left early: its threads may still wait for a last word
        self._call = call = SharedCall(
            self._living,
            method,
            requests,
            ahead=max(self.room, _DRAWS_AHEAD * len(self._living)),
            is_stopped=self._is_stopped,
            on_death=self._bury,
        )
        self._is_drawing = True
        try:
            yield from call.rows()
        finally:
            self._is_drawing = False
        if self._is_stopped() or call.is_whole:
            return
        if not self._living:
            raise self._none_left()
        if call.n_given_up:
            what = "draws" if method == "sample" else "texts to be scored"
            raise IncompleteError(
                f"{call.n_given_up} {what} were given up: they were in flight when a replica died, twice",
                hint="the log says what the replicas died of",
            )

    def _bury(self, number: int, error: Exception) -> None:
        """Write down that a replica is no more, say so in the log, and give back what it held."""
        with self._burying:  # two threads may learn of one death: that which drew, and that which asks
            if number in self._deaths:
                return
            self._deaths[number] = str(error)
        self._engines[number].close()
        left = len(self._living)
        others = f"{left} of {len(self._engines)} go on with its work" if left else "none is left"
        with suppress(OSError):  # a full disk must not end those that are left
            sys.stderr.write(visible(f"replica {number + 1} died: {error}; {others}") + "\n")
            sys.stderr.flush()

    def _none_left(self) -> IncompleteError:
        words = next(reversed(self._deaths.values()), "they were closed")
        return IncompleteError(
            f"all {len(self._engines)} replicas died, the last of this: {words}",
            hint="the log says more",
        )


def _cut(requests: Iterable[SampleRequest | None]) -> Iterator[SampleRequest | None]:
    """The requests, in the groups that an engine draws together: one prompt's share their prefill."""
    for group in in_groups(requests):
        if group is None:
            yield None
        else:
            indices = tuple(range(group.first, group.first + group.size))
            yield SampleRequest(group.request.cell, group.request.seed, indices)


def _started(name: EngineName, options: EngineOptions, devices: Sequence[Share]) -> list[EngineProcess]:
    """All engines, started at the same time; none is left behind where one fails."""
    engines: list[EngineProcess] = []
    try:
        engines += (EngineProcess(name, options, share, is_awaited=False) for share in devices)
        waiting = dict(enumerate(engines))
        while waiting:
            heard = wait([engine.events for engine in waiting.values()], _SECONDS_BETWEEN_LOOKS)
            for number, engine in list(waiting.items()):
                if engine.events in heard or engine.has_died:
                    _await_start(engine, number, len(devices))
                    del waiting[number]
        require_equal([engine.info for engine in engines])
    except BaseException:
        _close(engines)
        raise
    return engines


def _await_start(engine: EngineProcess, number: int, n: int) -> None:
    try:
        engine.await_start()
    except EngineStartError as error:
        raise EngineStartError(f"replica {number + 1} of {n}: {error.message}", hint=error.hint) from error


def require_equal(infos: Sequence[EngineInfo]) -> None:
    """Raise EngineStartError where engines that should be the same draw from different distributions."""
    first = _identity(infos[0])
    for number, info in enumerate(infos[1:], start=2):
        if differing := sorted(key for key, value in _identity(info).items() if first.get(key) != value):
            raise EngineStartError(
                f"replica {number} is not the engine that replica 1 is: they differ in {', '.join(differing)}",
                hint="name the model with its revision, and see that nothing changes it while they start",
            )


def _identity(info: EngineInfo) -> Mapping[str, str]:
    return {"name": info.name, "version": info.version, "model": info.model, **info.identity}


def _close(engines: Sequence[EngineProcess]) -> None:
    """Close all at once: each may take its time."""
    threads = [threading.Thread(target=engine.close) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
