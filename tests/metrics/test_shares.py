"""Shares, differences and medians: known answers, laws, and exactly how often each interval misses."""

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from collapsecli.metrics.shares import difference, median, p_equal, share
from collapsecli.records import UNDEFINED, Estimate

BELOW_HALF = np.geomspace(0.0005, 0.5, 25)
SHARES = [*BELOW_HALF, *(1 - BELOW_HALF[:-1])]
COUNTS = st.integers(0, 12).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))

# -------------------------------------------------------------------------------------------------------------- shares


@pytest.mark.parametrize(
    ("hits", "n", "lost", "value", "low", "high"),
    [
        pytest.param(0, 64, 0, 0.0, 0.0, 1 - 0.025 ** (1 / 64), id="none of them"),
        pytest.param(64, 64, 0, 1.0, 0.025 ** (1 / 64), 1.0, id="all of them"),
        pytest.param(5, 10, 0, 0.5, 0.1870860, 0.8129140, id="half of ten, from tables"),
        pytest.param(0, 60, 4, 0.0, 0.0, stats.beta.ppf(0.975, 5, 60), id="lost draws might all have been hits"),
        pytest.param(60, 60, 4, 1.0, stats.beta.ppf(0.025, 60, 5), 1.0, id="or none of them"),
        pytest.param(0, 0, 0, None, 0.0, 1.0, id="of no draws nothing is known"),
    ],
)
def test_shares(hits, n, lost, value, low, high):
    found = share(hits, n, 0.05, lost)
    assert found.value == value
    assert (found.low, found.high) == pytest.approx((low, high))


@given(COUNTS, st.integers(0, 6), st.data())
def test_whatever_the_lost_draws_were_their_interval_lies_within(counts, lost, data):
    hits, n = counts
    of_them = data.draw(st.integers(0, lost))
    wide, told = share(hits, n, 0.05, lost), share(hits + of_them, n + lost, 0.05)
    assert wide.low <= told.low
    assert told.high <= wide.high


# --------------------------------------------------------------------------------------------------------- differences


@cache
def shared(hits, n, alpha):
    return share(hits, n, alpha)


def missed(n, other_n, alpha):
    """How often the interval of a difference misses the truth: the most, over all pairs of SHARES; exactly."""
    ends = [[difference(shared(h, n, alpha), shared(k, other_n, alpha)) for k in range(other_n + 1)]
            for h in range(n + 1)]  # fmt: skip
    low, high = (np.array([[getattr(one, end) for one in row] for row in ends]) for end in ("low", "high"))
    masses = {share: stats.binom.pmf(np.arange(n + 1), n, share) for share in SHARES}
    others = {share: stats.binom.pmf(np.arange(other_n + 1), other_n, share) for share in SHARES}
    return max(
        float(masses[p] @ ((low > p - q + 1e-12) | (high < p - q - 1e-12)) @ others[q]) for p in SHARES for q in SHARES
    )


@pytest.mark.parametrize("alpha", [0.1, 0.05, 0.05 / 6])
@pytest.mark.parametrize(("n", "other_n"), [(16, 16), (32, 32), (64, 64), (16, 64), (30, 32)])
def test_a_difference_of_shares_misses_no_more_often_than_asked(n, other_n, alpha):
    assert missed(n, other_n, alpha) <= alpha


@pytest.mark.parametrize(("n", "most"), [(4, 2.6), (8, 1.2)])
def test_with_few_draws_and_a_small_error_rate_it_misses_as_often_as_is_said(n, most):
    """As the docstring says; at the usual rate even these hold."""
    assert 1 < missed(n, n, 0.05 / 6) / (0.05 / 6) <= most
    assert missed(n, n, 0.05) <= 0.05


