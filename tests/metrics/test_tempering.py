"""What a softmax makes of known probabilities at another temperature, and where a mode holds half."""

import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from collapsecli.metrics.tempering import (
    closest_temperature,
    half_temperature,
    partings,
    tempered_bounds,
    tempered_log_shares,
    tempered_shares,
)
from collapsecli.records import UNDEFINED, Estimate

ROUNDING = 1e-9
POWERS = st.floats(0.2, 5)
WEIGHTS = st.lists(st.floats(1e-6, 1), min_size=2, max_size=30)


def shared(weights):
    """The same numbers, summing to 1."""
    return np.array(weights) / math.fsum(weights)


def tempered(p, power):
    """What drawing from p^power means, written down once more."""
    powers = (np.array(p) / max(p)) ** power
    return powers / powers.sum()


def known(mass):
    return Estimate(None, mass, mass)


# --------------------------------------------------------------------------------------------------- token sequences


@given(weights=WEIGHTS, elsewhere=st.floats(1e-3, 1), power=POWERS)
def test_answers_of_one_token_share_what_they_share_whatever_else_the_model_may_say(weights, elsewhere, power):
    p = shared(weights) * elsewhere
    token_ids = [(7, token, 0) for token in range(len(p))]
    ends = np.linspace(-1, 0, len(p))  # how surely each answer ends does not tell how often it is given
    logprobs = [(-0.3, math.log(one), end) for one, end in zip(p, ends, strict=True)]
    assert tempered_shares(token_ids, logprobs, power) == pytest.approx(tempered(p, power))


@given(first=WEIGHTS, seconds=st.lists(WEIGHTS, min_size=30, max_size=30), power=POWERS)
def test_answers_of_several_tokens_are_tempered_token_by_token(first, seconds, power):
    of_first = shared(first)
    of_second = [shared(weights) for weights in seconds[: len(of_first)]]
    token_ids = [(i, j) for i, second in enumerate(of_second) for j in range(len(second))]
    logprobs = [(math.log(of_first[i]), math.log(of_second[i][j])) for i, j in token_ids]
    expected = [tempered(of_first, power)[i] * tempered(of_second[i], power)[j] for i, j in token_ids]
    assert tempered_shares(token_ids, logprobs, power) == pytest.approx(expected)


def test_two_beginnings_as_likely_stay_so_however_many_ends_one_of_them_has():
    token_ids = [(1, 0), *((2, end) for end in range(10))]
    logprobs = [(math.log(0.5), 0.0), *[(math.log(0.5), math.log(0.1))] * 10]
    whole = tempered([0.5, *[0.05] * 10], 0.5)[0]
    assert tempered_shares(token_ids, logprobs, 0.5)[0] == pytest.approx(0.5)
    assert whole == pytest.approx(0.24, abs=0.01)  # what tempering whole answers would claim


def test_what_is_impossible_has_no_share_at_any_temperature():
    token_ids = [(1, 3), (1, 4), (2, 5)]
    logprobs = [(0.0, -1.0), (0.0, -math.inf), (-math.inf, -math.inf)]
    assert tempered_shares(token_ids, logprobs, 0.5).tolist() == [1, 0, 0]
    assert tempered_shares([(1,), (2,)], [(-math.inf,), (-math.inf,)], 0.5).tolist() == [0, 0]


def test_a_very_cold_softmax_gives_all_to_the_likeliest():
    token_ids, logprobs = [(1,), (2,)], [(math.log(0.5),), (math.log(0.4),)]
    assert tempered_shares(token_ids, logprobs, 1e5).tolist() == [1, 0]


# ------------------------------------------------------------------------------------------------------------- bounds


@given(weights=WEIGHTS, power=POWERS)
@example(weights=[1, 1], power=0.5)
@example(weights=[0.2, 0.2, 0.2, 0.2, 0.2], power=3)
def test_the_tempered_share_of_a_mode_is_within_its_bounds(weights, power):
    p = shared(weights)
    found = tempered_bounds(known(p.max()), power, len(p))
    share = tempered(p, power).max()
    assert found.value is None
    assert found.low <= share + ROUNDING
    assert share <= found.high + ROUNDING


@given(
    nodes=st.lists(st.tuples(st.floats(0.05, 0.95), WEIGHTS), min_size=1, max_size=4),
    power=POWERS,
)
def test_the_end_of_a_single_competitor_holds_for_a_mode_of_several_tokens(nodes, power):
    """Each node is the mode's own token and the others that may stand in its place."""
    places = [np.array([mass, *((1 - mass) * shared(others))]) for mass, others in nodes]
    mass = math.prod(place[0] for place in places)
    share = math.prod(tempered(place, power)[0] for place in places)
    found = tempered_bounds(known(mass), power, 10**9)
    if power < 1:
        assert share <= found.high + ROUNDING
    else:
        assert found.low <= share + ROUNDING


