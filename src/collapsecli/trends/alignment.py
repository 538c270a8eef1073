"""The cells of all steps beside each other, where they ask and sample the same. Measures nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from collapsecli.compared import TrendCell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from collapsecli.records import Cell, CellResult

_MOST_NAMED = 6  # cells in one note


def aligned(names: Sequence[str], results: Sequence[Sequence[CellResult]]) -> tuple[tuple[TrendCell, ...], list[str]]:
    """Every question at every step, in the order in which they first come; and what has to be said of it.

    names: of the steps; results: of each step. A cell that asks or samples otherwise than at the first step that has it
    is left out where it does so. How many completions are drawn is no part of that.
    """
    by_step = [{result.cell.question: result for result in of_step} for of_step in results]
    questions = dict.fromkeys(question for of_step in by_step for question in of_step)
    first = {question: next(step[question].cell for step in by_step if question in step) for question in questions}
    otherwise = [
        {question: unlike for question, result in step.items() if (unlike := differing(first[question], result.cell))}
        for step in by_step
    ]
    cells = tuple(
        _cell(question, [None if question in left_out else step.get(question) for step, left_out in
                         zip(by_step, otherwise, strict=True)])
        for question in questions
    )  # fmt: skip
    return cells, [*_left_out(names, otherwise), *_missing(names, by_step, questions), *_expected(cells)]


def differing(cell: Cell, other: Cell) -> tuple[str, ...]:
    """In what two cells ask or sample otherwise: prompt, sampling, answer, equivalence, reasoning; none if in nothing.

    A branch point is the same place in the plain cell's usual answer, whatever that answer is.
    """
    before, after = _conditions(cell), _conditions(other)
    return tuple(name for name, value in before.items() if after[name] != value)


def _conditions(cell: Cell) -> dict[str, object]:
    after = cell.injected if cell.branch is None else (cell.branch.sentences, cell.branch.text)
    return {
        "prompt": (cell.text, cell.messages, after),
        "sampling": replace(cell.sampling, samples=1, adaptive=False),
        "answer": cell.answer,
        "equivalence": cell.sameness,
        "reasoning": cell.reasoning,
    }


def _cell(question: str, results: Sequence[CellResult | None]) -> TrendCell:
    collapsed = [k for k, result in enumerate(results) if result is not None and result.verdict == "collapsed"]
    if not collapsed:
        return TrendCell(question, tuple(results))
    later = [result for result in results[collapsed[0] :] if result is not None]
    stays = all(result.verdict == "collapsed" for result in later)
    return TrendCell(question, tuple(results), collapsed[0], stays)


# ---------------------------------------------------------------------------------------------------------------- notes


def _left_out(names: Sequence[str], otherwise: Sequence[Mapping[str, Sequence[str]]]) -> Iterator[str]:
    unlike = [{f"{question} ({', '.join(what)})" for question, what in of_step.items()} for of_step in otherwise]
    for steps, cells in _by_steps(names, unlike):
        yield f"left out at {steps}, since they ask or sample otherwise than before: {cells}"


def _missing(
    names: Sequence[str], by_step: Sequence[Mapping[str, CellResult]], questions: Mapping[str, None]
) -> Iterator[str]:
    for steps, cells in _by_steps(names, [questions.keys() - of_step.keys() for of_step in by_step]):
        yield f"not asked at {steps}: {cells}"


def _by_steps(names: Sequence[str], cells: Sequence[AbstractSet[str]]) -> Iterator[tuple[str, str]]:
    """Cells that something is said of at the same steps (cells: of each step) together; both in words."""
    steps_of: dict[str, list[str]] = {}
    for name, of_step in zip(names, cells, strict=True):
        for cell in sorted(of_step):
            steps_of.setdefault(cell, []).append(name)
    for steps in dict.fromkeys(tuple(steps) for steps in steps_of.values()):
        yield _some(steps), _some([cell for cell, at in steps_of.items() if tuple(at) == steps])


def _expected(cells: Sequence[TrendCell]) -> Iterator[str]:
    """Verdicts that are read against another expectation are no curve, though the numbers are."""
    changed = [
        cell.question
        for cell in cells
        if len({result.cell.expect for result in cell.results if result is not None}) > 1
    ]
    if changed:
        yield f"something else is expected at some steps, so that verdicts are not the same claim: {_some(changed)}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
