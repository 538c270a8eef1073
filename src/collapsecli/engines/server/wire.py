"""HTTP to one server, on an event loop in a thread of its own. Knows statuses and bytes, and not what they say."""

from __future__ import annotations

import asyncio
import concurrent.futures
import ssl
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from collapsecli import __version__
from collapsecli.engines.server.faults import Fault, Reply
from collapsecli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from collapsecli.engines.server.settings import Settings

T = TypeVar("T")

_CONNECT_S = 30.0
_CHUNK_BYTES = 1 << 16


class AbandonedError(Exception):
    """What was asked was given up, because the engine was stopped or closed."""


class Wire:
    """The connections to a server. Made and used on the caller's thread; all that is sent is sent on its own.

    No redirect is followed (the key would go with it), no cookie kept, no proxy or password taken from the environment,
    and nothing is unpacked: a small body could unfold to a huge one.
    """

    def __init__(self, settings: Settings) -> None:
        self._key, self._trusted = settings.key, _trusted(settings.arguments.verify)
        self._stopped = self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="collapse-server", daemon=True)
        self._thread.start()
        self._session = asyncio.run_coroutine_threadsafe(self._opened(), self._loop).result()

    async def _opened(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._trusted),  # the window says how many
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": f"collapsecli/{__version__}",
                **({"Authorization": f"Bearer {self._key}"} if self._key else {}),
            },
        )

    async def asked(self, url: str, body: object | None, *, timeout_s: float, most_bytes: int) -> Reply | Fault:
        """POST a body as JSON, or GET without one; a Fault where no whole answer came back."""
        limits = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_S)
        method = "GET" if body is None else "POST"
        try:
            async with self._session.request(method, url, json=body, timeout=limits, allow_redirects=False) as response:
                content = await _bounded(response, most_bytes)
        except aiohttp.ConnectionTimeoutError:
            return Fault("connection", f"no connection within {_CONNECT_S:g} s", again=True)
        except TimeoutError:  # aiohttp's others are of this kind too
            return Fault("timeout", f"no answer within {timeout_s:g} s", again=True)
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            return Fault("connection", _reason(error), again=True)
        except ValueError as error:  # what came back breaks HTTP itself
            return Fault("protocol", type(error).__name__, again=True)
        if content is None:
            return Fault("protocol", f"the answer is longer than {most_bytes >> 20} MiB")
        return Reply(response.status, content, response.headers.get("Retry-After", ""))

    # --------------------------------------------------------------------------------------------- the two threads

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin some work on the loop, from any thread."""
        self._loop.call_soon_threadsafe(self._begin, work)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Do some work on the loop and wait for it. Raises AbandonedError when it is abandoned meanwhile."""
        done: concurrent.futures.Future[T] = concurrent.futures.Future()

        def tell(task: asyncio.Task[T]) -> None:
            if task.cancelled():
                done.set_exception(AbandonedError())
            elif error := task.exception():
                done.set_exception(error)
            else:
                done.set_result(task.result())

        self._loop.call_soon_threadsafe(lambda: self._begin(work).add_done_callback(tell))
        return done.result()

    def abandon(self) -> None:
        """Give up all that is under way."""
        if not self._closed:
            self._loop.call_soon_threadsafe(self._cancel)

    def stop(self) -> None:
        """Give up all that is under way, and all that follows. Safe in a signal handler: nothing is waited for."""
        self._stopped = True
        self.abandon()

    def close(self) -> None:
        """Give up all that is under way, close every connection and end the thread."""
        if self._closed:
            return
        self._closed = True
        asyncio.run_coroutine_threadsafe(self._closing(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._stopped:
            task.cancel()
        return task

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _closing(self) -> None:
        self._cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()
        await asyncio.sleep(0)  # what the transports have left to do when they are closed
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()  # that of name resolution


def _trusted(verify: bool | str) -> ssl.SSLContext | bool:
    if isinstance(verify, bool):
        return verify
    try:
        return ssl.create_default_context(cafile=verify)
    except (ssl.SSLError, OSError) as error:
        raise UsageError(f"`-e verify={verify}` holds no certificates: {error}") from error


async def _bounded(response: aiohttp.ClientResponse, most_bytes: int) -> bytes | None:
    """The body of an answer; None, and the connection is dropped, where it is longer than that."""
    chunks, size = [], 0
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        size += len(chunk)
        if size > most_bytes:
            response.close()
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _reason(error: Exception) -> str:
    """What a connection died of, without what was sent on it."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return "its certificate is not trusted (`-e verify=FILE` names one that is)"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {error.os_error.strerror or type(error.os_error).__name__}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server hung up before it answered"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection was cut in the middle of an answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