@pytest.mark.parametrize("power", [0.3, 0.5, 2, 4])
@pytest.mark.parametrize(
    ("p", "end"),
    [
        pytest.param([0.7, 0.3], "one", id="a single competitor"),
        pytest.param([0.4, *[0.06] * 10], "equal", id="ten equal ones"),
    ],
)
def test_the_bounds_are_reached(p, end, power):
    found = tempered_bounds(known(p[0]), power, len(p))
    is_most = (end == "one") == (power < 1)
    assert tempered(p, power)[0] == pytest.approx(found.high if is_most else found.low)


@given(ends=st.tuples(st.floats(0, 1), st.floats(0, 1)), power=POWERS, answers=st.integers(1, 100))
def test_a_wider_interval_of_the_mass_gives_wider_bounds(ends, power, answers):
    low, high = sorted(ends)
    wide, narrow = (
        tempered_bounds(Estimate(None, low, high), power, answers),
        tempered_bounds(known(high), power, answers),
    )
    assert 0 <= wide.low <= narrow.low + ROUNDING
    assert narrow.high <= wide.high + ROUNDING <= 1 + 2 * ROUNDING


@pytest.mark.parametrize(
    ("mass", "power", "answers", "low", "high"),
    [
        pytest.param(Estimate(None, 0.2, 0.4), 1.0, 100, 0.2, 0.4, id="the same temperature changes nothing"),
        pytest.param(Estimate(None, 1.0, 1.0), 0.5, 100, 1.0, 1.0, id="what is certain stays so"),
        pytest.param(Estimate(), 0.5, 100, 0.01, 1.0, id="of nothing known, that the mode has its equal share"),
        pytest.param(Estimate(None, 0.3, 0.6), 0.5, 1, 1.0, 1.0, id="a single answer is all there is"),
        pytest.param(Estimate(None, 0.0, 1.0), 1e6, 100, 0.0, 1.0, id="very cold: no more than that"),
    ],
)
def test_bounds_at_the_edges(mass, power, answers, low, high):
    found = tempered_bounds(mass, power, answers)
    assert (found.low, found.high) == pytest.approx((low, high))


# ----------------------------------------------------------------------------------------------------- half of it left

SURE_ABOVE, PERHAPS_ABOVE = Estimate(0.9, 0.8, 0.95), Estimate(0.6, 0.45, 0.7)
PERHAPS_BELOW, SURE_BELOW = Estimate(0.4, 0.3, 0.55), Estimate(0.1, 0.05, 0.2)


def halved(*shares, temperatures=(0.5, 1.0, 1.5, 2.0)):
    return half_temperature(temperatures[: len(shares)], shares, [64] * len(shares))


@given(gap=st.floats(1, 9), competitors=st.integers(3, 1000), grid=st.lists(st.floats(0.3, 3), min_size=2, unique=True))
def test_a_mode_over_equal_competitors_gives_its_own_half(gap, competitors, grid):
    """M(T) = 1 / (1 + K exp(-g / T)), so it holds half at T = g / ln K."""
    temperatures = sorted(grid)
    shares = [Estimate(1 / (1 + competitors * math.exp(-gap / one))) for one in temperatures]
    half = gap / math.log(competitors)
    found = half_temperature(temperatures, shares, [64] * len(shares)).value
    is_within = temperatures[0] < half * (1 - 1e-9) and half * (1 + 1e-9) < temperatures[-1]
    is_resolved = all(1e-9 < share.value < 1 - 1e-9 for share in shares)
    if is_within and is_resolved:
        assert found == pytest.approx(half, rel=1e-4)
    elif not temperatures[0] * (1 - 1e-9) <= half <= temperatures[-1] * (1 + 1e-9):
        assert found is None


