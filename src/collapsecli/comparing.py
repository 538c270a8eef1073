"""From two sides to what is said of them, stage by stage; with the scores of both models if asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from collapsecli.comparison import rescored as divergences
from collapsecli.comparison.compare import compare
from collapsecli.comparison.pairing import pairs, unlike
from collapsecli.comparison.rescored import Rescored, RescoredCell, RescoredDraws
from collapsecli.conclusions import sampled_name
from collapsecli.errors import UsageError
from collapsecli.records import Model
from collapsecli.rescoring import owed, refusals, rescore
from collapsecli.runs import differences
from collapsecli.runs.rescored import rescored, unscored
from collapsecli.seeds import hashed_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from collapsecli.compared import Comparison
    from collapsecli.comparison.pairing import Pair
    from collapsecli.conclusions import JudgedSide
    from collapsecli.contrasts.drawn import Drawn
    from collapsecli.engines import Engine
    from collapsecli.records import Cell, CellResult, EngineInfo
    from collapsecli.rescoring import RescoringWatch

    _Scores = Mapping[str, Mapping[int, tuple[float, int]]]

_MOST_SHOWN = 8  # differences of two runs in an error


# ------------------------------------------------------------------------------------------------------- comparison


def hold_against(base: JudgedSide, run: JudgedSide, margin: float, *, force: bool) -> Comparison:
    """Compare two sides. Raises UsageError with what differs in what they were asked, unless forced."""
    if not pairs(_cells(base), _cells(run)):
        of_base, of_run = (sorted({cell.temperature for cell in _cells(side)}) for side in (base, run))
        apart = f": temperature {of_base} and {of_run}" if of_base != of_run else ""
        raise UsageError(f"the two runs have no cell in common{apart}", hint="compare runs of the same suite")
    differing = [
        *unlike(planned_cells(base), planned_cells(run), info_of(base), info_of(run)),
        *_other_encoders(base, run),
    ]
    refuse_unlike(differing, force=force)
    with threadpool_limits(1, "blas"):
        found = compare(base, run, margin=margin, unlike=differing)
    return replace(found, notes=(*_given_up(base, run), *_incomplete(base, run), *found.notes))


def planned_cells(side: JudgedSide) -> list[Cell]:
    """All cells that a side was to sample, those too for which that was not possible."""
    sampled = side.side.model, side.side.adapter
    return [cell for cell in side.manifest.cells if cell.sampled == sampled]


def is_complete(side: JudgedSide) -> bool:
    """Whether everything that the side's run planned is there."""
    return side.run.state().get("state") == "complete"


def _other_encoders(base: JudgedSide, run: JudgedSide) -> Iterator[str]:
    """Encoders that are called the same and were not the same when they embedded the answers of either side."""
    known = [side.embeddings.known if side.embeddings else {} for side in (base, run)]
    for encoder in known[0].keys() & known[1].keys():
        was, is_now = (side[encoder][0].identity for side in known)
        if was and is_now and was != is_now:
            yield f"{encoder} embedded the answers in two states: {'; '.join(differences(was, is_now))}"


def _given_up(base: JudgedSide, run: JudgedSide) -> Iterator[str]:
    for name, side in (("base", base), ("run", run)):
        lost = [cell.question for cell in planned_cells(side) if cell.cell_id in side.manifest.given_up]
        if lost:
            yield f"not sampled in the {name}, so not compared: {', '.join(lost)}"


def _incomplete(base: JudgedSide, run: JudgedSide) -> Iterator[str]:
    for name, side in (("base", base), ("run", run)):
        if not is_complete(side):
            yield f"the {name} is incomplete: {side.side.path}"


def refuse_unlike(differing: Sequence[str], *, force: bool) -> None:
    """Raise UsageError for runs that differ, unless forced: their difference would not be that of the models alone."""
    if differing and not force:
        shown = "".join(f"\n  {line}" for line in differing[:_MOST_SHOWN])
        more = f"\n  and {len(differing) - _MOST_SHOWN} more" if len(differing) > _MOST_SHOWN else ""
        raise UsageError(
            f"the two were not asked the same, so their models are not all that differs:{shown}{more}\n"
            "--force compares what they have in common, and says so"
        )


def _cells(side: JudgedSide) -> list[Cell]:
    return [result.cell for result in side.results]


def info_of(side: JudgedSide) -> EngineInfo | None:
    """What drew a side's completions; None before an engine was started."""
    return side.manifest.engines.get(side.side.model)


# ---------------------------------------------------------------------------------------------------------- rescoring


class _Scorer(NamedTuple):
    """A model with its adapter, as the run that it sampled describes it."""

    info: EngineInfo
    adapter: str


def why_not_rescored(base: JudgedSide, run: JudgedSide) -> str:
    """Why the two models cannot be held against each other by the tokens that they give; empty if they can."""
    of_base, of_run = info_of(base), info_of(run)
    if of_base is None or of_run is None:
        return "a run has not begun to be sampled"
    both = pairs(_cells(base), _cells(run))
    reasons = refusals(of_base, of_run, [pair.run for pair in both])
    if not reasons and both and not _scorable(both):
        reasons = list(dict.fromkeys(_why_not(pair) for pair in both))
    return "; ".join(reasons)


