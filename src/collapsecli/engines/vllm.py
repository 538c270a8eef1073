"""All of vLLM, by its public names only, in this process. No vLLM type leaves this module."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import os
import re
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from collapsecli import demo
from collapsecli.engines import SampleRequest, Score
from collapsecli.errors import EngineStartError, SuiteError, UsageError
from collapsecli.hardware import processor_name
from collapsecli.records import Completion, EngineInfo, Message

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from collapsecli.engines import EngineOptions, ScoreRequest
    from collapsecli.errors import Fault
    from collapsecli.records import Cell

# One request draws this many completions of a cell: they share their prefill and leave together, the rest goes on.
_GROUP = 32
# A few tokens of the prompt go in front of a completion when it is decoded, so that its leading space survives.
_CONTEXT_TOKENS = 4
# Not the user's to set by `-e`: they have options of their own, or a promise of the run rests on their value.
_OWNED_ARGUMENTS = frozenset({"model", "revision", "logprobs_mode", "trust_remote_code", "generation_config"})
# Arguments that change how fast completions come, not which: all others belong to the fingerprint of a run.
_HARMLESS_ARGUMENTS = frozenset({
    "block_size", "cpu_offload_gb", "disable_log_stats", "distributed_executor_backend", "download_dir",
    "enable_chunked_prefill", "enable_prefix_caching", "enforce_eager", "gpu_memory_utilization",
    "kv_cache_memory_bytes", "max_num_batched_tokens", "max_num_seqs", "pipeline_parallel_size", "swap_space",
    "tensor_parallel_size",
})  # fmt: skip
# What is read of a model's file for its digest: any training step changes bytes all over a file of weights.
_SAMPLED_BYTES, _SAMPLED_PLACES = 1 << 16, 1 << 10
_LONGEST_REASON = 300  # characters of an error that are shown; all of it is in the log
_SECRET = re.compile(r"(^|_)(api_key|password|secret|token)$")

_ENVIRONMENT = {
    # In this process: three times the tokens per second on two cores, and no engine process that outlives a kill.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "2",  # GiB; read on a CPU only
    "TOKENIZERS_PARALLELISM": "false",
}
# A bundled model is so small that threads spend their time waiting for each other: on two cores one thread gives three
# quarters of the speed of two, and on a machine with other work thirteen times their speed.
_TINY = {"OMP_NUM_THREADS": "1"}
# On a CPU `gpu_memory_utilization` is a share of the machine's memory, compiling takes longer than most runs, and a
# prompt whose prefill is cut in two cannot have a seed: vLLM then rewinds the generator, which a CPU's cannot.
_CPU_ARGUMENTS: Mapping[str, object] = {
    "dtype": "float32",
    "enforce_eager": True,
    "gpu_memory_utilization": 0.3,
    "enable_chunked_prefill": False,
}


@dataclass(frozen=True, slots=True)
class _Prompt:
    text: str
    token_ids: list[int]


@dataclass(frozen=True, slots=True)
class _Group:
    """Completions `first`, `first + 1`, … of one cell, drawn by one request."""

    request: SampleRequest
    first: int
    size: int


class VllmEngine:
    """One vLLM engine that never drains: a window of requests stays in flight, what finishes leaves at once."""

    def __init__(self, options: EngineOptions) -> None:
        for name, value in {**_ENVIRONMENT, **(_TINY if demo.model_path(options.model) else {})}.items():
            os.environ.setdefault(name, value)
        try:
            self._start(options)
        except (UsageError, EngineStartError):
            raise
        except Exception as error:  # loading a model can die of anything; the log gets the whole of it
            raise EngineStartError(f"vLLM could not start: {_reason(error)}", hint=_start_hint(error)) from error

    def _start(self, options: EngineOptions) -> None:
        import torch
        import vllm
        from vllm.sampling_params import RequestOutputKind

        self._vllm, self._final_only = vllm, RequestOutputKind.FINAL_ONLY
        self._on_cpu = not torch.cuda.is_available()
        self._arguments = _checked_arguments(options.arguments, vllm.EngineArgs)
        model, revision = _model_location(options.model)
        defaults = _CPU_ARGUMENTS if self._on_cpu else {}
        self._llm = vllm.LLM(
            model=model,
            revision=revision,
            trust_remote_code=options.trust_remote_code,
            logprobs_mode="processed_logprobs",
            **{"disable_log_stats": True, **defaults, **self._arguments},
        )
        self._engine = self._llm.llm_engine
        self._tokenizer = self._llm.get_tokenizer()
        self._prompts: dict[object, _Prompt] = {}
        self._request_ids = map(str, itertools.count())
        self._stopped = False
        config = self._engine.vllm_config
        self._max_tokens_in_context = int(config.model_config.max_model_len)
        self._window = 2 * int(config.scheduler_config.max_num_seqs)
        self._info = self._describe(options, model, torch)

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def room(self) -> int:
        # A GPU's step costs about the same for one sequence as for many; a CPU's grows with each.
        return 1 if self._on_cpu else self._window // 2

    def check(self, cells: Sequence[Cell]) -> None:
        faults = [fault for cell in cells if cell.branch is None for fault in self._road_faults(cell)]
        if faults:
            raise SuiteError(list(dict.fromkeys(faults)))
        too_long = []
        for cell in cells:
            self._check_sampling(cell)
            need = len(self._prompt(cell).token_ids) + cell.sampling.max_tokens
            if need > self._max_tokens_in_context:
                too_long.append(f"{cell.cell_id} ({need} tokens)")
        if too_long:
            raise UsageError(
                f"prompt and max_tokens exceed the model's context of {self._max_tokens_in_context} tokens: "
                + ", ".join(too_long[:5])
                + (f" and {len(too_long) - 5} more" if len(too_long) > 5 else ""),
                hint="lower max_tokens, shorten the prompts, or raise it with `-e max_model_len=N`",
            )

    def _check_sampling(self, cell: Cell) -> None:
        try:
            self._sampling_params(_Group(SampleRequest(cell, 0, (0,)), 0, 1))
        except ValueError as error:
            raise UsageError(f"vLLM cannot sample {cell.cell_id} as asked: {_reason(error)}") from error

    def _road_faults(self, cell: Cell) -> Iterator[Fault]:
        """A road is scored token by token: its tokens must be its own, after this prompt as by themselves."""
        prompt = self._prompt(cell)
        for road in cell.roads:
            own = list(self.tokens(cell, road.text))
            if not own:
                yield road.fault(
                    f"the continuation {road.text!r} has no tokens of its own: it melts into the prompt's last one",
                    "begin it with a whole word; a space between the two belongs to the continuation",
                )
            elif (read := self._read_back(prompt, own)) != road.text:
                yield road.fault(
                    f"the model's tokens of the continuation {road.text!r} say {read!r}",
                    "write it in words and signs that the model has",
                )

    def sample(self, requests: Iterable[SampleRequest | None]) -> Generator[Completion, None, None]:
        waiting, in_flight = _groups(requests), dict[str, _Group]()
        try:
            while not self._stopped:
                self._admit(waiting, in_flight)
                if not in_flight:
                    return
                for output in self._engine.step():
                    if output.finished:
                        yield from self._completions(in_flight.pop(output.request_id), output)
        finally:  # stopped, or the consumer lost interest
            self._abandon(in_flight)

    def tokens(self, cell: Cell, text: str) -> tuple[int, ...]:
        # Some tokenizers put a space before whatever they read: what a text's own tokens are shows behind the prompt.
        prompt = self._prompt(cell)
        joined = self._encoded(prompt.text + text, is_chat=bool(cell.messages))
        own = len(prompt.token_ids)
        return tuple(joined[own:]) if joined[:own] == prompt.token_ids else ()

    def score(self, requests: Iterable[ScoreRequest]) -> Generator[Score, None, None]:
        waiting, in_flight = iter(requests), dict[str, "ScoreRequest"]()
        params = self._vllm.SamplingParams(
            max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False, output_kind=self._final_only
        )
        try:
            while not self._stopped:
                for request in itertools.islice(waiting, max(0, self._window - len(in_flight))):
                    request_id = next(self._request_ids)
                    token_ids = [*self._prompt(request.cell).token_ids, *request.token_ids]
                    if len(token_ids) >= self._max_tokens_in_context:
                        yield Score(request.score_id, (), error="longer than the model's context")
                        continue
                    self._engine.add_request(request_id, self._vllm.TokensPrompt(prompt_token_ids=token_ids), params)
                    in_flight[request_id] = request
                if not in_flight:
                    return
                for output in self._engine.step():
                    if output.finished:
                        yield _score(in_flight.pop(output.request_id), output)
        finally:
            self._abandon(in_flight)

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self._stopped = True
        with _logged_only():
            self._engine.engine_core.shutdown()

    def _abandon(self, in_flight: Mapping[str, object]) -> None:
        with _logged_only():
            self._engine.abort_request(list(in_flight))

    # ------------------------------------------------------------------------------------------------- sampling

    def _admit(self, waiting: Iterator[_Group | None], in_flight: dict[str, _Group]) -> None:
        """Fill the window: twice as many sequences as the engine runs at once, so that it never waits for us."""
        while self._engine.get_num_unfinished_requests() < self._window:
            group = next(waiting, None)
            if group is None:
                return
            request_id, cell = next(self._request_ids), group.request.cell
            prompt = self._vllm.TokensPrompt(prompt_token_ids=self._prompt(cell).token_ids)
            self._engine.add_request(request_id, prompt, self._sampling_params(group))
            in_flight[request_id] = group

    def _sampling_params(self, group: _Group) -> Any:
        """Every parameter that shapes the distribution is given: a model's own generation defaults never apply."""
        sampling = group.request.cell.sampling
        return self._vllm.SamplingParams(
            n=group.size,
            seed=None if sampling.temperature == 0 else group.request.seed + group.first,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            presence_penalty=0.0,
            frequency_penalty=0.0,
            repetition_penalty=1.0,
            min_tokens=0,
            max_tokens=sampling.max_tokens,
            stop=list(sampling.stop),
            ignore_eos=False,
            logprobs=0,
            # Decoding later, in batches, is what makes this cheaper than a plain call; a stop string needs it at once.
            detokenize=bool(sampling.stop),
            output_kind=self._final_only,
        )

    def _completions(self, group: _Group, output: Any) -> Iterator[Completion]:
        cell, seed, now = group.request.cell, group.request.seed, time.time()
        prompt = self._prompt(cell)
        texts = self._texts(cell, prompt, output.outputs)
        for drawn, text in zip(output.outputs, texts, strict=True):
            index = group.first + drawn.index
            completion = Completion(
                cell_id=cell.cell_id,
                sample_index=index,
                seed=seed + index,
                prompt=prompt.text,
                text=text,
                token_ids=tuple(drawn.token_ids),
                token_logprobs=_sampled_logprobs(drawn),
                logprob=drawn.cumulative_logprob,
                n_prompt_tokens=len(prompt.token_ids),
                finish_reason="length" if drawn.finish_reason == "length" else "stop",
                logprob_kind="sampling",
                created_at=now,
            )
            yield completion if drawn.finish_reason in {"stop", "length"} else _failed(completion, drawn.finish_reason)

    def _texts(self, cell: Cell, prompt: _Prompt, drawn: Sequence[Any]) -> list[str]:
        if cell.sampling.stop:
            return [one.text for one in drawn]
        head = prompt.token_ids[-_CONTEXT_TOKENS:]
        sequences = [head, *([*head, *one.token_ids] for one in drawn)]
        before, *decoded = self._tokenizer.batch_decode(sequences, skip_special_tokens=True)
        return [
            (text[len(before) :] if text.startswith(before) else self._decode_alone(one)).rstrip("\ufffd")
            for text, one in zip(decoded, drawn, strict=True)
        ]

    def _decode_alone(self, drawn: Any) -> str:
        text: str = self._tokenizer.decode(list(drawn.token_ids), skip_special_tokens=True)
        return text

    # -------------------------------------------------------------------------------------------------- prompts

    def _prompt(self, cell: Cell) -> _Prompt:
        asked = (cell.text, cell.messages, cell.injected, cell.reasoning == "off")
        if asked not in self._prompts:
            text = self._chat(cell) if cell.messages else (cell.text or "") + cell.injected
            self._prompts[asked] = _Prompt(text, self._encoded(text, is_chat=bool(cell.messages)))
        return self._prompts[asked]

    def _encoded(self, text: str, *, is_chat: bool) -> list[int]:
        # A chat template has written the special tokens already: adding them again would put two at the beginning.
        return list(self._tokenizer.encode(text, add_special_tokens=not is_chat))

    def _read_back(self, prompt: _Prompt, token_ids: Sequence[int]) -> str:
        head = prompt.token_ids[-_CONTEXT_TOKENS:]
        before: str = self._tokenizer.decode(head, skip_special_tokens=True)
        whole: str = self._tokenizer.decode([*head, *token_ids], skip_special_tokens=True)
        return whole.removeprefix(before)

    def _chat(self, cell: Cell) -> str:
        """A chat up to where the model goes on: at the beginning of its turn, or after what it is made to say first."""
        think = cell.reasoning != "off"
        asked, prefill = self._render_chat(cell.messages, think=think), cell.injected.strip()
        if not prefill:
            return asked + cell.injected
        begun = self._render_chat((*cell.messages, Message("assistant", prefill)), think=think)
        turn = begun[: begun.rindex(prefill)]
        # Space is the template's affair in a turn that it renders, and the model's own after a prompt: what is said
        # beforehand stands where the model would have said it. A template may open its turns elsewhere: past a thought.
        if turn.rstrip() != asked.rstrip():
            return turn + cell.injected.lstrip()
        # Behind a template that ends with space the space of a raw prompt would be a second one.
        return asked + (cell.injected.lstrip(" ") if asked[-1:].isspace() else cell.injected)

    def _render_chat(self, messages: Sequence[Message], *, think: bool) -> str:
        continued = messages[-1].role == "assistant"
        try:
            text: str = self._tokenizer.apply_chat_template(
                [{"role": message.role, "content": message.content} for message in messages],
                tokenize=False,
                add_generation_prompt=not continued,
                continue_final_message=continued,
                **({} if think else {"enable_thinking": False}),
            )
        except Exception as error:  # a template is a program of the model's: it raises what it likes
            raise UsageError(
                f"the model's chat template refuses these messages: {_reason(error)}",
                hint="a base model has none: write the prompt as `text:` instead of `messages:`",
            ) from error
        return text

    # ----------------------------------------------------------------------------------------------- description

    def _describe(self, options: EngineOptions, model: str, torch: Any) -> EngineInfo:
        config = self._engine.vllm_config.model_config
        template = getattr(self._tokenizer, "chat_template", None)
        device = processor_name() if self._on_cpu else torch.cuda.get_device_name()
        return EngineInfo(
            name="vllm",
            version=self._vllm.__version__,
            model=options.model,
            identity={
                "revision": _revision(model, config),
                "chat_template": _digest(str(template)) if template else "none",
                "dtype": str(config.dtype).removeprefix("torch."),
                "quantization": str(config.quantization or "none"),
                "max_model_len": str(self._max_tokens_in_context),
                "arguments": _spelled(self._arguments, set(self._arguments) - _HARMLESS_ARGUMENTS),
            },
            details={
                "device": device,
                "devices": "1" if self._on_cpu else str(torch.cuda.device_count()),
                "torch": torch.__version__,
                "harmless_arguments": _spelled(self._arguments, _HARMLESS_ARGUMENTS),
                # The one thing that is taken from generation_config.json: which tokens end a chat model's turn.
                "end_tokens": str(config.try_get_generation_config().get("eos_token_id", self._tokenizer.eos_token_id)),
            },
            notes=self._generation_notes(),
        )

    def _generation_notes(self) -> tuple[str, ...]:
        """What the model's own generation defaults would have changed, had they been let in."""
        own, neutral = self._llm.get_default_sampling_params(), self._vllm.SamplingParams()
        names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
        asked = [f"{name}={getattr(own, name)}" for name in names if getattr(own, name) != getattr(neutral, name)]
        return (f"the model's generation_config asks for {', '.join(asked)}; not applied",) if asked else ()


