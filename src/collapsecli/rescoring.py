"""What another model thinks of the tokens that a run sampled: asked, and kept beside the run. Concludes nothing.

Both sides of a comparison are scored this way, the one that drew them too: log-probabilities of sampling are never held
against log-probabilities of scoring.
"""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from collapsecli.engines import SampleRequest, ScoreRequest, dying_engine
from collapsecli.errors import UsageError
from collapsecli.records import IMPORTED, Sampling
from collapsecli.runs.rescored import RescoredCompletion, RescoredFolder

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from collapsecli.engines import Engine, Score
    from collapsecli.records import Cell, EngineInfo
    from collapsecli.runs import Manifest, RunFolder
    from collapsecli.runs.rescored import Owed

_ONE_TOKEN = Sampling(samples=1, temperature=0.0, max_tokens=1)
_MOST_NAMED = 5  # cells that an error names
_NO_MODEL = {
    IMPORTED: "made elsewhere, and their tokens are not known",
    "scripted": "drawn from a script, and no model gave their tokens",
}


class RescoringWatch(Protocol):
    """Who looks on while completions are scored, and may end it."""

    @property
    def stopped(self) -> bool:
        """Whether scoring was asked to end early."""

    def noticed(self, what: str) -> None:
        """Something that the user should know of, but that stops nothing."""

    def scoring(self, engine: Engine, owed: int) -> None:
        """Scoring begins: so many completions are to be scored; `engine.stop` ends it soonest."""

    def scored(self, saved: int) -> None:
        """One more came back; `saved` of this sitting are on disk."""


def refusals(base: EngineInfo, run: EngineInfo, cells: Sequence[Cell]) -> list[str]:
    """Why two models cannot be held against each other by the tokens that they give to these cells; empty if they can.

    `base` and `run` describe what drew the completions of either side. Reasoning that was stripped is no reason: it is
    among the tokens.
    """
    sides = {"base": base, "run": run}
    without_model = [
        f"the completions of the {side} were {_NO_MODEL[info.name]}"
        for side, info in sides.items()
        if info.name in _NO_MODEL
    ]
    return without_model or [*_tokenizer_refusals(sides), *_template_refusals(sides, cells)]


def owed(
    run: RunFolder, cells: Sequence[Cell], info: EngineInfo, adapter: str, looks: Mapping[str, int] | None = None
) -> int:
    """How many completions a model still has to score: with none, its engine need not be started.

    `looks` as for `rescore`.
    """
    return len(RescoredFolder(run, info, adapter).owed(_limits(cells, looks)))


def rescore(
    run: RunFolder,
    manifest: Manifest,
    cells: Sequence[Cell],
    engine: Engine,
    adapter: str,
    watch: RescoringWatch,
    looks: Mapping[str, int] | None = None,
) -> bool:
    """Let the engine's model score what a run drew for some cells, and keep it; True when all of it is there.

    Scored are the completions that came back with tokens; of each cell those before its look, and all of them where
    `looks` ({cell_id: completions that were judged}) does not say. The prompt is rendered by the engine itself, whose
    `adapter` stands in for the cell's. What was scored before, by the same model, is not scored again, nor is what it
    could not score.

    Raises UsageError when the engine cannot take a prompt, or reads it in another number of tokens than it had when its
    completions were drawn; IncompleteError when another process holds the run or the engine dies; OSError when the disk
    fails. Whatever is raised, what was scored stays.
    """
    folder = RescoredFolder(run, engine.info, adapter)
    with run.locked():
        for broken in folder.tidied():
            watch.noticed(f"{broken} could not be read and was moved aside; its completions are scored again")
        todo = folder.owed(_limits(cells, looks))
        if not todo:
            return True
        watch.scoring(engine, len(todo))
        cell_ids = todo.cell_ids
        asked = {cell.cell_id: replace(cell, adapter=adapter) for cell in cells if cell.cell_id in cell_ids}
        _refuse_other_prompts(engine, asked, todo.prompt_tokens)
        folder.begin()
        came_back = 0
        with folder.writer(manifest.run_id) as shards, closing(_scored(engine, asked, todo, watch)) as rows:
            for row in rows:
                shards.add(row)
                came_back += 1
                watch.scored(shards.saved)
    return came_back == len(todo)


