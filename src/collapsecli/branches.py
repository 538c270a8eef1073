"""Cells of the second wave: where they leave what their plain cell says most often. Draws nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from collapsecli.judge import of_the_mode
from collapsecli.sanitize import storable
from collapsecli.sentences import finished

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collapsecli.records import Branch, Cell, Completion


def is_pending(cell: Cell) -> bool:
    """Whether a cell waits for its plain cell: what it is injected with is not known yet."""
    return cell.branch is not None and not cell.injected


def planned(cell: Cell, plain: Cell, completions: Sequence[Completion]) -> Cell | str:
    """A pending cell with what it is injected with, from all completions that its plain cell was judged by; or why not.

    That is the beginning of the plain cell's modal exemplar; where it has no more sentences than are asked for, of the
    earliest completion of the same mode that has.
    """
    branch = cell.branch
    if branch is None:
        raise ValueError(f"{cell.cell_id} is of the first wave")
    in_mode = of_the_mode(plain, completions)
    if not in_mode:
        return f"{plain.cell_id} has no readable answer to branch from"
    for completion in in_mode:
        said = finished(completion.text, cut=completion.finish_reason == "length")
        if len(said) > branch.sentences:
            return replace(cell, injected=_beginning(said, branch))
    longest = max(len(finished(one.text, cut=one.finish_reason == "length")) for one in in_mode)
    length = "no sentence" if not longest else "one sentence" if longest == 1 else f"{longest} sentences at most"
    return f"what {plain.cell_id} says most often has {length}"


def _beginning(said: Sequence[str], branch: Branch) -> str:
    """The sentences before the branch point, without the space that the next one would bring, and the text after it."""
    before = storable("".join(said[: branch.sentences])).rstrip(" ")  # as it is when it is read from the disk
    return before + (branch.text.lstrip(" ") if before.endswith("\n") else branch.text)
