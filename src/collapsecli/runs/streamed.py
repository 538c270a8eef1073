"""JSON and tables that are written piece by piece, however long they are. Knows no file of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

Item = TypeVar("Item")


def json_pieces(content: Mapping[str, object]) -> Iterator[str]:
    """The text of `json.dumps(content, indent=1)` with a line's end; what is iterated is made item by item."""
    before = "{\n "
    for name, value in content.items():
        yield f"{before}{json.dumps(name)}: "
        if _is_long(value):
            yield from _list_pieces(value)
        else:
            yield _indented(value, 1)
        before = ",\n "
    yield "\n}\n"


def _is_long(value: object) -> bool:
    return isinstance(value, Iterator) or (isinstance(value, Sequence) and not isinstance(value, str | list | tuple))


def _list_pieces(items: object) -> Iterator[str]:
    before = "[\n  "
    for item in items:  # type: ignore[attr-defined] # an iterator, or a sequence
        yield before + _indented(item, 2)
        before = ",\n  "
    yield "[]" if before.startswith("[") else "\n ]"


def _indented(value: object, depth: int) -> str:
    return json.dumps(value, indent=1).replace("\n", "\n" + " " * depth)


def in_blocks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """So many items at a time; none for none."""
    waiting = iter(items)
    while block := list(islice(waiting, size)):
        yield block
