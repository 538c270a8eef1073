"""What is scored and not drawn: declared answers and roads. Knows engines; keeps and concludes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collapsecli.declared import can_be_scored, declared_answers
from collapsecli.engines import ScoreRequest
from collapsecli.records import Scored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from collapsecli.engines import Engine
    from collapsecli.records import Cell, Completion


def asks_for_scores(cell: Cell) -> bool:
    """Whether a cell has anything that can be scored."""
    return can_be_scored(cell) or bool(cell.roads)


def score(engine: Engine, cells: Iterable[tuple[Cell, Sequence[Completion]]]) -> Iterator[Scored]:
    """Score the declared answers of every cell that has some, and its roads; rows in any order."""
    asked: dict[str, Scored] = {}
    requests = []
    for cell, completions in cells:
        for wanted in (*declared_answers(engine, cell, completions), *_roads(engine, cell)):
            if wanted.error is not None:
                yield wanted
                continue
            score_id = f"{cell.cell_id} {len(asked)}"
            asked[score_id] = wanted
            requests.append(ScoreRequest(score_id, cell, wanted.token_ids))
    for found in engine.score(requests):
        one = asked[found.score_id]
        yield Scored(one.cell_id, one.answer, one.text, one.token_ids, found.token_logprobs, found.error, one.kind)


def _roads(engine: Engine, cell: Cell) -> Iterator[Scored]:
    for road in cell.roads:
        tokens = engine.tokens(cell, road.text)
        error = None if tokens else "it has no tokens of its own after this prompt"
        yield Scored(cell.cell_id, None, road.text, tokens, error=error, kind="road")
