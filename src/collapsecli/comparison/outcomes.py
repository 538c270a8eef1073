"""What is told of each compared cell when all of them are looked at together. Measures nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from collapsecli import verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collapsecli.compared import ComparedCell, Difference, Outcome
    from collapsecli.records import CellResult

MARGIN = 0.1  # of the probability that two draws agree: what is smaller is no regression unless told otherwise


def told(cells: Sequence[ComparedCell], alpha: float, margin: float) -> list[ComparedCell]:
    """The cells with their q-values, and what can be said of each."""
    collision_q = _q_values([cell.numbers["collision"].p_value for cell in cells])
    shift_q = _q_values([cell.moved.p_value for cell in cells])
    found = []
    for cell, of_collision, of_shift in zip(cells, collision_q, shift_q, strict=True):
        collision = replace(cell.numbers["collision"], q_value=of_collision)
        adjusted = replace(
            cell,
            numbers={**cell.numbers, "collision": collision},
            moved=replace(cell.moved, q_value=of_shift),
            outcome=_outcome(collision, of_shift, alpha),
        )
        found.append(replace(adjusted, regressed=is_regressed(adjusted, margin)))
    return found


def to_be_refined(cells: Sequence[ComparedCell], least_p: float, alpha: float) -> list[int]:
    """The cells whose p-values could not get small enough to be significant among so many, by their places.

    Of R cells at the floor `least_p` all are significant if it is at most R alpha / P: only a few among many need more
    permutations. A p-value stays valid, since one above the floor is kept and one at it is replaced.
    """
    found: set[int] = set()
    for p_values in ([cell.numbers["collision"].p_value for cell in cells], [cell.moved.p_value for cell in cells]):
        at_floor = {at for at, p_value in enumerate(p_values) if p_value is not None and p_value <= least_p}
        if len(at_floor) * alpha < least_p * len(cells):
            found |= at_floor
    return sorted(found)


def _q_values(p_values: Sequence[float | None]) -> list[float | None]:
    adjusted = iter(verdict.q_values([p for p in p_values if p is not None]))
    return [None if p is None else next(adjusted) for p in p_values]


def _outcome(collision: Difference, shift_q: float | None, alpha: float) -> Outcome:
    """What is significant of a cell. Narrower and wider are told where test and interval agree.

    Of few draws the test alone takes a mode that moved for one that grew (16 to 20 % at 16 draws, 4 to 6 % at 64).
    """
    low, high = collision.change.low, collision.change.high
    if collision.q_value is not None and collision.q_value <= alpha:
        if low is not None and low > 0:
            return "narrower"
        if high is not None and high < 0:
            return "wider"
    return "moved" if shift_q is not None and shift_q <= alpha else "same"


def _has_answers(result: CellResult) -> bool:
    return result.verdict not in {None, "invalid"} and 2 * result.n_valid >= result.n_judged


def is_regressed(cell: ComparedCell, margin: float) -> bool:
    """Whether a cell changed for the worse, significantly and by more than a margin of the collision probability.

    Worse is narrower, and for a prompt that should concentrate, wider; where nothing is expected, nothing is worse. So
    is a cell that had answers and has none any more, be it that they cannot be read or that most requests failed.
    """
    expect = cell.run.cell.expect.kind
    if expect == "none":
        return False
    if _has_answers(cell.base) and not _has_answers(cell.run):
        return True
    worse = "wider" if expect == "concentrated" else "narrower"
    change = cell.numbers["collision"].change.value
    return cell.outcome == worse and change is not None and abs(change) > margin
