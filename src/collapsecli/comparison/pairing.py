"""Which cell of a run is held against which of its base, and how the two differ in what was asked. Measures nothing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields
from typing import TYPE_CHECKING, NamedTuple

from collapsecli.records import IMPORTED, Cell, Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collapsecli.records import EngineInfo

_MOST_NAMED = 4
_NUMBER_OF_DRAWS = frozenset({"samples", "adaptive"})  # how many, not of what
_NO_TEMPLATE = "none"


class Pair(NamedTuple):
    """One cell of the base and the same of the run."""

    base: Cell
    run: Cell


def pairs(base: Sequence[Cell], run: Sequence[Cell]) -> list[Pair]:
    """The cells that both have, in the order of the run: of one question, and where there are several, of one suite."""
    one_suite = len({cell.suite for cell in base}) == len({cell.suite for cell in run}) == 1
    known = {("" if one_suite else cell.suite, cell.question): cell for cell in base}
    found = ((known.get(("" if one_suite else cell.suite, cell.question)), cell) for cell in run)
    return [Pair(one, other) for one, other in found if one is not None]


def unlike(
    base: Sequence[Cell], run: Sequence[Cell], base_info: EngineInfo | None, run_info: EngineInfo | None
) -> list[str]:
    """What two runs asked, sampled or read otherwise, a line each; empty where their cells can be held together.

    How many draws each has does not matter. Of imported completions nobody knows how they were sampled but at what
    temperature.
    """
    both = pairs(base, run)
    shared = {pair.base.cell_id for pair in both}, {pair.run.cell_id for pair in both}
    lines = [
        f"only in the {side}: {_named([cell.question for cell in cells if cell.cell_id not in known])}"
        for side, cells, known in (("base", base, shared[0]), ("run", run, shared[1]))
        if any(cell.cell_id not in known for cell in cells)
    ]
    imported = any(info is not None and info.name == IMPORTED for info in (base_info, run_info))
    differing: dict[str, list[str]] = defaultdict(list)
    for pair in both:
        for difference in _differences(pair, imported=imported):
            differing[difference].append(pair.run.question)
    lines += [f"{difference}: {_named(questions)}" for difference, questions in differing.items()]
    return lines + _templates(both, base_info, run_info)


def _differences(pair: Pair, *, imported: bool) -> Iterator[str]:
    base, run = pair
    if _asked(base) != _asked(run):
        yield "asks something else"
    names = ["temperature"] if imported else [one.name for one in fields(Sampling) if one.name not in _NUMBER_OF_DRAWS]
    for name in names:
        was, is_now = getattr(base.sampling, name), getattr(run.sampling, name)
        if was != is_now:
            yield f"{name} {was!r} in the base, {is_now!r} in the run"
    if base.answer != run.answer:
        yield "answers are read otherwise"
    if base.sameness != run.sameness:
        yield f"answers are the same if {base.sameness.spelled} in the base, {run.sameness.spelled} in the run"
    if base.reasoning != run.reasoning:
        yield f"reasoning: {base.reasoning} in the base, {run.reasoning} in the run"


def _asked(cell: Cell) -> tuple[object, ...]:
    """What stands before a completion. Where a branch leaves its plain cell is the model's own affair."""
    return cell.text, cell.messages, cell.injected if cell.branch is None else (cell.branch.sentences, cell.branch.text)


def _templates(both: Sequence[Pair], base: EngineInfo | None, run: EngineInfo | None) -> list[str]:
    chats = [pair.run.question for pair in both if pair.run.messages]
    if not chats or base is None or run is None:
        return []
    was, is_now = (info.identity.get("chat_template", _NO_TEMPLATE) for info in (base, run))
    return [] if was == is_now else [f"another chat template: {_named(chats)}"]


def _named(questions: Sequence[str]) -> str:
    more = f" and {len(questions) - _MOST_NAMED} more" if len(questions) > _MOST_NAMED else ""
    return ", ".join(questions[:_MOST_NAMED]) + more
