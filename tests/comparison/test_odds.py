"""The exact test and interval of a common odds ratio: against scipy, against enumeration, and their laws."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from collapsecli.comparison.odds import log_odds
from collapsecli.records import Estimate


def change(*tables, lost=None, alpha=0.05):
    """Each table: hits and draws of the base, then of the run."""
    rows = np.array(tables, np.int64).reshape(-1, 2, 2)
    hits, known = rows[..., 0], rows[..., 1]
    return log_odds(hits, known, np.zeros_like(hits) if lost is None else np.array(lost, np.int64), alpha)


# ------------------------------------------------------------------------------------------------------ known answers


@pytest.mark.parametrize(
    ("base", "run"),
    [
        pytest.param((3, 20), (10, 20), id="more in the run"),
        pytest.param((15, 16), (4, 40), id="fewer, of more draws"),
        pytest.param((0, 32), (7, 32), id="never in the base"),
        pytest.param((5, 9), (5, 9), id="no difference"),
    ],
)
def test_one_prompt_alone_is_judged_by_fisher(base, run):
    estimate, p_value = change((base, run))
    table = [[run[0], run[1] - run[0]], [base[0], base[1] - base[0]]]
    tails = [stats.fisher_exact(table, alternative=way).pvalue for way in ("less", "greater")]
    assert p_value == pytest.approx(min(1, 2 * min(tails)))
    low, high = np.log(stats.contingency.odds_ratio(table).confidence_interval(0.95) or 0)
    assert estimate.low == pytest.approx(low, abs=1e-6)
    assert estimate.high == (None if np.isinf(high) else pytest.approx(high, abs=1e-6))


def test_what_only_one_side_ever_does_has_a_finite_value_and_one_end():
    estimate, _ = change(((0, 32), (32, 32)))
    expected = stats.nchypergeom_fisher(64, 32, 32, math.exp(estimate.value)).mean()
    assert expected == pytest.approx((32 + 16 / 32) / (1 + 1 / 32))  # one further hit, of either side as chance has it
    assert 0 < estimate.low < estimate.value
    assert estimate.high is None


def test_a_single_hit_is_worth_little():
    estimate, p_value = change(((0, 64), (1, 64)))
    assert estimate.value == pytest.approx(math.log(3))  # three quarters of a hit against one quarter
    assert p_value == pytest.approx(1)


def test_a_p_value_far_out_is_exact():
    prompts = 5
    _, p_value = change(*[((0, 32), (32, 32))] * prompts)
    assert math.log(p_value) == pytest.approx(math.log(2) - prompts * math.log(math.comb(64, 32)), rel=1e-9)


def test_what_is_beyond_all_floating_point_numbers_still_has_an_interval():
    estimate, p_value = change(*[((0, 32), (32, 32))] * 40)
    assert p_value == 0
    assert 8 < estimate.low < estimate.value < 16


@pytest.mark.parametrize(
    "tables",
    [
        pytest.param([], id="no prompt"),
        pytest.param([((0, 8), (0, 8)), ((0, 4), (0, 9))], id="never"),
        pytest.param([((8, 8), (8, 8))], id="always"),
        pytest.param([((0, 0), (3, 8))], id="a side without draws"),
    ],
)
def test_nothing_is_known_where_prompts_leave_no_choice(tables):
    assert change(*tables) == (Estimate(), 1.0)


def test_a_prompt_counts_by_itself_and_not_by_what_others_say():
    """Pooled, the run has fewer hits; in every prompt it has more."""
    estimate, p_value = change(((2, 10), (60, 100)), ((70, 100), (10, 10)))
    assert estimate.low > 0
    assert p_value < 0.05


# --------------------------------------------------------------------------------------------------------------- laws


@st.composite
def tables(draw, *, most=5):
    side = st.integers(0, most).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
    return draw(st.lists(st.tuples(side, side), min_size=1, max_size=3))


def chances(of_base, base, of_run, run):
    """The chance that the run has 0, 1, … of the hits of both sides."""
    both = of_base + of_run
    return [
        math.comb(run, k) * math.comb(base, both - k) / math.comb(base + run, both) if k <= both else 0.0
        for k in range(run + 1)
    ]


@given(tables())
def test_the_p_value_is_that_of_all_tables_with_the_same_margins(prompts):
    observed = sum(run[0] for _, run in prompts)
    laws = [list(enumerate(chances(*base, *run))) for base, run in prompts]
    whole = [(sum(k for k, _ in one), math.prod(p for _, p in one)) for one in product(*laws)]
    tails = sum(p for k, p in whole if k >= observed), sum(p for k, p in whole if k <= observed)
    assert change(*prompts)[1] == pytest.approx(min(1, 2 * min(tails)))


@given(tables(most=12))
def test_swapping_the_sides_turns_the_change_around(prompts):
    (one, p_value), (other, other_p_value) = change(*prompts), change(*[(run, base) for base, run in prompts])
    assert p_value == pytest.approx(other_p_value)
    turned = [None if end is None else -end for end in (other.value, other.high, other.low)]
    assert [one.value, one.low, one.high] == [end if end is None else pytest.approx(end, abs=1e-6) for end in turned]


@given(tables(most=12), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_interval_excludes_zero_if_and_only_if_the_p_value_is_below_alpha(prompts, alpha):
    estimate, p_value = change(*prompts, alpha=alpha)
    excluded = (estimate.low is not None and estimate.low > 1e-6) or (
        estimate.high is not None and estimate.high < -1e-6
    )
    assert excluded is (p_value < alpha)


@given(tables(most=12), st.sampled_from([0.01, 0.05, 0.5]))
def test_the_value_lies_in_its_interval(prompts, alpha):
    estimate, _ = change(*prompts, alpha=alpha)
    if estimate.value is not None:
        assert estimate.low is None or estimate.low <= estimate.value
        assert estimate.high is None or estimate.value <= estimate.high


@given(tables(most=4), st.data())
def test_whatever_lost_draws_were_they_would_have_proved_as_much(prompts, data):
    counts = st.integers(0, 2)
    lost = [(data.draw(counts), data.draw(counts)) for _ in prompts]
    were = [(data.draw(st.integers(0, base)), data.draw(st.integers(0, run))) for base, run in lost]
    full = [
        tuple((hits + hit, n + missing) for (hits, n), hit, missing in zip(table, those, gone, strict=True))
        for table, those, gone in zip(prompts, were, lost, strict=True)
    ]
    (with_losses, p_value), (whole, p_value_of_all) = change(*prompts, lost=lost), change(*full)
    assert p_value >= p_value_of_all - 1e-9
    if with_losses.low is not None:
        assert whole.low is not None
        assert with_losses.low <= whole.low + 1e-6
    if with_losses.high is not None:
        assert whole.high is not None
        assert with_losses.high >= whole.high - 1e-6
