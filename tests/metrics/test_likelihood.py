"""Probabilities of sequences: certain bounds, and the check that draws are independent."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.metrics.likelihood import (
    check_draws,
    distinct_sequences,
    mode_probabilities,
    surplus_p_value,
)
from collapsecli.records import DrawsCheck


def key(*tokens, finish="stop"):
    return tokens, finish


# --------------------------------------------------------------------------------------------------- distinct sequences


def test_a_repeated_sequence_counts_once():
    sequences = distinct_sequences([key(1), key(1), key(2)], [math.log(0.6), math.log(0.6), math.log(0.3)])
    assert sequences.index.tolist() == [0, 0, 1]
    assert sequences.probabilities == pytest.approx([0.6, 0.3])
    assert sequences.seen_mass == pytest.approx(0.9)


def test_the_same_tokens_ended_and_cut_are_two_sequences():
    sequences = distinct_sequences([key(1, 2), key(1, 2, finish="length")], [math.log(0.1), math.log(0.2)])
    assert len(sequences.probabilities) == 2


def test_the_probability_of_a_repeated_sequence_is_the_median_of_its_draws():
    sequences = distinct_sequences([key(1)] * 3 + [key(2)] * 2, np.log([0.5, 0.52, 0.1, 0.2, 0.3]))
    assert sequences.probabilities == pytest.approx([0.5, math.sqrt(0.06)])


def test_no_draws_have_seen_nothing():
    assert distinct_sequences([], []).seen_mass == 0


@pytest.mark.parametrize(
    ("probabilities", "noise", "consistent"),
    [
        pytest.param([0.5, 0.5], 0.0, True, id="sums to one"),
        pytest.param([0.54, 0.5], 0.0, True, id="four per cent above, as noise may do"),
        pytest.param([0.6, 0.5], 0.0, False, id="ten per cent above"),
        pytest.param([0.6, 0.5], 0.05, True, id="ten per cent above with a measured noise of .05"),
        pytest.param([1.0, 1.0], 0.05, False, id="twice too much"),
    ],
)
def test_more_than_all_mass_means_other_log_probabilities(probabilities, noise, consistent):
    keys = [key(place) for place in range(len(probabilities)) for _ in range(3)]
    logprobs = [math.log(p) + shift for p in probabilities for shift in (-noise, 0.0, noise)]
    sequences = distinct_sequences(keys, logprobs)
    assert sequences.spread == pytest.approx(noise)
    assert sequences.is_consistent is consistent


def test_mass_of_a_mode_sums_its_distinct_sequences():
    """7, "7 " and 8, and an unreadable text that belongs to no mode."""
    sequences = distinct_sequences([key(7), key(7, 0), key(8), key(7), key(9)], np.log([0.4, 0.1, 0.2, 0.4, 0.1]))
    masses = mode_probabilities(sequences, np.array([0, 0, 1, 0, -1]), 2)
    assert masses == pytest.approx([0.5, 0.2])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 4))
def test_the_mass_lies_surely_between_what_was_seen_of_it_and_that_with_all_unseen_mass(draws, modes):
    """Ten sequences with known probabilities, of which sequence i belongs to mode i mod `modes`."""
    p = np.arange(1, 11) / 55
    sequences = distinct_sequences([key(draw) for draw in draws], np.log(p[draws]))
    labels = np.array(draws) % modes
    low = mode_probabilities(sequences, labels, modes)
    high = low + 1 - sequences.seen_mass
    truth = np.bincount(np.arange(10) % modes, p)
    assert (low <= truth + 1e-12).all()
    assert (truth <= high + 1e-12).all()


# --------------------------------------------------------------------------------------------------------- draws check


def test_counts_repeats_and_what_the_past_predicts():
    """After .5 and .3 were seen: 0 + .5 + .5 + .8."""
    draws = check_draws([key(1), key(1), key(2), key(3)], np.log([0.5, 0.5, 0.3, 0.1]).tolist())
    assert draws == DrawsCheck(4, 1, pytest.approx(1.8))


def test_what_a_lost_draw_was_expected_to_repeat_is_counted_beside_the_others():
    assert check_draws([key(1), None, key(1)], [math.log(0.5), 0.0, math.log(0.5)]) == DrawsCheck(2, 1, 0.5, 0.5)


def test_expected_repeats_never_exceed_the_draws():
    assert check_draws([key(1), key(1), key(1)], [0.7, 0.7, 0.7]).expected == 2.0


@pytest.mark.parametrize(
    ("repeats", "expected", "low", "high"),
    [
        pytest.param(0, 0.0, 1, 1, id="nothing repeats"),
        pytest.param(63, 62.5, 1, 1, id="an honest collapsed cell"),
        pytest.param(412, 409.0, 1, 1, id="412 repeats, 409 expected"),
        pytest.param(1, math.exp(-60), 0, 1e-20, id="a long text drawn twice"),
        pytest.param(1, 0.0, 0, 0, id="a repeat without any probability"),
        pytest.param(32, 1.0, 0, 1e-20, id="two equal halves of diverse draws"),
        pytest.param(10, 2.0, 0, 0.05, id="five times as many as expected"),
        pytest.param(2, 1.0, 0.5, 1, id="one more than expected"),
        pytest.param(10**6, 10.0**6, 1, 1, id="a million"),
        pytest.param(1, 10.0**6, 1, 1, id="far fewer than expected"),
    ],
)
def test_p_value_of_a_surplus(repeats, expected, low, high):
    assert low <= surplus_p_value(repeats, expected) <= high


@given(st.integers(0, 500), st.floats(0.001, 500))
def test_more_repeats_are_never_less_surprising(repeats, expected):
    assert 0 <= surplus_p_value(repeats + 1, expected) <= surplus_p_value(repeats, expected) <= 1


def run_of_cells(generator, cells, n, *, noise=0.0, broadcast=False):
    """Draws of a run: cells from one answer at .95 to a thousand equal ones; broadcast seeds repeat the first half."""
    repeats, expected = 0, 0.0
    for cell in range(cells):
        heavy = (0.95, 0.5, 0.1, 0.001)[cell % 4]
        p = np.array([heavy, *np.full(1000, (1 - heavy) / 1000)])
        draws = generator.choice(len(p), n, p=p)
        if broadcast:
            draws = np.concatenate([draws[: n // 2], draws[: n // 2]])
        logprobs = np.log(p[draws]) + generator.normal(0, noise, n)
        check = check_draws([key(int(draw)) for draw in draws], logprobs.tolist())
        repeats, expected = repeats + check.repeats, expected + check.expected
    return surplus_p_value(repeats, expected)


@pytest.mark.parametrize("cells", [1, 4, 12])
def test_independent_draws_rarely_alarm(cells):
    """At a level of .05, with log-probabilities that are off by 2 %, in 300 runs."""
    generator = np.random.default_rng(30)
    p_values = np.array([run_of_cells(generator, cells, 64, noise=0.02) for _ in range(300)])
    assert (p_values < 0.05).mean() <= 0.02
    assert (p_values < 0.001).mean() == 0


def test_broadcast_seeds_are_always_found():
    generator = np.random.default_rng(31)
    assert max(run_of_cells(generator, 8, 64, noise=0.02, broadcast=True) for _ in range(50)) < 1e-6


def test_the_bound_holds_where_it_is_tightest():
    """Rare repeats: Poisson with a mean of .05 to 5, reported without the noise margin; P(p <= a) is at most a."""
    generator = np.random.default_rng(32)
    for mean in (0.05, 0.5, 5.0):
        repeats = generator.poisson(mean, 20_000)
        p_of = {count: surplus_p_value(count, mean / 1.05) for count in set(repeats.tolist())}
        p_values = np.array([p_of[count] for count in repeats.tolist()])
        for level in (0.05, 0.01):
            assert (p_values <= level).mean() <= level