def _limits(cells: Sequence[Cell], looks: Mapping[str, int] | None) -> dict[str, int]:
    return {cell.cell_id: (looks or {}).get(cell.cell_id, cell.sampling.samples) for cell in cells}


# --------------------------------------------------------------------------------------------------------- scoring


def _scored(
    engine: Engine, asked: Mapping[str, Cell], todo: Owed, watch: RescoringWatch
) -> Generator[RescoredCompletion, None, None]:
    """What the engine says, as it says it; requests are made as it takes them."""
    with closing(engine.score(_requests(asked, todo, watch))) as scores, dying_engine("scoring"):
        for score in scores:
            yield _row(score)
            if watch.stopped:
                return


def _requests(asked: Mapping[str, Cell], todo: Owed, watch: RescoringWatch) -> Iterator[ScoreRequest]:
    for cell_id, sample_index, token_ids in todo:
        if watch.stopped:
            return
        yield ScoreRequest(f"{sample_index} {cell_id}", asked[cell_id], token_ids)


def _row(score: Score) -> RescoredCompletion:
    index, _, cell_id = score.score_id.partition(" ")
    logprobs, error = score.token_logprobs, score.error
    if error is None and math.isnan(sum(logprobs)):
        logprobs, error = (), "the model gave a token a probability that is no number"
    return RescoredCompletion(cell_id, int(index), logprobs, error)


# --------------------------------------------------------------------------------------------------------- prompts


def _refuse_other_prompts(engine: Engine, asked: Mapping[str, Cell], drawn_after: Mapping[str, int]) -> None:
    """Raise UsageError where the engine makes another number of tokens of a prompt: what follows it would mean less."""
    read = _prompt_tokens(engine, asked)
    other = [
        f"{cell_id} ({read[cell_id]} tokens, and had {tokens})"
        for cell_id, tokens in drawn_after.items()
        if read.get(cell_id, tokens) != tokens
    ]
    if other:
        more = f" and {len(other) - _MOST_NAMED} more" if len(other) > _MOST_NAMED else ""
        raise UsageError(
            f"{engine.info.model} reads prompts of the run otherwise: {', '.join(other[:_MOST_NAMED])}{more}",
            hint="only models with one tokenizer, and for chats one template, can be compared by tokens",
        )


def _prompt_tokens(engine: Engine, asked: Mapping[str, Cell]) -> dict[str, int]:
    """How many tokens the engine makes of each prompt. A completion tells, so each is given one token to say."""
    first = [replace(cell, temperature=0.0, sampling=_ONE_TOKEN, roads=()) for cell in asked.values()]
    engine.check(first)
    with dying_engine("scoring"), closing(engine.sample(SampleRequest(cell, 0, (0,)) for cell in first)) as rows:
        return {row.cell_id: row.n_prompt_tokens for row in rows if row.error_kind is None}


# -------------------------------------------------------------------------------------------------------- refusals


def _tokenizer_refusals(sides: Mapping[str, EngineInfo]) -> Iterator[str]:
    tokenizers = [info.identity.get("tokenizer") for info in sides.values()]
    for side, tokenizer in zip(sides, tokenizers, strict=True):
        if tokenizer is None:
            yield f"which tokenizer the {side} was sampled with was not written down"
    if None not in tokenizers and len(set(tokenizers)) > 1:
        yield "the two models have different tokenizers"


def _template_refusals(sides: Mapping[str, EngineInfo], cells: Sequence[Cell]) -> Iterator[str]:
    chats = [cell.cell_id for cell in cells if cell.messages]
    templates = {info.identity.get("chat_template") for info in sides.values()}
    if chats and len(templates) > 1:
        more = f" and {len(chats) - _MOST_NAMED} more" if len(chats) > _MOST_NAMED else ""
        yield f"the two models have different chat templates: {', '.join(chats[:_MOST_NAMED])}{more}"
