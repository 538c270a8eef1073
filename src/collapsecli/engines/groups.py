"""Requests for draws, cut into what an engine draws at once. Knows seeds, and no engine."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collapsecli.engines import SampleRequest

# One request draws this many completions of a cell: they share their prefill and leave together, the rest goes on.
_LARGEST = 32


@dataclass(frozen=True, slots=True)
class Group:
    """Completions `first`, `first + 1`, … of one cell, drawn together."""

    request: SampleRequest
    first: int
    size: int


def in_groups(requests: Iterable[SampleRequest | None]) -> Iterator[Group | None]:
    """Cut each request into runs of at most 32 consecutive indices: child i of a run draws with its seed + i."""
    for request in requests:
        if request is None:
            yield None
            continue
        if request.cell.sampling.temperature == 0:
            yield from (Group(request, index, 1) for index in request.indices)
            continue
        for _, run in itertools.groupby(enumerate(request.indices), key=lambda pair: pair[1] - pair[0]):
            indices = [index for _, index in run]
            for start in range(0, len(indices), _LARGEST):
                part = indices[start : start + _LARGEST]
                yield Group(request, part[0], len(part))
