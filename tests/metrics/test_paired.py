"""Numbers over prompts: known answers, laws, all flips of signs written out, and how often an interval holds."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from collapsecli.metrics.paired import LEAST_PROMPTS, mean, p_no_change, paired, ratio
from collapsecli.records import UNDEFINED, Estimate

VALUES = st.lists(st.integers(-20, 20).map(float), min_size=LEAST_PROMPTS, max_size=14)
NAN = math.nan


def drawn(seed=1):
    return np.random.default_rng(seed)


def ends(estimate):
    return estimate.value, estimate.low, estimate.high


# ------------------------------------------------------------------------------------------------------------ the mean


@pytest.mark.parametrize(
    ("values", "value"),
    [
        pytest.param([1.0, 2, 3, 4, 5], 3.0, id="fewer prompts than an interval needs"),
        pytest.param([0.0] * 40, 0.0, id="no prompt changed"),
        pytest.param([0.3] * 40, 0.3, id="all prompts changed alike"),
        pytest.param([NAN, 2.0, NAN], 2.0, id="one prompt that has the number"),
    ],
)
def test_a_mean_whose_spread_is_not_known_has_no_interval(values, value):
    found = mean(values, 0.05, drawn())
    assert found == Estimate(pytest.approx(value))


@pytest.mark.parametrize("values", [[], [NAN, NAN]])
def test_a_mean_of_no_prompts_is_undefined(values):
    assert mean(values, 0.05, drawn()) == UNDEFINED


@given(VALUES)
def test_a_mean_lies_within_its_interval_and_no_end_is_nearer_than_students(values):
    found = mean(values, 0.05, drawn())
    assert found.value == pytest.approx(np.mean(values))
    if found.low is not None:
        half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
        assert found.low <= found.value - half + 1e-9
        assert found.high >= found.value + half - 1e-9


@given(VALUES, st.floats(0.01, 100), st.floats(-100, 100))
def test_a_mean_follows_the_unit_of_its_numbers(values, unit, zero):
    plain, scaled = mean(values, 0.05, drawn()), mean(np.array(values) * unit + zero, 0.05, drawn())
    if plain.low is not None:
        expected = [end * unit + zero for end in ends(plain)]
        assert ends(scaled) == pytest.approx(expected, rel=1e-6, abs=1e-6 * (1 + abs(zero)))


@given(VALUES)
def test_prompts_without_the_number_change_nothing(values):
    assert mean([NAN, *values, NAN], 0.05, drawn()) == mean(values, 0.05, drawn())
    assert p_no_change([NAN, *values], drawn()) == p_no_change(values, drawn())


def test_an_interval_reaches_farther_towards_the_long_tail():
    found = mean(np.random.default_rng(2).exponential(1, 20), 0.05, drawn())
    assert found.high - found.value > 1.3 * (found.value - found.low)


def test_of_many_prompts_an_interval_is_that_of_the_normal_law():
    values = np.random.default_rng(2).normal(size=400)
    found, half = mean(values, 0.05, drawn()), 1.96 * values.std() / 20
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=0.15 * half)


@pytest.mark.parametrize("prompts", [6, 10, 20])
@pytest.mark.parametrize(
    ("law", "least"),
    [
        pytest.param(lambda generator, n: generator.normal(0, 1, n), 0.91, id="normal"),
        pytest.param(lambda generator, n: generator.exponential(1, n) - 1, 0.84, id="exponential"),
        pytest.param(lambda generator, n: generator.beta(0.4, 0.4, n) - 0.5, 0.91, id="two humps"),
    ],
)
def test_intervals_of_few_prompts_hold_the_truth(prompts, law, least):
    """500 runs: three standard errors and a half below 0.95, and below the 0.89 that is said of skewed ones."""
    generator = np.random.default_rng(3)
    found = [mean(law(generator, prompts), 0.05, generator) for _ in range(500)]
    assert np.mean([one.low <= 0 <= one.high for one in found]) >= least


# --------------------------------------------------------------------------------------------------------- sign flips


def by_hand(changes):
    """The share of all ways to give signs that lie at least as far from zero."""
    sums = [abs(sum(sign * change for sign, change in zip(signs, changes, strict=True)))
            for signs in product((1, -1), repeat=len(changes))]  # fmt: skip
    return np.mean(np.array(sums) >= abs(sum(changes)) - 1e-9)


@given(st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=8))
def test_the_p_value_of_few_changes_counts_all_flips(changes):
    assert p_no_change(changes, drawn()) == pytest.approx(by_hand(changes))


@pytest.mark.parametrize(
    ("changes", "p"),
    [
        pytest.param([1.0] * 6, 2 / 64, id="six of six the same way"),
        pytest.param([1.0] * 16, 2 / 2**16, id="sixteen of sixteen"),
        pytest.param([1.0] * 6 + [0.0] * 50, 2 / 64, id="what did not change says nothing"),
        pytest.param([0.0] * 5, 1.0, id="nothing changed"),
        pytest.param([1.0, -1.0], 1.0, id="they cancel"),
        pytest.param([0.1] * 3 + [-0.1] * 3, 1.0, id="they cancel in numbers that are not exact"),
    ],
)
def test_known_p_values(changes, p):
    assert p_no_change(changes, drawn()) == pytest.approx(p)


@pytest.mark.parametrize("values", [[], [NAN]])
def test_of_no_changes_there_is_no_p_value(values):
    assert p_no_change(values, drawn()) is None


def test_the_p_value_of_many_changes_is_near_that_of_all_flips():
    """Of 18 changes, all flips counted by hand; 9,999 random ones know 0.12 to 0.0033 (one standard error)."""
    changes = np.array([*range(1, 13), *range(-6, 0)], np.float64)
    sums = np.zeros(1)
    for change in changes:
        sums = np.concatenate([sums + change, sums - change])
    exact = np.mean(np.abs(sums) >= changes.sum() - 1e-9)
    assert 0.02 < exact < 0.5
    assert p_no_change(changes, drawn()) == pytest.approx(exact, abs=0.018)


def test_the_p_value_of_many_changes_is_never_zero():
    assert p_no_change([1.0] * 500, drawn()) == 1 / 10_000


# ------------------------------------------------------------------------------------------------------------ two sides


def test_a_difference_is_of_the_prompts_that_have_the_number_in_both():
    base, run = [1.0, 2.0, NAN, 4.0], [2.0, 4.0, 5.0, NAN]
    found = paired(base, run, 0.05, drawn())
    assert (found.base.value, found.run.value, found.change.value, found.n) == (1.5, 3.0, 1.5, 2)
    assert found.p_value == 0.5


@given(VALUES, st.randoms(use_true_random=False))
def test_the_other_way_round_a_difference_has_the_other_sign(values, random):
    others = [value + random.randint(-3, 3) for value in values]
    there, back = paired(values, others, 0.05, drawn()), paired(others, values, 0.05, drawn())
    assert there.change.value == pytest.approx(-back.change.value)
    assert there.p_value == pytest.approx(back.p_value)


def test_equal_sides_differ_by_nothing_with_a_p_value_of_one():
    found = paired([1.0, 2, 3, 4, 5, 6, 7], [1.0, 2, 3, 4, 5, 6, 7], 0.05, drawn())
    assert (found.change, found.p_value) == (Estimate(0.0), 1.0)


def test_a_shift_that_most_prompts_share_is_found():
    generator = np.random.default_rng(4)
    base = generator.normal(5, 2, 30)
    found = paired(base, base - 1 + generator.normal(0, 0.5, 30), 0.05, drawn())
    assert found.change.high < 0
    assert found.p_value == 1 / 10_000


def test_a_ratio_is_that_of_geometric_means():
    base, run = [1.0, 2, 4, 8, 16, 32], [2.0, 8, 8, 32, 32, 128]
    found = ratio(base, run, 0.05, drawn())
    logs = paired(np.log(base), np.log(run), 0.05, drawn())
    assert found.change.value == pytest.approx(2**1.5)
    assert found.base.value == pytest.approx(stats.gmean(base))
    assert found.run.value == pytest.approx(stats.gmean(run))
    assert ends(found.change) == pytest.approx(np.exp(ends(logs.change)))
    assert (found.n, found.p_value) == (6, logs.p_value)


@pytest.mark.parametrize("odd", [0.0, -1.0, math.inf, NAN])
def test_prompts_whose_numbers_have_no_ratio_are_left_out(odd):
    found = ratio([1.0, odd, 1.0], [4.0, 7.0, 4.0], 0.05, drawn())
    assert (found.change.value, found.n) == (pytest.approx(4.0), 2)
    assert ratio([1.0, 7.0, 1.0], [4.0, odd, 4.0], 0.05, drawn()).n == 2


def test_without_prompts_nothing_is_said():
    for number in (paired, ratio):
        found = number([], [], 0.05, drawn())
        assert (found.base, found.run, found.change, found.n, found.p_value) == (UNDEFINED,) * 3 + (0, None)


def test_sides_of_different_prompts_are_refused():
    with pytest.raises(ValueError, match="prompts of the base"):
        paired([1.0], [1.0, 2.0], 0.05, drawn())


def test_the_same_generator_gives_the_same_numbers():
    values = np.random.default_rng(1).normal(size=(2, 40))
    assert paired(*values, 0.05, drawn(7)) == paired(*values, 0.05, drawn(7))
