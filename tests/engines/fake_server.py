"""An OpenAI-like server on this machine that misbehaves as it is told, request by request."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

MODEL = "fake-model"


@dataclass(frozen=True)
class Ask:
    """One request for completions, as the server saw it."""

    number: int  # from 0, in the order in which they came
    path: str
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def seed(self) -> int:
        return self.body.get("seed", -1)


Behaviour = Callable[[web.Request, Ask, "FakeServer"], Awaitable[web.StreamResponse]]


class FakeServer:
    """Serves one model, or those of `models`; `behave` says of a request how it is answered, None for well.

    It says of itself that it is `owned_by` somebody: as "vllm" it has tokens too, one for every character.
    """

    def __init__(
        self, behave=lambda _: None, *, owned_by="someone", models=None, key="", lists=True, port=0, tls=None
    ) -> None:
        self.behave, self.owned_by, self.key, self.lists = behave, owned_by, key, lists
        self.tls = tls
        self.models = models or [{"id": MODEL, "owned_by": owned_by, "max_model_len": 512}]
        self.asked: list[Ask] = []
        self.requests: list[tuple[str, dict[str, str]]] = []  # every one: its path and headers
        self.is_silent = False  # then nothing is answered at all
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self._on_loop(self._started(port))

    @property
    def endpoint(self) -> str:
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}/v1"

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.die()

    def die(self) -> None:
        """End: every connection is cut, and new ones are refused."""
        if not self._thread.is_alive():
            return
        self._on_loop(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _on_loop(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _started(self, port: int) -> int:
        app = web.Application(client_max_size=1 << 26, middlewares=[self._gate])
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/completions", self._completions)
        app.router.add_post("/v1/chat/completions", self._completions)
        if self.owned_by == "vllm":
            app.router.add_get("/version", self._version)
            app.router.add_post("/tokenize", self._tokenize)
            app.router.add_post("/detokenize", self._detokenize)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True, ssl_context=self.tls)
        await site.start()
        return site._server.sockets[0].getsockname()[1]

    @web.middleware
    async def _gate(self, request, handler):
        self.requests.append((request.path, dict(request.headers)))
        if self.is_silent:
            await asyncio.sleep(60)
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"error": {"message": "wrong key"}}, status=401)
        return await handler(request)

    async def _models(self, _request):
        if not self.lists:
            raise web.HTTPNotFound
        return web.json_response({"object": "list", "data": self.models})

    async def _version(self, _request):
        return web.json_response({"version": "0.99.fake"})

    async def _tokenize(self, request):
        body = await request.json()
        text = body.get("prompt") or "".join(f"{one['role']}: {one['content']}\n" for one in body.get("messages", ()))
        return web.json_response({"tokens": [ord(char) for char in text], "max_model_len": 512})

    async def _detokenize(self, request):
        body = await request.json()
        return web.json_response({"prompt": "".join(map(chr, body["tokens"]))})

    async def _completions(self, request):
        ask = Ask(len(self.asked), request.path, await request.json(), dict(request.headers))
        self.asked.append(ask)
        behaviour = self.behave(ask)
        return await (behaviour or good)(request, ask, self)


# ------------------------------------------------------------------------------------------------------- behaviours


def text_of(seed: int) -> str:
    """A coin, by its seed alone."""
    return " Heads." if hashlib.sha256(str(seed).encode()).digest()[0] & 1 else " Tails."


def choice(ask: Ask, index: int, server: FakeServer) -> dict[str, Any]:
    text = text_of(ask.seed + index)
    finish = {"index": index, "finish_reason": "stop"}
    if "messages" in ask.body:
        return {**finish, "message": {"role": "assistant", "content": text}}
    if server.owned_by == "vllm":
        logprobs = {"token_logprobs": [-0.5] * len(text), "top_logprobs": [{"a": -0.5}] * len(text)}
        return {**finish, "text": text, "token_ids": [ord(char) for char in text], "logprobs": logprobs}
    return {**finish, "text": text}


def answer(ask: Ask, server: FakeServer, indices) -> dict[str, Any]:
    choices = [choice(ask, index, server) for index in indices]
    return {"object": "text_completion", "choices": choices, "usage": {"prompt_tokens": 7}}


async def good(_request, ask, server):
    return web.json_response(answer(ask, server, range(ask.body.get("n", 1))))


def numbered(count: int) -> Behaviour:
    """Another number of choices than was asked for."""

    async def behave(_request, ask, server):
        return web.json_response(answer(ask, server, range(count)))

    return behave


def status(code: int, message: str = "no", **headers: str) -> Behaviour:
    async def behave(_request, _ask, _server):
        body = {"error": {"message": message}}
        return web.json_response(body, status=code, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return behave


def said(body: bytes, code: int = 200, **headers: str) -> Behaviour:
    """These bytes, whatever they are."""

    async def behave(_request, _ask, _server):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=body, status=code, headers={"Content-Type": "application/json", **named})

    return behave


def changed(**fields: Any) -> Behaviour:
    """A good answer whose choices have other fields."""

    async def behave(_request, ask, server):
        found = answer(ask, server, range(ask.body.get("n", 1)))
        found["choices"] = [{**one, **fields} for one in found["choices"]]
        return web.json_response(found)

    return behave


async def truncated(_request, ask, server):
    whole = json.dumps(answer(ask, server, range(1))).encode()
    return web.Response(body=whole[: len(whole) // 2], headers={"Content-Type": "application/json"})


async def cut(request, _ask, _server):
    """The connection ends in the middle of the body."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"choices": [')
    request.transport.abort()
    return response


async def hang(_request, _ask, _server):
    await asyncio.sleep(60)
    return web.Response()


def slow(seconds: float) -> Behaviour:
    async def behave(request, ask, server):
        await asyncio.sleep(seconds)
        return await good(request, ask, server)

    return behave
