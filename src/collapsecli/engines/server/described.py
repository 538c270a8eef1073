"""What a server is, for the record of a run: what its draws depend on, and what a reader should know. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from collapsecli.records import EngineInfo
from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collapsecli.engines.server.bodies import Asking
    from collapsecli.engines.server.settings import Settings
    from collapsecli.engines.server.starting import Known

_NOTES = {
    "generic": (
        "of this kind of server no more than OpenAI's own parameters are known: a top_k, min_p or repetition penalty "
        "of its own would apply unseen"
    ),
    "seeds": "the server promises no seeds: the same seed need not give the same completion again",
    "no seeds": "no seeds were sent: with several completions per request the server's draws are its own",
    "counts": "no log-probabilities of tokens come back: what is said here rests on counts alone",
    "raw": (
        "the server gives log-probabilities of the untouched model, so cells with a temperature other than 1, top_p, "
        "top_k or min_p lack those of what was sampled (`vllm serve --logprobs-mode processed_logprobs` gives them)"
    ),
    "open": "the key travels unencrypted: the endpoint is neither https nor on this machine",
    "unverified": "the server's certificate is not checked (`-e verify=false`)",
}


def described(
    known: Known,
    settings: Settings,
    asking: Asking,
    *,
    asked_for: str,
    reads_as: str,
    concurrency: int,
    choices: int,
) -> EngineInfo:
    """The engine in words. `reads_as` tells its tokenizer and chat template from others, as far as that is known.

    Where the server stands, and how much it is asked at once, changes no distribution: a run may go on elsewhere.
    """
    model, fields = known.model, settings.arguments.fields
    return EngineInfo(
        name="server",
        version=known.version,
        model=asked_for or model.name,
        identity={
            "served_model": one_line(model.name),
            "dialect": known.dialect.name,
            "server_version": known.version,
            "root": one_line(model.root) or "unknown",
            "max_model_len": str(model.max_model_len or "unknown"),
            "logprobs": known.dialect.logprobs,
            "reads_prompts_as": reads_as,
            "fields": json.dumps(fields, sort_keys=True) if fields else "none",
        },
        details={
            "endpoint": settings.endpoint.base,
            "concurrency": str(concurrency),
            "choices": str(choices),
            "key": "sent" if settings.key else "none",
        },
        notes=tuple(_NOTES[name] for name in _noteworthy(known, settings, asking)),
    )


def _noteworthy(known: Known, settings: Settings, asking: Asking) -> Iterator[str]:
    dialect = known.dialect
    if dialect.top_k_off is None:
        yield "generic"
    if not dialect.has_tokens:
        yield "seeds" if asking.has_seeds else "no seeds"
    if dialect.logprobs == "none":
        yield "counts"
    if dialect.logprobs == "raw":
        yield "raw"
    if settings.key and not settings.endpoint.is_guarded:
        yield "open"
    if settings.arguments.verify is False:
        yield "unverified"
