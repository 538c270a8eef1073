"""Parts of a plan that can be sampled apart from each other. Pure; knows neither folders nor engines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collapsecli.errors import UsageError
from collapsecli.seeds import hashed_seed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from collapsecli.records import Cell

_SLICE = re.compile(r"([0-9]{1,5})/([0-9]{1,5})", re.ASCII)


def parsed_slice(words: str) -> tuple[int, int]:
    """`3/16` as (3, 16): the third of sixteen slices.

    Raises UsageError for anything else.
    """
    found = _SLICE.fullmatch(words.strip())
    number, of = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= of:
        raise UsageError(
            f"--shard {words!r} is no part of a plan",
            hint=f"NUMBER/OF, counted from 1: 1/{max(of, 16)} to {max(of, 16)}/{max(of, 16)}",
        )
    return number, of


def sliced(cells: Sequence[Cell], number: int, of: int) -> tuple[int, ...]:
    """Places of the cells of slice `number` (from 1) among all planned cells, ascending; empty where there are none."""
    return divided(cells, of)[number - 1]


def divided(cells: Sequence[Cell], of: int) -> tuple[tuple[int, ...], ...]:
    """The places of the cells of every slice; each cell is in exactly one.

    A cell and those that branch off it stay together: a group. No slice has more work planned than the mean of all
    slices and one group, and none is empty while there are groups enough. Which cells share a slice depends on the set
    of the cells alone, not on their order.
    """
    groups = sorted(_groups(cells), key=lambda group: (-group.tokens, group.name))
    rest, alone = sum(group.tokens for group in groups), 0
    while groups[alone:] and groups[alone].tokens * (of - alone) > rest:  # more than the mean of what is left
        rest -= groups[alone].tokens
        alone += 1
    slices = [list(group.places) for group in groups[:alone]]
    slices += [[] for _ in range(of - alone)]
    # Side by side those of one model, so that most slices start one engine; of one model in the order of a digest, so
    # that no slice gets all the prompts which are answered at length.
    before = 0
    for group in sorted(groups[alone:], key=lambda group: (group.model, hashed_seed("slice", group.name))):
        twice_its_middle = 2 * before + group.tokens
        slices[alone + twice_its_middle * (of - alone) // (2 * rest)].extend(group.places)
        before += group.tokens
    return tuple(tuple(sorted(places)) for places in slices)


def group_count(cells: Sequence[Cell]) -> int:
    """How many slices can have cells at most."""
    return sum(1 for _ in _groups(cells))


def first_looks(cells: Iterable[Cell]) -> int:
    """How many completions some cells need at least: those up to the first look of each."""
    return sum(cell.sampling.looks[0] for cell in cells)


@dataclass(frozen=True, slots=True)
class _Group:
    """Cells that are never divided, by their places, and the most tokens that may be drawn for them: their work."""

    name: str
    model: str
    places: tuple[int, ...]
    tokens: int


def _groups(cells: Sequence[Cell]) -> Iterator[_Group]:
    together: dict[str, list[int]] = {}
    for place, cell in enumerate(cells):
        together.setdefault(cell.branch.plain if cell.branch else cell.cell_id, []).append(place)
    for name, places in together.items():
        asked = [cells[place].sampling for place in places]
        tokens = sum(sampling.samples * sampling.max_tokens for sampling in asked)
        yield _Group(name, cells[places[0]].model, tuple(places), tokens)
