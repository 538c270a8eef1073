"""How far two models' own probabilities lie apart, from the draws of both as both score them. Scores nothing itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from collapsecli.compared import Divergence, Extinguished
from collapsecli.metrics.divergence import EXTINGUISHED_NATS, MOST_JENSEN_SHANNON, divergence, noise_floor
from collapsecli.metrics.paired import mean
from collapsecli.records import UNDEFINED, Estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from collapsecli.records import Cell, Completion

    Floats = NDArray[np.float64]

MOST_EXTINGUISHED = 5
_BOUNDS = {
    "total_variation": 1.0,
    "jensen_shannon": MOST_JENSEN_SHANNON,
    "kl": math.inf,
    "kl_per_token": math.inf,
    "extinguished": 1.0,
}


@dataclass(frozen=True, slots=True)
class Rescored:
    """What an untouched model gives to a completion: nats in all, end and stop tokens included, over so many tokens."""

    sample_index: int
    logprob: float
    n_tokens: int


@dataclass(frozen=True, slots=True)
class RescoredDraws:
    """The completions of one side of a cell, and what the two models give to them.

    `lost` further completions never came back. One that either model did not score, that they scored over different
    tokens, or that its own model calls impossible, is as good as lost.
    """

    completions: Sequence[Completion]
    by_base: Sequence[Rescored]
    by_run: Sequence[Rescored]
    lost: int = 0


@dataclass(frozen=True, slots=True)
class RescoredCell:
    """A cell of both runs with its draws; `prompt` is the same for all cells of a prompt, and for no others."""

    question: str
    prompt: str
    base: RescoredDraws
    run: RescoredDraws


def why_not(base: Cell, run: Cell) -> str:
    """Why the draws of a cell say nothing of the two models' own distributions; empty where they do."""
    for name, cell in (("base", base), ("run", run)):
        sampling = cell.sampling
        if sampling.temperature != 1:
            return f"the {name} sampled at temperature {sampling.temperature:g}, not at 1"
        if not sampling.is_untouched:
            return f"the {name} sampled with top_p, top_k or min_p: not from all that its model gives"
    ends = {(cell.sampling.max_tokens, cell.sampling.stop) for cell in (base, run)}
    return "" if len(ends) == 1 else "the completions of base and run end at different max_tokens or stop"


# ------------------------------------------------------------------------------------------------------------ one cell


class _Known(NamedTuple):
    """A completion that both models scored.

    `nats` is ln p_base - ln p_run, `noise` the log-probability by its own model, as scored less as sampled.
    """

    completion: Completion
    nats: float
    n_tokens: int
    noise: float | None


def divergence_of(cell: RescoredCell, alpha: float) -> Divergence:
    """The divergences of a cell with the noise floor; each interval has the two-sided error rate `alpha`."""
    base, run = _known(cell.base, own_is_base=True), _known(cell.run, own_is_base=False)
    found = divergence(
        [one.nats for one in base],
        [one.nats for one in run],
        [one.n_tokens for one in base],
        alpha,
        _unknown(cell.base, base),
        _unknown(cell.run, run),
    )
    floors = [noise_floor([one.noise for one in known if one.noise is not None]) for known in (base, run)]
    told = [floor for floor in floors if floor is not None]
    return replace(found, floor=math.fsum(told) / len(told) if told else None)


def _known(draws: RescoredDraws, *, own_is_base: bool) -> list[_Known]:
    by_base, by_run = ({one.sample_index: one for one in scored} for scored in (draws.by_base, draws.by_run))
    found = []
    for completion in draws.completions:
        of_base, of_run = by_base.get(completion.sample_index), by_run.get(completion.sample_index)
        if of_base is None or of_run is None or completion.error_kind is not None:
            continue
        own, other = (of_base, of_run) if own_is_base else (of_run, of_base)
        if own.n_tokens == other.n_tokens and math.isfinite(own.logprob) and other.logprob < math.inf:
            nats = of_base.logprob - of_run.logprob
            found.append(_Known(completion, nats, own.n_tokens, _noise(completion, own)))
    return found


