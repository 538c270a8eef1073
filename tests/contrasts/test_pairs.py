"""Draws side by side: who meets whom, what is lost, and an interval that holds for events of unlike probability."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers import make_cell, make_completion

from collapsecli.contrasts.drawn import Drawn
from collapsecli.contrasts.pairs import LOST, agreement, between, draws_of, mean_share, within
from collapsecli.judge import judge_cell
from collapsecli.metrics.shares import share
from collapsecli.records import Rules

PROBABILITIES = st.one_of(st.sampled_from([0.0, 1.0, 0.5, 0.001, 0.999]), st.floats(0, 1))


def drawn(indices, samples, look=None):
    cell = make_cell(samples=samples)
    completions = [make_completion(sample_index=index) for index in indices]
    result = judge_cell(cell, completions, Rules())
    return Drawn.of(replace(result, look=look or result.look), completions, 0.05)


# ---------------------------------------------------------------------------------------------------------- draws_of


def test_a_lost_draw_keeps_its_place():
    came_back = [one and one.sample_index for one in draws_of(drawn([0, 2, 3], samples=5))]
    assert came_back == [0, None, 2, 3, None]


def test_no_draw_after_the_look_is_among_the_draws():
    one = drawn(range(32), samples=32)
    assert [draw.sample_index for draw in draws_of(one, 16)] == list(range(16))
    assert len(draws_of(one, 64)) == 32


def test_texts_that_were_let_go_are_not_lost():
    one = drawn([0, 1, 3, 4, 5, 6, 7], samples=8)
    kept = replace(one, completions=one.completions[:3], lost=0)
    assert [draw and draw.sample_index for draw in draws_of(kept)] == [0, 1, None, 3]


# -------------------------------------------------------------------------------------------------------- mean_share


@given(st.lists(PROBABILITIES, min_size=1, max_size=7), st.sampled_from([0.5, 0.05, 0.005]))
def test_each_end_misses_the_mean_of_unlike_probabilities_as_rarely_as_it_says(probabilities, alpha):
    """Enumerated: the law of the number of hits is the product of (1 - p + p x)."""
    law = np.ones(1)
    for probability in probabilities:
        law = np.convolve(law, [1 - probability, probability])
    mean, n = float(np.mean(probabilities)), len(probabilities)
    found = [mean_share(hits, n, alpha) for hits in range(n + 1)]
    above = sum(chance for chance, one in zip(law, found, strict=True) if one.low > mean + 1e-12)
    below = sum(chance for chance, one in zip(law, found, strict=True) if one.high < mean - 1e-12)
    assert above <= alpha / 2 + 1e-9
    assert below <= alpha / 2 + 1e-9


def test_the_usual_interval_misses_where_a_single_hit_can_only_be_of_one_event():
    """One event of 8 happens with .02527, the others never: the lower end should miss in .025 at most."""
    usual, mean = share(1, 8, 0.05), 0.02527 / 8
    assert usual.low > mean
    assert mean_share(1, 8, 0.05).low < mean


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 5))
def test_an_interval_is_never_narrower_than_that_of_equal_probabilities(hits, misses, lost):
    ours, usual = mean_share(hits, hits + misses, 0.05, lost), share(hits, hits + misses, 0.05, lost)
    assert ours.value == usual.value
    assert ours.low <= usual.low
    assert ours.high >= usual.high
    assert ours.low <= (ours.value or 0.0)
    assert ours.value is None or ours.high >= ours.value


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 5), st.data())
def test_whatever_lost_events_would_have_been_their_interval_lies_within(hits, misses, lost, data):
    more = data.draw(st.integers(0, lost))
    known = mean_share(hits + more, hits + misses + lost, 0.05)
    ours = mean_share(hits, hits + misses, 0.05, lost)
    assert ours.low <= known.low
    assert known.high <= ours.high


# --------------------------------------------------------------------------------------------------------- who meets


@given(st.integers(2, 12), st.integers(1, 60))
def test_no_draw_is_in_two_pairs(cells, draws):
    for pairs in (between(cells, draws), within(cells, draws)):
        places = np.concatenate(pairs).tolist()
        assert len(set(places)) == len(places)
        assert all(0 <= place < cells * draws for place in places)


@given(st.integers(2, 12), st.integers(1, 60))
def test_two_cells_meet_with_the_same_draw_of_each(cells, draws):
    one, other = between(cells, draws)
    assert (one % draws == other % draws).all()
    assert (one // draws != other // draws).all()


@given(st.integers(2, 12), st.integers(0, 40))
def test_every_two_cells_meet_equally_often_once_there_are_as_many_draws_as_rounds(cells, more):
    draws = cells + more
    one, other = between(cells, draws)
    met = Counter(frozenset(pair) for pair in zip((one // draws).tolist(), (other // draws).tolist(), strict=True))
    assert len(met) == cells * (cells - 1) // 2
    assert len(set(met.values())) == 1


@pytest.mark.parametrize(
    ("cells", "draws", "pairs"),
    [
        pytest.param(2, 5, 5, id="two cells meet with every draw"),
        pytest.param(4, 6, 12, id="four cells play two whole tournaments of three rounds"),
        pytest.param(4, 8, 12, id="a third tournament is not begun"),
        pytest.param(5, 5, 10, id="of five cells one rests in every round"),
        pytest.param(20, 16, 160, id="with fewer draws than rounds all of them are played"),
    ],
)
def test_only_whole_tournaments_are_played(cells, draws, pairs):
    assert len(between(cells, draws)[0]) == pairs


@given(st.integers(1, 6), st.integers(0, 20))
def test_within_a_cell_all_draws_are_paired_but_an_odd_one(cells, draws):
    one, other = within(cells, draws)
    assert len(one) == cells * (draws // 2)
    assert (other == one + 1).all()
    assert not draws or (one // draws == other // draws).all()


# --------------------------------------------------------------------------------------------------------- agreement


def test_a_pair_with_a_lost_draw_agrees_in_no_lower_end_and_in_every_upper_one():
    one, other = np.array([1, 1, LOST, 2]), np.array([1, 2, 1, LOST])
    estimate, n = agreement((one, other), one == other, 0.05)
    assert n == 2
    assert estimate == mean_share(1, 2, 0.05, lost=2)


def test_two_lost_draws_do_not_agree():
    lost = np.array([LOST, LOST])
    estimate, n = agreement((lost, lost), lost == lost, 0.05)  # noqa: PLR0124 (equal where they are not known)
    assert n == 0
    assert (estimate.value, estimate.low, estimate.high) == (None, 0.0, 1.0)
