"""Draws of several cells side by side: in step, in disjoint pairs, and how often they do something. Knows no texts."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from collapsecli.metrics.shares import share
from collapsecli.records import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from collapsecli.contrasts.drawn import Drawn
    from collapsecli.records import Completion

    Integers = NDArray[np.int64]
    Bools = NDArray[np.bool_]
    Pairs = tuple[Integers, Integers]

LOST = -1  # in place of what a lost draw says


def draws_of(drawn: Drawn, look: int | None = None) -> list[Completion | None]:
    """The draws of a cell in sample order, the first `look` of them or all that were judged; None for each lost one.

    Of a cell whose later texts were let go, those up to the last that was kept.
    """
    came_back = {completion.sample_index: completion for completion in drawn.completions}
    is_whole = len(came_back) + drawn.lost >= drawn.result.look
    kept = drawn.result.look if is_whole else max(came_back, default=-1) + 1
    return [came_back.get(index) for index in range(kept if look is None else min(kept, look))]


@lru_cache(maxsize=1 << 16)  # the same few counts are asked for again and again
def mean_share(hits: int, n: int, alpha: float, lost: int = 0) -> Estimate:
    """The mean probability of N independent events, equally likely or not, of which `hits` happened; alpha at most 1/2.

    The interval of Clopper and Pearson holds for their mean as well: from one event off the mean on, no such events
    stray from it more often than equally likely ones (Hoeffding 1956, theorem 4). Nearer to the mean lie two ends
    alone, that below a single hit and that above a single miss, and there Markov's inequality gives alpha / 2N. `lost`
    further events are not known: none of them counts as a hit in the lower end, all of them in the upper one.
    """
    exact, events = share(hits, n, alpha, lost), n + lost
    low = alpha / (2 * events) if hits == 1 else exact.low
    high = 1 - alpha / (2 * events) if hits + lost == events - 1 else exact.high
    return Estimate(exact.value, low, high)


def agreement(pairs: tuple[Integers, Integers], same: Bools, alpha: float) -> tuple[Estimate, int]:
    """The share of disjoint pairs that are the `same` (P,), and the number of those of which both draws are known.

    pairs: twice (P,) what the draws say, LOST where that is not known.
    """
    known = (pairs[0] != LOST) & (pairs[1] != LOST)
    n = int(known.sum())
    return mean_share(int((known & same).sum()), n, alpha, len(known) - n), n


def within(cells: int, draws: int) -> Pairs:
    """Neighbouring draws of each cell, every draw in one pair at most.

    Draws are numbered cell by cell, as in a raveled (cells, draws) array; returns the first and the second of each
    pair.
    """
    first = (np.arange(cells)[:, None] * draws + np.arange(0, draws - 1, 2)).ravel()
    return first, first + 1


def between(cells: int, draws: int) -> Pairs:
    """Draws of two different cells with the same place in them, every draw in one pair at most.

    They are numbered and returned as by `within`. The cells meet as in a round-robin tournament, a round with every
    draw (an odd one out rests). Only whole tournaments are played, so that every two cells meet equally often; with
    fewer draws than rounds, these.
    """
    players = cells + cells % 2
    rounds = max(players - 1, 1)
    draw = np.arange(draws - draws % rounds or draws)[:, None]
    seat = np.arange(players // 2)
    one, other = (draw + seat) % rounds, np.where(seat == 0, players - 1, (draw - seat) % rounds)
    meet = other < cells
    return (one * draws + draw)[meet], (other * draws + draw)[meet]
