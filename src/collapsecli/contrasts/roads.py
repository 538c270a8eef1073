"""Roads not taken: how probable are beginnings that would be just as consistent. Draws nothing, and scores nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from collapsecli.metrics.shares import share
from collapsecli.records import UNDEFINED, Contrast, Estimate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collapsecli.contrasts.drawn import Drawn
    from collapsecli.records import Completion, Scored


def roads(cell: Drawn) -> Iterator[Contrast]:
    """What the model gives each road of a cell, and all of them together.

    A road is a beginning, and its probability that of a completion which begins so, in the untouched model:
    `road_logprob` in nats, `road_nats_per_token` its surprisal over its tokens. These are no estimates, so both ends
    are the value; but they are of the tokens that were scored, and other tokens may spell the same text: of the text
    they are a lower bound. One that was not scored has no value, and its label says why.

    A road that begins with another one is `road_covered`: what it holds is part of what the other holds. All roads
    together (`roads_logprob`, and as a probability `roads_mass`, 0 where that is too small for a number) are the sum
    over those whose tokens do not begin with the tokens of another. These exclude each other, so the sum is a lower
    bound too, and no road is counted twice.

    `roads_drawn`: the share of the cell's own completions that begin with the text of a road, whatever its tokens; its
    interval has two sides. What was cut off while it was on a road (by the limit, or by a stop string that the road
    holds) might have gone either way, and counts like a lost draw. Only where the cell samples what the untouched model
    says, from the first token on.
    """
    given = [one for one in cell.scored if one.kind == "road"]
    known = [one for one in given if not _why_unscored(one)]
    for place, one in enumerate(known):
        yield from _of_one(cell, one, _covering(place, known))
    yield from _of_all(cell, known)
    for one in given:
        if why := _why_unscored(one):
            yield _row(cell, "road_logprob", UNDEFINED, 0, f"{one.text}: not scored, {why}")
    if given and _is_untouched(cell):
        yield from _drawn(cell, [one.text for one in given])


# ------------------------------------------------------------------------------------------------------------- scored


def _of_one(cell: Drawn, one: Scored, covering: Scored | None) -> Iterator[Contrast]:
    tokens, logprob = len(one.token_ids), _logprob(one)
    yield _row(cell, "road_logprob", _exactly(logprob), tokens, one.text)
    yield _row(cell, "road_nats_per_token", _exactly(0.0 - logprob / tokens), tokens, one.text)
    if covering is not None:
        yield _row(cell, "road_covered", UNDEFINED, tokens, f"{one.text} begins with {covering.text}")


def _of_all(cell: Drawn, known: Sequence[Scored]) -> Iterator[Contrast]:
    if known:
        apart = _apart(known)
        logprob = min(float(np.logaddexp.reduce([_logprob(one) for one in apart])), 0.0)
        yield _row(cell, "roads_logprob", _exactly(logprob), len(apart))
        yield _row(cell, "roads_mass", _exactly(math.exp(logprob)), len(apart))


def _why_unscored(one: Scored) -> str:
    if one.error is not None:
        return one.error
    if not one.token_ids or len(one.token_ids) != len(one.token_logprobs):
        return "its tokens are not known"
    return "a log-probability is not a number" if math.isnan(_logprob(one)) else ""


def _logprob(one: Scored) -> float:
    return math.fsum(one.token_logprobs)


def _covering(place: int, known: Sequence[Scored]) -> Scored | None:
    """The shortest other road that one begins with; of those that are the same, all but the first are covered."""
    one = known[place]
    shorter = [
        other
        for at, other in enumerate(known)
        if at != place and _begins_with(one, other) and (at < place or not _begins_with(other, one))
    ]
    return min(shorter, key=lambda other: len(other.text), default=None)


def _begins_with(one: Scored, other: Scored) -> bool:
    return one.text.startswith(other.text) or _tokens_begin_with(one, other)


def _tokens_begin_with(one: Scored, other: Scored) -> bool:
    return one.token_ids[: len(other.token_ids)] == other.token_ids


def _apart(known: Sequence[Scored]) -> list[Scored]:
    """Those whose tokens do not begin with the tokens of another; of equal ones, one."""
    apart: list[Scored] = []
    for one in sorted(known, key=lambda one: one.token_ids):  # what begins with another stands behind it
        if not apart or not _tokens_begin_with(one, apart[-1]):
            apart.append(one)
    return apart


def _exactly(value: float) -> Estimate:
    return Estimate(value, value, value)


# -------------------------------------------------------------------------------------------------------------- drawn


def _is_untouched(cell: Drawn) -> bool:
    """Whether the completions are what the untouched model says right after the prompt."""
    sampling = cell.cell.sampling
    untouched = sampling.temperature == 1 and sampling.top_p == 1 and not sampling.top_k and not sampling.min_p
    return untouched and all(one.reasoning is None for one in cell.completions)


def _drawn(cell: Drawn, texts: Sequence[str]) -> Iterator[Contrast]:
    there = [one.text.startswith(tuple(texts)) for one in cell.completions]
    stop = cell.cell.sampling.stop
    cut = sum(
        not is_there and any(_is_cut_on(text, one, stop) for text in texts)
        for one, is_there in zip(cell.completions, there, strict=True)
    )
    n = len(there) - cut
    if n:
        yield _row(cell, "roads_drawn", share(sum(there), n, cell.alpha, cell.lost + cut), n)


def _is_cut_on(road: str, completion: Completion, stop: Sequence[str]) -> bool:
    """Whether a completion ended on its way along a road, and not because the model ended it."""
    by_limit = completion.finish_reason == "length" and road.startswith(completion.text)
    return by_limit or any(road.startswith(completion.text + mark) for mark in stop)


def _row(cell: Drawn, metric: str, estimate: Estimate, n: int, label: str = "") -> Contrast:
    return Contrast(
        kind="roads",
        suite=cell.cell.suite,
        subject=cell.cell.cell_id,
        metric=metric,
        estimate=estimate,
        n=n,
        cell_id=cell.cell.cell_id,
        label=label,
    )
