"""What may be passed to vLLM with `-e`, and what it means for the identity of a run. Starts nothing."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from collapsecli.engines.adapters import MERGE
from collapsecli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from collapsecli.engines.adapters import Adapter

# Not the user's to set: they have options of their own, or a promise of the run rests on their value.
_OWNED = frozenset({
    "model", "revision", "logprobs_mode", "trust_remote_code", "generation_config", "enable_lora",
    "lora_target_modules", "tensor_parallel_size",
})  # fmt: skip
# Arguments that change how fast completions come, not which: all others belong to the fingerprint of a run.
_HARMLESS = frozenset({
    "block_size", "cpu_offload_gb", "disable_log_stats", "distributed_executor_backend", "download_dir",
    "enable_chunked_prefill", "enable_prefix_caching", "enforce_eager", "fully_sharded_loras", "gpu_memory_utilization",
    "kv_cache_memory_bytes", "max_cpu_loras", "max_lora_rank", "max_loras", "max_num_batched_tokens", "max_num_seqs",
    "pipeline_parallel_size", "specialize_active_lora", "swap_space",
})  # fmt: skip
# The ranks that vLLM makes room for, and the number of adapters in one batch unless told.
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
_ADAPTERS_AT_ONCE = 8
_SECRET = re.compile(r"(^|_)(api_key|password|secret|token)$")


def checked(arguments: Mapping[str, object], known: Collection[str]) -> dict[str, object]:
    """The arguments of `-e`, all of them `known` to vLLM and the user's to set. Raises UsageError for any other."""
    for name in arguments:
        if name in _OWNED:
            raise UsageError(f"`-e {name}=…` cannot be set: it has an option of its own, or a promise rests on it")
        if _SECRET.search(name):
            raise UsageError(f"`-e {name}=…`: a secret must not be on a command line", hint="export HF_TOKEN instead")
        if name not in known:
            near = difflib.get_close_matches(name, set(known) - _OWNED, n=1)
            raise UsageError(
                f"vLLM has no engine argument `{name}`",
                hint=f"did you mean `{near[0]}`?" if near else "see vLLM's engine arguments",
            )
    return dict(arguments)


def for_adapters(
    adapters: Sequence[Adapter], given: Mapping[str, object], known: Collection[str], *, on_cpu: bool
) -> tuple[dict[str, object], str]:
    """The arguments that make room for adapters, none without any; and why nothing can be scored then, "" if it can.

    `given` are those of `-e`, which stand above these. Raises UsageError for adapters that vLLM cannot hold.
    """
    if not adapters:
        return {}, ""
    rank = max(adapter.rank for adapter in adapters)
    if rank > _RANKS[-1]:
        raise UsageError(f"an adapter has rank {rank}, and vLLM loads none above {_RANKS[-1]}", hint=MERGE)
    room: dict[str, object] = {"enable_lora": True, "max_lora_rank": next(one for one in _RANKS if one >= rank)}
    if on_cpu:
        room |= {"max_loras": _places_on_a_cpu(adapters, given)}
    else:
        room |= {"max_loras": min(len(adapters), _ADAPTERS_AT_ONCE)}
        if len(adapters) > _ADAPTERS_AT_ONCE:
            room["max_cpu_loras"] = len(adapters)  # the others wait in memory, not on disk
    targets, unscorable = _for_scores(adapters, known, on_cpu=on_cpu)
    return room | targets, unscorable


def _places_on_a_cpu(adapters: Sequence[Adapter], given: Mapping[str, object]) -> int:
    """One place more than there are adapters.

    On a CPU vLLM gives requests of the base, beside those of adapters, what stands in the last place (vllm#48421): it
    has to stay empty.
    """
    places, asked = len(adapters) + 1, given.get("max_loras")
    if isinstance(asked, int) and asked < places:
        raise UsageError(
            f"`-e max_loras={asked}`: on a CPU {len(adapters)} adapters need {places} places: else what is drawn from "
            "the base would come from an adapter",
            hint="leave it out",
        )
    return places


def _for_scores(adapters: Sequence[Adapter], known: Collection[str], *, on_cpu: bool) -> tuple[dict[str, object], str]:
    """What else has to be set for scoring, and why nothing can be scored, "" if it can.

    vLLM's way of adapting the output layer takes the rows of a scored prompt for those of sampled tokens: a GPU may
    apply another request's adapter to them, and a CPU fails, even where no adapter changes that layer. There it is left
    out of what can be adapted, if it is certain that nothing else is left out with it.
    """
    if any(adapter.may_change_output for adapter in adapters):
        return {}, f"vLLM cannot score with adapters that change the output layer: {MERGE}"
    if not on_cpu:
        return {}, ""
    if "lora_target_modules" in known and all(adapter.is_usual for adapter in adapters):
        return {"lora_target_modules": sorted({name for one in adapters for name in one.targets or ()})}, ""
    return {}, f"vLLM on a CPU cannot score with adapters of such layers: {MERGE}"


def telling(arguments: Mapping[str, object]) -> str:
    """Those that can change what is drawn, spelled out."""
    return _spelled(arguments, set(arguments) - _HARMLESS)


def harmless(arguments: Mapping[str, object]) -> str:
    """Those that only change how fast it comes, spelled out."""
    return _spelled(arguments, _HARMLESS)


def _spelled(arguments: Mapping[str, object], names: Iterable[str]) -> str:
    return ", ".join(f"{name}={arguments[name]!r}" for name in sorted(names) if name in arguments) or "none"
