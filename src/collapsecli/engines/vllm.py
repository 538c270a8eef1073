"""All of vLLM, by its public names only, in this process. No vLLM type leaves this module."""

from __future__ import annotations

import itertools
import time
import traceback
from array import array
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collapsecli.engines import SampleRequest, Score, arguments
from collapsecli.engines.adapters import MERGE, open_adapters, refuse_foreign, refuse_own_words
from collapsecli.engines.environment import CPU_ARGUMENTS, set_environment
from collapsecli.engines.groups import Group, in_groups
from collapsecli.engines.places import hub_folder, model_location, revision_of, text_digest, tokenizer_digest
from collapsecli.engines.prompts import Prompts
from collapsecli.engines.reasons import reason, start_hint
from collapsecli.errors import EngineStartError, SuiteError, UsageError
from collapsecli.hardware import processor_name
from collapsecli.records import Completion, EngineInfo

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from collapsecli.engines import EngineOptions, ScoreRequest
    from collapsecli.engines.adapters import Adapter
    from collapsecli.engines.prompts import Prompt
    from collapsecli.records import Cell

# Completions of one prompt share the blocks that it fills: the 128 tokens that are usual on a CPU are longer than most.
_CPU_SAMPLING: Mapping[str, object] = {"block_size": 32}


class VllmEngine:
    """One vLLM engine that never drains: a window of requests stays in flight, what finishes leaves at once."""

    def __init__(self, options: EngineOptions) -> None:
        set_environment(options.model)
        try:
            self._start(options)
        except (UsageError, EngineStartError):
            raise
        except Exception as error:  # loading a model can die of anything; the log gets the whole of it
            raise EngineStartError(f"vLLM could not start: {reason(error)}", hint=start_hint(error)) from error

    def _start(self, options: EngineOptions) -> None:
        import torch
        import vllm
        from vllm.sampling_params import RequestOutputKind

        self._vllm, self._final_only = vllm, RequestOutputKind.FINAL_ONLY
        self._on_cpu = not torch.cuda.is_available()
        known = vllm.EngineArgs.__dataclass_fields__
        self._arguments = arguments.checked(options.arguments, known)
        model, revision = model_location(options.model)
        adapters = open_adapters(options.adapters)
        folder = Path(model)
        if folder.is_dir():
            refuse_foreign(adapters, folder)
        room, self._unscorable = arguments.for_adapters(adapters, self._arguments, known, on_cpu=self._on_cpu)
        self._llm = vllm.LLM(
            model=model,
            revision=revision,
            trust_remote_code=options.trust_remote_code,
            tensor_parallel_size=options.tensor_parallel,
            logprobs_mode="processed_logprobs",
            **{
                "disable_log_stats": True,
                **({**CPU_ARGUMENTS, **_CPU_SAMPLING} if self._on_cpu else {}),
                **room,
                **self._arguments,
            },
        )
        self._engine = self._llm.llm_engine
        self._tokenizer = self._llm.get_tokenizer()
        self._prompts = Prompts(self._tokenizer)
        self._request_ids = map(str, itertools.count())
        self._stopped = False
        config = self._engine.vllm_config
        self._max_tokens_in_context = int(config.model_config.max_model_len)
        self._vocabulary_size = int(config.model_config.get_vocab_size())
        self._window = 2 * int(config.scheduler_config.max_num_seqs)
        # A text to be scored takes its tokens' room in a step: with two steps' worth waiting no step runs half empty.
        self._token_window = 2 * int(config.scheduler_config.max_num_batched_tokens)
        # One log-probability per token, in one list: a dictionary for each would cost a tenth of the time.
        self._score_params = vllm.SamplingParams(
            max_tokens=1,
            temperature=0.0,
            prompt_logprobs=0,
            flat_logprobs=True,
            detokenize=False,
            output_kind=self._final_only,
        )
        if adapters and not folder.is_dir():
            refuse_foreign(adapters, hub_folder(model, config.model_config.revision))
        self._adapters = {adapter.name: self._loaded(at, adapter) for at, adapter in enumerate(adapters, start=1)}
        self._info = self._describe(options, model, adapters, torch)

    def _loaded(self, number: int, adapter: Adapter) -> Any:
        """Load an adapter now: what is wrong with it must not end a run in its middle."""
        from transformers import AutoTokenizer
        from vllm.lora.request import LoRARequest

        refuse_own_words(adapter, self._tokenizer, AutoTokenizer.from_pretrained)
        request = LoRARequest(adapter.name, number, str(adapter.folder.resolve()))
        try:
            self._engine.add_lora(request)
        except Exception as error:  # vLLM may refuse it for anything
            raise EngineStartError(
                f"vLLM cannot load the adapter `{adapter.name}`: {reason(error)}", hint=MERGE
            ) from error
        return request

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def room(self) -> int:
        # A GPU's step costs about the same for one sequence as for many; a CPU's grows with each.
        return 1 if self._on_cpu else self._window // 2

    def check(self, cells: Sequence[Cell]) -> None:
        unknown = sorted({cell.adapter for cell in cells if cell.adapter} - set(self._adapters))
        if unknown:
            raise UsageError(f"no adapter `{unknown[0]}` is loaded", hint=f"give it: --adapter {unknown[0]}=PATH")
        faults = [fault for cell in cells if cell.branch is None for fault in self._prompts.road_faults(cell)]
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
            self._sampling_params(Group(SampleRequest(cell, 0, (0,)), 0, 1))
        except ValueError as error:
            raise UsageError(f"vLLM cannot sample {cell.cell_id} as asked: {reason(error)}") from error

    def sample(self, requests: Iterable[SampleRequest | None]) -> Generator[Completion, None, None]:
        waiting, in_flight = in_groups(requests), dict[str, Group]()
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
        return self._prompts.tokens(cell, text)

    def score(self, requests: Iterable[ScoreRequest]) -> Generator[Score, None, None]:
        waiting, in_flight, tokens_in_flight = iter(requests), dict[str, "ScoreRequest"](), 0
        try:
            while not self._stopped:
                while len(in_flight) < self._window and tokens_in_flight < self._token_window:
                    if (request := next(waiting, None)) is None:
                        break
                    if error := self._refused_score(request):
                        yield Score(request.score_id, (), error)
                        continue
                    request_id, n_tokens = self._add_score(request)
                    in_flight[request_id] = request
                    tokens_in_flight += n_tokens
                if not in_flight:
                    return
                for output in self._engine.step():
                    if output.finished:
                        tokens_in_flight -= len(output.prompt_token_ids)
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

    def _admit(self, waiting: Iterator[Group | None], in_flight: dict[str, Group]) -> None:
        """Fill the window: twice as many sequences as the engine runs at once, so that it never waits for us."""
        while self._engine.get_num_unfinished_requests() < self._window:
            group = next(waiting, None)
            if group is None:
                return
            request_id, cell = next(self._request_ids), group.request.cell
            prompt = self._vllm.TokensPrompt(prompt_token_ids=self._prompt(cell).token_ids)
            adapter = self._adapters.get(cell.adapter)
            self._engine.add_request(request_id, prompt, self._sampling_params(group), lora_request=adapter)
            in_flight[request_id] = group

    def _prompt(self, cell: Cell) -> Prompt:
        return self._prompts.of(cell)

    def _sampling_params(self, group: Group) -> Any:
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
            # In one list per completion: a dictionary and an object for every token take longer to make, and to walk
            # for the garbage collector.
            logprobs=0,
            flat_logprobs=True,
            # Decoding later, in batches, is what makes this cheaper than a plain call; a stop string needs it at once.
            detokenize=bool(sampling.stop),
            output_kind=self._final_only,
        )

    def _completions(self, group: Group, output: Any) -> Iterator[Completion]:
        cell, seed, now = group.request.cell, group.request.seed, time.time()
        prompt = self._prompt(cell)
        if cell.sampling.stop:
            texts = [drawn.text for drawn in output.outputs]
        else:
            texts = self._prompts.texts(cell, [drawn.token_ids for drawn in output.outputs])
        for drawn, text in zip(output.outputs, texts, strict=True):
            index = group.first + drawn.index
            completion = Completion(
                cell_id=cell.cell_id,
                sample_index=index,
                seed=seed + index,
                prompt=prompt.text,
                text=text,
                token_ids=tuple(drawn.token_ids),
                token_logprobs=array("f", drawn.logprobs.logprobs),  # one per token: that of the token itself
                logprob=drawn.cumulative_logprob,
                n_prompt_tokens=len(prompt.token_ids),
                finish_reason="length" if drawn.finish_reason == "length" else "stop",
                logprob_kind="sampling",
                created_at=now,
            )
            yield completion if drawn.finish_reason in {"stop", "length"} else _failed(completion, drawn.finish_reason)

    # -------------------------------------------------------------------------------------------------- scoring

    def _refused_score(self, request: ScoreRequest) -> str:
        """Why a text cannot be scored, empty if it can."""
        prompt = self._prompt(request.cell).token_ids
        if self._unscorable:
            return self._unscorable
        if not prompt:
            return "the prompt has no tokens after which anything could be scored"
        if len(prompt) + len(request.token_ids) >= self._max_tokens_in_context:
            return "longer than the model's context"
        if max(request.token_ids, default=0) >= self._vocabulary_size:
            return "a token that the model does not have"
        return ""

    def _add_score(self, request: ScoreRequest) -> tuple[str, int]:
        request_id = next(self._request_ids)
        token_ids = [*self._prompt(request.cell).token_ids, *request.token_ids]
        self._engine.add_request(
            request_id,
            self._vllm.TokensPrompt(prompt_token_ids=token_ids),
            self._score_params,
            lora_request=self._adapters.get(request.cell.adapter),
        )
        return request_id, len(token_ids)

    # ----------------------------------------------------------------------------------------------- description

    def _describe(self, options: EngineOptions, model: str, adapters: Sequence[Adapter], torch: Any) -> EngineInfo:
        config = self._engine.vllm_config.model_config
        template = getattr(self._tokenizer, "chat_template", None)
        device = processor_name() if self._on_cpu else torch.cuda.get_device_name()
        return EngineInfo(
            name="vllm",
            version=self._vllm.__version__,
            model=options.model,
            identity={
                "revision": revision_of(model, config),
                "tokenizer": tokenizer_digest(self._tokenizer),
                "chat_template": text_digest(str(template)) if template else "none",
                "dtype": str(config.dtype).removeprefix("torch."),
                "quantization": str(config.quantization or "none"),
                "max_model_len": str(self._max_tokens_in_context),
                "arguments": arguments.telling(self._arguments),
                **{f"adapter {adapter.name}": adapter.identity for adapter in adapters},
            },
            details={
                "device": device,
                "devices": "1" if self._on_cpu else str(torch.cuda.device_count()),
                "tensor_parallel": str(options.tensor_parallel),
                "torch": torch.__version__,
                "harmless_arguments": arguments.harmless(self._arguments),
                **{f"adapter {adapter.name}": adapter.location for adapter in adapters},
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


def _failed(completion: Completion, why: str | None) -> Completion:
    return replace(
        completion,
        text="", token_ids=(), token_logprobs=(), logprob=None, logprob_kind=None,
        finish_reason="error", error_kind="engine", error=f"vLLM ended the request: {why}",
    )  # fmt: skip


def _score(request: ScoreRequest, output: Any) -> Score:
    """The part of a prompt's log-probabilities that was asked for: one per position, that of the token itself."""
    scored = output.prompt_logprobs
    starts = scored.start_indices[len(output.prompt_token_ids) - len(request.token_ids) :]
    if tuple(scored.token_ids[at] for at in starts) != request.token_ids:
        return Score(request.score_id, (), "vLLM scored other tokens than it was given")
    return Score(request.score_id, tuple(scored.logprobs[at] for at in starts))
