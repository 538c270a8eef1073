"""Where the completions of a plan lie among the files of a run. Holds places and rows, never what a row says."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collapsecli.runs.memory import hand_back_memory
from collapsecli.runs.shards import BrokenFileError, read_row_groups, schema_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from collapsecli.records import Cell

# A failure of this kind may go away: its draw is tried again, with its own seed. Every other failure stays.
TRANSIENT = frozenset({"connection", "engine", "rate_limit", "server", "timeout"})

IDENTITY = ("cell_id", "sample_index", "error_kind", "attempt")  # what tells which row of a completion is kept
_CACHED_ROWS = 8192  # of row groups that were read last: those of small shards are asked for again and again
_CAME_BACK = np.int32(1 << 30)  # above every attempt: a completion beats a failure
_NO_ROW = np.int32(-1)


class Located:
    """For every planned place the row to keep: of several, a completion before a failure, then the latest attempt.

    Places are numbered cell by cell in the order of the plan, `samples` to a cell; rows over all files, in their order.
    It takes 9 bytes for each place, whatever the rows hold.
    """

    def __init__(self, planned: Sequence[Cell], columns: Sequence[str]) -> None:
        self.cells = planned
        self.files: list[Path] = []
        self._columns = list(columns)
        self._cell_of = {cell.cell_id: at for at, cell in enumerate(planned)}
        samples = np.array([cell.sampling.samples for cell in planned], np.int64)
        self._starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(samples)])
        places = int(self._starts[-1])
        self._row = np.full(places, _NO_ROW, np.int32)
        self._rank = np.full(places, -1, np.int32)
        self._settled = np.zeros(places, np.bool_)  # there for good: it came back, or failed in a way that stays
        self._groups: list[tuple[str, int]] = []  # of which file, and which of its row groups
        self._group_starts = [0]  # their first rows
        self._recent: OrderedDict[int, pa.Table] = OrderedDict()

    def add(self, path: Path) -> None:
        """Take in the rows of one more file. Raises BrokenFileError, and is then of no further use."""
        name = str(path)
        self.files.append(path)
        for number, table in enumerate(read_row_groups(name, self._columns)):
            self._groups.append((name, number))
            self._note(table, self._group_starts[-1])
            self._group_starts.append(self._group_starts[-1] + table.num_rows)

    def _note(self, table: pa.Table, first_row: int) -> None:
        cell, index = self._cell_numbers(table), table["sample_index"].to_numpy()
        starts = self._starts[cell]
        planned = (cell >= 0) & (index >= 0) & (index < self._starts[cell + 1] - starts)  # others are strays
        rows = np.flatnonzero(planned)
        place = (starts + index)[rows]
        came_back = pc.is_null(table["error_kind"]).to_numpy()[rows]
        transient = pc.is_in(table["error_kind"], _TRANSIENT).to_numpy()[rows]
        attempt = table["attempt"].to_numpy()[rows]
        rank = np.where(came_back, _CAME_BACK, np.int32(0)) + np.minimum(attempt, _CAME_BACK - 1)
        self._settled[place[~transient]] = True
        order = np.lexsort((rows, -rank, place))
        first = order[np.flatnonzero(np.diff(place[order], prepend=-1))]  # the best row of each place in this table
        better = first[rank[first] > self._rank[place[first]]]
        self._rank[place[better]] = rank[better]
        self._row[place[better]] = first_row + rows[better]

    def _cell_numbers(self, table: pa.Table) -> NDArray[np.int64]:
        """The place of each row's cell in the plan, -1 for a stranger: one look-up for each distinct cell."""
        column = table["cell_id"].combine_chunks()
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        numbers = [self._cell_of.get(cell_id, -1) for cell_id in encoded.dictionary.to_pylist()]
        found: NDArray[np.int64] = np.array([*numbers, -1], np.int64)[encoded.indices.to_numpy()]
        return found

    # ---------------------------------------------------------------------------------------------------- what is kept

    def kept(self) -> Kept:
        """What came back so far, and how often the rest failed."""
        return Kept(self._cell_of, self._starts, self._rank, self._settled)

    @property
    def rows(self) -> int:
        """The number of completions of the plan that are there, failures included."""
        return int(np.count_nonzero(self._row != _NO_ROW))

    def by_cell(self, most_rows: int) -> Iterator[tuple[Cell, pa.Table]]:
        """The rows of every planned cell, in the order of the plan; so many rows are read at once, or one cell's."""
        self._let_go()
        begin = 0
        while begin < len(self.cells):
            end = int(np.searchsorted(self._starts, self._starts[begin] + most_rows, side="right")) - 1
            end = max(end, begin + 1)
            rows = self._row[self._starts[begin] : self._starts[end]]
            there = rows != _NO_ROW
            counts = np.add.reduceat(np.append(there, values=False), self._starts[begin:end] - self._starts[begin])
            table, ends = self._taken(rows[there]), np.cumsum(counts)
            for cell, count, last in zip(self.cells[begin:end], counts.tolist(), ends.tolist(), strict=True):
                yield cell, table.slice(last - count, count)
            begin = end

    def in_blocks(self, most_rows: int) -> Iterator[pa.Table]:
        """All rows to keep, in the order of the plan, so many at a time."""
        self._let_go()
        places = len(self._row)
        waiting = np.zeros(0, np.int32)
        for begin in range(0, places, most_rows):
            rows = self._row[begin : begin + most_rows]
            waiting = np.concatenate([waiting, rows[rows != _NO_ROW]])
            while len(waiting) >= most_rows:
                yield self._taken(waiting[:most_rows])
                waiting = waiting[most_rows:]
        if len(waiting):
            yield self._taken(waiting)

    def _let_go(self) -> None:
        """Which row is the best is settled once rows are asked for: from then on a place takes 4 bytes."""
        self._rank, self._settled = self._rank[:0], self._settled[:0]

    def _taken(self, rows: NDArray[np.int32]) -> pa.Table:
        """Some rows, in the order given; each row group is asked for once."""
        if not len(rows):
            return schema_of(self._columns).empty_table()
        group = np.searchsorted(self._group_starts, rows, side="right") - 1
        order = np.argsort(group, kind="stable")
        found, begins = np.unique(group[order], return_index=True)
        parts = [
            self._group(number).take(pa.array(rows[members] - self._group_starts[number]))
            for number, members in zip(found.tolist(), np.split(order, begins[1:]), strict=True)
        ]
        table, in_order = pa.concat_tables(parts), np.arange(len(order))
        if np.array_equal(order, in_order):
            return table
        back = np.empty_like(order)
        back[order] = in_order
        return table.take(pa.array(back))

    def _group(self, number: int) -> pa.Table:
        if number not in self._recent:
            path, at = self._groups[number]
            self._recent[number] = next(read_row_groups(path, self._columns, only=at))
            while len(self._recent) > 1 and sum(table.num_rows for table in self._recent.values()) > _CACHED_ROWS:
                self._recent.popitem(last=False)
        self._recent.move_to_end(number)
        return self._recent[number]


