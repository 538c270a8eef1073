"""The figures of two runs held against each other at small sizes, and that a wrong number would be out of bounds."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def compare():
    """The module of the benchmark."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("truth_compare")


def test_the_intervals_of_two_runs_hold_the_truth(compare):
    rows = [*compare.rows_of_classes(40), *compare.rows_of_relations(40), *compare.rows_of_prompts(20)]
    assert {row.interval for row in rows} == {
        "moved", "between", "collision_change", "collision_change, of pairs", "mean over prompts", "ratio over prompts",
    }  # fmt: skip
    assert [row for row in rows if not row.ok] == []


def test_no_test_finds_what_is_not_there(compare):
    alarms = list(compare.errors(60))
    assert [alarm for alarm in alarms if not alarm.ok] == []


def test_a_test_that_finds_too_much_is_out_of_bounds(compare):
    alarm = compare._alarm("a test", "a law", "N = 16", np.array([0.01] * 30 + [0.9] * 70))
    assert not alarm.ok
    assert replace(alarm, share=0.05).ok


@pytest.mark.parametrize("place", range(5))
def test_the_truths_of_relations_are_those_of_many_draws(compare, place):
    """Of 2 x 1,500 draws the pair rates are known to 0.04 (hubs, the most variable, to four standard errors)."""
    law = compare.RELATED[place]
    same = law.draw(np.random.default_rng(place), 1500, 1500)
    base, run = (side[~np.eye(1500, dtype=bool)].mean() for side in (same[:1500, :1500], same[1500:, 1500:]))
    assert same[:1500, 1500:].mean() == pytest.approx(law.between, abs=0.04)
    assert run - base == pytest.approx(law.change, abs=0.06)
