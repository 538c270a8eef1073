"""One cell's completions, read: which had an answer, and which answers are the same. Judges nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from collapsecli import answers, modes
from collapsecli.metrics import Sample
from collapsecli.metrics.categorical import SUBSET
from collapsecli.metrics.text import distinct_in_subsets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collapsecli.modes import Embed, Grouping, Relation, Vectors
    from collapsecli.records import Cell, Completion, Scored


@dataclass(frozen=True, slots=True)
class Reading:
    """The completions of one cell in sample order, each with its answer.

    drawn: (N,) completions; `answers`: (N,) the answer read in each, None where it failed or has no readable one.
    relation: which of the readable answers, in the same order, are the same.
    scored: texts that were not drawn and whose probability is known.
    """

    cell: Cell
    drawn: tuple[Completion, ...]
    answers: tuple[str | None, ...]
    relation: Relation
    scored: tuple[Scored, ...] = ()

    def until(self, draws: int) -> int:
        """How many of the completions are among the first `draws` of the plan."""
        indices = np.fromiter((completion.sample_index for completion in self.drawn), np.int64, len(self.drawn))
        return int(np.searchsorted(indices, draws))

    def readable(self, draws: int) -> int:
        """How many of the first `draws` had a readable answer."""
        return sum(answer is not None for answer in self.answers[: self.until(draws)])

    def came_back(self, draws: int) -> list[Completion]:
        """Those of the first `draws` that did not fail."""
        return [completion for completion in self.drawn[: self.until(draws)] if completion.error_kind is None]

    def read(self, draws: int) -> list[str | None]:
        """The answers of those that came back."""
        rows = zip(self.drawn[: self.until(draws)], self.answers, strict=False)
        return [answer for completion, answer in rows if completion.error_kind is None]

    def sample(self, draws: int, alpha: float, *, whole: bool = True) -> Sample:
        """What the metrics see of the first `draws`; planned ones that failed or are not there are lost.

        Unless `whole` without what only a report needs.
        """
        grouping = self.relation.group(self.readable(draws))
        return Sample(
            counts=np.bincount(grouping.labels if grouping.transitive else grouping.texts),
            hits=grouping.hits,
            largest=grouping.largest,
            pair_rate=grouping.pair_rate,
            lone=grouping.lone,
            paired=grouping.paired,
            lost=draws - len(self.came_back(draws)),
            drawn=draws,
            alpha=alpha,
            transitive=grouping.transitive,
            subset_distinct=_distinct_in_subsets(grouping) if whole else None,
        )

    def at(self, threshold: float) -> Reading:
        """The same answers, at another threshold of the equivalence."""
        return replace(self, relation=self.relation.at(threshold))

    def with_equal_words(self) -> Reading:
        """The same answers, the same already if they share enough of their words."""
        return replace(self, relation=_relate(replace(self.cell, equivalence="lexical", threshold=None), self))


def read_cell(
    cell: Cell, completions: Sequence[Completion], scored: Sequence[Scored] = (), vectors: Vectors | None = None
) -> Reading:
    """Read one cell's completions, given in any order; `vectors` where its answers are compared by embedding.

    Raises ValueError if two completions have the same sample index.
    """
    drawn = tuple(sorted(completions, key=lambda completion: completion.sample_index))
    if len({completion.sample_index for completion in drawn}) < len(drawn):
        raise ValueError(f"{cell.cell_id}: two completions have the same sample index")
    said, none_yet = tuple(read_answer(cell, completion) for completion in drawn), modes.relate([], "exact")
    usable = tuple(
        replace(one, answer=answer)  # as the suite reads now, which may be otherwise than when they were scored
        for one in scored
        if one.error is None
        and one.kind == "answer"
        and (answer := answers.read(cell.answer, one.text, truncated=False)) is not None
    )
    reading = Reading(cell, drawn, said, none_yet, usable)
    return replace(reading, relation=_relate(cell, reading, vectors))


def is_unfinished_thought(completion: Completion) -> bool:
    """Whether a completion was cut off inside its thought: it had not begun to answer, and is no empty answer."""
    return completion.finish_reason == "length" and completion.reasoning is not None and not completion.text


def read_answer(cell: Cell, completion: Completion) -> str | None:
    """The answer of one completion; None where it failed, was cut off inside its thought, or is not readable."""
    if completion.error_kind is not None or is_unfinished_thought(completion):
        return None
    return answers.read(cell.answer, completion.text, completion.finish_reason == "length")


def embed_of(cell: Cell, vectors: Vectors | None) -> Embed | None:
    """What gives the vectors of a cell's answers; None without any."""
    return None if vectors is None else partial(vectors.of, cell.encoder)


def _relate(cell: Cell, reading: Reading, vectors: Vectors | None = None) -> Relation:
    """Free text by the cell's equivalence; typed answers are canonical already, and the same only if equal."""
    readable = [(c, answer) for c, answer in zip(reading.drawn, reading.answers, strict=True) if answer is not None]
    said = [answer for _, answer in readable]
    if cell.equivalence == "given":
        return modes.relate(said, "given", given=[completion.given for completion, _ in readable])
    if cell.answer.kind != "text":
        return modes.relate(said, "exact")
    canonical = [modes.canonical(text) for text in said]
    embed = embed_of(cell, vectors)
    return modes.relate(canonical, cell.equivalence, prompt=_asked(cell), threshold=cell.threshold, embed=embed)


def _asked(cell: Cell) -> str:
    return (cell.text or "\n".join(message.content for message in cell.messages)) + cell.injected


def _distinct_in_subsets(grouping: Grouping) -> float | None:
    if grouping.transitive or grouping.alike is None or len(grouping.texts) < SUBSET:
        return None
    return distinct_in_subsets(grouping.texts, grouping.alike, SUBSET)
