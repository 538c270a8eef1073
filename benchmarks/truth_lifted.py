"""How often what is said of lifted and lost phrases is true: simulated prompts that hold phrases of known shares.

How common a phrase is differs strongly between prompts: most of its mass lies in a few of them. The test and the
log-odds are simulated as counts; whole texts are written, searched and measured for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from truth_intervals import columns, row_of
from truth_variants import ALPHA, RUNS, show

from collapsecli.comparison.lifted import Stratum, lifted_and_lost
from collapsecli.comparison.odds import log_odds
from collapsecli.records import Estimate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from known import Floats
    from truth_intervals import Row

    from collapsecli.compared import Phrase

SEED = 20_260_105
_SPREAD = 0.5  # the sum of both parameters of the beta law of shares: small, so that they are mostly near 0 or 1
_FEWER, _FEWEST = 4, 10  # runs that are written as texts: so many times fewer, by as much as there are prompts
_LOST = 0.1

# ------------------------------------------------------------------------------------------------------------- counts


@dataclass(frozen=True, slots=True)
class Counts:
    """V prompts of M draws a side, in which a phrase has this share on average; in the run its log-odds are higher.

    losing: whether a tenth of the run's draws that hold it is lost, or of the base's that do not, as flatters a change.
    """

    prompts: int
    draws: int
    share: float
    more: float = 0.0
    losing: bool = False

    @property
    def name(self) -> str:
        """What a row calls it."""
        lost = ", a tenth lost" if self.losing else ""
        return f"{self.prompts} prompts, a share of {self.share:g}, {self.more:+g} nats{lost}"


COUNTS = (
    *(Counts(1, draws, 0.1) for draws in (8, 32, 128)),
    *(Counts(20, draws, share) for draws, share in ((8, 0.02), (8, 0.1), (8, 0.5), (32, 0.1), (128, 0.1))),
    Counts(100, 8, 0.1),
    *(Counts(prompts, 8, 0.1, more) for prompts, more in ((20, 1.0), (20, 3.0), (100, 3.0))),
    Counts(1, 32, 0.1, 2.0),
    Counts(20, 32, 0.1, losing=True),
    Counts(20, 32, 0.1, 2.0, losing=True),
)


def rows_of_counts(runs: int) -> Iterator[Row]:
    """The size of the test where nothing differs, and the interval of the log-odds."""
    for place, law in enumerate(COUNTS):
        generator = np.random.default_rng([SEED, place])
        measured = [_measured(law, generator) for _ in range(runs)]
        plan = f"N = {law.draws}"
        yield row_of("log_odds", law.name, plan, columns([change for change, _ in measured]), law.more)
        if not law.more:
            yield _rate("no difference, p above alpha", law.name, plan, [p_value > ALPHA for _, p_value in measured])


def _measured(law: Counts, generator: np.random.Generator) -> tuple[Estimate, float]:
    base = _shares(law.prompts, law.share, generator) if law.prompts > 1 else np.array([law.share])
    known = np.full((law.prompts, 2), law.draws)
    hits = generator.binomial(known, np.stack([base, _more_likely(base, law.more)], axis=1))
    lost = np.zeros_like(hits)
    if law.losing:
        of_run, of_base = generator.binomial(hits[:, 1], _LOST), generator.binomial((known - hits)[:, 0], _LOST)
        lost = np.stack([of_base, of_run], axis=1)
        hits[:, 1] -= of_run
    return log_odds(hits, known - lost, lost, ALPHA)


def _shares(prompts: int, mean: float, generator: np.random.Generator) -> Floats:
    return np.clip(generator.beta(_SPREAD * mean, _SPREAD * (1 - mean), prompts), 1e-6, 1 - 1e-6)


def _more_likely(shares: Floats, nats: float | Floats) -> Floats:
    """Shares whose log-odds are higher by so much."""
    raised: Floats = shares * np.exp(nats) / (1 - shares + shares * np.exp(nats))
    return raised


def _rate(name: str, regime: str, plan: str, right: Sequence[bool]) -> Row:
    """How often something is right, as a row: an interval that holds its truth, 1, wherever it is."""
    return row_of(name, regime, plan, columns([Estimate(None, float(not one), 1.0) for one in right]), 0.0)


# -------------------------------------------------------------------------------------------------------------- texts


@dataclass(frozen=True, slots=True)
class Texts:
    """V prompts of M draws a side that hold some of K phrases; the first `lifted` of them are more common in the run.

    lifted ones have log-odds that are higher by three nats, the others are as common on both sides.
    """

    prompts: int
    draws: int
    phrases: int
    lifted: int

    @property
    def name(self) -> str:
        """What a row calls it."""
        return f"{self.prompts} prompts, {self.phrases} phrases, {self.lifted} of them lifted"

    def draw(self, generator: np.random.Generator) -> tuple[list[Stratum], Floats]:
        """What both sides say, and the mean shares (2, K) of the phrases."""
        base = np.stack([_shares(self.prompts, 0.1, generator) for _ in range(self.phrases)], axis=1)
        more = np.where(np.arange(self.phrases) < self.lifted, _LIFTED_BY, 0.0)
        shares = np.stack([base, _more_likely(base, more)])
        holds = generator.random((self.draws, *shares.shape)) < shares
        said = [
            [[_text(held[side, prompt], draw) for draw, held in enumerate(holds)] for side in (0, 1)]
            for prompt in range(self.prompts)
        ]
        return [Stratum("Say it.", base, run) for base, run in said], shares.mean(axis=1)


_LIFTED_BY = 3.0  # nats

TEXTS = (
    *(Texts(1, draws, 40, 0) for draws in (16, 64, 256)),
    Texts(1, 64, 40, 10),
    Texts(20, 16, 40, 0),
    Texts(20, 64, 40, 6),
    Texts(100, 16, 40, 6),
)


def _text(holds: Floats, draw: int) -> str:
    """A completion of the phrases that it holds, each before a word that no other of its prompt has there."""
    held = np.flatnonzero(holds).tolist()
    return " ".join(f"Wug{phrase} dax{phrase}, blick{phrase}. O{draw}x{phrase}" for phrase in held)


def rows_of_texts(runs: int) -> Iterator[Row]:
    """The shares that are printed, whether the phrases are lifted indeed, and how often any is named where none is."""
    for place, law in enumerate(TEXTS):
        generator = np.random.default_rng([SEED, len(COUNTS) + place])
        by_run = [list(_named(law, generator)) for _ in range(max(runs // (_FEWER * law.prompts), _FEWEST))]
        plan, named = f"N = {law.draws}", [one for of_run in by_run for one in of_run]
        if not law.lifted:
            yield _rate("no difference, no phrase named", law.name, plan, [not of_run for of_run in by_run])
            continue
        yield _rate("named as lifted, and is", law.name, plan, [one.is_right for one in named])
        truths = {
            "base": [one.shares[0] for one in named],
            "run": [one.shares[1] for one in named],
            "log_odds": [one.more for one in named],
        }
        for name, truth in truths.items():
            found = columns([getattr(one.phrase, name) for one in named])
            yield row_of(f"{name}, of those named", law.name, plan, found, np.array(truth))


class _Named(NamedTuple):
    """A phrase that was named, its true shares (base, run), and by how much its log-odds are higher indeed."""

    phrase: Phrase
    shares: Floats
    more: float

    @property
    def is_right(self) -> bool:
        """Whether it is lifted, and was said to be."""
        return self.more > 0 and (self.phrase.log_odds.value or 0.0) > 0


def _named(law: Texts, generator: np.random.Generator) -> Iterator[_Named]:
    strata, shares = law.draw(generator)
    for phrase in chain.from_iterable(lifted_and_lost(strata, ALPHA)):
        number = int(phrase.text.split(maxsplit=1)[0].removeprefix("Wug"))
        yield _Named(phrase, shares[:, number], _LIFTED_BY if number < law.lifted else 0.0)


def rows(runs: int = RUNS) -> Iterator[Row]:
    """The coverage of every interval, and the error rates of the test and of what is named."""
    yield from rows_of_counts(runs)
    yield from rows_of_texts(runs)


if __name__ == "__main__":
    show(rows())
