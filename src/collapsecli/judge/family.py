"""Many cells judged together: which flags stand when false ones may only be a given share of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collapsecli import verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collapsecli.judge.looks import Evidence
    from collapsecli.records import Cell, Rules


def family_of(cell: Cell) -> tuple[str, str, str]:
    """The family that a cell belongs to: all cells of its suite that are asked of the same model with its adapter."""
    return cell.suite, *cell.sampled


def in_family(cell: Cell) -> bool:
    """Whether a planned cell may be flagged: it is then one of the family, be it drawn or not."""
    return cell.expect.kind != "none" and verdict.has_verdict(cell.sampling)


def kept_by_family(
    cells: Sequence[Cell], evidence: Sequence[Evidence | None], rules: Rules
) -> tuple[list[float | None], list[bool]]:
    """The q-values of all planned cells of one family, and which flags are withheld: those above the rate.

    A cell of the family without evidence was not drawn yet, and claims nothing: its p-value is 1.
    """
    p_values = [one.p_value if one else 1.0 for cell, one in zip(cells, evidence, strict=True) if in_family(cell)]
    rate = verdict.false_discovery_rate(rules, len(p_values))
    adjusted = iter(verdict.q_values(p_values))
    q_values = [next(adjusted) if in_family(cell) else None for cell in cells]
    withheld = [
        one is not None and one.flag == "flagged" and q_value is not None and q_value > rate
        for one, q_value in zip(evidence, q_values, strict=True)
    ]
    return q_values, withheld
