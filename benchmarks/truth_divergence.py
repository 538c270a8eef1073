"""How often the intervals of rescored draws hold the truth: pairs of distributions whose divergences are known.

Draws are texts of a list, each with its probability on both sides. Some runs go through the records of completions, and
the means over prompts are of prompts that are drawn themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from known import zipf
from truth_intervals import NOMINAL, columns, row_of
from truth_rule import RULES
from truth_variants import show

from collapsecli.comparison.rescored import Rescored, RescoredCell, RescoredDraws, divergence_of, overall
from collapsecli.metrics.divergence import EXTINGUISHED_NATS, divergence
from collapsecli.records import Completion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from known import Floats, Integers
    from truth_intervals import Row

    from collapsecli.compared import Divergence

ALPHA = RULES.alpha
RUNS = 1000
SEED = 20_260_109
DRAWS = ((16, 16), (64, 64), (64, 16), (512, 512))  # of the base, of the run
PROMPTS = (8, 20, 100)
NAMES = ("total_variation", "jensen_shannon", "kl", "kl_per_token", "extinguished")
_PER_PROMPT = 32  # draws of each side
_SHARE_LOST = 0.2
_ALL_BUT_LOST = "a text of 0.05 all but lost"

# KL grows without bound with a text that the base gives and the run hardly does: where so few draws have not seen it,
# no interval knows. By the number of draws of the base.
KL_FLOORS = {(_ALL_BUT_LOST, 16): 0.5, (_ALL_BUT_LOST, 32): 0.75}


@dataclass(frozen=True, eq=False)
class Pair:
    """K texts with their probabilities (K,) by the base and by the run, and their tokens.

    losing: whether a fifth is lost of the base's draws that the run gives less often.
    """

    name: str
    base: Floats
    run: Floats
    n_tokens: Integers
    losing: bool = False

    @cached_property
    def nats(self) -> Floats:
        """By how much the base's log-probability of each text is the larger one (K,)."""
        with np.errstate(divide="ignore"):
            nats: Floats = np.log(self.base) - np.log(self.run)
        return nats

    @cached_property
    def truths(self) -> dict[str, float]:
        """Every divergence, by its definition."""
        middle = (self.base + self.run) / 2
        kl = _relative_entropy(self.base, self.run)
        return {
            "total_variation": float(np.abs(self.base - self.run).sum()) / 2,
            "jensen_shannon": (_relative_entropy(self.base, middle) + _relative_entropy(self.run, middle)) / 2,
            "kl": kl,
            "kl_per_token": kl / float(self.base @ self.n_tokens),
            "extinguished": float(self.base[self.nats > EXTINGUISHED_NATS].sum()),
        }

    def draw(self, n_base: int, n_run: int, generator: np.random.Generator) -> tuple[Integers, Integers]:
        """The texts that came back of so many draws of each side."""
        base = generator.choice(len(self.base), n_base, p=self.base)
        run = generator.choice(len(self.run), n_run, p=self.run)
        if self.losing:
            base = base[(self.nats[base] <= 0) | (generator.random(n_base) >= _SHARE_LOST)]
        return base, run


def _relative_entropy(p: Floats, q: Floats) -> float:
    said = p > 0
    with np.errstate(divide="ignore"):
        return float((p[said] * np.log(p[said] / q[said])).sum())


def _pair(name: str, base: Floats, run: Floats, *, losing: bool = False) -> Pair:
    """Texts of 5 to 60 tokens: the longer, the less probable they are for the run beside the base."""
    with np.errstate(divide="ignore"):
        order = np.argsort(np.argsort(np.log(base) - np.log(run), kind="stable"))
    n_tokens = 5 + (55 * order / max(len(base) - 1, 1)).astype(np.int64)
    return Pair(name, base / base.sum(), run / run.sum(), n_tokens, losing)


def _in_order(masses: Floats, *, first: float) -> Floats:
    """The masses after a first one."""
    return np.append(first, (1 - first) * masses)


def _log_normal(spread: float) -> Pair:
    """Long texts: d is normal on both sides, with its variance twice its mean."""
    x = np.linspace(-10, 10, 4001)
    base = np.exp(-(x**2) / 2)
    return _pair(f"d is normal, of spread {spread:g}", base, base * np.exp(-(spread**2) / 2 - spread * x))


def sharper(power: float) -> Pair:
    """Zipf over a hundred texts, and the same at the temperature 1 / power."""
    return _pair(f"sharper by {power:.4g}", zipf(100), zipf(100) ** power)


_LAW = zipf(100)
PAIRS = (
    _pair("equal", _LAW, _LAW),
    sharper(1.05),
    sharper(3.0),
    _pair("a coin of 0.6 turned round", np.array([0.6, 0.4]), np.array([0.4, 0.6])),
    _pair("moved, a hundredth in common", np.append(0.99 * _LAW, 0.01 * _LAW), np.append(0.01 * _LAW, 0.99 * _LAW)),
    _pair("half of it cut", _LAW, np.where(np.arange(100) < 9, _LAW, 0.0)),
    _pair("a fiftieth of it cut", _LAW, np.where(np.arange(100) < 90, _LAW, 0.0)),
    _pair("nothing in common but 0.005", np.array([0.995, 0, 0.005]), np.array([0, 0.995, 0.005])),
    _pair("a text from 0.001 to 0.05", _in_order(_LAW, first=0.001), _in_order(_LAW, first=0.05)),
    _pair("a text from 0.02 to 0.5", _in_order(_LAW, first=0.02), _in_order(_LAW, first=0.5)),
    _pair(_ALL_BUT_LOST, _in_order(_LAW, first=0.05), _in_order(_LAW, first=1e-9)),
    _log_normal(0.1),
    _log_normal(1.0),
    _log_normal(5.0),
    _pair("sharper by 3, a fifth of what it gives up lost", _LAW, _LAW**3, losing=True),
)