@contextmanager
def _logged_only() -> Iterator[None]:
    """Cleaning up after an engine that died must not hide what it died of."""
    try:
        yield
    except Exception:  # noqa: BLE001 - whatever it is, it is not the story
        traceback.print_exc()


def _groups(requests: Iterable[SampleRequest | None]) -> Iterator[_Group | None]:
    """Cut each request into runs of consecutive indices of at most `_GROUP`: child i of a run draws with seed + i."""
    for request in requests:
        if request is None:
            yield None
            continue
        if request.cell.sampling.temperature == 0:
            yield from (_Group(request, index, 1) for index in request.indices)
            continue
        for _, run in itertools.groupby(enumerate(request.indices), key=lambda pair: pair[1] - pair[0]):
            indices = [index for _, index in run]
            for start in range(0, len(indices), _GROUP):
                part = indices[start : start + _GROUP]
                yield _Group(request, part[0], len(part))


def _sampled_logprobs(drawn: Any) -> tuple[float, ...]:
    return tuple(at[token].logprob for token, at in zip(drawn.token_ids, drawn.logprobs, strict=True))


def _failed(completion: Completion, reason: str | None) -> Completion:
    return replace(
        completion,
        text="", token_ids=(), token_logprobs=(), logprob=None, logprob_kind=None,
        finish_reason="error", error_kind="engine", error=f"vLLM ended the request: {reason}",
    )  # fmt: skip


