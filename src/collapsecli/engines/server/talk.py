"""Requests that are tried again where that may help, and the signs of life of a server. Knows no completion."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import SystemRandom
from typing import TYPE_CHECKING, Any, TypeVar

from collapsecli.engines.server.faults import LONGEST_WAIT_S, Fault, Reply, longest_pause_s, read_reply
from collapsecli.engines.server.wire import Wire
from collapsecli.errors import IncompleteError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from collapsecli.engines.server.settings import Settings

T = TypeVar("T")

SMALL_BYTES = 1 << 25  # a list of models, the tokens of a prompt

_PROBE_S = 10.0
_SMALL_S = 120.0  # what is no sampling is answered soon
_SECRET_CHARS = 16  # of a key: what is shorter is a placeholder (`EMPTY`) that an honest text may hold
_MOST_IN_A_ROW = 16  # requests given up, with no other answered in between: the next would fail as well
_DRAW = SystemRandom()


@dataclass(slots=True)
class _Vitals:
    """What is known of the server's health. Changed on the loop only, read anywhere."""

    heard_at: float  # seconds of the monotonic clock: the last answer to anything
    has_failed_since: bool = False  # since the last answered request
    given_up: int = 0  # requests, since the last answered one


class Talk:
    """What is said to one server. The coroutines run on the wire's loop.

    A request that fails in a way that may pass is tried again, with growing pauses. Its tries count while the server
    lives, which is asked for when they are used up; while it does not, the request waits, and after `patience_s` of
    silence the run ends: a server that is gone must not turn a plan into rows of errors. Nor must one that answers
    nothing but refusals of all requests: 16 given up in a row end the run too.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._arguments = settings.arguments
        self._wire = Wire(settings)
        self._vitals = _Vitals(heard_at=time.monotonic())
        self._probing = asyncio.Lock()
        self._probed_at = -math.inf  # the last time that one asked whether it lives

    @property
    def is_faltering(self) -> bool:
        """Whether a request failed, and none was answered since: nothing new should be asked."""
        return self._vitals.has_failed_since

    # ------------------------------------------------------------------------------------------- from any thread

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Do some of this and wait for it. Raises AbandonedError when the engine is stopped meanwhile."""
        return self._wire.call(work)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin some of this."""
        self._wire.spawn(work)

    def abandon(self) -> None:
        """Give up all that is under way."""
        self._wire.abandon()

    def stop(self) -> None:
        """Give up all that is under way, and whatever is begun from now on. Safe in a signal handler."""
        self._wire.stop()

    def close(self) -> None:
        """Close every connection and end the thread."""
        self._wire.close()

    # ------------------------------------------------------------------------------------------------- on the loop

    async def once(self, url: str, body: object | None = None) -> dict[str, Any] | Fault:
        """One try of a small request, and what came of it."""
        return await self._tried(url, body, timeout_s=_SMALL_S, most_bytes=SMALL_BYTES)

    async def patiently(
        self, url: str, body: object, *, timeout_s: float = _SMALL_S, most_bytes: int = SMALL_BYTES
    ) -> dict[str, Any] | Fault:
        """The answer to a request, or the fault that is left after all its tries.

        Raises IncompleteError when the server is gone, when it would refuse every other request too, or when too many
        were given up in a row.
        """
        tries, began = 0, time.monotonic()
        while True:
            found = await self._tried(url, body, timeout_s=timeout_s, most_bytes=most_bytes)
            if not isinstance(found, Fault):
                return found
            if found.for_all:
                raise IncompleteError(f"the server refuses to go on: {found.message}", hint=found.for_all)
            if not found.again:
                return found
            tries += 1
            hopeless = tries >= self._arguments.tries or found.wait_s > LONGEST_WAIT_S
            if hopeless and await self._lives(found, began):
                self._give_up(found)
                return replace(found, message=f"{found.message} ({tries} tries)")
            asked_s = found.wait_s if found.wait_s <= LONGEST_WAIT_S else 0.0
            await asyncio.sleep(asked_s + _DRAW.uniform(0.0, longest_pause_s(tries, self._arguments.backoff_s)))

    async def watched(self) -> None:
        """Look now and then whether a server that is busy still lives. Raises IncompleteError when it does not."""
        self._vitals.heard_at = time.monotonic()  # until now nothing was asked
        while True:
            await asyncio.sleep(self._arguments.patience_s / 4)
            if time.monotonic() - self._vitals.heard_at > self._arguments.patience_s / 2:
                await self._lives(Fault("timeout", "nothing was answered"), self._vitals.heard_at)

    async def _tried(
        self, url: str, body: object | None, *, timeout_s: float, most_bytes: int
    ) -> dict[str, Any] | Fault:
        reply = await self._wire.asked(url, body, timeout_s=timeout_s, most_bytes=most_bytes)
        found = self._read(reply) if isinstance(reply, Reply) else reply
        self._vitals.has_failed_since = isinstance(found, Fault) and found.again
        if not self._vitals.has_failed_since:
            self._vitals.given_up, self._vitals.heard_at = 0, time.monotonic()
        return found

    def _read(self, reply: Reply) -> dict[str, Any] | Fault:
        key, is_error = self._settings.key, not 200 <= reply.status < 300
        if key and (is_error or len(key) >= _SECRET_CHARS):  # some servers repeat the key that they refuse
            # JSON may have a sign before every slash.
            for told in {key, key.replace("/", "\\/")}:
                reply = replace(reply, body=reply.body.replace(told.encode(), b"[key]"))
        return read_reply(reply, datetime.now(UTC))

    async def _lives(self, fault: Fault, asked_at: float) -> bool:
        """Whether the server answers anything after a fault; raises IncompleteError when it has not for too long.

        Silence before anything was asked, at `asked_at`, is none.
        """
        failed_at = time.monotonic()
        async with self._probing:
            if self._vitals.heard_at < failed_at and self._probed_at < failed_at:
                url = f"{self._settings.endpoint.base}/models"
                timeout_s = min(_PROBE_S, 2 * self._arguments.patience_s)
                reply = await self._wire.asked(url, None, timeout_s=timeout_s, most_bytes=SMALL_BYTES)
                self._probed_at = time.monotonic()
                if isinstance(reply, Reply) and reply.status < 500:
                    self._vitals.heard_at = self._probed_at
            if self._vitals.heard_at >= failed_at:
                return True
        silent_s = time.monotonic() - max(self._vitals.heard_at, asked_at)
        if silent_s > self._arguments.patience_s:
            raise IncompleteError(
                f"the server at {self._settings.endpoint.base} has answered nothing for {silent_s:.0f} s: "
                f"{fault.message}"
            )
        return False

    def _give_up(self, fault: Fault) -> None:
        self._vitals.given_up += 1
        if self._vitals.given_up >= _MOST_IN_A_ROW:
            raise IncompleteError(
                f"{_MOST_IN_A_ROW} requests in a row failed, each after all its tries; the last: {fault.message}"
            )
