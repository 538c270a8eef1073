"""One cell as its contrasts see it: what its draws prove, and the draws themselves. Measures nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from collapsecli.judge import embed_of, read_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collapsecli.modes import Embed, Vectors
    from collapsecli.records import Cell, CellResult, Completion, Scored


@dataclass(frozen=True)
class Drawn:
    """A cell's result with the completions that were judged, in sample order.

    completions: (N,) those that came back; failed ones are not among them.
    answers: (N,) the answer read in each, None where it is not readable.
    lost: completions that were to be judged and whose text is not known. They count against every claim.
    alpha: error rate of an interval about this cell, both sides together: at each of its looks so small that it holds
        wherever sampling ended.
    scored: texts whose probability after the cell's prompt is known: declared answers and roads.
    vectors: those of its answers, where they are compared by embedding.
    """

    result: CellResult
    completions: tuple[Completion, ...]
    lost: int
    alpha: float
    scored: tuple[Scored, ...] = ()
    vectors: Vectors | None = None

    @classmethod
    def of(
        cls,
        result: CellResult,
        completions: Sequence[Completion],
        alpha: float,
        scored: Sequence[Scored] = (),
        vectors: Vectors | None = None,
    ) -> Drawn:
        """The draws of a cell up to the look at which it was judged; `alpha` is the error rate of the suite's rules."""
        judged = sorted(
            (one for one in completions if one.sample_index < result.look), key=lambda one: one.sample_index
        )
        came_back = tuple(one for one in judged if one.error_kind is None)
        looks = len(result.cell.sampling.looks)
        return cls(result, came_back, result.look - len(came_back), alpha / looks, tuple(scored), vectors)

    def until(self, draws: int) -> Drawn:
        """The same cell with its first draws alone."""
        kept = tuple(one for one in self.completions if one.sample_index < draws)
        return replace(self, completions=kept, lost=min(draws, self.result.look) - len(kept))

    def first(self, draws: int) -> Drawn:
        """The same cell with its first draws alone, and of these the texts alone."""
        kept = self.until(draws)
        texts = tuple(replace(one, token_ids=(), token_logprobs=(), prompt="") for one in kept.completions)
        return replace(kept, completions=texts)

    @property
    def cell(self) -> Cell:
        """The cell."""
        return self.result.cell

    @cached_property
    def answers(self) -> tuple[str | None, ...]:
        """The answer of each completion."""
        return tuple(read_answer(self.cell, completion) for completion in self.completions)

    @property
    def embed(self) -> Embed | None:
        """What gives the vectors of its answers; None without any."""
        return embed_of(self.cell, self.vectors)

    @property
    def asked(self) -> str:
        """All that stands before a completion, as far as the suite says it."""
        cell = self.cell
        return (cell.text or "\n".join(message.content for message in cell.messages)) + cell.injected