def _score(request: ScoreRequest, output: Any) -> Score:
    first = len(output.prompt_token_ids) - len(request.token_ids)
    positions = range(first, len(output.prompt_token_ids))
    return Score(
        request.score_id,
        tuple(
            output.prompt_logprobs[at][token].logprob for at, token in zip(positions, request.token_ids, strict=True)
        ),
    )


def _checked_arguments(arguments: Mapping[str, object], engine_args: Any) -> dict[str, object]:
    known = {name for name in engine_args.__dataclass_fields__ if name not in _OWNED_ARGUMENTS}
    for name in arguments:
        if name in _OWNED_ARGUMENTS:
            raise UsageError(f"`-e {name}=…` cannot be set: it has an option of its own, or a promise rests on it")
        if _SECRET.search(name):
            raise UsageError(f"`-e {name}=…`: a secret must not be on a command line", hint="export HF_TOKEN instead")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UsageError(
                f"vLLM has no engine argument `{name}`",
                hint=f"did you mean `{near[0]}`?" if near else "see vLLM's engine arguments",
            )
    return dict(arguments)


def _model_location(model: str) -> tuple[str, str | None]:
    """A bundled name, a local path, or a hub id with an optional @revision -> (location, revision)."""
    bundled = demo.model_path(model)
    if bundled is not None:
        return str(bundled), None
    if Path(model).expanduser().exists():
        return str(Path(model).expanduser()), None
    name, _, revision = model.partition("@")
    if name.startswith((".", "/", "~")):
        raise UsageError(f"no model at {model}: there is no such folder")
    near = difflib.get_close_matches(name, demo.MODELS, n=1, cutoff=0.8)
    if near:
        raise UsageError(f"no model `{model}`", hint=f"did you mean the bundled `{near[0]}`?")
    return name, revision or None


