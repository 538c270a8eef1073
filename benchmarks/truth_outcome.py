"""What is told of two runs held against each other, from end to end: where nothing differs, and where something does.

Answers are drawn, read, judged and compared by the program's own `compare`. Where nothing differs it should tell
nothing; where something does, it should tell what, and its intervals should hold the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, product
from typing import TYPE_CHECKING

import numpy as np
from known import standard_error
from truth_compare import FalseAlarm
from truth_intervals import STANDARD_ERRORS, columns, row_of
from truth_rule import RULES
from truth_suites import CHANGES, KINDS, PHRASE, ROUNDING, SEED, compared, is_more_common, question, with_phrase
from truth_variants import show

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from truth_intervals import Row
    from truth_suites import Change, Kind, Question

    from collapsecli.compared import ComparedCell, Comparison

ALPHA = RULES.alpha
SUITES = 200
CELLS = 20
DRAWS = (16, 64)
RUN_SHARES = (0.1, 0.4)  # of the run's completions that begin with the phrase
_CHANGED = 0.25  # of the cells of a suite in which something changes, each by chance

# ---------------------------------------------------------------------------------------------------- nothing differs


def _nothing(kind: Kind, draws: int, suites: int, *, losing: bool = False) -> tuple[list[FalseAlarm], list[Row]]:
    """Suites of one kind in which nothing differs: how often anything is told, and the intervals of all cells."""
    generator = np.random.default_rng([SEED, KINDS.index(kind), draws, losing])
    questions = [question(kind, place, draws) for place in range(CELLS)]
    found = [compared(questions, number, generator, losing=losing) for number in range(suites)]
    seen = {
        "narrower or wider": [any(cell.outcome in _DIRECTED for cell in one.cells) for one in found],
        "changed at all": [any(_changed(cell) for cell in one.cells) for one in found],
        "regressed": [any(cell.regressed for cell in one.cells) for one in found],
    }
    if kind == "texts":
        seen["phrases lifted or lost"] = [bool(one.lifted or one.lost) for one in found]
    regime, plan = f"nothing differs, {kind}{_AND_LOST if losing else ''}", f"N = {draws}"
    pairs = [pair for one in found for pair in zip(questions, one.cells, strict=True)]
    rows = [*_rows(regime, plan, pairs), _mean_row(regime, plan, found, 0.0)]
    return [_alarm(test, regime, plan, suites_with_any) for test, suites_with_any in seen.items()], rows


_DIRECTED = ("narrower", "wider")
_AND_LOST = ", a tenth of the base's first answers lost"


def _changed(cell: ComparedCell) -> bool:
    """Whether a cell is said to have changed at all, in whatever way."""
    return cell.moved.q_value is not None and cell.moved.q_value <= ALPHA


def _alarm(told: str, regime: str, plan: str, seen: Sequence[bool]) -> FalseAlarm:
    share = float(np.mean(seen))
    return FalseAlarm(told, regime, plan, len(seen), share, standard_error(share, len(seen)), ALPHA)


def _rows(regime: str, plan: str, pairs: Sequence[tuple[Question, ComparedCell]]) -> Iterator[Row]:
    known = {
        "collision_change": [(cell.numbers["collision"].change, one.change) for one, cell in pairs],
        "moved": [(cell.moved.change, one.apart) for one, cell in pairs],
        "between": [(cell.between, one.between) for one, cell in pairs],
    }
    for name, estimates in known.items():
        truths = np.array([truth for _, truth in estimates])
        yield row_of(name, regime, plan, columns([estimate for estimate, _ in estimates]), truths)


def _mean_row(regime: str, plan: str, found: Sequence[Comparison], truth: float) -> Row:
    means = columns([one.overall["collision"].change for one in found])
    return row_of(f"mean collision_change of {CELLS}", regime, plan, means, truth)


# -------------------------------------------------------------------------------------------------- something differs


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of suites in which a change has come over some cells.

    told: the share of changed cells of which the change itself is told; noticed: of which anything is. false: the mean
    over the suites of the share that is false among the cells told narrower or wider; falsely_changed: among those told
    changed at all. Each has its standard error.
    """

    change: str
    kind: Kind
    plan: str
    suites: int
    cells: int
    told: float
    told_error: float
    noticed: float
    false: float
    false_error: float
    falsely_changed: float
    falsely_changed_error: float
    least: float

    @property
    def ok(self) -> bool:
        """Whether it is told as often as is documented, and as rarely falsely as the false discovery rate says."""
        return (
            self.told >= self.least - STANDARD_ERRORS * self.told_error
            and self.false <= ALPHA + STANDARD_ERRORS * self.false_error
            and self.falsely_changed <= ALPHA + STANDARD_ERRORS * self.falsely_changed_error
        )


