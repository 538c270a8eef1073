"""Is the model as sure after it was pushed off the road? Surprisals by position in the text. Knows no words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from collapsecli.metrics.shares import difference, median
from collapsecli.records import Contrast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from collapsecli.contrasts.drawn import Drawn
    from collapsecli.records import Estimate

    Floats = NDArray[np.float64]

_MOST_BINS = 16
_LONG = 90  # per cent of all completions are at most so long; the bins reach as far
_FEWEST_TEXTS = 4


def certainty(injected: Drawn, plain: Drawn) -> Iterator[Contrast]:
    """The surprisal of sampled tokens along the text, after an injection and without it.

    `surprisal`: in each bin of token positions the median surprisal (nats) of the completions that reach it. The tokens
    of one text depend on each other, so each text gives one value, the median of its own tokens there. The interval is
    exact for the median over texts (see `shares.median`) and needs at least six; a bin that fewer than four reach is
    left out. Both cells have the same bins: at most 16 of equal width, as far as nine in ten completions reach.
    `surprisal_difference`: nats per token, injected minus plain, each a ratio of sums. It has no interval where one of
    them has none: below 16 completions, and where all seem to be the same one.

    Nothing where the log-probabilities of either cell are not known token by token, or are not those of the
    distribution sampled from.
    """
    if not (_has_surprisals(injected) and _has_surprisals(plain)):
        return
    width = _width([len(one.token_logprobs) for cell in (injected, plain) for one in cell.completions])
    for cell in (injected, plain):
        per_bin = bin_medians([one.token_logprobs for one in cell.completions], width)
        for place, surprisals in enumerate(per_bin.T):
            reached = surprisals[~np.isnan(surprisals)]
            if len(reached) >= _FEWEST_TEXTS:
                estimate = median(reached, cell.alpha, cell.lost)
                yield _row("surprisal", estimate, len(reached), cell, injected, plain, at=place * width)
    apart = difference(injected.result.metric("token_rate"), plain.result.metric("token_rate"))
    n = len(injected.completions) + len(plain.completions)
    yield _row("surprisal_difference", apart, n, injected, injected, plain)


def bin_medians(token_logprobs: Sequence[ArrayLike], width: int) -> Floats:
    """The median surprisal (nats) of N texts in each bin of `width` tokens: (N, bins), NaN where a text has ended."""
    surprisals = np.full((len(token_logprobs), _MOST_BINS * width), np.nan)
    for row, logprobs in zip(surprisals, token_logprobs, strict=True):
        kept = np.asarray(logprobs, np.float64)[: len(row)]
        row[: len(kept)] = 0.0 - kept  # not -0.0 for a certain token
    ordered = np.sort(surprisals.reshape(len(surprisals), _MOST_BINS, width), axis=2)  # NaN comes last
    tokens = np.count_nonzero(~np.isnan(ordered), axis=2)[..., None]
    below, above = (
        np.take_along_axis(ordered, np.maximum(place, 0), axis=2) for place in ((tokens - 1) // 2, tokens // 2)
    )
    medians: Floats = np.where(tokens > 0, (below + above) / 2, np.nan)[..., 0]
    return medians


def _width(lengths: Sequence[int]) -> int:
    return max(1, math.ceil(float(np.percentile(lengths, _LONG)) / _MOST_BINS))


def _has_surprisals(cell: Drawn) -> bool:
    """Whether the surprisal of every token of every completion is known, and is of the distribution sampled from."""
    return (
        len(cell.completions) > 0
        and not cell.result.absent
        and all(len(one.token_logprobs) > 0 and np.isfinite(one.token_logprobs).all() for one in cell.completions)
    )


def _row(
    metric: str, estimate: Estimate, n: int, of: Drawn, injected: Drawn, plain: Drawn, at: float | None = None
) -> Contrast:
    return Contrast(
        kind="certainty",
        suite=injected.cell.suite,
        subject=injected.cell.cell_id,
        metric=metric,
        estimate=estimate,
        n=n,
        cell_id=of.cell.cell_id,
        other_cell_id=plain.cell.cell_id,
        at=at,
    )