@pytest.mark.parametrize(
    ("shares", "low", "high", "falls"),
    [
        pytest.param((SURE_ABOVE, SURE_ABOVE, SURE_BELOW, SURE_BELOW), 1.0, 1.5, True, id="all is sure"),
        pytest.param((SURE_ABOVE, PERHAPS_ABOVE, PERHAPS_BELOW, SURE_BELOW), 0.5, 2.0, True, id="two are not sure"),
        pytest.param((SURE_ABOVE, PERHAPS_ABOVE, SURE_ABOVE, SURE_BELOW), 0.5, 2.0, True, id="above only in a row"),
        pytest.param((SURE_ABOVE, SURE_BELOW, PERHAPS_BELOW, SURE_BELOW), 0.5, 2.0, True, id="below only in a row"),
        pytest.param((PERHAPS_ABOVE, SURE_ABOVE, SURE_BELOW, PERHAPS_BELOW), None, None, True, id="no run, no end"),
        pytest.param((SURE_ABOVE, SURE_ABOVE, PERHAPS_ABOVE), 1.0, None, False, id="it never falls"),
        pytest.param((PERHAPS_BELOW, SURE_BELOW, SURE_BELOW), None, 1.0, False, id="it had fallen before"),
        pytest.param((SURE_BELOW, SURE_ABOVE), None, None, False, id="it rises"),
    ],
)
def test_the_bracket_is_from_the_initial_to_the_final_sure_run(shares, low, high, falls):
    found = halved(*shares)
    assert (found.low, found.high) == (low, high)
    assert (found.value is not None) == falls


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        pytest.param((Estimate(0.5), Estimate(0.1)), 0.5, id="half of it at a temperature is half of it there"),
        pytest.param((Estimate(0.8), Estimate(0.2)), 2 / 3, id="midway in 1 / T where both are as far from half"),
        pytest.param((Estimate(1.0), Estimate(0.0)), 2 / 3, id="all and nothing are as far from half"),
        pytest.param((Estimate(1.0), Estimate(1 / 130)), 2 / 3, id="all counts as if half a draw were something else"),
        pytest.param((Estimate(0.8), Estimate(0.2), Estimate(0.6), Estimate(0.1)), 2 / 3, id="the first of two falls"),
        pytest.param((Estimate(0.2), Estimate(0.8), Estimate(0.2)), 1.2, id="a fall, not a rise"),
    ],
)
def test_the_half_is_interpolated_where_the_share_first_falls_through_it(shares, expected):
    assert halved(*shares).value == pytest.approx(expected)


ANY_SHARE = st.tuples(st.integers(0, 20), st.floats(0, 0.3), st.floats(0, 0.3)).map(
    lambda one: Estimate(one[0] / 20, max(0.0, one[0] / 20 - one[1]), min(1.0, one[0] / 20 + one[2]))
)


@given(st.lists(ANY_SHARE, min_size=1, max_size=7))
def test_the_half_lies_within_its_bracket(shares):
    found = half_temperature([0.5 + 0.25 * place for place in range(len(shares))], shares, [20] * len(shares))
    if found.value is not None:
        assert found.low is None or found.low <= found.value + ROUNDING
        assert found.high is None or found.value <= found.high + ROUNDING
    if found.low is not None and found.high is not None:
        assert found.low < found.high
        assert found.value is not None


def test_a_share_without_a_value_has_no_half():
    with pytest.raises(ValueError, match="without a value"):
        halved(Estimate(None, 0.0, 1.0), SURE_BELOW)


# ---------------------------------------------------------------------------------------------- the closest temperature


TEMPERATURES = st.floats(1 / 8, 32)


def logs_of(p):
    """Answers of one token with these probabilities; impossible ones too."""
    token_ids = [(token, 0) for token in range(len(p))]
    return token_ids, [(math.log(one) if one else -math.inf, 0.0) for one in p]


def target_of(p):
    return [math.log(one) if one else -math.inf for one in p]


def kl(p, q):
    return math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a)


@given(weights=WEIGHTS, powers=st.lists(POWERS, min_size=1, max_size=4))
def test_log_shares_are_the_logarithms_of_shares_at_every_power(weights, powers):
    sequences = logs_of(shared(weights))
    found = tempered_log_shares(*sequences, powers)
    assert found.shape == (len(powers), len(weights))
    for row, power in zip(found, powers, strict=True):
        assert np.exp(row) == pytest.approx(tempered_shares(*sequences, power))


def test_log_shares_tell_how_unlikely_what_is_too_unlikely_for_a_share():
    found = tempered_log_shares([(1,), (2,)], [(-0.0,), (-1000.0,)], [1.0, 16.0])
    assert found[:, 1].tolist() == [-1000, -16000]


@pytest.mark.parametrize(
    ("token_ids", "expected"),
    [
        pytest.param([(1, 0), (2, 0), (3, 0)], 1, id="the first token"),
        pytest.param([(7, 1, 0), (7, 2, 0)], 1, id="a later token"),
        pytest.param([(1, 0), (1, 2, 0), (3, 0)], 2, id="one begins as another"),
        pytest.param([(1, 2)], 0, id="one alone"),
        pytest.param([], 0, id="none"),
    ],
)
def test_sequences_part_in(token_ids, expected):
    assert partings(token_ids) == expected


