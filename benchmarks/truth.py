"""Are the numbers of this tool what they claim to be? Simulation with known truth; half an hour on one core.

Wrong labels of the rule, decided shares, interval coverage, bias, and false discoveries among many cells, each against
a bound that is fixed here. Everything judged is judged by the program's own functions; nothing of the rule is written
down twice. Stores the figures and writes docs/truth.md. Exits with 1 if any bound fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import truth_balls
import truth_certainty
import truth_compare
import truth_declared
import truth_divergence
import truth_family
import truth_injection
import truth_intervals
import truth_lifted
import truth_outcome
import truth_page
import truth_restart
import truth_rule
import truth_sameness
import truth_temperature
import truth_texts
import truth_variants
from figures import FIGURES, store
from known import LOOKS, REGIMES, draw, follow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from dataclasses import Field

    from truth_intervals import Bias, Row
    from truth_rule import Wrong

    Parts = tuple[Callable[[], None], ...]

SEED = 20_260_101
QUICK = ("0.95, the rest all different", "0.2, the rest all different", "two of 0.4999", "ten equal")


@dataclass(frozen=True, slots=True)
class Effort:
    """How many runs each part takes."""

    runs: int = 10_000
    texts: int = 10_000
    balls: int = 2_000
    certain: int = 1_000
    families: int = 200
    contrasts: int = 4_000
    comparisons: int = 1_500
    suites: int = 200
    through_the_judge: int = 6
    through_the_schedule: int = 5


SMOKE = Effort(
    runs=1_000, texts=100, balls=100, certain=20, families=2, contrasts=200, comparisons=60, suites=5,
    through_the_judge=1, through_the_schedule=1,
)  # fmt: skip

# Every kind of contrast whose intervals have an error rate; the probability of a road is exact.
CONTRASTS: dict[str, Callable[[int], Iterable[Row]]] = {
    "temperature": truth_temperature.rows,
    "injection": truth_injection.rows,
    "certainty": truth_certainty.rows,
    "restart": truth_restart.rows,
    "variants": truth_variants.rows,
    "sameness": truth_sameness.rows,
}

# Every kind of number of two runs held against each other; those of whole texts take half as many runs.
COMPARISONS: dict[str, Callable[[int], Iterable[Row]]] = {
    "two runs": truth_compare.rows,
    "phrases": lambda runs: truth_lifted.rows(runs // 2),
    "divergences": lambda runs: truth_divergence.rows(runs // 2),
}


class Measured:
    """All figures, part by part. Each part has its own stream of random numbers, so that one can change alone."""

    def __init__(self, effort: Effort, regimes: Sequence[str]) -> None:
        self.effort = effort
        self.regimes = [truth for truth in REGIMES if not regimes or truth.name in regimes]
        self.tables: dict[str, Any] = {"runs": effort.runs}
        self.failed: list[str] = []
        self._began = time.monotonic()

    def part(self, name: str, rows: Sequence[Figure]) -> None:
        """Keep one table."""
        self._checked(name, rows)
        self.tables[name] = [as_figures(row) for row in rows]

    def coverage(self, name: str, rows: Iterable[Row]) -> None:
        """Keep the rows of some intervals, those of one interval and plan together."""
        found = sorted(rows, key=_interval_and_plan)
        self._checked(f"coverage of {name}", found)
        self.tables[f"coverage of {name}"] = [
            summary(list(group)) for _, group in groupby(found, key=_interval_and_plan)
        ]

    def _checked(self, name: str, rows: Sequence[Figure]) -> None:
        wrong = [row for row in rows if not row.ok]
        self.failed += [f"{name}: {row}" for row in wrong]
        self.say(f"{name}: {len(rows)} figures, {len(wrong)} out of bounds")

    def say(self, what: str) -> None:
        """A line of progress."""
        print(f"{time.monotonic() - self._began:6.0f} s  {what}", flush=True)

    def all_regimes(self) -> None:
        """The rule, the intervals of counts and the biases, from the same runs of each distribution."""
        rule: list[Wrong] = []
        rows: list[Row] = []
        biases: list[Bias] = []
        for place, truth in enumerate(self.regimes):
            generator = stream("regimes", truth.name)
            looks = follow(draw(truth, self.effort.runs, LOOKS[-1], generator), LOOKS, truth.masses)
            rule += truth_rule.wrong_labels(truth, looks)
            rows += truth_intervals.coverage_at_fixed(truth, looks)
            rows += truth_intervals.coverage_when_decided(truth, looks)
            biases += truth_intervals.checked_again(list(truth_intervals.biases(truth, looks)), truth, generator)
            self.say(f"{place + 1} of {len(self.regimes)} distributions: {truth.name}")
        self.part("rule", rule)
        self.part("decisions", list(truth_rule.decisions(rule)))
        self.coverage("counts", rows)
        self.part("bias", biases)

    def the_rule_elsewhere(self) -> None:
        """Lost draws, relations that are no equivalence, declared distributions, and the judge on the same draws."""
        effort = self.effort
        self.part("losses", list(truth_rule.wrong_labels_with_losses(effort.runs, stream("losses"))))
        wrong, rows = zip(*truth_balls.rows(effort.balls, stream("balls")), strict=True)
        self.part("balls", wrong)
        self.coverage("relation", rows)
        self.part("declared", list(truth_declared.rows(effort.runs, stream("declared"))))
        by_rule = truth_rule.same_label_and_look(self.regimes, effort.through_the_judge, stream("judge"))
        declared = truth_declared.same_as_the_judge(effort.through_the_judge, stream("judge", "declared"))
        self.part("judge", [by_rule, declared])

    def other_intervals(self) -> None:
        """The intervals that are not made of counts of modes, and those that are certain."""
        effort = self.effort
        self.coverage("valid_rate", truth_intervals.coverage_of_valid_rate(effort.runs, stream("valid")))
        self.coverage("distance", truth_intervals.coverage_of_distance(effort.runs, stream("distance")))
        self.coverage("tokens", truth_texts.coverage_of_rates(effort.texts, stream("tokens")))
        self.coverage("openings", truth_texts.coverage_of_openings(effort.texts, stream("openings")))
        self.part("certain", list(truth_texts.certain_intervals(effort.certain, stream("certain"))))

    def families(self) -> None:
        """False discoveries, and the same through the schedule of a run."""
        self.part("families", list(truth_family.settings(self.effort.families, stream("families"))))
        self.part("schedule", [truth_family.through_the_schedule(self.effort.through_the_schedule, stream("schedule"))])

    def contrasts(self) -> None:
        """Every interval of a contrast, kind by kind."""
        for kind, rows in CONTRASTS.items():
            self.coverage(kind, rows(self.effort.contrasts))

    def comparisons(self) -> None:
        """Every interval and test of two runs held against each other, and what is told of whole suites."""
        for kind, rows in COMPARISONS.items():
            self.coverage(kind, rows(self.effort.comparisons))
        self.part("errors", list(truth_compare.errors(self.effort.comparisons)))
        found = truth_outcome.outcomes(self.effort.suites)
        self.part("alarms", found.alarms)
        self.part("told", found.told)
        self.part("named", found.named)
        self.coverage("suites", found.rows)


class Figure(Protocol):
    """One row of a table: a dataclass that knows whether it is within its bound."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def ok(self) -> bool:
        """Whether it is."""