def _noise(completion: Completion, own: Rescored) -> float | None:
    sampled = completion.logprob
    if completion.logprob_kind is None or sampled is None or not math.isfinite(sampled):
        return None
    return own.logprob - sampled


def _unknown(draws: RescoredDraws, known: Sequence[_Known]) -> int:
    return draws.lost + len(draws.completions) - len(known)


def most_extinguished(cells: Iterable[RescoredCell], most: int = MOST_EXTINGUISHED) -> list[Extinguished]:
    """The base's completions that lost most of their probability, the most lost first; of each text of a cell one.

    Only those to which the run's model gives under a hundredth of what the base's gives. `nats` is infinite for one
    that it calls impossible.
    """
    found: dict[tuple[str, str], Extinguished] = {}
    for cell in cells:
        for completion, nats, n_tokens, _ in _known(cell.base, own_is_base=True):
            key = cell.question, completion.text
            if nats > max(EXTINGUISHED_NATS, found[key].nats if key in found else 0.0):
                found[key] = Extinguished(cell.question, completion.sample_index, completion.text, nats, n_tokens)
    return sorted(found.values(), key=lambda one: (-one.nats, one.question, one.sample_index))[:most]


# --------------------------------------------------------------------------------------------------------- all prompts


def overall(
    cells: Sequence[tuple[RescoredCell, Divergence]], alpha: float, generator: np.random.Generator
) -> Divergence:
    """The mean over the prompts of each divergence, with intervals over prompts at two-sided error rate `alpha`.

    A prompt counts once, by the mean of its cells that have a value. KL is infinite, so undefined here, as soon as that
    of one cell is. Draws that were lost are not known: the lower end takes each cell at the least that it could be with
    them, the upper end at the most. `floor` is the mean of those of the cells.
    """
    told = [(cell, found) for cell, found in cells if found.total_variation.value is not None]
    floors = [found.floor for _, found in told if found.floor is not None]
    estimates = {name: _mean(name, told, alpha, generator) for name in _BOUNDS}
    return Divergence(
        n_base=sum(found.n_base for _, found in told),
        n_run=sum(found.n_run for _, found in told),
        floor=math.fsum(floors) / len(floors) if floors else None,
        **estimates,
    )


def _mean(
    name: str, cells: Sequence[tuple[RescoredCell, Divergence]], alpha: float, generator: np.random.Generator
) -> Estimate:
    of_prompts: dict[str, list[tuple[float, float, float]]] = {}
    for cell, found in cells:
        value = getattr(found, name).value
        if value is None:
            return UNDEFINED
        of_prompts.setdefault(cell.prompt, []).append(_with_lost(name, value, _share_known(name, cell, found)))
    if not of_prompts:
        return UNDEFINED
    low, value, high = np.array([np.mean(several, axis=0) for several in of_prompts.values()]).T
    middle = mean(value, alpha, generator)
    lower, upper = middle.low, middle.high
    if not np.array_equal(low, high):
        lower = mean(low, alpha, generator).low
        upper = mean(high, alpha, generator).high if np.isfinite(high).all() else None
    return Estimate(
        middle.value,
        None if lower is None else max(lower, 0.0),
        None if upper is None else min(upper, _BOUNDS[name]),
    )


def _share_known(name: str, cell: RescoredCell, found: Divergence) -> float:
    """The share of a cell's draws that both models scored, on the side that has the smaller one."""
    sides = [(found.n_base, cell.base), (found.n_run, cell.run)][: 1 if name == "extinguished" else 2]
    return min(n / (draws.lost + len(draws.completions)) for n, draws in sides)


def _with_lost(name: str, value: float, known: float) -> tuple[float, float, float]:
    """The least that it could be had no draw been lost, the value, and the most; a lost draw may be of any length."""
    if known == 1:
        return value, value, value
    least = 0.0 if name == "kl_per_token" else value * known
    return least, value, value * known + _BOUNDS[name] * (1 - known)