def rescore_both(base: JudgedSide, run: JudgedSide, start: Callable[[Model], Engine], watch: RescoringWatch) -> bool:
    """Let both models score the draws of both sides, as far as that was not done before; True when all are scored.

    Raises UsageError when a model is not the one that sampled any more, and what `rescore` raises.
    """
    both = _scorable(pairs(_cells(base), _cells(run)))
    scorers = [_scorer(base), _scorer(run)]
    asked = [(base, [pair.base for pair in both]), (run, [pair.run for pair in both])]
    infos = [info for at, (info, _) in enumerate(scorers) if info not in [known for known, _ in scorers[:at]]]
    for info in infos:
        todo = [
            (side, cells, adapter)
            for scorer_info, adapter in scorers
            if scorer_info == info
            for side, cells in asked
            if owed(side.run, cells, info, adapter, _looks(side))
        ]
        if not todo or watch.stopped:
            continue
        engine = start(_model_of(info))
        try:
            _refuse_another(info, engine.info)
            for side, cells, adapter in todo:
                rescore(side.run, side.manifest, cells, engine, adapter, watch, _looks(side))
        finally:
            engine.close()
    return not any(
        owed(side.run, cells, info, adapter, _looks(side)) for info, adapter in scorers for side, cells in asked
    )


def with_divergences(comparison: Comparison, base: JudgedSide, run: JudgedSide) -> Comparison:
    """The comparison with how far the models' own probabilities lie apart, from what both gave to both sides' draws."""
    both = _scorable(pairs(_cells(base), _cells(run)))
    cells = list(_rescored_cells(both, base, run))
    alpha = comparison.alpha
    found = {cell.question: divergences.divergence_of(cell, alpha) for cell in cells}
    generator = np.random.default_rng(hashed_seed("rescored", base.side.run_id, run.side.run_id))
    reasons = {pair.run.question: _why_not(pair) for pair in pairs(_cells(base), _cells(run))}
    left_out = [question for question, reason in reasons.items() if reason]
    notes = [f"cells that were not scored: {len(left_out)}: {reasons[left_out[0]]}"] if left_out else []
    return replace(
        comparison,
        cells=tuple(replace(cell, divergence=found.get(cell.question)) for cell in comparison.cells),
        divergence=divergences.overall([(cell, found[cell.question]) for cell in cells], alpha, generator),
        extinguished=tuple(divergences.most_extinguished(cells)),
        notes=(*comparison.notes, *notes, *_refused(base, run)),
    )


def _refused(base: JudgedSide, run: JudgedSide) -> Iterator[str]:
    """What the models could not score, and why: what they say of the rest counts it as lost."""
    for side in (base, run):
        for info, adapter in (_scorer(base), _scorer(run)):
            for reason, count in unscored(side.run, info, adapter).items():
                by = sampled_name(info.model, adapter)
                yield f"{count} completions of {side.side.name} could not be scored by {by}: {reason}"


def _scorable(both: Sequence[Pair]) -> list[Pair]:
    return [pair for pair in both if not _why_not(pair)]


def _why_not(pair: Pair) -> str:
    """Why a cell cannot be scored; empty if it can."""
    before = [(cell.text, cell.messages, cell.injected) for cell in pair]
    if before[0] != before[1]:
        return "each side goes on from what it said itself" if pair.run.branch else "the two ask something else"
    return divergences.why_not(*pair)


def _scorer(side: JudgedSide) -> _Scorer:
    info = info_of(side)
    if info is None:
        raise UsageError(f"{side.side.path} has not begun to be sampled")
    return _Scorer(info, side.side.adapter)


def _model_of(info: EngineInfo) -> Model:
    """The model that an engine served, with the adapters that were loaded on it."""
    prefix = "adapter "
    adapters = {name.removeprefix(prefix): at for name, at in info.details.items() if name.startswith(prefix)}
    return Model.at(info.model, adapters)


def _refuse_another(known: EngineInfo, now: EngineInfo) -> None:
    changed = differences(known.identity, now.identity)
    if changed:
        shown = "".join(f"\n  {line}" for line in changed)
        raise UsageError(
            f"{known.model} is not what sampled the run any more:{shown}",
            hint="give the same -e arguments as then, or sample again",
        )


def _looks(side: JudgedSide) -> Mapping[str, int]:
    """How many draws of each cell are held against the other side's: as many as were fixed before any was drawn."""
    return {result.cell.cell_id: _look(result) for result in side.results}


def _look(result: CellResult) -> int:
    sampling = result.cell.sampling
    return sampling.looks[0] if sampling.adaptive else result.look


def _rescored_cells(both: Sequence[Pair], base: JudgedSide, run: JudgedSide) -> Iterator[RescoredCell]:
    by_base, by_run = _scorer(base), _scorer(run)
    known = [[rescored(side.run, info, adapter) for info, adapter in (by_base, by_run)] for side in (base, run)]
    draws = zip(base.drawn([pair.base for pair in both]), run.drawn([pair.run for pair in both]), strict=True)
    for pair, drawn in zip(both, draws, strict=True):
        sides = (
            _rescored_draws(one.until(_look(one.result)), *of_side) for one, of_side in zip(drawn, known, strict=True)
        )
        yield RescoredCell(pair.run.question, f"{pair.run.suite}/{pair.run.prompt_id}", *sides)


def _rescored_draws(drawn: Drawn, by_base: _Scores, by_run: _Scores) -> RescoredDraws:
    said = ([Rescored(at, *one) for at, one in of.get(drawn.cell.cell_id, {}).items()] for of in (by_base, by_run))
    of_base, of_run = said
    return RescoredDraws(drawn.completions, of_base, of_run, drawn.lost)