_TRANSIENT = pa.array(sorted(TRANSIENT))


class Kept(Mapping[str, Mapping[int, int]]):
    """What came back: {cell_id: {sample_index: failed attempts}}, 0 where a completion is there for good.

    An index that never came back is not in it. A cell's own mapping is made when it is asked for.
    """

    def __init__(
        self,
        cell_of: Mapping[str, int],
        starts: NDArray[np.int64],
        rank: NDArray[np.int32],
        settled: NDArray[np.bool_],
    ) -> None:
        self._cell_of, self._starts, self._rank, self._settled = cell_of, starts, rank, settled

    def __getitem__(self, cell_id: str) -> dict[int, int]:
        places = self._places(cell_id)
        there = np.flatnonzero(self._rank[places] >= 0)
        owed = np.where(self._settled[places], 0, self._rank[places])[there]
        return dict(zip(there.tolist(), owed.tolist(), strict=True))

    def __iter__(self) -> Iterator[str]:
        return iter(self._cell_of)

    def __len__(self) -> int:
        return len(self._cell_of)

    def saved(self, cell_id: str, until: int) -> int:
        """How many of a cell's first `until` completions are there for good."""
        return int(np.count_nonzero(self._settled[self._places(cell_id)][:until]))

    def _places(self, cell_id: str) -> slice:
        at = self._cell_of[cell_id]
        return slice(int(self._starts[at]), int(self._starts[at + 1]))


def locate(paths: Sequence[Path], planned: Sequence[Cell], columns: Sequence[str]) -> Located:
    """Where the planned completions lie in those files that can be read whole in some columns of samples.parquet.

    `columns` have those of IDENTITY among them. Raises OSError where a file may be whole but cannot be read.
    """
    readable = list(paths)
    while True:
        located = Located(planned, columns)
        for path in readable:
            try:
                located.add(path)
            except BrokenFileError:
                readable.remove(path)
                break
        else:
            hand_back_memory()
            return located