def _revision(model: str, config: Any) -> str:
    """The hub's commit; for a folder a digest of its files: of all of a small one, of samples all over a large one."""
    folder = Path(model)
    if not folder.is_dir():
        return str(getattr(config.hf_config, "_commit_hash", None) or config.revision or "unknown")
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            for start in range(0, size, max(_SAMPLED_BYTES, size // _SAMPLED_PLACES)):
                file.seek(start)
                digest.update(file.read(_SAMPLED_BYTES))
    return f"folder:{digest.hexdigest()}"


def _spelled(arguments: Mapping[str, object], names: Iterable[str]) -> str:
    return ", ".join(f"{name}={arguments[name]!r}" for name in sorted(names) if name in arguments) or "none"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _reason(error: BaseException) -> str:
    """What an error says, on one line of bearable length."""
    said = str(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else str(error)
    words = " ".join(said.split()).removeprefix("Value error, ").rstrip(".")
    return (words if len(words) <= _LONGEST_REASON else words[:_LONGEST_REASON] + "…") or type(error).__name__


_NO_MODEL = ("not a valid model identifier", "repo id must be", "repository not found", "is not a local folder",
             "couldn't connect", "could not connect", "offline", "does not appear to have a file named",
             "no such file or directory", "name resolution", "max retries exceeded")  # fmt: skip


def _start_hint(error: BaseException) -> str:
    text = str(error).lower()
    if any(sign in text for sign in _NO_MODEL):
        return "check the model: a hub id[@revision], a local path, or a bundled name (demo-base, demo-tuned)"
    if "out of memory" in text or "free memory" in text or "kv cache" in text:
        return "free memory, or lower `-e gpu_memory_utilization=0.5` or `-e max_model_len=4096`"
    return ""