def _something(change: Change, kind: Kind, draws: int, suites: int) -> tuple[Told, list[Row]]:
    """Suites of one kind in which each cell changes by chance: what is told, and the intervals of those that did."""
    generator = np.random.default_rng([SEED, CHANGES.index(change), KINDS.index(kind), draws])
    found: list[Comparison] = []
    pairs: list[tuple[Question, ComparedCell]] = []
    false: list[tuple[float, float]] = []
    for number in range(suites):
        changes = [change if is_changed else None for is_changed in generator.random(CELLS) < _CHANGED]
        questions = [question(kind, place, draws, one) for place, one in enumerate(changes)]
        found.append(compared(questions, number, generator))
        of_suite = list(zip(questions, found[-1].cells, strict=True))
        pairs += [pair for pair, one in zip(of_suite, changes, strict=True) if one is not None]
        false.append(_false(of_suite))
    told = float(np.mean([cell.outcome == change.outcome for _, cell in pairs]))
    wrong, errors = np.mean(false, axis=0).tolist(), _standard_errors(false)
    plan = f"N = {draws}"
    summary = Told(
        change=change.name,
        kind=kind,
        plan=plan,
        suites=suites,
        cells=len(pairs),
        told=told,
        told_error=standard_error(told, len(pairs)),
        noticed=float(np.mean([cell.outcome != "same" for _, cell in pairs])),
        false=wrong[0],
        false_error=errors[0],
        falsely_changed=wrong[1],
        falsely_changed_error=errors[1],
        least=change.least if draws == DRAWS[-1] else 0.0,
    )
    truth = _CHANGED * float(np.mean([question(kind, place, draws, change).change for place in range(CELLS)]))
    regime = f"{change.name}, {kind}"
    return summary, [*_rows(regime, plan, pairs), _mean_row(regime, plan, found, truth)]


def _false(pairs: Sequence[tuple[Question, ComparedCell]]) -> tuple[float, float]:
    """What is false in one suite: the share among cells told narrower or wider, and among those told changed at all."""
    wrong = [
        (one.change if cell.outcome == "narrower" else -one.change) <= ROUNDING
        for one, cell in pairs
        if cell.outcome in _DIRECTED
    ]
    unchanged_yet_told = [one.apart <= ROUNDING for one, cell in pairs if _changed(cell)]
    return sum(wrong) / max(len(wrong), 1), sum(unchanged_yet_told) / max(len(unchanged_yet_told), 1)


def _standard_errors(shares: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Those of the means of both shares: never 0, as if there were one suite more with all false, and one with none."""
    first, second = (np.std([*column, 0.0, 1.0]) / (len(column) + 2) ** 0.5 for column in zip(*shares, strict=True))
    return float(first), float(second)


@dataclass(frozen=True, slots=True)
class Named:
    """What is named of suites in which a phrase becomes more common in every cell.

    told: the share of suites that name it as lifted; false: the share of what is false among all that they name.
    """

    run_share: float
    plan: str
    suites: int
    told: float
    told_error: float
    named: int
    false: float
    false_error: float

    @property
    def ok(self) -> bool:
        """Whether what is named is true."""
        return self.false <= ALPHA + STANDARD_ERRORS * self.false_error


def _named(run_share: float, draws: int, suites: int) -> Named:
    generator = np.random.default_rng([SEED, len(CHANGES), draws, round(100 * run_share)])
    questions = [with_phrase(place, draws, run_share) for place in range(CELLS)]
    found = [compared(questions, number, generator) for number in range(suites)]
    told = float(np.mean([any(PHRASE in one.text for one in comparison.lifted) for comparison in found]))
    is_false = [not is_more_common(one.text, questions) for comparison in found for one in comparison.lifted]
    is_false += [True for comparison in found for _ in comparison.lost]  # nothing became rarer
    false, named = sum(is_false) / max(len(is_false), 1), len(is_false)
    error = standard_error(false, max(named, 1))
    return Named(run_share, f"N = {draws}", suites, told, standard_error(told, suites), named, false, error)


# ---------------------------------------------------------------------------------------------------------------- all


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What is told where nothing differs, where something does, and of a phrase; and every interval on the way."""

    alarms: tuple[FalseAlarm, ...]
    told: tuple[Told, ...]
    named: tuple[Named, ...]
    rows: tuple[Row, ...]


def outcomes(suites: int = SUITES) -> Outcomes:
    """So many suites of each kind in which nothing differs, a fifth of that of each change."""
    fewer = max(suites // 5, 1)
    same = [_nothing(kind, draws, suites) for kind, draws in product(KINDS, DRAWS)]
    same.append(_nothing("numbers", DRAWS[-1], suites, losing=True))
    changed = [_something(change, kind, draws, fewer) for change, kind, draws in product(CHANGES, KINDS, DRAWS)]
    named = [_named(run_share, draws, fewer) for run_share, draws in product(RUN_SHARES, DRAWS)]
    return Outcomes(
        alarms=tuple(chain.from_iterable(alarms for alarms, _ in same)),
        told=tuple(told for told, _ in changed),
        named=tuple(named),
        rows=tuple(chain.from_iterable(rows for _, rows in (*same, *changed))),
    )


if __name__ == "__main__":
    everything = outcomes()
    show(everything.rows)
    figures: tuple[FalseAlarm | Told | Named, ...] = (*everything.alarms, *everything.told, *everything.named)
    for figure in figures:
        print("ok " if figure.ok else "NOT", figure, flush=True)
