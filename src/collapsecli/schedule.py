"""Which completions a run still needs, while they come back: the one place that decides what is asked next.

A fixed cell needs its planned number. An adaptive one is judged at its looks, at 16, 32, 64, … draws, and needs draws
up to the look that decides it. Where an engine would idle (a GPU with room in its batch) the next looks are drawn
ahead, the nearest first; what turns out not to be needed is kept and not counted. Draws depend on their cell and
index alone, so what is drawn ahead changes no verdict.

Cells that branch off another one are of a second wave: they are planned when that one is closed for the first time,
whatever happens to it later, so that their prompts do not depend on when a run was stopped.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collapsecli import branches, verdict
from collapsecli.engines import SampleRequest
from collapsecli.judge import family_of, in_family, kept_by_family, look_at, read_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from collapsecli.judge import Evidence
    from collapsecli.records import Cell, Completion, Rules

_TRIES = 3  # a failure that may go away is tried again this often in one sitting
_THERE, _IN_FLIGHT = 1, 2  # what a draw is that is not missing


@dataclass(slots=True)
class _Track:
    """One cell under way: which of its draws are there for good, which are being made."""

    cell: Cell
    seed: int
    rules: Rules
    judged: bool  # whether its texts are needed while sampling goes on
    in_family: bool  # whether its flag may be withheld, and more draws taken for it
    draws: bytes | bytearray = b""  # a byte each, once there is any; let go once nothing more can be asked
    rows: dict[int, Completion] = field(default_factory=dict)
    look: int = 0  # which of its looks is being filled
    asked: int = -1  # up to which of its looks everything was asked for
    filled: int = 0  # how many of the draws that it needs are there
    evidence: Evidence | None = None
    closed: bool = False
    waiting: tuple[_Track, ...] = ()  # cells that branch off this one, until they are planned
    given_up: bool = False  # a branch that could not be planned: nothing is drawn for it

    @property
    def needed(self) -> int:
        return 0 if self.given_up else self.cell.sampling.looks[self.look]

    @property
    def keeps_texts(self) -> bool:
        return self.judged or bool(self.waiting)

    @property
    def pending(self) -> bool:
        return branches.is_pending(self.cell) and not self.given_up

    @property
    def at_cap(self) -> bool:
        return self.look == len(self.cell.sampling.looks) - 1

    @property
    def may_reopen(self) -> bool:
        return self.in_family and not self.at_cap and self.evidence is not None and self.evidence.flag == "flagged"

    def go_on(self, look: int) -> None:
        self.look, self.closed = look, False
        self.filled = self.draws.count(_THERE, 0, self.needed)

    def mark(self, index: int, draw: int) -> None:
        if not isinstance(self.draws, bytearray):
            self.draws = bytearray(self.cell.sampling.samples)
        self.draws[index] = draw

    def missing(self, until: int) -> list[int]:
        """Indices below `until` that are neither there nor being drawn."""
        return [index for index in range(until) if not self.draws[index]] if self.draws else list(range(until))


class Schedule:
    """What is asked of an engine, adapted to what comes back. `rules_of` gives the thresholds that decide a cell.

    `given_up` names cells that could not be planned. `on_branch` is told of every cell of the second wave when it is
    planned, or why it is not, before anything is asked for it; it may refuse the cell by giving the reason back.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        seeds: Mapping[str, int],
        rules_of: Callable[[Cell], Rules],
        is_transient: Callable[[Completion], bool],
        given_up: Iterable[str] = (),
    ) -> None:
        self.on_branch: Callable[[Cell, Cell | str], str | None] = lambda _cell, _planned: None
        adaptive = {family_of(cell) for cell in cells if cell.sampling.adaptive}
        families = Counter(family_of(cell) for cell in cells if in_family(cell) and family_of(cell) in adaptive)
        self._tracks = {}
        for cell in cells:
            rules = rules_of(cell)
            size = families[family_of(cell)]
            withholds = size > 0 and verdict.false_discovery_rate(rules, size) < 1
            may_be_withheld = withholds and in_family(cell)
            judged = may_be_withheld or (cell.sampling.adaptive and verdict.has_verdict(cell.sampling))
            self._tracks[cell.cell_id] = _Track(cell, seeds[cell.cell_id], rules, judged, may_be_withheld)
        for cell_id in given_up:
            self._tracks[cell_id].given_up = self._tracks[cell_id].closed = True
        for track in self._tracks.values():
            if track.pending and track.cell.branch:
                self._tracks[track.cell.branch.plain].waiting += (track,)
        self._attempts: dict[tuple[str, int], int] = {}  # of draws that failed in a way that may pass
        self._tries: dict[tuple[str, int], int] = {}  # those of this sitting
        self._is_transient = is_transient
        self._due: deque[_Track] = deque()
        self._later: list[tuple[int, int, _Track]] = []  # a heap: the next look that each open cell may come to need
        self._order = itertools.count()
        self._outstanding = 0

    # ------------------------------------------------------------------------------------------------ what is there

    @property
    def judged_cells(self) -> tuple[Cell, ...]:
        """The cells whose texts are needed to go on."""
        return tuple(track.cell for track in self._tracks.values() if track.keeps_texts)

    def restore(
        self, kept: Mapping[str, Mapping[int, int]], judged: Iterable[tuple[Cell, Sequence[Completion]]] = ()
    ) -> None:
        """Take over what earlier sittings left: {cell_id: {index: failed attempts}}, and the texts of judged cells.

        A judged cell is looked at as its texts come, and they are let go where nothing can need them again.
        """
        for cell_id, indices in kept.items():
            for index, attempts in indices.items():
                if attempts:
                    self._attempts[cell_id, index] = attempts
                else:
                    self._tracks[cell_id].mark(index, _THERE)
        unread = {cell.cell_id for cell in self.judged_cells}
        for cell_id, track in self._tracks.items():
            if cell_id not in unread:
                self._begin(track)
        for cell, completions in judged:
            if cell.cell_id in unread:
                unread.remove(cell.cell_id)
                rows = (completion for completion in completions if not self._is_transient(completion))
                track = self._tracks[cell.cell_id]
                track.rows = {completion.sample_index: completion for completion in rows}
                self._begin(track)
        for cell_id in unread:
            self._begin(self._tracks[cell_id])
        while self.complete and self._top_up():
            pass

    def _begin(self, track: _Track) -> None:
        if not track.given_up:
            track.go_on(0)
        if not track.pending:
            self._look(track)

    @property
    def complete(self) -> bool:
        """Whether every cell has what it needs, as far as is known."""
        return all(track.closed for track in self._tracks.values())

    @property
    def saved(self) -> int:
        """Completions that are needed and there for good."""
        return sum(track.filled for track in self._tracks.values())

    @property
    def failed(self) -> int:
        """Draws that failed in a way that may pass."""
        return len(self._attempts)

    @property
    def planned(self) -> int:
        """Completions that are needed, as far as is known."""
        return sum(track.needed for track in self._tracks.values())

    @property
    def decided(self) -> tuple[int, int]:
        """How many cells need no more, and how many there are."""
        return sum(track.closed for track in self._tracks.values()), len(self._tracks)

    @property
    def looks(self) -> dict[str, int]:
        """The draws of each cell that count: up to the look at which it was decided."""
        return {cell_id: track.needed for cell_id, track in self._tracks.items()}

    def failed_attempts(self, completion: Completion) -> int:
        """How often this draw failed before."""
        return self._attempts.get((completion.cell_id, completion.sample_index), 0)

    # --------------------------------------------------------------------------------------------- what is asked

    def requests(self, room: int) -> Iterator[SampleRequest | None]:
        """What to draw; None when nothing can be said before more comes back. Ends when nothing is left to ask.

        `room` is how many completions the engine draws at once: up to so many are drawn ahead of their looks.
        """
        # The longest first: else the engine ends alone with the last long texts, its batch nearly empty.
        open_tracks = [track for track in self._tracks.values() if not track.closed and not track.pending]
        self._due.extend(sorted(open_tracks, key=lambda track: -track.cell.sampling.max_tokens))
        while True:
            request = self._next_due() or self._next_ahead(room)
            if request is None and not self._outstanding:
                if self._top_up():
                    continue
                return
            yield request

    def add(self, completion: Completion) -> None:
        """One more completion came back."""
        track, index = self._tracks[completion.cell_id], completion.sample_index
        draw = completion.cell_id, index
        self._outstanding -= 1
        if self._is_transient(completion):
            track.mark(index, 0)
            self._attempts[draw] = completion.attempt
            self._tries[draw] = self._tries.get(draw, 0) + 1
            self._due.append(track)
            return
        self._attempts.pop(draw, None)
        if track.closed and not track.may_reopen:
            return  # drawn ahead, and not needed
        track.mark(index, _THERE)
        track.filled += index < track.needed
        if track.keeps_texts:
            track.rows[index] = completion
        self._look(track)

    def _next_due(self) -> SampleRequest | None:
        while self._due:
            track = self._due.popleft()
            if not track.closed and (indices := self._missing(track, track.needed)):
                return self._asked(track, indices)
        return None

    def _next_ahead(self, room: int) -> SampleRequest | None:
        """The nearest look that nobody has asked for yet, of a cell that may come to need it."""
        while self._later and 0 < self._outstanding < room:
            draws, _, track = heapq.heappop(self._later)
            if (
                not track.closed
                and draws > track.cell.sampling.looks[track.asked]
                and (ahead := self._missing(track, draws))
            ):
                return self._asked(track, ahead)
        return None

    def _missing(self, track: _Track, until: int) -> list[int]:
        """What a cell lacks of its first draws, without those that failed too often to go on."""
        missing, cell_id = track.missing(until), track.cell.cell_id
        return [index for index in missing if self._tries.get((cell_id, index), 0) < _TRIES] if self._tries else missing

    def _asked(self, track: _Track, indices: Sequence[int]) -> SampleRequest:
        looks = track.cell.sampling.looks
        track.asked = max(track.asked, next(at for at, draws in enumerate(looks) if draws > indices[-1]))
        if track.asked + 1 < len(looks):
            heapq.heappush(self._later, (looks[track.asked + 1], next(self._order), track))
        for index in indices:
            track.mark(index, _IN_FLIGHT)
        self._outstanding += len(indices)
        return SampleRequest(track.cell, track.seed, tuple(indices))

    # --------------------------------------------------------------------------------------------------- the looks

    def _look(self, track: _Track) -> None:
        """Judge a cell at every look that is whole by now, until one decides it or there is no other."""
        while not track.closed and track.filled == track.needed:
            if track.judged:
                reading = read_cell(track.cell, [row for index, row in track.rows.items() if index < track.needed])
                track.evidence = look_at(reading, track.needed, track.rules, track.evidence)
            if track.at_cap or (track.evidence is not None and track.evidence.decided):
                track.closed = True
                self._plan_branches(track)
                if not track.may_reopen:
                    track.rows, track.draws = {}, b""
            else:
                track.go_on(track.look + 1)
                self._due.append(track)

    def _plan_branches(self, plain: _Track) -> None:
        waiting, plain.waiting = plain.waiting, ()
        judged = [row for index, row in plain.rows.items() if index < plain.needed]
        for track in waiting:
            planned = branches.planned(track.cell, plain.cell, judged)
            refused = self.on_branch(track.cell, planned)
            if isinstance(planned, str) or refused:
                track.given_up = track.closed = True
            else:
                track.cell = planned
                self._due.append(track)
                self._look(track)

    def give_up(self, cell_id: str) -> None:
        """Ask nothing (more) for a cell."""
        self._tracks[cell_id].given_up = self._tracks[cell_id].closed = True

    def _top_up(self) -> bool:
        """Let the cells whose flags their family does not keep take one look more; False where there is none."""
        reopened = False
        candidates = [track for track in self._tracks.values() if track.in_family]
        for family in dict.fromkeys(family_of(track.cell) for track in candidates):
            members = [track for track in candidates if family_of(track.cell) == family]
            _, withheld = kept_by_family(
                [track.cell for track in members], [track.evidence for track in members], members[0].rules
            )
            for track, is_withheld in zip(members, withheld, strict=True):
                if is_withheld and track.closed and track.may_reopen:
                    track.go_on(track.look + 1)
                    self._due.append(track)
                    self._look(track)
                    reopened = True
        return reopened
