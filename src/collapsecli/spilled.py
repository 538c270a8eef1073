"""Values that wait on disk until somebody looks at them. Knows no run, and reads nothing but what it wrote itself."""

from __future__ import annotations

import pickle
import tempfile
import weakref
from array import array
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Value = TypeVar("Value")
Item = TypeVar("Item")
_IN_MEMORY_BYTES = 1 << 20  # a small run never touches the disk
MOST_RECENT = 128  # values that were looked at last are kept as they are


class Spill(Generic[Value]):
    """A store that only grows: values go to an anonymous temporary file, which ends with the store.

    `pack` makes plain data of a value (numbers, texts, tuples of them), `unpack` the value again. Raises OSError where
    the disk that holds temporary files is full.
    """

    def __init__(
        self,
        pack: Callable[[Value], object],
        unpack: Callable[[Any], Value],
        in_memory_bytes: int = _IN_MEMORY_BYTES,
    ) -> None:
        self._pack, self._unpack = pack, unpack
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(in_memory_bytes)  # noqa: SIM115 - closed with the store
        self._ends = array("q", [0])
        self._recent: OrderedDict[int, Value] = OrderedDict()
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def put(self, value: Value) -> int:
        """Keep a value; gives its number."""
        self._file.seek(self._ends[-1])
        self._file.write(pickle.dumps(self._pack(value), pickle.HIGHEST_PROTOCOL))
        self._ends.append(self._file.tell())
        return len(self) - 1

    def get(self, number: int) -> Value:
        """The value of that number."""
        if number in self._recent:
            self._recent.move_to_end(number)
            return self._recent[number]
        begin, end = self._ends[number : number + 2]
        self._file.seek(begin)
        value = self._unpack(pickle.loads(self._file.read(end - begin)))  # noqa: S301 - our own file, without a name
        self._recent[number] = value
        if len(self._recent) > MOST_RECENT:
            self._recent.popitem(last=False)
        return value


class SpilledList(Sequence[Item]):
    """A list in a spill, which grows and is read in order."""

    def __init__(self, spill: Spill[Item]) -> None:
        self._spill = spill

    def append(self, item: Item) -> None:
        """Put one more item at its end."""
        self._spill.put(item)

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> list[Item]: ...
    def __getitem__(self, at: int | slice) -> Item | list[Item]:
        places = range(len(self._spill))[at]  # raises IndexError, as a list does
        return self._spill.get(places) if isinstance(places, int) else [self._spill.get(place) for place in places]

    def __len__(self) -> int:
        return len(self._spill)


class SpilledMapping(Mapping[str, Item]):
    """A mapping in a spill: it holds nothing while nobody looks at it."""

    __slots__ = ("_number", "_spill")

    def __init__(self, spill: Spill[Mapping[str, Item]], values: Mapping[str, Item]) -> None:
        self._spill, self._number = spill, spill.put(values)

    def __getitem__(self, name: str) -> Item:
        return self._spill.get(self._number)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._spill.get(self._number))

    def __len__(self) -> int:
        return len(self._spill.get(self._number))

    def __repr__(self) -> str:
        return repr(self._spill.get(self._number))


class SpilledSequence(Sequence[Item]):
    """A sequence in a spill: it holds nothing but its length while nobody looks at it."""

    __slots__ = ("_length", "_number", "_spill")

    def __init__(self, spill: Spill[Sequence[Item]], values: Sequence[Item]) -> None:
        self._spill, self._number, self._length = spill, spill.put(values), len(values)

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Item]: ...
    def __getitem__(self, at: int | slice) -> Item | Sequence[Item]:
        return self._spill.get(self._number)[at]

    def __iter__(self) -> Iterator[Item]:
        return iter(self._spill.get(self._number))

    def __len__(self) -> int:
        return self._length

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))
