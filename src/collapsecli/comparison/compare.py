"""A run held against its base, cell by cell and over all prompts. Reads like the method section; draws nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from collapsecli import verdict
from collapsecli.compared import Comparison
from collapsecli.comparison.cells import compared, fixed
from collapsecli.comparison.lifted import Stratum, lifted_and_lost
from collapsecli.comparison.outcomes import MARGIN, to_be_refined, told
from collapsecli.comparison.overall import overall, prompt_of
from collapsecli.comparison.pairing import pairs
from collapsecli.comparison.tempered import tempered
from collapsecli.contrasts.pairs import draws_of
from collapsecli.records import IMPORTED
from collapsecli.seeds import hashed_seed

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from collapsecli.compared import ComparedCell, Side
    from collapsecli.comparison.pairing import Pair
    from collapsecli.contrasts.drawn import Drawn
    from collapsecli.records import Cell, CellResult, Completion, Rules

_LEAST_P = 1e-3  # the smallest p-value that is told apart at first; few cells need more
_MOST_TEXTS = 1 << 17  # of both sides together that are held at once, to find phrases
_WORDLESS = frozenset({"integer", "choice", "json"})  # answers in which no phrase is to be found


class Sampled(Protocol):
    """One side: its cells as they were judged, and their draws."""

    @property
    def side(self) -> Side:
        """What it is."""

    @property
    def results(self) -> tuple[CellResult, ...]:
        """Its cells, judged."""

    @property
    def rules(self) -> Mapping[str, Rules]:
        """The thresholds of each suite."""

    def drawn(self, cells: Sequence[Cell]) -> Iterator[Drawn]:
        """Some of its cells with their draws, in their order."""


class _Both(NamedTuple):
    """One cell of both sides."""

    base: Drawn
    run: Drawn


def compare(base: Sampled, run: Sampled, *, margin: float = MARGIN, unlike: Sequence[str] = ()) -> Comparison:
    """Hold a run against its base, paired by what was asked; `unlike` is what is known to differ and was overridden.

    Tests are two-sided and pay for the number of cells (Benjamini & Hochberg 1995). Numbers over all prompts take each
    prompt once, as the mean over its cells.
    """
    both = pairs([one.cell for one in base.results], [one.cell for one in run.results])
    tested = [pair for pair in both if all(verdict.has_verdict(cell.sampling) for cell in pair)]
    alpha = max((run.rules[pair.run.suite].alpha for pair in both), default=0.05)
    generator = np.random.default_rng(hashed_seed("compare", base.side.run_id, run.side.run_id))
    cells: list[ComparedCell] = []
    results: list[tuple[CellResult, CellResult]] = []
    strata: dict[Hashable, list[_Both]] = defaultdict(list)
    kept = max(2, _MOST_TEXTS // max(2 * len(tested), 1))
    for one in _drawn(tested, base, run):
        whole = _fixed(one, run)
        cells.append(compared(*whole, run.rules[one.run.cell.suite], _LEAST_P, generator))
        results.append((one.base.result, one.run.result))
        strata[prompt_of(one.run.cell)].append(_Both(whole.base.first(kept), whole.run.first(kept)))
    places = to_be_refined(cells, _LEAST_P, alpha)
    for at, one in zip(places, _drawn([tested[at] for at in places], base, run), strict=True):
        least_p = alpha / (2 * len(cells))
        cells[at] = compared(*_fixed(one, run), run.rules[one.run.cell.suite], least_p, generator)
    means = overall(cells, alpha, generator)
    cells = told([_as_judged(cell, *of_all) for cell, of_all in zip(cells, results, strict=True)], alpha, margin)
    lifted, lost = lifted_and_lost([_stratum(one) for one in strata.values() if _has_words(one)], alpha)
    explained = (tempered(*sweep, generator) for sweep in _sweeps(both, base, run))
    return Comparison(
        base=base.side,
        run=run.side,
        suites=tuple(dict.fromkeys(pair.run.suite for pair in both)),
        alpha=alpha,
        margin=margin,
        cells=tuple(cells),
        overall=means,
        transitions=Counter((_label(cell.base), _label(cell.run)) for cell in cells),
        lifted=tuple(lifted),
        lost=tuple(lost),
        tempered=tuple(one for one in explained if one is not None),
        unlike=tuple(unlike),
        notes=tuple(_notes(both, tested, base, run)),
    )


# --------------------------------------------------------------------------------------------------------- the draws


def _drawn(both: Sequence[Pair], base: Sampled, run: Sampled) -> Iterator[_Both]:
    """The draws of some pairs of cells, one pair after the other."""
    sides = zip(base.drawn([pair.base for pair in both]), run.drawn([pair.run for pair in both]), strict=True)
    return (_Both(*one) for one in sides)


def _as_judged(cell: ComparedCell, base: CellResult, run: CellResult) -> ComparedCell:
    """The cell with the verdicts that all draws prove; every other number stays that of the draws that are compared."""
    return replace(
        cell,
        base=replace(cell.base, verdict=base.verdict, flag=base.flag),
        run=replace(cell.run, verdict=run.verdict, flag=run.flag),
    )


def _fixed(one: _Both, run: Sampled) -> _Both:
    rules = run.rules[one.run.cell.suite]
    return _Both(fixed(one.base, rules), fixed(one.run, rules))


def _sweeps(both: Sequence[Pair], base: Sampled, run: Sampled) -> Iterator[tuple[list[Drawn], list[Drawn]]]:
    """The temperature sweep of each prompt condition, of both sides: all its temperatures that each side has.

    Only where a temperature could be told: by declared answers that may have been scored, or by a sweep of the run.
    """
    asked = {(pair.run.suite, pair.run.sweep) for pair in both}
    of_base, of_run = (_by_sweep([one.cell for one in side.results], asked) for side in (base, run))
    keys = [
        key
        for key, cells in of_run.items()
        if key in of_base and (len(cells) > 1 or any(cell.expect.weights for cell in cells))
    ]
    draws = [
        groupby(side.drawn([cell for key in keys for cell in cells[key]]), lambda one: (one.cell.suite, one.cell.sweep))
        for side, cells in ((base, of_base), (run, of_run))
    ]
    for (_, one), (_, other) in zip(*draws, strict=True):
        yield list(one), list(other)


def _by_sweep(cells: Sequence[Cell], asked: set[tuple[str, str]]) -> dict[tuple[str, str], list[Cell]]:
    found: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        if (cell.suite, cell.sweep) in asked and verdict.has_verdict(cell.sampling):
            found[cell.suite, cell.sweep].append(cell)
    return found


def _has_words(cells: Sequence[_Both]) -> bool:
    return cells[0].run.cell.answer.kind not in _WORDLESS


def _stratum(cells: Sequence[_Both]) -> Stratum:
    """All that was said to one prompt, under every condition, of each as many draws on both sides.

    Two draws of each cell stand together: phrases are chosen on the even ones and counted on the odd ones, and either
    half should hold all cells alike, however far a prompt's draws are taken.
    """
    draws = [(draws_of(one.base), draws_of(one.run)) for one in cells]
    most = [min(map(len, sides)) for sides in draws]
    places = sorted((at // 2, cell, at) for cell, count in enumerate(most) for at in range(count))
    base, run = ([draws[cell][side][at] for _, cell, at in places] for side in (0, 1))
    asked = "\n".join(dict.fromkeys(one.run.asked for one in cells))
    return Stratum(asked, _texts(base), _texts(run))


def _texts(completions: Sequence[Completion | None]) -> list[str | None]:
    return [None if one is None else one.text for one in completions]


def _label(result: CellResult) -> str:
    return result.verdict or "no verdict"


def _notes(both: Sequence[Pair], tested: Sequence[Pair], base: Sampled, run: Sampled) -> Iterator[str]:
    if len(tested) < len(both):
        yield f"cells of a single draw that are left out: {len(both) - len(tested)}"
    adaptive = sum(any(cell.sampling.adaptive for cell in pair) for pair in tested)
    if adaptive:
        yield (
            f"cells that were sampled until they were decided: {adaptive}; compared are the draws of their first look, "
            "whose number was fixed before"
        )
    if any(base.rules[pair.base.suite] != run.rules[pair.run.suite] for pair in both):
        yield "the two were judged by other rules, so their verdicts do not mean the same"
    one, other = base.side, run.side
    if (one.run_id, one.model, one.adapter) == (other.run_id, other.model, other.adapter):
        yield "both sides are the same draws"
    elif one.seed == other.seed and one.run_id != other.run_id and not one.engine.startswith(IMPORTED):
        yield "both runs have the same seed, so their draws are not independent: differences are surer than they look"
