"""How a server is asked for: address, key and arguments, all checked before anything is sent. Opens no connection."""

from __future__ import annotations

import difflib
import json
import os
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from collapsecli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collapsecli.engines import EngineOptions

KEY_VARIABLE = "OPENAI_API_KEY"  # the environment variable that OpenAI's own clients read

LARGEST_GROUP = 32  # completions that are drawn together, on any engine

_KEY_BYTES = 1 << 16  # more than any key has: what is larger is another file
# The names of a request that are ours to fill: a promise of the run rests on each.
_OWNED = frozenset({
    "model", "prompt", "messages", "n", "seed", "temperature", "top_p", "top_k", "min_p", "max_tokens",
    "max_completion_tokens", "stop", "stream", "presence_penalty", "frequency_penalty", "best_of", "echo", "logprobs",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arguments:
    """What `-e KEY=VALUE` sets for this engine.

    `concurrency` is the number of completions in flight, `choices` how many of them one request asks for; None leaves
    both to the kind of server. `timeout_s` bounds a request from its first byte to its last. A request is tried `tries`
    times, with pauses that grow from `backoff_s`. A server that says nothing at all for `patience_s` ends the run.
    `verify` is false for certificates that nobody signed, or the path of a file of trusted ones. `fields` are sent
    with every request as they are.
    """

    concurrency: int | None = None
    choices: int | None = None
    timeout_s: float = 1800.0
    tries: int = 8
    backoff_s: float = 1.0
    patience_s: float = 120.0
    verify: bool | str = True
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is: `base` ends with the version of its API (http://host:8000/v1), `root` is the part before."""

    base: str
    root: str
    is_guarded: bool  # what is sent cannot be read on the way: by TLS, or because it does not leave the machine


@dataclass(frozen=True, slots=True)
class Settings:
    """All that is needed to talk to a server. The key is in no representation of it."""

    endpoint: Endpoint
    arguments: Arguments
    key: str = field(default="", repr=False)


def settings_of(options: EngineOptions) -> Settings:
    """Read endpoint, key and arguments. Raises UsageError for any that cannot be served."""
    return Settings(endpoint_of(options.endpoint), arguments_of(options.arguments), key_of(options.key_file))


def endpoint_of(url: str) -> Endpoint:
    """Read an address, with or without its `/v1`. Raises UsageError, which never repeats a password, for a bad one."""
    if not url:
        raise UsageError("no server is named", hint="give its address: --endpoint http://HOST:8000/v1")
    no_address = UsageError("the endpoint is no address of a server", hint="for example http://HOST:8000/v1")
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets around no address, a port that is no number
        raise no_address from None  # what it was raised from repeats the address
    if "@" in parts.netloc:
        raise UsageError(
            "the endpoint holds a user name or password, which would stand in logs and process lists",
            hint=f"leave it out and give the key with --key-file FILE, or in the environment as {KEY_VARIABLE}",
        )
    if not is_whole or parts.query or parts.fragment or not parts.netloc.isprintable() or " " in url:
        raise no_address
    segments = [segment for segment in parts.path.split("/") if segment]
    if not any(segment[:1] == "v" and segment[1:2].isdigit() for segment in segments):
        segments.append("v1")
    origin = f"{parts.scheme}://{parts.netloc}"
    base, root = "/".join([origin, *segments]), "/".join([origin, *segments[:-1]])
    return Endpoint(base, root, is_guarded=parts.scheme == "https" or _is_loopback(parts.hostname or ""))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def key_of(key_file: str) -> str:
    """The first line of a file; without one the environment's key; empty where there is none.

    Raises UsageError, which never repeats what the file holds.
    """
    if not key_file:
        key = os.environ.get(KEY_VARIABLE, "").strip()
        source = f"the environment's {KEY_VARIABLE}"
    else:
        source = f"the key file {key_file}"
        try:
            with Path(key_file).expanduser().open(encoding="utf-8") as file:
                key = file.readline(_KEY_BYTES).strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise UsageError(f"{source} cannot be read: {why}") from None
        if not key:
            raise UsageError(f"{source} is empty: its first line is the key")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"{source} holds no key: one has neither spaces nor special signs")
    return key


def arguments_of(given: Mapping[str, object]) -> Arguments:
    """Read the arguments of `-e`. Raises UsageError for one that there is not, or whose value cannot be."""
    known = [one.name for one in fields(Arguments)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UsageError(
                f"the server engine has no argument `{name}`",
                hint=f"did you mean `{near[0]}`?" if near else f"it has {', '.join(known)}",
            )
    read = {name: _READERS[name](name, value) for name, value in given.items() if value is not None}
    return Arguments(**read)


def _count(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"`-e {name}={value}`: it is a whole number from 1 on")
    return value


def _choices(name: str, value: object) -> int:
    if _count(name, value) > LARGEST_GROUP:
        raise UsageError(f"`-e {name}={value}`: at most {LARGEST_GROUP} completions are drawn with one request")
    return _count(name, value)


def _seconds(name: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e6:
        raise UsageError(f"`-e {name}={value}`: it is a number of seconds above 0")
    return float(value)


def _verify(name: str, value: object) -> bool | str:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and Path(value).expanduser().is_file():
        return str(Path(value).expanduser())
    raise UsageError(f"`-e {name}={value}`: it is true, false, or the path of a file of certificates")


def _fields(name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"`-e {name}=…`: it is a mapping, such as `-e 'fields={{safe_prompt: false}}'`")
    owned = sorted(_OWNED & set(value))
    if owned:
        raise UsageError(
            f"`-e {name}=…` cannot set `{owned[0]}`: the suite says it, or a promise of the run rests on it"
        )
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"`-e {name}=…` cannot be sent as JSON: {error}") from error
    return value


_READERS: Mapping[str, Any] = {
    "concurrency": _count,
    "choices": _choices,
    "timeout_s": _seconds,
    "tries": _count,
    "backoff_s": _seconds,
    "patience_s": _seconds,
    "verify": _verify,
    "fields": _fields,
}
