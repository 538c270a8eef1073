"""Getting to know a server: which models it serves, of what kind it is, what it gives back. Draws nothing for a run."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collapsecli.engines.server.answers import token_list
from collapsecli.engines.server.dialects import Dialect, dialect_of, may_know_tokens, mode_of
from collapsecli.engines.server.faults import Fault
from collapsecli.errors import EngineStartError, IncompleteError, UsageError
from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collapsecli.engines.server.settings import Endpoint
    from collapsecli.engines.server.talk import Talk

_MOST_NAMED = 8
_PROBE_PROMPT, _PROBE_TOKENS, _PROBE_SEED = "The", 16, 1
_NO_LIST = frozenset({404, 405, 501})  # some gateways serve models and list none


@dataclass(frozen=True, slots=True)
class Served:
    """A model as a server lists it. `parent` is the model that it is an adapter of; `root` is where its files lie."""

    name: str
    owned_by: str = ""
    parent: str = ""
    root: str = ""
    max_model_len: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a server: its models, the one that is asked for, and how it is spoken to."""

    served: tuple[Served, ...]
    model: Served
    dialect: Dialect
    version: str = "unknown"


def get_to_know(talk: Talk, endpoint: Endpoint, model: str, adapters: Sequence[str]) -> Known:
    """Ask a server what it is.

    Raises EngineStartError when none answers or it does not take the key, UsageError for a model or an adapter that it
    does not serve.
    """
    served = _served(talk, endpoint)
    chosen = choose(served, model)
    if served:
        refuse_unserved(served, adapters)
    version: Any = None
    has_tokens = False
    if chosen.owned_by == "vllm":
        version = _quietly(talk, f"{endpoint.root}/version", None).get("version")
        body = {"model": chosen.name, "prompt": _PROBE_PROMPT}
        if may_know_tokens(chosen.owned_by, version):
            has_tokens = bool(token_list(_quietly(talk, f"{endpoint.root}/tokenize", body)))
    dialect = dialect_of(chosen.owned_by, has_tokens=has_tokens)
    if has_tokens:
        url = f"{endpoint.base}/completions"
        untouched = _quietly(talk, url, _probe(chosen.name, dialect, top_k=-1, logprobs=5))
        if not untouched:  # a server can be told to give fewer
            untouched = _quietly(talk, url, _probe(chosen.name, dialect, top_k=-1, logprobs=0))
        dialect = dialect.taking(mode_of(untouched, _quietly(talk, url, _probe(chosen.name, dialect, top_k=1))))
    said = one_line(version)[:80] if isinstance(version, str) else ""
    return Known(served, chosen, dialect, said or "unknown")


def choose(served: Sequence[Served], model: str) -> Served:
    """The model that is meant: the one of a name or of the files at a place; unnamed, the only one that there is.

    Raises UsageError, which names those that are served, where none is meant or several may be.
    """
    bases = [one for one in served if not one.parent]
    if not model:
        if len(bases) == 1:
            return bases[0]
        raise UsageError(
            f"the server serves {len(bases)} models: {_names(bases)}" if bases else "the server lists no models",
            hint="name the one to sample: -m NAME",
        )
    by_name = [one for one in served if one.name == model] or [one for one in bases if one.root == model]
    if by_name:
        return by_name[0]
    if not served:
        return Served(model)
    near = difflib.get_close_matches(model, [one.name for one in served], n=1)
    raise UsageError(
        f"the server does not serve `{one_line(model)}`, but {_names(bases or served)}",
        hint=f"did you mean `{near[0]}`?" if near else "name one of them: -m NAME",
    )


def refuse_unserved(served: Sequence[Served], adapters: Sequence[str]) -> None:
    """Raise UsageError for an adapter that is not among the models of a server: it loads none for us."""
    names = {one.name for one in served}
    missing = sorted(set(adapters) - names)
    if missing:
        raise UsageError(
            f"the server serves no adapter `{missing[0]}`",
            hint=f"start it with one of that name (vLLM: --enable-lora --lora-modules {missing[0]}=PATH)",
        )


def read_list(found: Any) -> tuple[Served, ...]:
    """The models of a server, from its own list; those whose entry makes no sense are left out."""
    entries = found.get("data") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        return ()
    return tuple(
        Served(
            entry["id"],
            _text(entry.get("owned_by")),
            _text(entry.get("parent")),
            _text(entry.get("root")),
            length if isinstance(length := entry.get("max_model_len"), int) and length > 0 else None,
        )
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("id"), str) and entry["id"]
    )


def _served(talk: Talk, endpoint: Endpoint) -> tuple[Served, ...]:
    found = talk.call(talk.once(f"{endpoint.base}/models"))
    if not isinstance(found, Fault):
        return read_list(found)
    if found.status in _NO_LIST:
        return ()
    if found.status:
        raise EngineStartError(
            f"the server at {endpoint.base} cannot be used: {found.message}",
            hint=found.for_all or "try again when it has recovered",
        )
    raise EngineStartError(
        f"no server answers at {endpoint.base}: {found.message}",
        hint="start it, or check the address: --endpoint http://HOST:PORT/v1",
    )


def _quietly(talk: Talk, url: str, body: object) -> dict[str, Any]:
    """An answer, empty where the server does not know what is asked. Raises EngineStartError when it is gone."""
    try:
        found = talk.call(talk.once(url) if body is None else talk.patiently(url, body))
    except IncompleteError as error:
        if error.hint:  # refused, not gone
            return {}
        raise EngineStartError(error.message, hint="try again when it has recovered") from None
    return {} if isinstance(found, Fault) else found


def _probe(model: str, dialect: Dialect, *, top_k: int, logprobs: int = 0) -> dict[str, Any]:
    return {
        "model": model, "prompt": _PROBE_PROMPT, "max_tokens": _PROBE_TOKENS, "seed": _PROBE_SEED, "n": 1,
        **dialect.neutral, "temperature": 1.0, "top_p": 1.0, "top_k": top_k, "logprobs": logprobs,
    }  # fmt: skip


def _names(served: Sequence[Served]) -> str:
    shown = ", ".join(f"`{one_line(one.name)}`" for one in served[:_MOST_NAMED])
    return shown + (f" and {len(served) - _MOST_NAMED} more" if len(served) > _MOST_NAMED else "")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
