"""The vectors of the answers of two sides, each from where that side keeps them. Knows no encoder but by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from collapsecli.errors import UsageError
from collapsecli.modes import canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from collapsecli.contrasts.drawn import Drawn
    from collapsecli.modes import Vectors


def vectors_of_both(base: Drawn, run: Drawn) -> Vectors | None:
    """The vectors of the answers of one cell on both sides; None where no encoder says which are the same.

    Raises UsageError where the two sides were embedded by different encoders: their vectors lie in different spaces.
    """
    if base.vectors is None or run.vectors is None or not run.cell.encoder:
        return run.vectors
    if base.cell.encoder != run.cell.encoder:
        raise UsageError(
            f"{run.cell.question} is compared by embeddings of {base.cell.encoder or 'nothing'} in the base, "
            f"of {run.cell.encoder} in the run",
            hint=f"judge both by one: --equivalence {run.cell.sameness.spelled}",
        )
    said = frozenset(canonical(answer) for answer in base.answers if answer is not None)
    return _OfBoth(base.vectors, run.vectors, said)


@dataclass(frozen=True, slots=True)
class _OfBoth:
    """Texts that the base said are looked up there, and all others in the run."""

    base: Vectors
    run: Vectors
    said_by_base: frozenset[str]

    def of(self, encoder: str, texts: Sequence[str]) -> NDArray[np.float32]:
        by_base = np.array([text in self.said_by_base for text in texts], np.bool_)
        places = {side: np.flatnonzero(by_base == side) for side in (True, False)}
        parts = [
            (at, vectors.of(encoder, [texts[place] for place in at]))
            for at, vectors in ((places[True], self.base), (places[False], self.run))
            if at.size
        ]
        found = np.empty((len(texts), parts[0][1].shape[1] if parts else 1), np.float32)
        for at, vectors in parts:
            found[at] = vectors
        return found