# ------------------------------------------------------------------------------------------------------------ one cell


def rows_of_cells(runs: int) -> Iterator[Row]:
    """Every divergence of one cell."""
    for place, pair in enumerate(PAIRS):
        for n_base, n_run in DRAWS:
            generator = np.random.default_rng([SEED, place, n_base, n_run])
            found = [_divergence(pair, n_base, n_run, generator) for _ in range(runs)]
            yield from _rows(pair, f"N = {n_base}" if n_base == n_run else f"N = {n_base} and {n_run}", n_base, found)


def rows_through_records(runs: int) -> Iterator[Row]:
    """The same with completions and what both models give to them, as they are kept."""
    for place, pair in enumerate(PAIRS):
        generator = np.random.default_rng([SEED, len(PAIRS) + place])
        found = [divergence_of(_cell(pair, _PER_PROMPT, generator), ALPHA) for _ in range(runs)]
        yield from _rows(pair, f"N = {_PER_PROMPT}, records", _PER_PROMPT, found)


def _divergence(pair: Pair, n_base: int, n_run: int, generator: np.random.Generator) -> Divergence:
    base, run = pair.draw(n_base, n_run, generator)
    lost = n_base - len(base), n_run - len(run)
    return divergence(pair.nats[base], pair.nats[run], pair.n_tokens[base], ALPHA, *lost)


def _cell(pair: Pair, draws: int, generator: np.random.Generator) -> RescoredCell:
    sides = (_rescored(pair, texts, draws) for texts in pair.draw(draws, draws, generator))
    return RescoredCell("prompt@t1.0", "prompt", *sides)


def _rescored(pair: Pair, texts: Integers, draws: int) -> RescoredDraws:
    completions = [
        Completion("", index, 0, "", f"{text}", (), (), None, 1, "stop") for index, text in enumerate(texts.tolist())
    ]
    with np.errstate(divide="ignore"):
        by_base, by_run = (
            [
                Rescored(index, float(np.log(masses[text])), int(pair.n_tokens[text]))
                for index, text in enumerate(texts.tolist())
            ]
            for masses in (pair.base, pair.run)
        )
    return RescoredDraws(completions, by_base, by_run, draws - len(texts))


def _rows(pair: Pair, plan: str, n_base: int, found: Sequence[Divergence]) -> Iterator[Row]:
    """The rows of what has intervals. No draws that have not shown it tell that KL is infinite: that has no row."""
    for name, truth in pair.truths.items():
        if math.isfinite(truth):
            floor = KL_FLOORS.get((pair.name, n_base), NOMINAL) if name.startswith("kl") else NOMINAL
            row = row_of(name, pair.name, plan, columns([getattr(one, name) for one in found]), truth, floor)
            if row.runs:
                yield row


# --------------------------------------------------------------------------------------------------------- all prompts

POPULATIONS: dict[str, tuple[Pair, ...]] = {
    "sharper by 1 to 3": tuple(sharper(power) for power in np.linspace(1, 3, 50).tolist()),
    "half of them equal, half sharper by 2": (sharper(1.0), sharper(2.0)),
}


_COMPLETION = Completion("", 0, 0, "", "", (), (), None, 1, "stop")


def rows_of_prompts(runs: int) -> Iterator[Row]:
    """The means over prompts, each drawn from a population of prompts."""
    for place, (name, pairs) in enumerate(POPULATIONS.items()):
        truths = {metric: float(np.mean([pair.truths[metric] for pair in pairs])) for metric in NAMES}
        for prompts in PROMPTS:
            generator = np.random.default_rng([SEED, 2 * len(PAIRS) + place, prompts])
            found = [_overall(pairs, prompts, generator) for _ in range(runs)]
            for metric, truth in truths.items():
                told = columns([getattr(one, metric) for one in found])
                row = row_of(f"mean_{metric}", name, f"P = {prompts}", told, truth)
                if row.runs:
                    yield row


def _overall(pairs: Sequence[Pair], prompts: int, generator: np.random.Generator) -> Divergence:
    cells: list[tuple[RescoredCell, Divergence]] = []
    for place in generator.integers(len(pairs), size=prompts).tolist():
        whole = RescoredDraws((_COMPLETION,) * _PER_PROMPT, (), ())  # none is lost: that is all that is asked of it
        found = _divergence(pairs[place], _PER_PROMPT, _PER_PROMPT, generator)
        cells.append((RescoredCell("", f"prompt{len(cells)}", whole, whole), found))
    return overall(cells, ALPHA, generator)


def rows(runs: int = RUNS) -> Iterator[Row]:
    """The coverage of every interval; a tenth as many runs for means over prompts and for those through the records."""
    yield from rows_of_cells(runs)
    yield from rows_through_records(max(runs // 10, 1))
    yield from rows_of_prompts(max(runs // 10, 1))


if __name__ == "__main__":
    show(rows())
