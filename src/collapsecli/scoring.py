"""What is scored and not drawn: declared answers and roads. Knows engines; keeps and concludes nothing.

Whether the model's turn in a chat begins with a space is its template's affair, and a road with the wrong one would be
improbable for that alone: it is scored in the form in which the cell's own completions begin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from collapsecli.declared import can_be_scored, declared_answers
from collapsecli.engines import ScoreRequest
from collapsecli.records import Scored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from collapsecli.engines import Engine
    from collapsecli.records import Cell, Completion, Road


def asks_for_scores(cell: Cell) -> bool:
    """Whether a cell has anything that can be scored."""
    return can_be_scored(cell) or bool(cell.roads)


def score(engine: Engine, cells: Iterable[tuple[Cell, Sequence[Completion]]]) -> Iterator[Scored]:
    """Score the declared answers of every cell that has some, and its roads; rows in any order."""
    asked: dict[str, Scored] = {}
    requests = []
    for cell, completions in cells:
        for wanted in (*declared_answers(engine, cell, completions), *_roads(engine, cell, completions)):
            score_id = f"{cell.cell_id} {len(asked)}"
            asked[score_id] = wanted
            requests.append(ScoreRequest(score_id, cell, wanted.token_ids))
    for found in engine.score(requests):
        one = asked[found.score_id]
        # An engine that knows no tokens, or cannot score, says so itself.
        error = found.error or (None if one.token_ids else "it has no tokens of its own after this prompt")
        yield Scored(one.cell_id, one.answer, one.text, one.token_ids, found.token_logprobs, error, one.kind)


def unscored_roads(cell: Cell, scored: Iterable[Scored]) -> list[Road]:
    """The roads of a cell that are not among its scored texts, in whatever form."""
    known = {_bare(one.text) for one in scored if one.kind == "road"}
    return [road for road in cell.roads if _bare(road.text) not in known]


def still_asked(cell: Cell, scored: Iterable[Scored]) -> list[Scored]:
    """The scored texts of a cell without the roads that its suite does not name any more."""
    asked = {_bare(road.text) for road in cell.roads}
    return [one for one in scored if one.kind == "answer" or _bare(one.text) in asked]


def _roads(engine: Engine, cell: Cell, completions: Sequence[Completion]) -> Iterator[Scored]:
    bare = bool(cell.messages) and not cell.injected and _begin_without_space(completions)
    for road in cell.roads:
        text = _bare(road.text) if bare else road.text
        yield Scored(cell.cell_id, None, text, engine.tokens(cell, text), kind="road")


def _begin_without_space(completions: Sequence[Completion]) -> bool:
    texts = [one.text for one in completions if one.text]
    return 2 * sum(text.startswith(" ") for text in texts) < len(texts)


def _bare(text: str) -> str:
    return text.lstrip(" ")
