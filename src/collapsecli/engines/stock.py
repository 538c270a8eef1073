"""What waits to be done by several engines, and what each of them is doing. Knows no thread and no process."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from collapsecli.engines import SampleRequest, Score, ScoreRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from collapsecli.records import Completion

Request = SampleRequest | ScoreRequest
Key = tuple[str, int]  # one draw: its cell and its index; or one text to be scored


class Stock:
    """Requests that wait, and the draws that each of the living `replicas` has in flight.

    What a replica loses at its death waits again, once: what was in flight at two deaths may be what they died of, and
    is given up.
    """

    def __init__(self, replicas: Iterable[int]) -> None:
        self._waiting: deque[Request] = deque()
        self._in_flight: dict[int, dict[Key, Request]] = {replica: {} for replica in replicas}
        self._lost_once: set[Key] = set()
        self.n_waiting = 0  # draws
        self.n_given_up = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is in flight."""
        return not self.n_waiting and not any(self._in_flight.values())

    @property
    def living(self) -> Collection[int]:
        """The replicas that are left."""
        return self._in_flight.keys()

    def is_busy(self, replica: int) -> bool:
        """Whether a replica has anything in flight."""
        return bool(self._in_flight[replica])

    def add(self, request: Request) -> None:
        """Let a request wait behind the others."""
        self._waiting.append(request)
        self.n_waiting += len(_keys(request))

    def is_ahead(self, replica: int) -> bool:
        """Whether a replica would, with the next request, leave too little for others to draw level with it.

        It never is when none has less in flight. So no replica takes what another would soon need, and where much
        waits none is held up.
        """
        own = len(self._in_flight[replica])
        others = [len(keys) for other, keys in self._in_flight.items() if other != replica]
        if own <= min(others, default=own):
            return False
        size = self._next_size()
        return sum(max(0, own + size - theirs) for theirs in others) > self.n_waiting - size

    def take(self, replica: int) -> Request:
        """The next request, for a replica; cut where several idle and could share what waits. There has to be one."""
        size = self._next_size()
        request = self._waiting.popleft()
        keys = _keys(request)
        if size < len(keys):
            self._waiting.appendleft(_narrowed(request, keys[size:]))
            request = _narrowed(request, keys[:size])
        self._in_flight[replica].update(dict.fromkeys(keys[:size], request))
        self.n_waiting -= size
        return request

    def came_back(self, replica: int, row: Completion | Score) -> None:
        """A row has come back from a replica."""
        key = (row.score_id, 0) if isinstance(row, Score) else (row.cell_id, row.sample_index)
        self._in_flight[replica].pop(key, None)
        self._lost_once.discard(key)

    def lose(self, replica: int) -> None:
        """A replica is no more: what it had in flight waits in front, or is given up."""
        lost: dict[int, tuple[Request, list[Key]]] = {}
        for key, request in self._in_flight.pop(replica).items():
            if key in self._lost_once:
                self._lost_once.discard(key)
                self.n_given_up += 1
            else:
                lost.setdefault(id(request), (request, []))[1].append(key)
        for request, keys in reversed(lost.values()):
            self._lost_once.update(keys)
            self._waiting.appendleft(_narrowed(request, keys))
            self.n_waiting += len(keys)

    def _next_size(self) -> int:
        idle = sum(not keys for keys in self._in_flight.values())
        return min(len(_keys(self._waiting[0])), -(-self.n_waiting // max(1, idle)))


def _keys(request: Request) -> list[Key]:
    if isinstance(request, ScoreRequest):
        return [(request.score_id, 0)]
    return [(request.cell.cell_id, index) for index in request.indices]


def _narrowed(request: Request, keys: Iterable[Key]) -> Request:
    if isinstance(request, ScoreRequest):
        return request
    return replace(request, indices=tuple(index for _, index in keys))
