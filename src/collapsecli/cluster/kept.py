"""An engine that serves one run after the other. Knows no engine by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from collapsecli.engines import Engine, SampleRequest, Score, ScoreRequest
    from collapsecli.records import Cell, Completion, EngineInfo


class KeptEngine:
    """An engine whose `close` does nothing: it ends with its process. All else is the engine's own; see Engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def info(self) -> EngineInfo:
        """See Engine."""
        return self._engine.info

    @property
    def room(self) -> int:
        """See Engine."""
        return self._engine.room

    def check(self, cells: Sequence[Cell]) -> None:
        """See Engine."""
        self._engine.check(cells)

    def sample(self, requests: Iterable[SampleRequest | None]) -> Generator[Completion, None, None]:
        """See Engine."""
        return self._engine.sample(requests)

    def tokens(self, cell: Cell, text: str) -> tuple[int, ...]:
        """See Engine."""
        return self._engine.tokens(cell, text)

    def score(self, requests: Iterable[ScoreRequest]) -> Generator[Score, None, None]:
        """See Engine."""
        return self._engine.score(requests)

    def stop(self) -> None:
        """See Engine; nothing can be drawn after it."""
        self._engine.stop()

    def close(self) -> None:
        """Keep the engine for the next run."""
