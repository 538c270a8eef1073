"""How often the contrasts of certainty hold the truth: texts whose tokens have surprisals of a known law.

A law is a list of a few thousand texts, each as probable as the other, so that the median in every bin of tokens, and
the nats per token, are known exactly. Some runs are drawn by the scripted engine and judged.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, cast

import numpy as np
from known import zipf
from truth_intervals import NOMINAL, Row, columns, row_of
from truth_rule import RULES

from collapsecli.contrasts.certainty import bin_medians, certainty
from collapsecli.contrasts.drawn import Drawn
from collapsecli.engines import SampleRequest, ScoreRequest
from collapsecli.engines.scripted import _END, Script, ScriptedEngine
from collapsecli.judge import judge_cell
from collapsecli.metrics.likelihood import token_rate
from collapsecli.records import Cell, Completion, Sampling

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from known import Floats

    from collapsecli.records import CellResult, Contrast, Estimate

DRAWS = (32, 64, 128)
RUNS = 4_000
SEED = 20_260_104
_TEXTS = 4_001
_JUMP_NATS = 0.1
_THROUGH_ALL = 64  # draws
_RUNS_FOR_ONE_THROUGH_ALL = 10


# ---------------------------------------------------------------------------------------------------------------- laws


@dataclass(frozen=True, slots=True, eq=False)
class Law:
    """Texts that are equally probable, each with the surprisals (nats) of its tokens."""

    name: str
    texts: tuple[Completion, ...]

    @staticmethod
    def of(name: str, surprisals: Iterable[Floats]) -> Law:
        """The law of these texts."""
        return Law(name, tuple(_completion(-one) for one in surprisals))

    @property
    def rate(self) -> float:
        """Nats per token."""
        nats = -math.fsum(one.logprob or 0.0 for one in self.texts)
        return nats / sum(len(one.token_logprobs) for one in self.texts)


@cache
def medians(law: Law, width: int) -> Floats:
    """The lowest and the highest median (2, bins) of the texts that reach each bin; NaN where none does."""
    per_bin = bin_medians([one.token_logprobs for one in law.texts], width)
    found = np.full((2, per_bin.shape[1]), np.nan)
    for place, values in enumerate(per_bin.T):
        reached = np.sort(values[~np.isnan(values)])
        if len(reached):
            found[:, place] = reached[(len(reached) - 1) // 2], reached[len(reached) // 2]
    return found


def _completion(logprobs: Floats) -> Completion:
    by_token = cast("Sequence[float]", logprobs)  # an array, as completions read from a table have
    return Completion("", 0, 0, "", "", (), by_token, float(logprobs.sum()), 1, "stop", logprob_kind="sampling")


def _laws() -> Iterator[Law]:
    generator = np.random.default_rng(SEED)
    of_words: Floats = -np.log(zipf(7))
    yield Law.of(
        "1 to 12 words of seven",
        (generator.choice(of_words, length, p=zipf(7)) for length in generator.integers(1, 13, _TEXTS)),
    )
    yield Law.of(
        "20 to 180 tokens",
        (generator.exponential(generator.gamma(2.0, 0.6), length) for length in generator.integers(20, 181, _TEXTS)),
    )
    yield Law.of("the longer, the duller", (_of_two_kinds(generator) for _ in range(_TEXTS)))
    said = generator.exponential(0.05, 12)
    often = generator.random(_TEXTS) < 0.9
    yield Law.of("0.9 one text", (said if one else generator.exponential(1.5, 40) for one in often.tolist()))
    # Any number between 0.2 and 2 is a median: the interval is to hold both ends.
    yield Law.of("half sure, half not", (np.full(8, 0.2 if place % 2 else 2.0) for place in range(_TEXTS - 1)))


def _of_two_kinds(generator: np.random.Generator) -> Floats:
    if generator.random() < 0.5:
        return generator.exponential(2.0, int(generator.integers(10, 31)))
    return generator.exponential(0.5, int(generator.integers(50, 151)))


LAWS = tuple(_laws())
PAIRS = ((0, 0), (1, 1), (2, 1), (3, 1), (4, 0))  # plain, injected

# ---------------------------------------------------------------------------------------------------------------- runs


def _cell(cell_id: str, injection: str) -> Cell:
    return Cell(cell_id, "truth", "toast", "", injection, 1.0, "known", "", "Once", (), "", Sampling())


PLAIN, INJECTED = _cell("toast@t1.0", ""), _cell("toast/murderer@t1.0", "murderer")


@cache
def _result(cell: Cell) -> CellResult:
    return replace(judge_cell(cell, [], RULES), absent="")


def _drawn(cell: Cell, law: Law, draws: int, generator: np.random.Generator) -> Drawn:
    """Draws of a law, with the nats per token that the judge gives them."""
    texts = tuple(law.texts[place] for place in generator.integers(0, len(law.texts), draws).tolist())
    rate = token_rate([one.logprob for one in texts], [len(one.token_logprobs) for one in texts], RULES.alpha)
    return Drawn(replace(_result(cell), metrics={"token_rate": rate}), texts, 0, RULES.alpha)


def rows(runs: int) -> Iterator[Row]:
    """A row for every bin of either cell of every pair of laws and number of draws, and for every difference."""
    generator = np.random.default_rng(SEED)
    for plain, injected in ((LAWS[one], LAWS[other]) for one, other in PAIRS):
        for draws in DRAWS:
            several = (
                list(certainty(_drawn(INJECTED, injected, draws, generator), _drawn(PLAIN, plain, draws, generator)))
                for _ in range(runs)
            )
            yield from _rows(plain, injected, several, f"N = {draws}")
    yield from _through_the_engine(max(runs // _RUNS_FOR_ONE_THROUGH_ALL, 1))


def _rows(plain: Law, injected: Law, several: Iterable[Sequence[Contrast]], plan: str) -> Iterator[Row]:
    """Where a law jumps at the median, its lowest and its highest one are each to be held."""
    laws = {PLAIN.cell_id: plain, INJECTED.cell_id: injected}
    compared = f"{injected.name} against {plain.name}"
    curves: dict[tuple[str, int], list[tuple[Estimate, float, float]]] = defaultdict(list)
    apart: list[Estimate] = []
    for found in several:
        *along, difference = found
        apart.append(difference.estimate)
        width = _width(along)
        for row in along:
            place = round((row.at or 0.0) / width)
            low, high = medians(laws[row.cell_id or ""], width)[:, place].tolist()
            curves[row.cell_id or "", place].append((row.estimate, low, high))
    for (cell_id, place), of_bin in curves.items():
        estimates, lows, highs = (list(column) for column in zip(*of_bin, strict=True))
        role = "plain" if cell_id == PLAIN.cell_id else "injected"
        regime, found_of_runs = f"{compared}: {role}, bin {place}", columns(estimates)
        if highs[0] - lows[0] < _JUMP_NATS:
            yield row_of("surprisal", regime, plan, found_of_runs, np.array(lows))
        else:
            yield row_of("surprisal", f"{regime}, lowest median", plan, found_of_runs, np.array(lows))
            yield row_of("surprisal", f"{regime}, highest median", plan, found_of_runs, np.array(highs))
    yield row_of("surprisal_difference", compared, plan, columns(apart), injected.rate - plain.rate)


def _width(along: Sequence[Contrast]) -> int:
    """The width of the bins of a run: the second one begins there; a single bin may have any."""
    return next((round(row.at) for row in along if row.at), 1)


# -------------------------------------------------------------------------------------------------- through the engine

_SCRIPT = Script(
    "certainty",
    {
        "toast": {" To peace and joy.": 60, " My dear old friends.": 25, " I am glad.": 15},
        "toast/murderer": {
            f" {who} {what}.": first * second
            for who, first in (("I", 35), ("You", 25), ("They", 20), ("Somebody", 12), ("Nobody", 8))
            for what, second in (("ran", 6), ("hid under the table", 3), ("laughed", 1))
        },
    },
)


def _through_the_engine(runs: int) -> Iterator[Row]:
    """The same with completions of the scripted engine, judged."""
    engine = ScriptedEngine(_SCRIPT)
    plain, injected = (_law_of(engine, cell) for cell in (PLAIN, INJECTED))
    several = []
    for run in range(runs):
        cells = []
        for place, cell in enumerate((INJECTED, PLAIN)):
            asked = replace(cell, sampling=Sampling(samples=_THROUGH_ALL))
            request = SampleRequest(asked, (2 * run + place) << 20, tuple(range(_THROUGH_ALL)))
            completions = list(engine.sample([request]))
            cells.append(Drawn.of(judge_cell(asked, completions, RULES), completions, RULES.alpha))
        several.append(list(certainty(*cells)))
    yield from _rows(plain, injected, several, f"N = {_THROUGH_ALL}, through the engine")


def _law_of(engine: ScriptedEngine, cell: Cell) -> Law:
    """Every answer of a script as often as it weighs."""
    name = cell.cell_id.rpartition("@")[0]
    answers = _SCRIPT.answers[name]
    scores = [
        next(engine.score([ScoreRequest(text, cell, (*engine.tokens(cell, text), _END))])).token_logprobs
        for text in answers
    ]
    texts = (
        -np.array(logprobs)
        for logprobs, weight in zip(scores, answers.values(), strict=True)
        for _ in range(round(weight))
    )
    return Law.of(f"script of {name}", texts)


def main() -> None:
    """Print the rows."""
    began = time.monotonic()
    for row in rows(RUNS):
        held = f"{row.held:.4f} ± {row.standard_error:.4f}"
        print(
            f"{row.interval:21} {row.regime:80} {row.plan:28} {row.runs:6} {held} width {row.width:.3f} {row.outcome}"
        )
    print(f"{time.monotonic() - began:.0f} s, nominal {NOMINAL:g}")


if __name__ == "__main__":
    main()
