"""What a report shows of one cell: its modes with an example of each, and what could not be read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from collapsecli import modes
from collapsecli.judge.probabilities import mode_masses
from collapsecli.judge.reading import read_cell
from collapsecli.metrics import categorical
from collapsecli.records import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from collapsecli.judge.probabilities import Known
    from collapsecli.judge.reading import Reading
    from collapsecli.records import Cell, Completion, ModeKind


def modes_of(reading: Reading, draws: int, known: Known, alpha: float) -> tuple[Mode, ...]:
    """The modes of the first `draws`, heaviest first; each is shown by its most frequent answer (ties: the earliest).

    Each share has its own Clopper-Pearson interval; together they do not hold at the rate of one.
    """
    came_back, read = reading.came_back(draws), reading.read(draws)
    ranks = ranks_of(reading, draws)
    counts = np.bincount(ranks[ranks >= 0])
    said: list[dict[str, list[int]]] = [{} for _ in counts]
    for place, (answer, rank) in enumerate(zip(read, ranks.tolist(), strict=True)):
        if answer is not None:
            said[rank].setdefault(answer, []).append(place)
    shares = categorical.shares(counts, draws - len(came_back), alpha)
    masses = mode_masses(reading, draws, known, ranks, len(counts))
    found = []
    for rank, by_answer in enumerate(said):
        answer, places = max(by_answer.items(), key=lambda item: len(item[1]))
        exemplar = came_back[places[0]]
        found.append(
            Mode(
                rank=rank + 1,
                text=answer,
                count=int(counts[rank]),
                share=shares[rank],
                probability=masses[rank],
                sample_index=exemplar.sample_index,
                exemplar=exemplar.text,
                said=len(places),
                kind=_kind(exemplar.text),
            )
        )
    return tuple(found)


def of_the_mode(cell: Cell, completions: Sequence[Completion]) -> list[Completion]:
    """The completions of a cell's mode, its exemplar first and then in sample order; none without a readable answer."""
    reading = read_cell(cell, completions)
    draws = cell.sampling.samples
    rows = zip(reading.came_back(draws), reading.read(draws), ranks_of(reading, draws).tolist(), strict=True)
    members = [(completion, answer) for completion, answer, rank in rows if rank == 0]
    most_said = Counter(answer for _, answer in members).most_common(1)
    exemplar = next((one for one, answer in members if answer == most_said[0][0]), None)
    return sorted((one for one, _ in members), key=lambda one: (one is not exemplar, one.sample_index))


def ranks_of(reading: Reading, draws: int) -> NDArray[np.int64]:
    """The rank, from 0, of the mode of each completion that came back (ties: the earliest); -1 for unreadable ones."""
    labels = reading.relation.group(reading.readable(draws)).labels
    counts = np.bincount(labels)
    first = np.unique(labels, return_index=True)[1]
    rank_of = np.empty(len(counts), np.int64)
    rank_of[np.lexsort((first, -counts))] = np.arange(len(counts))
    read = reading.read(draws)
    ranks = np.full(len(read), -1, np.int64)
    ranks[[answer is not None for answer in read]] = rank_of[labels]
    return ranks


def most_frequent_unread(reading: Reading, draws: int) -> tuple[str, int]:
    """What the unreadable texts say most often (as first said), and how many say it; ties prefer the earliest."""
    said: dict[str, list[str]] = {}
    for completion, answer in zip(reading.came_back(draws), reading.read(draws), strict=True):
        if answer is None:
            said.setdefault(modes.canonical(completion.text), []).append(completion.text)
    most = max(said.values(), key=len, default=[""])
    return most[0], len(most) if said else 0


def _kind(text: str) -> ModeKind:
    if not text.strip():
        return "empty"
    return "refusal" if modes.is_refusal(text) else "answer"
