"""How far two distributions lie apart, by what both give to draws of both: expectations enumerated, and laws."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from collapsecli.metrics.divergence import MOST_JENSEN_SHANNON, divergence, noise_floor
from collapsecli.records import UNDEFINED, Estimate

NAMES = ("total_variation", "jensen_shannon", "kl", "kl_per_token", "extinguished")
BOUNDED = {"total_variation": 1.0, "jensen_shannon": MOST_JENSEN_SHANNON, "extinguished": 1.0}

PAIRS = [
    pytest.param([0.5, 0.5], [0.5, 0.5], id="equal"),
    pytest.param([0.7, 0.2, 0.1], [0.98, 0.015, 0.005], id="sharpened"),
    pytest.param([0.99, 0.01], [0.01, 0.99], id="moved"),
    pytest.param([0.001, 0.999], [0.4, 0.6], id="a text that the base hardly gives"),
    pytest.param([0.6, 0.4, 0.0], [0.5, 0.3, 0.2], id="a text that the base never gives"),
]


def nats(p, q):
    """d of each of some texts."""
    with np.errstate(divide="ignore"):
        return np.log(p) - np.log(q)


def of(base, run, alpha=0.05, **lost):
    return divergence(base, run, np.full(len(base), 10), alpha, **lost)


def values(found):
    return {name: getattr(found, name).value for name in NAMES}


def swapped(estimate):
    return pytest.approx([estimate.value, estimate.low, estimate.high], abs=1e-12)


def ends(estimate):
    return [estimate.value, estimate.low, estimate.high]


# -------------------------------------------------------------------------------------------------------- expectations


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_over_all_draws_that_there_can_be_each_divergence_is_right_on_average(p, q):
    p, q = np.array(p), np.array(q)
    d = nats(p, q)
    expected = dict.fromkeys(NAMES[:3], 0.0)
    for base in itertools.product(np.flatnonzero(p), repeat=2):
        for run in itertools.product(np.flatnonzero(q), repeat=2):
            mass = math.prod(p[list(base)]) * math.prod(q[list(run)])
            for name, value in values(of(d[list(base)], d[list(run)])).items():
                if name in expected:
                    expected[name] += mass * value
    middle = (p + q) / 2
    entropies = stats.entropy(p, middle), stats.entropy(q, middle)
    assert expected["total_variation"] == pytest.approx(float(np.abs(p - q).sum()) / 2)
    assert expected["jensen_shannon"] == pytest.approx(sum(entropies) / 2)
    assert expected["kl"] == pytest.approx(float(stats.entropy(p, q)))


def test_the_share_of_extinguished_draws_is_right_on_average():
    p, q = np.array([0.3, 0.5, 0.2]), np.array([0.002, 0.5, 0.498])
    d = nats(p, q)
    expected = sum(
        p[one] * p[other] * of(d[[one, other]], [0.0]).extinguished.value for one, other in np.ndindex(3, 3)
    )  # fmt: skip
    assert expected == pytest.approx(0.3)


# ------------------------------------------------------------------------------------------------------- known answers


@pytest.mark.parametrize("n", [2, 64])
def test_equal_probabilities_give_exactly_nothing_and_the_error_of_so_few_draws(n):
    found = of(np.zeros(n), np.zeros(n))
    assert values(found) == dict.fromkeys(NAMES, 0.0)
    assert [getattr(found, name).low for name in NAMES] == [0.0] * 5
    assert all(getattr(found, name).high > 0.01 for name in ("total_variation", "jensen_shannon", "kl"))


@pytest.mark.parametrize(
    ("base", "run", "name", "value"),
    [
        pytest.param([math.log(3)] * 2, [0.0] * 2, "total_variation", 0.25, id="three times as probable on one side"),
        pytest.param([math.log(3)] * 2, [math.log(3)] * 2, "jensen_shannon",
                     math.log(2) + 0.75 * math.log(0.75) + 0.25 * math.log(0.25), id="three to one on both"),
        pytest.param([1.0, 3.0], [0.0] * 2, "kl", 1 + (math.exp(-1) + math.exp(-3)) / 2, id="one nat, and three"),
        pytest.param([0.0] * 2, [-1.0, 0.0], "kl", (1 - 2 / math.e) / 2, id="KL of what the run says more often"),
        pytest.param([0.0] * 2, [-math.inf] * 2, "kl", 1.0, id="a text that the base cannot say"),
        pytest.param([1.0, 3.0], [0.0] * 2, "kl_per_token", 0.1 + (math.exp(-1) + math.exp(-3)) / 20,
                     id="over ten tokens"),
        pytest.param([4.6, 4.61, 9.0, -9.0], [0.0] * 2, "extinguished", 0.5, id="beyond a hundredth"),
        pytest.param([math.inf] * 2, [-math.inf] * 2, "total_variation", 1.0, id="nothing in common"),
        pytest.param([math.inf] * 2, [-math.inf] * 2, "jensen_shannon", math.log(2), id="nothing in common, in nats"),
        pytest.param([math.inf] * 2, [-math.inf] * 2, "extinguished", 1.0, id="all impossible"),
    ],
)  # fmt: skip
def test_values(base, run, name, value):
    assert values(of(base, run))[name] == pytest.approx(value)


def test_per_token_is_a_ratio_of_sums_and_no_mean_of_ratios():
    found = divergence([20.0, 2.0], [0.0, 0.0], [10, 100], 0.05)
    assert found.kl_per_token.value == pytest.approx(found.kl.value / 55)


def test_an_impossible_draw_makes_kl_infinite_and_leaves_it_a_lower_end():
    found = of([5.0, 6.0] * 8 + [math.inf], [0.0] * 16)
    possible = of([5.0, 6.0] * 8 + [6.0], [0.0] * 16)
    for name in ("kl", "kl_per_token"):
        estimate = getattr(found, name)
        assert (estimate.value, estimate.high) == (None, None)
        assert 0 < estimate.low == pytest.approx(getattr(possible, name).low)
    assert found.extinguished == of([6.0] * 17, [0.0] * 16).extinguished


def test_of_impossible_draws_alone_kl_is_not_known_to_be_more_than_nothing():
    assert of([math.inf] * 4, [0.0] * 4).kl == Estimate(None, 0.0, None)


@pytest.mark.parametrize(
    ("base", "run"),
    [
        pytest.param([], [], id="no draws"),
        pytest.param([1.0], [], id="none of the run"),
        pytest.param([], [1.0], id="none of the base"),
    ],
)
def test_without_a_draw_of_each_side_nothing_is_defined_but_the_share_of_the_base(base, run):
    found = of(base, run)
    assert (found.n_base, found.n_run) == (len(base), len(run))
    assert {getattr(found, name) for name in NAMES[:4]} == {UNDEFINED}
    assert (found.extinguished == UNDEFINED) == (not base)


def test_a_single_draw_of_a_side_leaves_the_bounds():
    found = of([1.0], [1.0, 1.0])
    assert ends(found.total_variation)[1:] == [0.0, 1.0]
    assert ends(found.jensen_shannon)[1:] == [0.0, MOST_JENSEN_SHANNON]
    assert ends(found.kl)[1:] == [0.0, None]


def test_completions_without_tokens_have_no_rate():
    assert divergence([1.0, 2.0], [0.0, 0.0], [0, 0], 0.05).kl_per_token == UNDEFINED


@pytest.mark.parametrize(
    ("base", "run", "tokens", "message"),
    [
        pytest.param([math.nan], [0.0], [1], "not a number", id="NaN of the base"),
        pytest.param([0.0], [math.nan], [1], "not a number", id="NaN of the run"),
        pytest.param([-math.inf], [0.0], [1], "its own side", id="the base gives nothing to its own draw"),
        pytest.param([0.0], [math.inf], [1], "its own side", id="the run gives nothing to its own draw"),
        pytest.param([0.0, 0.0], [0.0], [1], "1 lengths of 2 draws", id="lengths of other draws"),
    ],
)
def test_what_cannot_be_is_an_error(base, run, tokens, message):
    with pytest.raises(ValueError, match=message):
        divergence(base, run, tokens, 0.05)


# ---------------------------------------------------------------------------------------------------------------- laws

NATS = st.floats(-60, 60, allow_subnormal=False)
ON_BASE = st.lists(st.one_of(NATS, st.just(math.inf), st.just(0.0)), min_size=1, max_size=12)
ON_RUN = st.lists(st.one_of(NATS, st.just(-math.inf), st.just(0.0)), min_size=1, max_size=12)


@given(ON_BASE, ON_RUN, st.integers(0, 3), st.integers(0, 3))
def test_every_value_lies_in_its_interval_and_the_interval_within_the_bounds(base, run, lost_base, lost_run):
    found = of(base, run, lost_base=lost_base, lost_run=lost_run)
    for name in NAMES:
        value, low, high = ends(getattr(found, name))
        assert value is None or (low or 0.0) <= value <= (math.inf if high is None else high)
        assert low is None or low >= 0
        if name in BOUNDED:
            assert high <= BOUNDED[name]


@given(ON_BASE, ON_RUN, st.integers(0, 3), st.integers(0, 3))
def test_which_of_the_two_is_the_base_matters_neither_to_total_variation_nor_to_jensen_shannon(base, run, lost, gone):
    found = of(base, run, lost_base=lost, lost_run=gone)
    back = of([-d for d in run], [-d for d in base], lost_base=gone, lost_run=lost)
    for name in ("total_variation", "jensen_shannon"):
        assert ends(getattr(found, name)) == swapped(getattr(back, name))


@given(ON_BASE, ON_RUN, st.randoms())
def test_the_order_of_draws_does_not_matter(base, run, random):
    shuffled = random.sample(base, len(base)), random.sample(run, len(run))
    for name in NAMES:
        one, other = (getattr(of(*draws), name) for draws in ((base, run), shuffled))
        assert ends(one) == [None if end is None else pytest.approx(end, abs=1e-9) for end in ends(other)]


@given(ON_BASE, ON_RUN, ON_BASE, ON_RUN)
def test_whatever_the_lost_draws_would_have_said_their_value_lies_in_the_interval(base, run, of_base, of_run):
    found = of(base, run, lost_base=len(of_base), lost_run=len(of_run))
    told = of(base + of_base, run + of_run)
    for name in NAMES:
        value = getattr(told, name).value
        low, high = ends(getattr(found, name))[1:]
        if value is not None:
            assert low is None or low <= value + 1e-9
            assert high is None or value <= high + 1e-9


@given(ON_BASE, ON_RUN)
def test_divergences_keep_the_order_that_mathematics_gives_them(base, run):
    """On each draw JS is at most ln 2 times TV, and at least half its square (Pinsker)."""
    found = values(of(base, run))
    assert found["jensen_shannon"] <= MOST_JENSEN_SHANNON * found["total_variation"] + 1e-12
    assert found["jensen_shannon"] >= found["total_variation"] ** 2 / 2 - 1e-12


@given(ON_BASE, ON_RUN)
def test_a_smaller_error_rate_never_makes_an_interval_shorter(base, run):
    for name in NAMES:
        wide, narrow = (ends(getattr(of(base, run, alpha), name)) for alpha in (0.01, 0.05))
        assert wide[0] == narrow[0]
        assert wide[1] is None or wide[1] <= narrow[1] + 1e-9
        assert wide[2] is None or wide[2] >= narrow[2] - 1e-9


# ----------------------------------------------------------------------------------------------------------- intervals


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 6])
@pytest.mark.parametrize(("n", "m"), [(16, 16), (16, 40)])
@pytest.mark.parametrize("rest", [0.0, 0.3], ids="the rest at {}".format)
def test_total_variation_misses_no_more_often_than_asked(n, m, rest, alpha):
    """Enumerated over pairs of laws of two terms, `rest` and 1, of every pair of shares."""
    shares = np.array([0.0, 0.005, 0.02, 0.05, 0.1, 0.3, 0.5, 0.8, 0.95, 0.99, 1.0])
    d = [2 * math.atanh(rest), math.inf]
    low, high = np.empty((n + 1, m + 1)), np.empty((n + 1, m + 1))
    for hits, other_hits in np.ndindex(n + 1, m + 1):
        base, run = np.repeat(d, [n - hits, hits]), -np.repeat(d, [m - other_hits, other_hits])
        estimate = of(base, run, alpha).total_variation
        low[hits, other_hits], high[hits, other_hits] = estimate.low, estimate.high
    masses = [stats.binom.pmf(np.arange(size + 1), size, shares[:, None]) for size in (n, m)]
    for place, other in np.ndindex(len(shares), len(shares)):
        truth = rest + (1 - rest) * (shares[place] + shares[other]) / 2
        misses = (low > truth + 1e-12) | (high < truth - 1e-12)
        assert masses[0][place] @ misses @ masses[1][other] <= alpha


# --------------------------------------------------------------------------------------------------------- noise floor


@pytest.mark.parametrize(
    ("d", "floor"),
    [
        pytest.param([], None, id="no draws"),
        pytest.param([0.0, 0.0], 0.0, id="no noise"),
        pytest.param([math.log(3), -math.log(3)], 0.5, id="noise of either sign counts"),
    ],
)
def test_noise_floor(d, floor):
    assert noise_floor(d) == (floor if floor is None else pytest.approx(floor))


def test_noise_of_a_tenth_of_a_nat_reads_as_a_total_variation_of_four_hundredths():
    assert noise_floor(np.random.default_rng(1).normal(0, 0.1, 100_000)) == pytest.approx(0.04, abs=0.001)


def test_noise_that_is_not_a_number_is_an_error():
    with pytest.raises(ValueError, match="not a number"):
        noise_floor([math.nan])
