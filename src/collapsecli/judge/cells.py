"""What each cell's draws prove: its looks until it is decided, its numbers, its modes; then all cells together."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from collapsecli import verdict
from collapsecli.judge import probabilities
from collapsecli.judge.exhibits import modes_of, most_frequent_unread
from collapsecli.judge.family import family_of, kept_by_family
from collapsecli.judge.looks import look_alpha, look_at, sharpened, weigh, whole_looks
from collapsecli.judge.reading import is_unfinished_thought, read_cell
from collapsecli.judge.resting import RestingResults
from collapsecli.metrics import measure
from collapsecli.metrics.categorical import draws_to_settle
from collapsecli.metrics.embedding import closeness
from collapsecli.metrics.expected import fit
from collapsecli.metrics.prefix import opening
from collapsecli.modes import vectors_of
from collapsecli.records import CellResult, Estimate, TextAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from collapsecli.judge.family import Claim
    from collapsecli.judge.looks import Evidence
    from collapsecli.judge.reading import Reading
    from collapsecli.metrics import Sample
    from collapsecli.modes import Vectors
    from collapsecli.records import Cell, Completion, Rules, Scored, VerdictLabel

_CELLS_AT_ONCE = 64  # their relations of texts are held at once
_COMPLETIONS_AT_ONCE = 4096
_OTHER_THRESHOLDS = (-0.1, 0.1)


def judge(
    cells: Iterable[tuple[Cell, Sequence[Completion]]],
    rules_of: Callable[[Cell], Rules],
    scores: Mapping[str, Sequence[Scored]] | None = None,
    vectors: Vectors | None = None,
) -> list[CellResult]:
    """Judge all planned cells of a run from their completions, in any order; results in the order of the cells.

    Completions that failed, and planned ones that are not there, are lost: they are no answers, and they count
    against every claim. Mode mass and the other numbers of modes are of the readable answers; `seen_mass` and the
    probabilities are of all completions. `scores` are texts of each cell whose probability is known without a draw,
    `vectors` those of answers that are compared by embedding.
    Raises ValueError if two completions of a cell have the same sample index.
    """
    resting = RestingResults()
    trials = [
        trial.rest(resting) for block in _blocks(cells) for trial in _tried(block, rules_of, scores or {}, vectors)
    ]
    for family in dict.fromkeys(family_of(trial.cell) for trial in trials):
        _settle([trial for trial in trials if family_of(trial.cell) == family], resting)
    return [trial.result for trial in trials]


def judge_cell(
    cell: Cell, completions: Sequence[Completion], rules: Rules, vectors: Vectors | None = None
) -> CellResult:
    """Judge one cell alone."""
    return judge([(cell, completions)], lambda _: rules, vectors=vectors)[0]


# ---------------------------------------------------------------------------------------------------------- cells


@dataclass(slots=True)
class _Trial:
    """A cell on its way to a verdict. Its reading is let go once no look is left that could be asked for."""

    result: CellResult
    rules: Rules
    looks: tuple[int, ...] = ()
    reading: Reading | None = None
    evidence: Evidence | None = None

    @property
    def cell(self) -> Cell:
        return self.result.cell

    @property
    def claim(self) -> Claim | None:
        """What it says to its family; nothing where no claim was tested."""
        return None if self.result.p_value is None else self.result

    @property
    def looks_left(self) -> tuple[int, ...]:
        return tuple(look for look in self.looks if self.evidence and look > self.evidence.draws)

    def rest(self, resting: RestingResults) -> _Trial:
        """Let go what its family cannot ask for again."""
        self.result = resting.lay_down(self.result)
        if self.result.flag != "flagged" or not self.looks_left:
            self.looks, self.reading, self.evidence = (), None, None
        return self


def _blocks(cells: Iterable[tuple[Cell, Sequence[Completion]]]) -> Iterator[list[tuple[Cell, Sequence[Completion]]]]:
    """Some cells at a time. A block is emptied before the next one is read: two are never held."""
    block: list[tuple[Cell, Sequence[Completion]]] = []
    held = 0
    for cell, completions in cells:
        block.append((cell, completions))
        held += len(completions)
        del completions
        if len(block) == _CELLS_AT_ONCE or held >= _COMPLETIONS_AT_ONCE:
            yield block
            block.clear()
            held = 0
    if block:
        yield block


def _tried(
    block: Sequence[tuple[Cell, Sequence[Completion]]],
    rules_of: Callable[[Cell], Rules],
    scores: Mapping[str, Sequence[Scored]],
    vectors: Vectors | None,
) -> Iterator[_Trial]:
    """Judge some cells, their numbers measured all at once: that is far cheaper than one by one."""
    readings = [read_cell(cell, completions, scores.get(cell.cell_id, ()), vectors) for cell, completions in block]
    decided = [_decided_early(reading, rules_of(reading.cell)) for reading in readings]
    samples = [
        reading.sample(
            early.draws if early else whole_looks(reading)[0], look_alpha(reading.cell, rules_of(reading.cell))
        )
        for reading, early in zip(readings, decided, strict=True)
    ]
    measured = measure(samples)
    for place, (reading, early, sample) in enumerate(zip(readings, decided, samples, strict=True)):
        numbers = {name: estimates[place] for name, estimates in measured.items()}
        rules = rules_of(reading.cell)
        evidence = early
        if evidence is None and reading.drawn and verdict.has_verdict(reading.cell.sampling):
            evidence = weigh(reading, sample, numbers, rules)
        evidence, result = _concluded(reading, sample, numbers, rules, evidence)
        yield _Trial(result, rules, whole_looks(reading), reading, evidence)


def _decided_early(reading: Reading, rules: Rules) -> Evidence | None:
    """The evidence at the look that decides an adaptive cell, or at its last one that is whole."""
    if not reading.cell.sampling.adaptive or not reading.drawn or not verdict.has_verdict(reading.cell.sampling):
        return None
    return _looked(reading, whole_looks(reading), rules)


def _looked(reading: Reading, looks: Sequence[int], rules: Rules) -> Evidence:
    evidence = look_at(reading, looks[0], rules)
    for draws in looks[1:]:
        if evidence.decided:
            break
        evidence = look_at(reading, draws, rules, evidence)
    return evidence


# ----------------------------------------------------------------------------------------------------------- family


def _settle(trials: Sequence[_Trial], resting: RestingResults) -> None:
    """Withhold the flags that the family does not keep, after the further looks that sampling took for them."""
    while True:
        q_values, withheld = kept_by_family(
            [trial.cell for trial in trials], [trial.claim for trial in trials], trials[0].rules
        )
        again = [trial for trial, is_withheld in zip(trials, withheld, strict=True) if is_withheld and trial.reading]
        if not again:
            break
        for trial in again:
            _take_next_look(trial)
            trial.rest(resting)
    for trial, q_value, is_withheld in zip(trials, q_values, withheld, strict=True):
        trial.result = replace(trial.result, q_value=q_value)
        if is_withheld:
            needed = _next_look(trial.cell, trial.result.look)
            trial.result = replace(trial.result, withheld=True, flag="open", needed=needed)


def _take_next_look(trial: _Trial) -> None:
    reading = trial.reading
    if reading is None:
        raise ValueError(f"{trial.cell.cell_id} has no look left")
    trial.evidence = look_at(reading, trial.looks_left[0], trial.rules, trial.evidence)
    while not trial.evidence.decided and trial.looks_left:
        trial.evidence = look_at(reading, trial.looks_left[0], trial.rules, trial.evidence)
    sample = reading.sample(trial.evidence.draws, look_alpha(trial.cell, trial.rules))
    numbers = {name: estimates[0] for name, estimates in measure([sample]).items()}
    trial.evidence, trial.result = _concluded(reading, sample, numbers, trial.rules, trial.evidence)


# --------------------------------------------------------------------------------------------------------- one cell


def _concluded(
    reading: Reading, sample: Sample, measured: Mapping[str, Estimate], rules: Rules, evidence: Evidence | None
) -> tuple[Evidence | None, CellResult]:
    """The last word on a cell. Texts that were scored sharpen the evidence here alone: no look waited for them."""
    known = probabilities.known_at(reading, sample.drawn, sample.alpha)
    if evidence is not None and reading.scored:
        evidence = sharpened(evidence, known.mode_mass, known.collision, rules, reading.cell.expect)
    return evidence, _result(reading, sample, measured, rules, evidence, known)


def _result(
    reading: Reading,
    sample: Sample,
    measured: Mapping[str, Estimate],
    rules: Rules,
    evidence: Evidence | None,
    known: probabilities.Known,
) -> CellResult:
    draws = sample.drawn
    came_back = reading.came_back(draws)
    parting = opening([completion.token_ids for completion in came_back], sample.alpha)
    unread, unread_count = most_frequent_unread(reading, draws)
    label: VerdictLabel | None = evidence.label if evidence else None
    if reading.drawn and not came_back:
        label = "invalid"  # whatever was to be sampled: a night in which every request failed must not be green
    return CellResult(
        cell=reading.cell,
        n=len(reading.drawn),
        n_ahead=len(reading.drawn) - reading.until(draws),
        look=draws,
        needed=draws if evidence is None or evidence.decided else _next_look(reading.cell, draws),
        n_valid=reading.readable(draws),
        n_truncated=sum(completion.finish_reason == "length" for completion in came_back),
        n_failed=reading.until(draws) - len(came_back),
        n_unfinished=sum(map(is_unfinished_thought, came_back)),
        hits=sample.hits,
        metrics={
            **measured,
            **_counted(measured, evidence, reading.cell),
            **known.metrics,
            **_of_declared(reading, draws, sample.alpha, measured["mode_mass"]),
            **_of_vectors(reading, sample),
            "opening_tokens": parting.shared_tokens,
            "first_token_collision": Estimate(parting.first_token_collision),
        },
        absent=known.absent,
        broken=known.broken,
        parted_at=parting.half_parted_at,
        modes=modes_of(reading, draws, known, sample.alpha),
        unread=unread,
        unread_count=unread_count,
        verdict=label,
        flag=evidence.flag if evidence else None,
        draws=probabilities.check_draws(reading),
        p_value=evidence.p_value if evidence else None,
        fragile=_fragile(reading, draws, label, rules),
        draws_to_settle=_draws_to_settle(sample, rules, evidence, reading.cell),
    )


def _counted(measured: Mapping[str, Estimate], evidence: Evidence | None, cell: Cell) -> dict[str, Estimate]:
    """The numbers of modes by counts, at all looks together; what probabilities make certain stands beside them."""
    mass, collision, hill_1 = measured["mode_mass"], measured["collision"], measured["hill_1"]
    if evidence is not None:
        mass = verdict.intersected(mass, evidence.counted_mass)
        collision = verdict.intersected(collision, evidence.counted_collision)
    if cell.expect.kind == "uniform" and cell.expect.weights and cell.answer.kind in {"integer", "choice"}:
        least = 1 / len(cell.expect.weights)  # nothing else can be read: one answer has so much, and so many agree
        mass, collision = (verdict.intersected(one, Estimate(low=least)) for one in (mass, collision))
        hill_1 = Estimate(None if hill_1.value is None else min(hill_1.value, 1 / least))
    modes = Estimate(*(1 / end if end else None for end in (collision.value, collision.high, collision.low)))
    return {"mode_mass": mass, "collision": collision, "effective_modes": modes, "hill_1": hill_1}


def _of_declared(reading: Reading, draws: int, alpha: float, mass: Estimate) -> dict[str, Estimate]:
    """How the readable answers fit the declared distribution; its p-value pays for every look at which it was asked.

    The distance is at least M - q, with the largest weight q. With fewer answers than weights its estimate says
    nothing, and only the interval is given.
    """
    weights = reading.cell.expect.weights
    if weights is None:
        return {}
    said = Counter(answer for answer in reading.read(draws) if answer is not None)
    declared = [said.pop(answer, 0) for answer, _ in weights]
    found = fit([*declared, said.total()], [*(weight for _, weight in weights), 0.0], alpha)
    looks = len(reading.cell.sampling.looks)
    p_value = None if found.p_value is None else min(1.0, looks * found.p_value)
    distance = found.tv
    if mass.low is not None:
        distance = verdict.intersected(distance, Estimate(low=max(0.0, mass.low - max(q for _, q in weights))))
    if found.n < len(weights):
        distance = replace(distance, value=None)
    return {"fit_p_value": Estimate(p_value), "total_variation": distance}


def _of_vectors(reading: Reading, sample: Sample) -> dict[str, Estimate]:
    """How close the readable answers lie, where an encoder says it."""
    vectors = vectors_of(reading.relation)
    if vectors is None:
        return {}
    counts = np.bincount(reading.relation.texts[: sample.read], minlength=len(vectors))
    said = np.flatnonzero(counts)
    return closeness(vectors[said], counts[said], sample.alpha, sample.lost)


def _next_look(cell: Cell, draws: int) -> int:
    return next((look for look in cell.sampling.looks if look > draws), draws)


def _fragile(reading: Reading, draws: int, label: VerdictLabel | None, rules: Rules) -> str:
    """The mode mass by a slightly other, or a coarser, reading of "the same", where it speaks against the verdict."""
    if label is None or label in {"invalid", "undecided"}:
        return ""
    for name, other in _other_readings(reading):
        grouping = other.relation.group(reading.readable(draws))
        share = grouping.largest / max(len(grouping.labels), 1)
        if not verdict.agrees(label, share, rules):
            return f"{share:.0%} {name}"
    return ""


def _other_readings(reading: Reading) -> Iterator[tuple[str, Reading]]:
    if not isinstance(reading.cell.answer, TextAnswer):
        return
    threshold = reading.relation.threshold
    if threshold is not None:
        for step in _OTHER_THRESHOLDS:
            if 0 < threshold + step < 1:
                yield f"at threshold {threshold + step:.2g}", reading.at(threshold + step)
    elif reading.cell.equivalence == "exact":
        yield "by shared words", reading.with_equal_words()


def _draws_to_settle(sample: Sample, rules: Rules, evidence: Evidence | None, cell: Cell) -> int | None:
    """The number of draws that would probably decide a cell that is open, if its answers go on as they did."""
    threshold = verdict.deciding_mode_mass(cell.expect, rules)
    if evidence is None or evidence.decided or evidence.label == "invalid" or threshold is None or sample.read < 2:
        return None
    enough = draws_to_settle(sample.largest / sample.read, threshold, sample.alpha)
    if enough is None:
        return None
    return max(math.ceil(enough * sample.drawn / sample.read), 2 * sample.drawn if enough <= sample.drawn else 0)
