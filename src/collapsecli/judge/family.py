"""Many cells judged together: which flags stand when false ones may only be a given share of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from collapsecli import verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collapsecli.records import Cell, Flag, Rules


class Claim(Protocol):
    """What a cell says to its family."""

    @property
    def p_value(self) -> float | None:
        """Of the claim that would be flagged, one-sided."""

    @property
    def flag(self) -> Flag | None:
        """The verdict read against what the suite expects, by itself."""


def family_of(cell: Cell) -> tuple[str, str, str]:
    """The family that a cell belongs to: all cells of its suite that are asked of the same model with its adapter."""
    return cell.suite, *cell.sampled


def in_family(cell: Cell) -> bool:
    """Whether a planned cell may be flagged: it is then one of the family, be it drawn or not."""
    return cell.expect.kind != "none" and verdict.has_verdict(cell.sampling)


def kept_by_family(
    cells: Sequence[Cell], claims: Sequence[Claim | None], rules: Rules
) -> tuple[list[float | None], list[bool]]:
    """The q-values of all planned cells of one family, and which flags are withheld: those above the rate.

    A cell of the family without a claim was not drawn yet: its p-value is 1.
    """
    p_values = [
        1.0 if claim is None or claim.p_value is None else claim.p_value
        for cell, claim in zip(cells, claims, strict=True)
        if in_family(cell)
    ]
    rate = verdict.false_discovery_rate(rules, len(p_values))
    adjusted = iter(verdict.q_values(p_values))
    q_values = [next(adjusted) if in_family(cell) else None for cell in cells]
    withheld = [
        claim is not None and claim.flag == "flagged" and q_value is not None and q_value > rate
        for claim, q_value in zip(claims, q_values, strict=True)
    ]
    return q_values, withheld
