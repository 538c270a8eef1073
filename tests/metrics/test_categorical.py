"""Known answers, laws, and the error rates of intervals under distributions built to break them."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from collapsecli.metrics import METRICS, Sample, categorical, measure
from collapsecli.metrics.categorical import clopper_pearson
from collapsecli.modes import exact
from collapsecli.records import UNDEFINED

ALL = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
COUNTS = st.lists(st.integers(1, 20), min_size=1, max_size=12)


def sample(counts, *, hits=None, lost=0, drawn=None, alpha=0.05):
    """The sample of these counts; without `hits`, that of the order in which the largest mode comes first."""
    counts = np.asarray(counts, np.int64)
    n = int(counts.sum())
    largest = int(counts.max(initial=0))
    return Sample(
        counts,
        hits=max(largest - 1, 0) if hits is None else hits,
        largest=largest,
        pair_rate=float((counts * (counts - 1)).sum()) / (n * (n - 1)) if n > 1 else None,
        lost=lost,
        drawn=n + lost if drawn is None else drawn,
        alpha=alpha,
    )


def drawn_from(probabilities, n, generator):
    found = exact.group([str(answer) for answer in generator.choice(len(probabilities), n, p=probabilities)])
    return Sample(np.bincount(found.labels), found.hits, found.largest, found.pair_rate, 0, n, 0.05)


# ------------------------------------------------------------------------------------------------------ known answers


@pytest.mark.parametrize(("x", "n"), [(0, 5), (5, 5), (3, 10), (40, 63)])
def test_clopper_pearson_is_the_exact_binomial_interval(x, n):
    low, high = clopper_pearson(x, n, 0.05)
    exact_interval = stats.binomtest(x, n).proportion_ci(method="exact")
    assert (low, high) == pytest.approx((exact_interval.low, exact_interval.high))


def test_no_trials_say_nothing():
    assert clopper_pearson(0, 0, 0.05) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("counts", "values"),
    [
        pytest.param([64], {"mode_mass": 1, "collision": 1, "effective_modes": 1, "distinct_10": 1}, id="all equal"),
        pytest.param([1] * 20, {"mode_mass": 0.05, "collision": 0, "distinct_10": 10}, id="all different"),
        pytest.param([5, 5], {"mode_mass": 0.5, "collision": 4 / 9, "effective_modes": 9 / 4}, id="two equal modes"),
        pytest.param([8, 1, 1], {"mode_mass": 0.8, "collision": 56 / 90, "distinct_10": 3}, id="ten draws are the ten"),
    ],
)
def test_values(counts, values):
    estimates = measure(sample(counts))
    assert {name: estimates[name].value for name in values} == pytest.approx(values)


@pytest.mark.parametrize(
    ("counts", "undefined"),
    [
        pytest.param([], {"valid_rate", "mode_mass", "collision", "effective_modes", "distinct_10"}, id="no draws"),
        pytest.param([1], {"collision", "effective_modes", "distinct_10"}, id="one draw has no pairs"),
        pytest.param([5, 4], {"distinct_10"}, id="nine draws are not ten"),
    ],
)
def test_undefined_is_not_zero(counts, undefined):
    assert {name for name, estimate in measure(sample(counts)).items() if estimate == UNDEFINED} == undefined


def test_no_collision_leaves_the_effective_modes_open_above():
    effective = measure(sample([1] * 64))["effective_modes"]
    assert effective.value is None
    assert effective.high is None
    assert effective.low > 10


@pytest.mark.parametrize("m", [2, 3, 5])
def test_rarefaction_is_the_mean_over_all_subsets(m):
    labels = [0, 0, 0, 1, 1, 2, 3]
    subsets = [len(set(subset)) for subset in combinations(labels, m)]
    assert categorical._rarefied(np.bincount(labels), m) == pytest.approx(np.mean(subsets))


def test_a_relation_has_a_pair_rate_with_a_lower_end_alone():
    """That of equal answers, which are the same under any relation; here no two are equal."""
    related = Sample(
        np.array([2, 1]), 1, 3, 2 / 3, 0, 3, 0.05, texts=np.array([0, 1, 2]), alike=np.ones((3, 3), np.bool_)
    )
    estimate = categorical.collision(related)
    assert (estimate.value, estimate.low, estimate.high) == (2 / 3, 0.0, None)


def test_equal_answers_bound_the_collisions_of_a_relation_from_below():
    texts = np.zeros(64, np.int64)
    related = Sample(np.array([64]), 63, 64, 1.0, 0, 64, 0.05, texts=texts, alike=np.ones((1, 1), np.bool_))
    estimate = categorical.collision(related)
    assert estimate.low == pytest.approx(categorical.collision(sample([64])).low)
    assert estimate.high is None


# --------------------------------------------------------------------------------------------------------------- laws


@ALL
@given(counts=COUNTS, lost=st.integers(0, 5))
def test_the_interval_holds_the_value(metric, counts, lost):
    estimate = metric.estimate(sample(counts, lost=lost))
    ends = [end for end in (estimate.low, estimate.value, estimate.high) if end is not None]
    assert ends == sorted(ends)
    assert all(end >= 0 and math.isfinite(end) for end in ends)
    assert metric.unit != "fraction" or all(end <= 1 for end in ends)


@ALL
@given(counts=COUNTS, data=st.data())
def test_the_names_of_modes_do_not_matter(metric, counts, data):
    renamed = data.draw(st.permutations(counts))
    one, other = metric.estimate(sample(counts)), metric.estimate(sample(renamed))
    for end in ("value", "low", "high"):
        assert getattr(one, end) == pytest.approx(getattr(other, end))


@ALL
@given(counts=st.lists(st.integers(2, 20), min_size=1, max_size=8))
def test_twice_the_same_draws_leave_shares_and_narrow_intervals(metric, counts):
    one, twice = metric.estimate(sample(counts)), metric.estimate(sample([2 * count for count in counts]))
    if metric.name in {"mode_mass", "valid_rate"}:
        assert twice.value == one.value
    if metric.name in {"mode_mass", "valid_rate", "collision"}:
        assert twice.high - twice.low <= one.high - one.low + 1e-9


@ALL
@given(counts=COUNTS, lost=st.integers(1, 10))
def test_lost_draws_never_narrow_an_interval(metric, counts, lost):
    complete, with_lost = metric.estimate(sample(counts)), metric.estimate(sample(counts, lost=lost))
    assert with_lost.value == complete.value
    for one, other in ((with_lost.low, complete.low), (complete.high, with_lost.high)):
        assert one is None or other is None or one <= other + 1e-9


@ALL
@given(counts=COUNTS)
def test_a_smaller_error_rate_widens_the_interval(metric, counts):
    loose, strict = metric.estimate(sample(counts, alpha=0.2)), metric.estimate(sample(counts, alpha=0.01))
    for one, other in ((strict.low, loose.low), (loose.high, strict.high)):
        assert one is None or other is None or one <= other + 1e-9


@given(COUNTS)
def test_the_collision_interval_lies_within_the_bounds_of_the_mode_mass(counts):
    estimates = measure(sample(counts))
    mass, collision = estimates["mode_mass"], estimates["collision"]
    if collision != UNDEFINED:
        assert mass.low**2 <= collision.low + 1e-12
        assert collision.high <= mass.high + 1e-12


@given(COUNTS)
def test_effective_modes_are_the_reciprocal_of_the_collision_probability(counts):
    estimates = measure(sample(counts))
    collision, effective = estimates["collision"], estimates["effective_modes"]
    for one, other in ((collision.low, effective.high), (collision.value, effective.value)):
        assert (other is None) == (not one)
        assert other is None or other == pytest.approx(1 / one)


# -------------------------------------------------------------------------------------------------------- error rates


def with_tail(*heads, rest=1000):
    """Given modes, and the remaining mass over `rest` others in proportion to 1 / rank."""
    weights = 1 / np.arange(1, rest + 1)
    return np.array([*heads, *(weights / weights.sum() * (1 - sum(heads)))])


DISTRIBUTIONS = {
    "one mode at .99": with_tail(0.99),
    "one mode at .9": with_tail(0.9),
    "one mode at .7": with_tail(0.7),
    "one mode at half": with_tail(0.5),
    "two modes, .6 and .4": np.array([0.6, 0.4]),
    "three equal modes": np.full(3, 1 / 3),
    "ten equal modes": np.full(10, 0.1),
    "a hundred equal modes": np.full(100, 0.01),
    "two modes and a tail": with_tail(0.3, 0.2),
}
REPLICATES = 400


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("n", [16, 64])
def test_intervals_hold_the_truth(name, n):
    """Nominal 2.5 % a side; 400 replicates put 5.5 % at four standard errors. The score interval of C: 9 % together."""
    p = DISTRIBUTIONS[name]
    truth = {"mode_mass": p.max(), "collision": (p**2).sum(), "distinct_10": (1 - (1 - p) ** 10).sum()}
    generator = np.random.default_rng(20)
    below, above = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    for _ in range(REPLICATES):
        estimates = measure(drawn_from(p, n, generator))
        for metric, value in truth.items():
            below[metric] += estimates[metric].low > value + 1e-9
            above[metric] += estimates[metric].high < value - 1e-9
    assert below["mode_mass"] / REPLICATES <= 0.055
    assert above["mode_mass"] / REPLICATES <= 0.055
    assert (below["collision"] + above["collision"]) / REPLICATES <= 0.12
    assert (below["distinct_10"] + above["distinct_10"]) / REPLICATES <= 0.12


def test_estimates_of_order_two_and_of_rarefaction_are_unbiased():
    p = DISTRIBUTIONS["two modes and a tail"]
    generator = np.random.default_rng(21)
    estimates = [measure(drawn_from(p, 16, generator)) for _ in range(1500)]
    for metric, truth in (("collision", (p**2).sum()), ("distinct_10", (1 - (1 - p) ** 10).sum())):
        values = np.array([estimate[metric].value for estimate in estimates])
        assert abs(values.mean() - truth) < 4 * values.std() / math.sqrt(len(values))


def test_draws_lost_because_of_what_they_say_do_not_fake_a_collapse():
    """Half of the draws that are not the mode never come back: the mode's share doubles its odds, M stays .45."""
    generator = np.random.default_rng(22)
    false_collapses = 0
    for _ in range(REPLICATES):
        draws = generator.choice(56, 64, p=[0.45, *[0.01] * 55])
        kept = draws[(draws == 0) | (generator.random(64) < 0.5)]
        found = exact.group([str(answer) for answer in kept])
        counts = np.bincount(found.labels)
        lost = 64 - len(kept)
        mass = categorical.mode_mass(Sample(counts, found.hits, found.largest, found.pair_rate, lost, 64, 0.05))
        false_collapses += mass.low >= 0.5
    assert false_collapses / REPLICATES <= 0.055