def as_figures(row: Figure) -> dict[str, object]:
    """All fields of a row, and whether it is within its bound."""
    return {**{field.name: getattr(row, field.name) for field in fields(row)}, "ok": row.ok}


def _interval_and_plan(row: Row) -> tuple[str, str]:
    return row.interval, row.plan


def summary(rows: Sequence[Row]) -> dict[str, object]:
    """What the rows of one interval and plan say together, with all shares, and in full what is below nominal."""
    worst = min(rows, key=lambda row: row.held)
    widths = [row.width for row in rows if row.bounded == 1]
    return {
        "interval": worst.interval,
        "plan": worst.plan,
        "runs": max(row.runs for row in rows),
        "lowest": worst.held,
        "lowest_in": worst.regime,
        "standard_error": worst.standard_error,
        "median": float(np.median([row.held for row in rows])),
        "mean_width": float(np.mean(widths)) if widths else None,
        "below_nominal": [asdict(row) for row in rows if row.outcome != "ok"],
        "ok": all(row.ok for row in rows),
        "held": {row.regime: row.held for row in rows},
    }


def stream(*names: str) -> np.random.Generator:
    """A stream of random numbers that belongs to these names."""
    return np.random.default_rng([SEED, *"/".join(names).encode()])


def main() -> None:
    """Simulate, compare with the bounds, store, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few runs, nothing stored: does it work at all")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--contrasts", action="store_true", help="the contrasts alone; the other figures stay")
    only.add_argument("--comparisons", action="store_true", help="two runs held against each other alone, likewise")
    parser.add_argument("--page", action="store_true", help="write the page again from the stored figures, and no more")
    asked = parser.parse_args()
    if asked.page:
        truth_page.write(json.loads((FIGURES / "truth.json").read_text("utf-8")))
        return
    effort, regimes = (SMOKE, QUICK) if asked.quick else (Effort(), ())
    cells, contrasts, comparisons = (Measured(effort, regimes) for _ in range(3))
    of_cells: Parts = (cells.all_regimes, cells.the_rule_elsewhere, cells.other_intervals, cells.families)
    sets: dict[str, tuple[Measured, Parts, int]] = {
        "truth": (cells, of_cells, effort.runs),
        "contrasts": (contrasts, (contrasts.contrasts,), effort.contrasts),
        "comparisons": (comparisons, (comparisons.comparisons,), effort.comparisons),
    }
    alone = [name for name in ("contrasts", "comparisons") if getattr(asked, name)]
    failed = []
    for name in alone or sets:
        measured, parts, runs = sets[name]
        for part in parts:
            part()
        failed += measured.failed
        if not asked.quick:
            store(name, rounded({**measured.tables, "runs": runs}))
    if not asked.quick:
        truth_page.write(json.loads((FIGURES / "truth.json").read_text("utf-8")))
    if failed:
        sys.exit("\n".join(("out of bounds:", *failed)))


def rounded(value: Any) -> Any:
    """Figures with five significant digits: more than they have."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
