"""Completions from a server that speaks OpenAI's API, its requests kept in flight. Loads no model."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from collapsecli.engines import SampleRequest, Score
from collapsecli.engines.groups import Group, in_groups
from collapsecli.engines.prompts import Prompts
from collapsecli.engines.server.answers import PromptRead, completions_of, failed, score_of
from collapsecli.engines.server.bodies import Asking
from collapsecli.engines.server.described import described
from collapsecli.engines.server.faults import Fault
from collapsecli.engines.server.flight import Flight, Job
from collapsecli.engines.server.settings import settings_of
from collapsecli.engines.server.starting import get_to_know, refuse_unserved
from collapsecli.engines.server.talk import Talk
from collapsecli.engines.server.tokenizer import ServerTokenizer, UnreadError
from collapsecli.engines.server.wire import AbandonedError
from collapsecli.errors import IncompleteError, SuiteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from collapsecli.engines import EngineOptions, ScoreRequest
    from collapsecli.engines.prompts import Prompt
    from collapsecli.engines.server.bodies import Ask
    from collapsecli.records import Cell, Completion, EngineInfo

_TRIAL_TOKENS = 16
_MOST_NAMED = 5
_NO_SCORES = "the server cannot score texts: only a vLLM server, spoken to directly, gives their log-probabilities"


class ServerEngine:
    """A server behind HTTP: a window of requests stays in flight, what finishes leaves at once.

    Raises EngineStartError when no server answers or it does not take the key; UsageError for a bad endpoint, key file
    or argument, and for a model or adapter that the server does not serve.
    """

    def __init__(self, options: EngineOptions) -> None:
        self._settings = settings_of(options)
        self._stopped = self._closed = False
        self._flight: Flight[Any] | None = None
        self._tried: set[object] = set()
        self._talk = Talk(self._settings)
        try:
            self._start(options)
        except BaseException:
            self._talk.close()
            raise

    def _start(self, options: EngineOptions) -> None:
        endpoint, arguments = self._settings.endpoint, self._settings.arguments
        self._known = known = get_to_know(self._talk, endpoint, options.model, list(options.adapters))
        self._dialect = dialect = known.dialect
        self._room = arguments.concurrency or dialect.in_flight
        self._choices = min(arguments.choices or dialect.choices, self._room)
        has_seeds = dialect.has_tokens or self._choices == 1
        self._asking = Asking(dialect, known.model.name, arguments.fields, has_seeds)
        self._tokenizer = ServerTokenizer(self._talk, endpoint.root, known.model.name) if dialect.has_tokens else None
        self._prompts = Prompts(self._tokenizer)
        self._info = described(
            known,
            self._settings,
            self._asking,
            asked_for=options.model,
            reads_as=self._tokenizer.digest() if self._tokenizer else "unknown",
            concurrency=self._room,
            choices=self._choices,
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def room(self) -> int:
        return self._room

    def check(self, cells: Sequence[Cell]) -> None:
        # Once it is stopped nothing more is drawn, and whatever is drawn later is checked again.
        if not self._stopped:
            with suppress(AbandonedError):
                self._check(cells)

    def _check(self, cells: Sequence[Cell]) -> None:
        if self._known.served:
            refuse_unserved(self._known.served, sorted({cell.adapter for cell in cells if cell.adapter}))
        refused = [(cell.cell_id, why) for cell in cells if (why := self._dialect.refusal(cell))]
        if refused:
            cell_id, why = refused[0]
            more = f" (and {len(refused) - 1} more cannot be drawn)" if len(refused) > 1 else ""
            raise UsageError(
                f"{cell_id} {why}{more}", hint=f"the server is spoken to as `{self._dialect.name}`; see docs/server.md"
            )
        if self._tokenizer is not None:
            self._check_prompts(cells, self._tokenizer)
        for cell in cells:
            self._try_out(cell)

    def sample(self, requests: Iterable[SampleRequest | None]) -> Generator[Completion, None, None]:
        drawn = self._flown(self._draws(requests))
        try:
            for completions in drawn:
                yield from completions
        finally:
            drawn.close()

    def tokens(self, cell: Cell, text: str) -> tuple[int, ...]:
        if self._tokenizer is not None and not self._stopped:
            with suppress(AbandonedError):
                return self._prompts.tokens(cell, text)
        return ()

    def score(self, requests: Iterable[ScoreRequest]) -> Generator[Score, None, None]:
        return self._flown(self._scores(requests))

    def stop(self) -> None:
        self._stopped = True
        if self._flight is not None:
            self._flight.stop()
        self._talk.stop()

    def close(self) -> None:
        if not self._closed:
            self.stop()
            self._closed = True
            self._talk.close()

    def _flown(self, jobs: Iterator[Job[Any] | None]) -> Generator[Any, None, None]:
        if self._stopped:
            return
        flight: Flight[Any] = Flight(self._talk, self._room)
        self._flight = flight
        try:
            if not self._stopped:  # a signal may come at any moment
                with suppress(AbandonedError):  # while a prompt was read
                    yield from flight.results(jobs)
        finally:
            self._flight = None

    # ------------------------------------------------------------------------------------------------- sampling

    def _draws(self, requests: Iterable[SampleRequest | None]) -> Iterator[Job[list[Completion]] | None]:
        for group in in_groups(requests):
            if group is None:
                yield None
                continue
            token_ids, prompt = self._read(group.request.cell)
            for start in range(0, group.size, self._choices):
                part = Group(group.request, group.first + start, min(self._choices, group.size - start))
                yield Job(partial(self._drawn, part, token_ids, prompt), part.size)

    async def _drawn(self, group: Group, token_ids: Sequence[int], prompt: PromptRead) -> list[Completion]:
        """The completions of a group, each once: those that a request leaves out are asked for one by one."""
        found = await self._asked(group, token_ids, prompt)
        request = group.request
        for index in range(group.first, group.first + group.size):
            if index not in found and group.size > 1:
                found |= await self._asked(Group(request, index, 1), token_ids, prompt)
            if index not in found:
                found[index] = failed(request, index, prompt, Fault("protocol", "the answer holds no choice"))
        return [found[index] for index in sorted(found)]

    async def _asked(self, group: Group, token_ids: Sequence[int], prompt: PromptRead) -> dict[int, Completion]:
        answer = await self._answer(self._asking.completions(group, token_ids))
        if isinstance(answer, Fault):
            indices = range(group.first, group.first + group.size)
            return {index: failed(group.request, index, prompt, answer) for index in indices}
        return completions_of(group, answer, prompt, self._dialect)

    async def _answer(self, ask: Ask) -> dict[str, Any] | Fault:
        return await self._talk.patiently(
            f"{self._settings.endpoint.base}/{ask.path}",
            ask.body,
            timeout_s=self._settings.arguments.timeout_s,
            most_bytes=ask.most_bytes,
        )

    # -------------------------------------------------------------------------------------------------- scoring

    def _scores(self, requests: Iterable[ScoreRequest]) -> Iterator[Job[Score]]:
        for request in requests:
            refused = self._refused_score(request)
            token_ids = [] if refused else self._read(request.cell)[0]
            yield Job(partial(self._scored, request, token_ids, refused), 1)

    async def _scored(self, request: ScoreRequest, token_ids: Sequence[int], refused: str) -> Score:
        if refused:
            return Score(request.score_id, (), refused)
        answer = await self._answer(self._asking.score(request.cell, token_ids, request.token_ids))
        if isinstance(answer, Fault) and answer.again:
            # A score with an error is never asked for again, and this one might be had tomorrow.
            raise IncompleteError(f"the server could not score a text: {answer.message}")
        if isinstance(answer, Fault):
            return Score(request.score_id, (), answer.message)
        return score_of(request, answer)

    def _refused_score(self, request: ScoreRequest) -> str:
        """Why a text cannot be scored, empty if it can."""
        if self._tokenizer is None:
            return _NO_SCORES
        if self._dialect.logprobs == "none":
            return "the server gives no log-probabilities"
        prompt = self._prompt(request.cell).token_ids
        if not prompt:
            return "the prompt has no tokens after which anything could be scored"
        longest = self._known.model.max_model_len
        if longest is not None and len(prompt) + len(request.token_ids) >= longest:
            return "longer than the model's context"
        return ""

    # -------------------------------------------------------------------------------------------------- prompts

    def _read(self, cell: Cell) -> tuple[Sequence[int], PromptRead]:
        """The prompt of a cell as it is sent, in tokens where the server takes them, and as it stands in rows."""
        if self._tokenizer is None:
            said = "".join(f"{message.role}: {message.content}\n" for message in cell.messages)
            return (), PromptRead((cell.text or said) + cell.injected, 0)
        prompt = self._prompt(cell)
        return prompt.token_ids, PromptRead(prompt.text, len(prompt.token_ids))

    def _prompt(self, cell: Cell) -> Prompt:
        try:
            return self._prompts.of(cell)
        except UsageError as error:
            # A chat template is not to blame for a server that is gone, nor for a signal.
            if isinstance(error.__cause__, IncompleteError | AbandonedError):
                raise error.__cause__ from None
            raise
        except UnreadError as error:
            raise UsageError(f"the server does not read the prompt of {cell.cell_id}: {error}") from error

    def _check_prompts(self, cells: Sequence[Cell], tokenizer: ServerTokenizer) -> None:
        """Refuse prompts that the model cannot read, or that leave no room for what it is to say."""
        texts = dict.fromkeys((cell.text or "") + cell.injected for cell in cells if not cell.messages)
        try:
            tokenizer.read_ahead(list(texts))
        except UnreadError as error:
            raise UsageError(f"the server does not read a prompt: {error}") from error
        needs = {cell.cell_id: len(self._prompt(cell).token_ids) + cell.sampling.max_tokens for cell in cells}
        faults = [fault for cell in cells if cell.branch is None for fault in self._prompts.road_faults(cell)]
        if faults:
            raise SuiteError(list(dict.fromkeys(faults)))
        longest = self._known.model.max_model_len
        too_long = [f"{cell_id} ({need} tokens)" for cell_id, need in needs.items() if longest and need > longest]
        if too_long:
            raise UsageError(
                f"prompt and max_tokens exceed the model's context of {longest} tokens: "
                + ", ".join(too_long[:_MOST_NAMED])
                + (f" and {len(too_long) - _MOST_NAMED} more" if len(too_long) > _MOST_NAMED else ""),
                hint="lower max_tokens, shorten the prompts, or start the server with a longer context",
            )

    def _try_out(self, cell: Cell) -> None:
        """Ask for one completion of every kind that the cells ask for: what the server refuses, it refuses now."""
        kind = (cell.adapter, bool(cell.messages), replace(cell.sampling, samples=1, adaptive=False))
        if kind in self._tried:
            return
        most = min(cell.sampling.max_tokens, _TRIAL_TOKENS)
        short = replace(cell, sampling=replace(cell.sampling, max_tokens=most))
        token_ids, _ = self._read(short)
        group = Group(SampleRequest(short, 0, (0,)), 0, 1)
        answer = self._talk.call(self._tried_out(group, token_ids))
        if isinstance(answer, Fault) and "max_completion_tokens" in answer.message:
            self._asking = replace(self._asking, max_tokens_field="max_completion_tokens")
            answer = self._talk.call(self._tried_out(group, token_ids))
        if isinstance(answer, Fault) and answer.kind in {"refused", "protocol"}:
            raise UsageError(
                f"the server refuses what {cell.cell_id} asks for: {answer.message}",
                hint=answer.for_all or "change the cell's sampling, or ask another server",
            )
        self._tried.add(kind)

    async def _tried_out(self, group: Group, token_ids: Sequence[int]) -> dict[str, Any] | Fault:
        ask = self._asking.completions(group, token_ids)
        url = f"{self._settings.endpoint.base}/{ask.path}"
        found = await self._talk.once(url, ask.body)
        # What may pass is no refusal: the run will see.
        return found if not isinstance(found, Fault) or not found.again else {}
