"""The squared distance of two distributions and its interval, from draws whose distributions are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.metrics.distance import squared_distance
from collapsecli.records import UNDEFINED

DRAWS = st.lists(st.integers(0, 5), min_size=2, max_size=30)
ROUNDING = 1e-9


def related(base, run):
    """Which draws of both are the same, and how many are the base's."""
    pooled = np.array([*base, *run])
    return pooled[:, None] == pooled, len(base)


def distance(base, run, alpha=0.05, **lost):
    return squared_distance(*related(base, run), alpha, **lost)


@pytest.mark.parametrize(
    ("base", "run", "expected"),
    [
        pytest.param([1, 1, 1], [1, 1, 1], 0.0, id="one answer on both sides"),
        pytest.param([1, 1, 1], [2, 2, 2], 2.0, id="two certain answers that differ"),
        pytest.param([1, 2, 3], [4, 5, 6], 0.0, id="no two draws the same: nothing is known but that both are wide"),
        pytest.param([1, 1, 2, 2], [1, 1, 1, 1], 1 / 3 + 1 - 2 / 2, id="a coin against a certain answer"),
        pytest.param([1, 2, 1, 2], [1, 2, 1, 2], 0.0, id="equal counts, whose unbiased distance is below zero"),
    ],
)
def test_the_distance_of(base, run, expected):
    assert distance(base, run).value == pytest.approx(expected)


@pytest.mark.parametrize(("base", "run"), [([], [1, 2]), ([1], [1, 2]), ([1, 2], [2])])
def test_without_two_answers_of_each_side_nothing_is_known(base, run):
    assert distance(base, run) == UNDEFINED


def test_a_relation_that_is_not_square_is_refused():
    with pytest.raises(ValueError, match="relation"):
        squared_distance(np.ones((3, 4), np.bool_), 2, 0.05)


@given(base=DRAWS, run=DRAWS, lost=st.integers(0, 9), alpha=st.floats(1e-4, 0.5))
def test_the_interval_holds_the_value_and_lies_where_distances_do(base, run, lost, alpha):
    found = distance(base, run, alpha, lost_base=lost)
    assert 0 <= found.low <= found.value + ROUNDING
    assert found.value <= found.high <= 2 + ROUNDING


@given(base=DRAWS, run=DRAWS)
def test_neither_side_is_the_first_and_no_draw_is(base, run):
    forth, back = distance(base, run), distance(run[::-1], base[::-1])
    assert (forth.value, forth.low, forth.high) == pytest.approx((back.value, back.low, back.high), abs=1e-6)


@given(base=DRAWS, run=DRAWS, lost_base=st.integers(0, 5), lost_run=st.integers(1, 5))
def test_lost_draws_widen_the_interval_and_leave_the_value(base, run, lost_base, lost_run):
    whole, torn = distance(base, run), distance(base, run, lost_base=lost_base, lost_run=lost_run)
    assert torn.value == whole.value
    assert torn.low <= whole.low
    assert torn.high >= whole.high


def test_sides_that_lost_all_they_could_say_are_not_told_apart():
    assert distance([1] * 20, [2] * 20).low > 0
    assert distance([1] * 20, [2] * 20, lost_run=1000).low == 0


PEAK, FLATTER, EVEN = (0.8, *[0.02] * 10), (0.5, *[0.05] * 10), (1 / 11,) * 11
MOVED = (0.02, 0.8, *[0.02] * 9)


@pytest.mark.parametrize(
    ("p", "q"),
    [
        pytest.param(PEAK, PEAK, id="equal and peaked"),
        pytest.param(EVEN, EVEN, id="equal and even"),
        pytest.param(PEAK, FLATTER, id="near"),
        pytest.param(PEAK, EVEN, id="far"),
        pytest.param(PEAK, MOVED, id="another peak"),
        pytest.param((0.5, 0.5), (0.4, 0.6), id="two coins"),
    ],
)
@pytest.mark.parametrize("draws", [(16, 16), (48, 24)])
def test_the_interval_misses_no_more_often_than_it_says(p, q, draws):
    """At most 5 % of misses were measured; P(more than 27 of 300 | 5 %) is below .002."""
    generator = np.random.default_rng(7)
    true = float(np.square(np.subtract(p, q)).sum())
    sides = [[generator.choice(len(p), n, p=law) for law, n in zip((p, q), draws, strict=True)] for _ in range(300)]
    intervals = [distance(*pair) for pair in sides]
    assert sum(not one.low - ROUNDING <= true <= one.high + ROUNDING for one in intervals) <= 27


def test_the_interval_narrows_with_the_draws():
    generator = np.random.default_rng(8)
    widths = []
    for n in (16, 64, 256):
        found = distance(generator.choice(11, n, p=PEAK), generator.choice(11, n, p=EVEN))
        widths.append(found.high - found.low)
    assert widths[0] > 1.5 * widths[1] > 2.25 * widths[2]
