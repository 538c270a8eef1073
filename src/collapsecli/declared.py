"""Declared answers as a cell would say them: what is to be scored to know the exact probability of each.

The form is learnt from what a cell keeps saying (` 42.` and the end): every other declared answer is put in the place
of the answer, and the model scores it. What it would say in other forms stays unknown, so these are lower bounds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collapsecli import answers
from collapsecli.records import Scored

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collapsecli.engines import Engine
    from collapsecli.records import Cell, Completion

MOST_ANSWERS = 1024  # a declared distribution with more is not scored: drawing says more for the time


@dataclass(frozen=True, slots=True)
class _Form:
    """How a cell says an answer: what stands before and after it, whether in capitals, and the tokens that end it."""

    before: str
    after: str
    capital: bool
    end: tuple[int, ...]

    def said(self, answer: str) -> str:
        return self.before + (answer[:1].upper() + answer[1:] if self.capital else answer) + self.after


def can_be_scored(cell: Cell) -> bool:
    """Whether a cell declares answers that can be listed, and samples them as the untouched model would."""
    weights = cell.expect.weights
    listed = weights is not None and len(weights) <= MOST_ANSWERS and cell.answer.kind != "text"
    return listed and cell.sampling.is_untouched


def declared_answers(engine: Engine, cell: Cell, completions: Sequence[Completion]) -> Iterator[Scored]:
    """The declared answers of a cell that is drawn as the model itself would say them, in its form, not scored yet."""
    form = _form(engine, cell, completions) if can_be_scored(cell) else None
    if form is None:
        return
    for answer, _ in cell.expect.weights or ():
        text = form.said(answer)
        tokens = engine.tokens(cell, text)
        is_cut = any(stop in text for stop in cell.sampling.stop)
        fits = not is_cut and len(tokens) > 0 and len(tokens) + len(form.end) <= cell.sampling.max_tokens
        if fits and answers.read(cell.answer, text, truncated=False) == answer:
            yield Scored(cell.cell_id, answer, text, (*tokens, *form.end))


def _form(engine: Engine, cell: Cell, completions: Sequence[Completion]) -> _Form | None:
    """The form that most completions have whose tokens are those of their text; None where there is none."""
    found: Counter[_Form] = Counter()
    spelled: dict[str, tuple[int, ...]] = {}
    for completion in completions:
        if completion.finish_reason != "stop" or completion.error_kind or completion.reasoning is not None:
            continue
        answer = answers.read(cell.answer, completion.text, truncated=False)
        if answer is None or completion.text.casefold().count(answer.casefold()) != 1:
            continue
        at = completion.text.casefold().index(answer.casefold())
        said = completion.text[at : at + len(answer)]
        if completion.text not in spelled:
            spelled[completion.text] = engine.tokens(cell, completion.text)
        tokens = spelled[completion.text]
        ends = len(completion.token_ids) > len(tokens)  # what could go on would be counted with what goes on
        if ends and completion.token_ids[: len(tokens)] == tokens and said.casefold() == answer.casefold():
            after, end = completion.text[at + len(answer) :], completion.token_ids[len(tokens) :]
            capital = said[:1] != answer[:1] and said[:1].isupper()
            found[_Form(completion.text[:at], after, capital, end)] += 1
    return found.most_common(1)[0][0] if found else None