@given(weights=st.lists(st.floats(0.01, 1), min_size=2, max_size=30), temperature=TEMPERATURES)
def test_what_a_temperature_made_of_a_distribution_gives_that_temperature_and_leaves_nothing(weights, temperature):
    base = shared(weights)
    assume(max(weights) > 1.1 * min(weights))
    run = tempered_log_shares(*logs_of(base), [temperature])[0]  # the base's, so much sharper
    found = closest_temperature(target_of(base), [(token,) for token in range(len(base))], run[:, None])
    assert found.temperature.value == pytest.approx(temperature, rel=1e-3)
    assert found.remains.value == pytest.approx(0, abs=1e-9)
    assert found.remains.low == found.remains.value == found.remains.high
    assert found.at_1.value == pytest.approx(kl(base, np.exp(run)), abs=1e-9)
    assert found.impossible == 0


@given(
    first=st.lists(st.floats(0.01, 1), min_size=2, max_size=5),
    second=st.lists(st.floats(0.01, 1), min_size=2, max_size=5),
    temperature=TEMPERATURES,
)
def test_it_is_found_for_answers_of_several_tokens(first, second, temperature):
    assume(max(first) > 1.1 * min(first))
    token_ids = [(i, j, 0) for i in range(len(first)) for j in range(len(second))]
    logs = [(math.log(shared(first)[i]), math.log(shared(second)[j]), 0.0) for i, j, _ in token_ids]
    powers = [tempered(shared(part), temperature) for part in (first, second)]
    found = closest_temperature(
        tempered_log_shares(token_ids, logs, [1.0])[0],
        token_ids,
        [(math.log(powers[0][i]), math.log(powers[1][j]), -0.5) for i, j, _ in token_ids],
    )
    assert found.temperature.value == pytest.approx(temperature, rel=1e-3)
    assert found.remains.value == pytest.approx(0, abs=1e-9)


@given(base=WEIGHTS, run=WEIGHTS)
def test_no_temperature_of_the_range_is_closer(base, run):
    k = min(len(base), len(run))
    p, q = shared(base[:k]), shared(run[:k])
    found = closest_temperature(target_of(p), *logs_of(q))
    elsewhere = [kl(p, tempered(q, 1 / at)) for at in np.geomspace(1 / 16, 64, 301)]
    assert found.remains.value <= min(elsewhere) + ROUNDING
    assert found.remains.value <= found.at_1.value == pytest.approx(kl(p, q), abs=ROUNDING)
    if found.temperature.value is not None:
        at_best = kl(p, tempered(q, 1 / found.temperature.value))
        assert at_best == pytest.approx(found.remains.value, abs=ROUNDING)


@pytest.mark.parametrize(
    ("base", "run", "expected"),
    [
        pytest.param([0.25] * 4, [0.97, 0.01, 0.01, 0.01], Estimate(64, 64, None), id="an even base: as hot as can be"),
        pytest.param([1, 0, 0], [0.4, 0.3, 0.3], Estimate(1 / 16, None, 1 / 16), id="a certain base: as cold"),
        pytest.param([0.7, 0.2, 0.1], [1 / 3] * 3, UNDEFINED, id="an even run stays as it is"),
        pytest.param([1, 0], [1, 0], UNDEFINED, id="certain of the same"),
        pytest.param([0.1, 0.9], [0.9, 0.1], Estimate(64, 64, None), id="the other answer leads"),
    ],
)
def test_where_no_temperature_is_closest_its_end_is_open(base, run, expected):
    assert closest_temperature(target_of(base), *logs_of(run)).temperature == expected


def test_what_no_temperature_brings_back_is_infinite_and_the_rest_its_lower_end():
    base, run = [0.4, 0.3, 0.2, 0.1], [0.8, 0.2, 0, 0]
    found = closest_temperature(target_of(base), *logs_of(run))
    alone = closest_temperature(target_of([4 / 7, 3 / 7]), *logs_of([0.8, 0.2]))
    assert found.impossible == 2
    for torn, whole in ((found.at_1, alone.at_1), (found.remains, alone.remains)):
        assert (torn.value, torn.high) == (None, None)
        assert torn.low == pytest.approx(whole.value)
    assert found.temperature.value == pytest.approx(alone.temperature.value)


def test_what_neither_can_say_and_what_the_base_cannot_are_no_obstacle():
    base, run = [0.5, 0.5, 0, 0], [0.7, 0.2, 0.1, 0]
    found = closest_temperature(target_of(base), *logs_of(run))
    assert found.impossible == 0
    assert found.at_1.value == pytest.approx(kl(base[:2], run[:2]))


def test_two_that_have_nothing_in_common_are_infinitely_apart():
    found = closest_temperature(target_of([1, 0]), *logs_of([0, 1]))
    assert (found.temperature, found.at_1, found.remains, found.impossible) == (UNDEFINED, UNDEFINED, UNDEFINED, 1)