@pytest.mark.parametrize(
    ("one", "other", "value", "low", "high"),
    [
        pytest.param(Estimate(3.0, 1.0, 5.0), Estimate(2.0, 1.0, 3.0), 1.0, 1 - math.sqrt(5), 1 + math.sqrt(5),
                     id="symmetric intervals add as squares"),
        pytest.param(Estimate(0.5, 0.2, 0.8), Estimate(0.25, 0.25, 0.25), 0.25, -0.05, 0.55,
                     id="a number without error only moves the other"),
        pytest.param(Estimate(0.0, 0.0, 0.06), Estimate(1.0, 0.94, 1.0), -1.0, -1.0, -1 + 0.06 * math.sqrt(2),
                     id="nothing against everything does not pass the natural bound"),
        pytest.param(Estimate(1.0, None, 2.0), Estimate(0.0, -1.0, None), 1.0, None, 1 + math.sqrt(2),
                     id="an end that is open stays open"),
        pytest.param(Estimate(1.0, 0.0, 2.0), Estimate(1.0), 0.0, None, None, id="nothing is known of an open other"),
        pytest.param(Estimate(None, 0.0, 1.0), Estimate(0.5, 0.0, 1.0), None, None, None, id="no value, no difference"),
        pytest.param(Estimate(0.5, 0.4, 0.6), UNDEFINED, None, None, None, id="nor from nothing"),
    ],
)  # fmt: skip
def test_differences(one, other, value, low, high):
    found = difference(one, other)
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high))


ESTIMATES = st.tuples(*[st.floats(0, 10, allow_subnormal=False)] * 3).map(
    lambda ends: Estimate(ends[0], ends[0] - ends[1], ends[0] + ends[2])
)


@given(ESTIMATES, ESTIMATES)
def test_the_other_way_round_a_difference_is_the_same_with_its_sign_changed(one, other):
    found, back = difference(one, other), difference(other, one)
    assert (found.value, found.low, found.high) == pytest.approx((-back.value, -back.high, -back.low))


@given(ESTIMATES, ESTIMATES)
def test_a_difference_is_no_surer_than_its_worse_half_and_no_less_sure_than_both_together(one, other):
    found = difference(one, other)
    wider = max(one.value - one.low, other.high - other.value)
    assert found.low <= found.value - wider + 1e-9
    assert found.low >= one.low - other.high - 1e-9


# ------------------------------------------------------------------------------------------------------------ p-values


@pytest.mark.parametrize(
    ("counts", "p_value"),
    [
        pytest.param((3, 4, 1, 4), 34 / 70, id="the lady tasting tea"),
        pytest.param((0, 8, 8, 8), 2 / math.comb(16, 8), id="none against all"),
        pytest.param((5, 10, 5, 10), 1.0, id="the same share"),
        pytest.param((1, 3, 2, 6), 1.0, id="the same share of other numbers"),
        pytest.param((0, 0, 5, 10), 1.0, id="no draws"),
        pytest.param((0, 10, 0, 12), 1.0, id="nothing anywhere"),
    ],
)
def test_equal_shares(counts, p_value):
    assert p_equal(*counts) == pytest.approx(p_value)


@given(st.integers(1, 20), st.data())
def test_for_equal_numbers_of_draws_it_is_the_two_sided_test_of_fisher(n, data):
    hits, other_hits = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
    usual = stats.fisher_exact([[hits, n - hits], [other_hits, n - other_hits]]).pvalue
    assert p_equal(hits, n, other_hits, n) == pytest.approx(float(usual))


@given(COUNTS, COUNTS)
def test_which_of_the_two_comes_first_does_not_matter(one, other):
    assert p_equal(*one, *other, lost=1, other_lost=2) == p_equal(*other, *one, lost=2, other_lost=1)


@given(COUNTS, COUNTS, st.integers(0, 5), st.integers(0, 5))
def test_no_fill_of_the_lost_draws_would_have_given_a_larger_p_value(one, other, lost, other_lost):
    claimed = p_equal(*one, *other, lost=lost, other_lost=other_lost)
    filled = [
        p_equal(one[0] + hits, one[1] + lost, other[0] + other_hits, other[1] + other_lost)
        for hits in range(lost + 1)
        for other_hits in range(other_lost + 1)
    ]
    assert claimed == pytest.approx(max(filled))


