"""Means over prompts: of the same prompts at every step, with intervals that lost draws can only widen."""

from __future__ import annotations

from itertools import combinations_with_replacement

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trend_makers import collapsing, make_result, make_share, make_step, make_trend

from collapsecli.records import ChoiceAnswer
from collapsecli.trends import trend_of
from collapsecli.trends.overall import METRICS, lost_draws, with_lost

SHARES = (0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)


def trend_from(*steps, **changes):
    """A trend of lists of results."""
    return trend_of([(make_step(f"step {k}"), results) for k, results in enumerate(steps)], 0.05, **changes)


def spread(shift=0.0):
    return [make_share(min(1.0, share + shift), f"q{k}@t1.0") for k, share in enumerate(SHARES)]


def test_a_mean_is_of_the_prompts_and_the_change_of_the_same_prompts():
    trend = trend_from(spread(), spread(0.1))
    masses = [[cell.results[step].mode_mass.value for cell in trend.cells] for step in (0, 1)]
    for step in (0, 1):
        assert trend.overall["mode_mass"][step].value == pytest.approx(sum(masses[step]) / 7)
    change = trend.change["mode_mass"]
    assert change.change.value == pytest.approx((sum(masses[1]) - sum(masses[0])) / 7)
    assert change.change.low > 0
    assert (change.n, trend.n["mode_mass"]) == (7, 7)
    assert change.p_value == pytest.approx(2 / 2**6)  # one prompt of seven stays at 1


def test_what_every_prompt_shares_is_in_the_interval_of_a_step_and_not_in_that_of_the_change():
    change = trend_from(spread(), spread(0.05)).change["mode_mass"]
    assert change.change.high - change.change.low < change.run.high - change.run.low


def test_an_interval_never_leaves_what_such_numbers_can_be():
    results = [make_result(collapsing(share), f"q{k}@t1.0") for k, share in enumerate((1.0,) * 6 + (0.2,))]
    trend = trend_from(results, results)
    for metric, (least, most) in METRICS.items():
        for estimate in trend.overall[metric]:
            assert least <= estimate.low <= estimate.value <= estimate.high <= most


def test_the_same_runs_give_the_same_intervals():
    assert trend_from(spread(), spread(0.1)).overall == trend_from(spread(), spread(0.1)).overall


def test_a_prompt_counts_once_however_many_cells_it_has():
    one = [make_result(collapsing(1.0), f"a[v={k}]@t1.0", prompt_id="a") for k in range(3)]
    other = [make_result(collapsing(0.25), "b@t1.0")]
    trend = trend_from([*one, *other], [*one, *other])
    assert trend.n == {"distinct_10": 2, "collision": 2, "mode_mass": 2, "collapsed": 4}
    assert trend.overall["mode_mass"][0].value == pytest.approx((1.0 + 0.25) / 2)


def test_a_cell_without_a_value_at_one_step_is_in_no_step_of_that_mean_and_a_note_says_so():
    few, many = [make_result([" a"] * 5)], [make_result([" a"] * 20)]
    trend = trend_from(few, many)
    assert "distinct_10" not in trend.overall
    assert [estimate.value for estimate in trend.overall["collision"]] == [1.0, 1.0]
    assert "not in the mean of distinct@10: 1 cell has too few answers for it at some step" in trend.notes


def test_too_few_prompts_have_a_mean_and_no_interval():
    trend = make_trend((0.1, 0.9), other=(0.2, 0.9))
    estimate = trend.overall["collision"][0]
    assert estimate.value is not None
    assert (estimate.low, estimate.high) == (None, None)


def test_the_share_of_collapsed_cells_is_counted_over_the_cells_with_a_verdict_at_every_step():
    greedy = {"temperature": 0.0, "samples": 1}
    steps = [
        [make_result(collapsing(a)), make_result(collapsing(b), "b@t1.0"), make_result([" x"], "greedy@t0.0", **greedy)]
        for a, b in ((0.1, 0.9), (0.9, 0.9))
    ]
    trend = trend_from(*steps)
    assert [estimate.value for estimate in trend.overall["collapsed"]] == [0.5, 1.0]
    assert trend.n["collapsed"] == 2
    assert trend.overall["collapsed"][0].low is None


def test_one_draw_and_too_few_readable_answers_are_in_no_mean():
    answer = ChoiceAnswer(("Heads", "Tails"))
    coin = make_result([" Heads.", " Tails."] * 16, answer=answer)
    greedy = make_result([" x"], "greedy@t0.0", temperature=0.0, samples=1)
    unread = make_result([" Heads."] * 2 + [" Who knows."] * 30, "unread@t1.0", answer=answer)
    trend = trend_from([coin, greedy, unread], [coin, greedy, unread])
    assert unread.verdict == "invalid"
    assert trend.overall["mode_mass"][0].value == 0.5
    means = "distinct@10, agreement, mode mass"
    assert f"not in the mean of {means}: 1 cell has too few answers for it at some step" in trend.notes


# ---------------------------------------------------------------------------------------------------------- lost draws


def test_draws_that_never_came_back_are_lost():
    assert lost_draws(make_result([" a"] * 20)) == 0
    assert lost_draws(make_result([" a"] * 20, lost=12)) == 12


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("known", [(" a",) * 12, (" a", " b", " c") * 4, (*(" a",) * 6, *(f" {k}" for k in range(6)))])
def test_whatever_the_lost_draws_said_the_number_of_all_of_them_lies_between_the_ends(metric, known):
    low, value, high = with_lost(metric, make_result(known, lost=3))
    assert low <= value <= high
    for lost in combinations_with_replacement((" a", " b", " new 1", " new 2", " new 3"), 3):
        assert low - 1e-9 <= make_result([*known, *lost]).metric(metric).value <= high + 1e-9


@pytest.mark.parametrize("metric", METRICS)
def test_a_cell_without_lost_draws_is_what_it_is(metric):
    result = make_result(collapsing(0.4))
    assert with_lost(metric, result) == (result.metric(metric).value,) * 3


def test_lost_draws_only_ever_widen_an_interval():
    whole = trend_from(spread(), spread())
    lossy = [make_result(collapsing(share), f"q{k}@t1.0", lost=16) for k, share in enumerate(SHARES)]
    lost = trend_from(lossy, spread())
    for metric in METRICS:
        assert lost.overall[metric][0].value == whole.overall[metric][0].value
        assert lost.overall[metric][0].low < whole.overall[metric][0].low
        assert lost.overall[metric][0].high > whole.overall[metric][0].high
        assert lost.change[metric].p_value is None
        assert lost.change[metric].change.low < 0 < lost.change[metric].change.high


@given(st.lists(st.sampled_from(SHARES), min_size=2, max_size=5))
def test_a_trend_that_stands_still_changes_by_nothing(shares):
    results = [make_share(share, f"q{k}@t1.0") for k, share in enumerate(shares)]
    for change in trend_from(results, results).change.values():
        assert change.change.value == 0
        assert change.p_value == 1