@pytest.mark.parametrize(("n", "other_n"), [(8, 8), (12, 20), (32, 32)])
@pytest.mark.parametrize("p", [0.02, 0.1, 0.5, 0.8])
def test_of_equal_shares_it_is_small_as_rarely_as_it_says(n, other_n, p):
    one, other = stats.binom.pmf(np.arange(n + 1), n, p), stats.binom.pmf(np.arange(other_n + 1), other_n, p)
    found = np.array([[p_equal(h, n, k, other_n) for k in range(other_n + 1)] for h in range(n + 1)])
    for alpha in (0.01, 0.05, 0.3):
        assert one @ (found <= alpha) @ other <= alpha


def test_every_look_at_which_it_might_have_been_asked_is_paid_for():
    once = p_equal(1, 32, 12, 32)
    assert p_equal(1, 32, 12, 32, looks=6) == pytest.approx(6 * once)
    assert p_equal(10, 32, 12, 32, looks=6) == 1


# ------------------------------------------------------------------------------------------------------------- medians


@pytest.mark.parametrize(
    ("values", "lost", "expected"),
    [
        pytest.param([], 0, UNDEFINED, id="of nothing there is none"),
        pytest.param([3.0], 0, Estimate(3.0), id="one value has no ends"),
        pytest.param([1, 2, 3, 4, 5], 0, Estimate(3.0), id="five have none: 2/32 is more than the error"),
        pytest.param([6, 5, 4, 3, 2, 1], 0, Estimate(3.5, 1.0, 6.0), id="six reach from end to end: 2/64"),
        pytest.param(range(1, 11), 0, Estimate(5.5, 2.0, 9.0), id="ten: the second and the ninth"),
        pytest.param([7.0] * 20, 0, Estimate(7.0, 7.0, 7.0), id="all the same"),
        pytest.param(range(1, 11), 1, Estimate(5.5, 1.0, 10.0), id="a lost one may lie below or above"),
        pytest.param(range(1, 11), 3, Estimate(5.5), id="too many lost"),
    ],
)
def test_medians(values, lost, expected):
    assert median(list(values), 0.05, lost) == expected


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 6])
@pytest.mark.parametrize("n", [6, 7, 16, 32, 64, 128])
def test_the_median_is_missed_with_the_probability_that_is_asked_at_most(n, alpha):
    """Exactly: it lies below r values in order if fewer than r of n fair coins fall."""
    found = median(np.arange(n), alpha)
    if found.low is None:
        assert 2 * 0.5**n > alpha
    else:
        below = round(found.low)
        assert 2 * stats.binom.cdf(below, n, 0.5) <= alpha < 2 * stats.binom.cdf(below + 1, n, 0.5)
        assert found.high == n - 1 - below


@given(st.lists(st.floats(0, 9), min_size=6, max_size=40), st.integers(0, 4), st.data())
def test_whatever_the_lost_values_were_the_interval_of_all_lies_within(values, lost, data):
    wide = median(values, 0.05, lost)
    told = median(values + data.draw(st.lists(st.floats(-50, 50), min_size=lost, max_size=lost)), 0.05)
    assert wide.low is None or wide.low <= told.low
    assert wide.high is None or told.high <= wide.high


@pytest.mark.parametrize("median_of_law", [1.0, 2.0])
def test_where_the_law_jumps_at_one_half_the_interval_holds_every_median(median_of_law):
    """Of two values with one half each, exactly: it misses one of them if nearly all draws are the other."""
    n = 32
    masses = stats.binom.pmf(np.arange(n + 1), n, 0.5)
    found = [median([1.0] * (n - twos) + [2.0] * twos, 0.05) for twos in range(n + 1)]
    assert sum(mass for mass, one in zip(masses, found, strict=True) if one.low <= median_of_law <= one.high) >= 0.95
