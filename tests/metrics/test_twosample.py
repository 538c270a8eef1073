"""Two samples: known answers, laws, and every split of a few draws against the definitions, written out again."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.metrics import twosample
from collapsecli.metrics.shares import difference, share
from collapsecli.metrics.twosample import TwoSample, between, collision_change, moved, pair_rate, two_sample
from collapsecli.records import UNDEFINED, Estimate

LEAST_P = 0.001
LABELS = st.lists(st.integers(0, 3), min_size=2, max_size=8)
SIDES = st.tuples(LABELS, LABELS)
LOST = st.integers(0, 4)


def same_as(*sides):
    """The relation of answers that are the same if their labels are, all sides together."""
    labels = np.concatenate([np.asarray(side) for side in sides])
    return labels[:, None] == labels


def said(mode, count, others, first=100):
    """So many times one answer, and others that are all different."""
    return [mode] * count + list(range(first, first + others))


def found(base, run, least_p=LEAST_P, seed=1, **lost):
    return two_sample(same_as(base, run), len(base), least_p=least_p, generator=np.random.default_rng(seed), **lost)


def chain(n):
    """Each answer is the same as its neighbours alone: no equivalence."""
    places = np.arange(n)
    return np.abs(places[:, None] - places) <= 1


# ----------------------------------------------------------------------------------------------------------- the tests


def written_out(same, base):
    """The studentised difference of the pair rates and the squared distance of one split, from their definitions."""
    run = [place for place in range(len(same)) if place not in base]
    rates, variances = [], []
    for side in (base, run):
        n = len(side)
        rate = np.mean([same[i, j] for i in side for j in side if i != j])
        paths = [same[i, j] and same[j, k] for i in side for j in side for k in side if len({i, j, k}) == 3]
        spread = max(np.mean(paths) - rate**2, 0)
        rates.append(rate)
        variances.append((4 * (n - 2) * spread + 2 * (rate - rate**2)) / (n * (n - 1)))
    change, error = rates[1] - rates[0], math.sqrt(sum(variances))
    across = np.mean([same[i, j] for i in base for j in run])
    studentised = change / error if error else math.copysign(math.inf, change) if change else 0.0
    return studentised, sum(rates) - 2 * across


@pytest.mark.parametrize(
    ("same", "n_base"),
    [
        pytest.param(same_as([0, 0, 0, 1], [0, 1, 2, 3]), 4, id="classes"),
        pytest.param(same_as([0, 0, 0, 0], [1, 2, 3]), 4, id="all the same against none"),
        pytest.param(same_as([0, 1, 2], [1, 1, 1, 1, 2]), 3, id="unequal sizes"),
        pytest.param(chain(8), 3, id="no equivalence"),
    ],
)
def test_every_split_has_the_statistics_of_their_definitions(same, n_base):
    splits = list(combinations(range(len(same)), n_base))
    is_base = np.array([[place in split for place in range(len(same))] for split in splits], np.int64)
    more, less, distance = twosample._Statistics(same, n_base)._of(is_base)
    expected = np.array([written_out(same, split) for split in splits])
    assert more == pytest.approx(expected[:, 0])
    assert less == pytest.approx(-expected[:, 0])
    assert distance == pytest.approx(expected[:, 1])


@pytest.mark.parametrize(
    ("base", "run"),
    [
        pytest.param([0, 1, 2, 3], [0, 0, 0, 1], id="narrower"),
        pytest.param([0, 0, 0, 1, 1], [2, 2, 3, 3, 0], id="elsewhere"),
        pytest.param([0, 1, 2], [0, 0, 0, 0, 1], id="unequal sizes"),
    ],
)
def test_p_values_are_those_of_all_splits(base, run):
    """By h hits at the l-th permutation l / h is unbiased for 1 / p: its mean over 300 runs is known to 1.2 %."""
    same = same_as(base, run)
    splits = [written_out(same, split) for split in combinations(range(len(same)), len(base))]
    more, distance = np.array(splits).T
    exact = [np.mean(more >= more[0] - 1e-9), np.mean(more <= more[0] + 1e-9), np.mean(distance >= distance[0] - 1e-9)]
    statistics = twosample._Statistics(same, len(base))
    inverse = [
        1 / twosample._sequential(statistics, [0, 1, 2], 10**5, np.random.default_rng(seed))[0] for seed in range(300)
    ]
    assert np.mean(inverse, axis=0) == pytest.approx(1 / np.array(exact), rel=0.05)


@pytest.mark.parametrize(
    ("base", "run", "p_collision", "p_shift"),
    [
        pytest.param(range(64), said(0, 32, 32), (0, 0.001), (0, 0.001), id="a new mode of one half"),
        pytest.param(said(0, 32, 32), range(200, 264), (0, 0.001), (0, 0.001), id="a mode that is gone"),
        pytest.param(said(0, 58, 6), said(1, 55, 9), (0.05, 1), (0, 0.001), id="a mode that moved, and did not grow"),
        pytest.param(said(0, 40, 24), said(0, 40, 24, 300), (0.3, 1), (0.3, 1), id="the same once more"),
        pytest.param([0] * 64, [0] * 64, (1, 1), (1, 1), id="always one answer"),
        pytest.param(range(64), range(100, 164), (1, 1), (1, 1), id="never the same answer twice"),
        pytest.param([0] * 8, range(1, 65), (0, 0.001), (0, 0.001), id="a few draws against many"),
    ],
)
def test_what_the_tests_find(base, run, p_collision, p_shift):
    tested = found(list(base), list(run))
    assert p_collision[0] <= tested.p_collision <= p_collision[1]
    assert p_shift[0] <= tested.p_shift <= p_shift[1]


def test_a_mode_that_moved_is_not_called_narrower_as_it_would_be_by_the_bare_difference():
    same = same_as(said(0, 58, 6), said(1, 51, 13))
    rates = pair_rate(same[:64, :64]), pair_rate(same[64:, 64:])
    generator, bare = np.random.default_rng(1), []
    for _ in range(2000):
        order = generator.permutation(128)
        base, run = same[np.ix_(order[:64], order[:64])], same[np.ix_(order[64:], order[64:])]
        bare.append(abs(pair_rate(run) - pair_rate(base)))
    assert np.mean(np.array(bare) >= abs(rates[1] - rates[0])) < 0.01
    assert found(said(0, 58, 6), said(1, 51, 13)).p_collision > 0.05


@pytest.mark.parametrize("least_p", [0.05, 0.001, 0.0001])
def test_p_values_reach_down_to_what_is_asked_for(least_p):
    tested = found([0] * 32, list(range(1, 33)), least_p)
    assert 0 < tested.p_shift <= tested.p_collision <= least_p


def test_where_nothing_differs_few_permutations_are_drawn_however_small_the_least_p_value():
    assert found([0, 1] * 32, [0, 1] * 32, 1e-6).permutations <= 256


def test_permutations_come_in_chunks_that_sum_to_what_is_asked_for_and_stay_small():
    chunks = list(twosample._chunks(100_000, 2048))
    assert sum(chunks) == 100_000
    assert max(chunks) * 2048 <= 1 << 20


def test_the_numbers_of_two_samples():
    tested = found([0, 0, 0, 1], [0, 1, 1, 2])
    assert (tested.base, tested.run, tested.difference) == pytest.approx((1 / 2, 1 / 6, -1 / 3))
    assert tested.distance == pytest.approx(1 / 2 + 1 / 6 - 2 * (3 + 2) / 16)


@given(SIDES)
def test_the_other_way_round_the_difference_has_the_other_sign_and_the_statistics_are_the_same(sides):
    base, run = sides
    there, back = found(base, run, 0.5), found(run, base, 0.5)
    assert there.difference == pytest.approx(-back.difference)
    assert there.distance == pytest.approx(back.distance)
    one = twosample._Statistics(same_as(base, run), len(base)).observed
    other = twosample._Statistics(same_as(run, base), len(run)).observed
    assert one[[1, 0, 2]] == pytest.approx(other)


@given(SIDES, st.permutations(range(4)), st.randoms(use_true_random=False))
def test_names_and_order_of_the_answers_say_nothing(sides, names, random):
    base, run = sides
    renamed = [[names[label] for label in random.sample(side, len(side))] for side in sides]
    one = twosample._Statistics(same_as(base, run), len(base)).observed
    assert one == pytest.approx(twosample._Statistics(same_as(*renamed), len(base)).observed)


@given(SIDES)
def test_p_values_are_probabilities(sides):
    tested = found(*sides, 0.5)
    assert 0 < tested.p_collision <= 1
    assert 0 < tested.p_shift <= 1


def test_the_same_generator_gives_the_same_p_values():
    assert found([0, 0, 1, 2] * 8, [0, 1, 2, 3] * 8, seed=3) == found([0, 0, 1, 2] * 8, [0, 1, 2, 3] * 8, seed=3)


@pytest.mark.parametrize("least_p", [0.05, 0.0001])
def test_p_values_of_samples_that_do_not_differ_are_no_smaller_than_chance(least_p):
    """400 pairs: the bound lies four and a half standard errors above 0.05."""
    generator = np.random.default_rng(5)
    p = [
        (one.p_collision, one.p_shift)
        for one in (
            two_sample(
                same_as(generator.geometric(0.3, 20 + 30)), 20, least_p=least_p, generator=np.random.default_rng(seed)
            )
            for seed in range(400)
        )
    ]
    assert (np.array(p) <= 0.05).mean(axis=0).max() <= 0.099


@pytest.mark.parametrize("sides", [([], []), ([0], [0, 1, 2]), ([0, 1], [2])])
def test_of_fewer_than_two_answers_nothing_is_said(sides):
    assert found(*sides) == TwoSample()


@pytest.mark.parametrize(
    ("same", "n_base", "least_p", "complaint"),
    [
        pytest.param(np.eye(4, 3, dtype=bool), 2, 0.05, "relation", id="a relation that is not square"),
        pytest.param(np.eye(4, dtype=bool), 5, 0.05, "relation", id="more answers of the base than there are"),
        pytest.param(np.eye(4, dtype=bool), 2, 0.0, "permutations", id="a p-value of zero"),
    ],
)
def test_what_cannot_be_tested_is_said(same, n_base, least_p, complaint):
    with pytest.raises(ValueError, match=complaint):
        two_sample(same, n_base, least_p=least_p, generator=np.random.default_rng(0))


# ---------------------------------------------------------------------------------------------------------- lost draws


@pytest.mark.parametrize(
    ("base", "run"),
    [
        pytest.param(list(range(16)), [0] * 16, id="narrower"),
        pytest.param([0] * 16, list(range(16)), id="wider"),
        pytest.param([0] * 16, [1] * 16, id="elsewhere"),
    ],
)
def test_lost_draws_count_against_a_change_whichever_side_lost_them(base, run):
    assert found(base, run).p_shift <= LEAST_P
    for lost in ({"lost_base": 100}, {"lost_run": 100}, {"lost_base": 100, "lost_run": 100}):
        tested = found(base, run, **lost)
        assert tested.p_collision > 0.05
        assert tested.p_shift > 0.05


@pytest.mark.parametrize("lost", [{"lost_base": 2}, {"lost_run": 2}])
def test_what_two_lost_draws_cannot_hide_is_found(lost):
    assert found(list(range(64)), [0] * 64, **lost).p_collision <= LEAST_P
    assert found([0] * 64, [1] * 64, **lost).p_shift <= LEAST_P


# --------------------------------------------------------------------------------------------------------------- moved


@pytest.mark.parametrize(
    ("base", "run", "value"),
    [
        pytest.param([0] * 64, [1] * 64, 1.0, id="from one answer to another"),
        pytest.param([0] * 64, list(range(1, 65)), 1.0, id="from one answer to any other"),
        pytest.param(list(range(1, 65)), [0] * 64, 1.0, id="from any answer to one"),
        pytest.param([0] * 64, [0] * 64, 0.0, id="nothing"),
        pytest.param(list(range(64)), list(range(64, 128)), 0.0, id="nothing can be known where all draws differ"),
        pytest.param([0, 0, 1, 1] * 16, [0, 0, 0, 0] * 16, 0.5, id="half of it"),
    ],
)
def test_how_much_moved(base, run, value):
    assert moved(same_as(base, run), 64, 0.05).value == pytest.approx(value)


def test_the_ends_of_what_moved_are_those_of_one_half_of_the_draws_and_of_all_counts():
    one_half = difference(share(32, 32, 0.025), share(0, 32, 0.025))
    assert moved(same_as([0] * 64, [1] * 64), 64, 0.05, transitive=True) == Estimate(1.0, one_half.low, 1.0)
    same, error = same_as([0] * 64, [0] * 64), math.sqrt(math.log(2 / 0.05) * (2 / 64) / 2)
    assert moved(same, 64, 0.05, transitive=True) == Estimate(0.0, 0.0, pytest.approx(error))
    assert moved(same, 64, 0.05) == Estimate(0.0, 0.0, 1.0)


@given(SIDES, LOST, LOST)
def test_lost_draws_widen_what_moved_to_both_sides(sides, lost_base, lost_run):
    same, n_base = same_as(*sides), len(sides[0])
    told = moved(same, n_base, 0.05, transitive=True)
    wide = moved(same, n_base, 0.05, lost_base, lost_run, transitive=True)
    assert 0 <= wide.low <= told.low <= told.value <= told.high <= wide.high + 1e-12 <= 1 + 1e-12


@pytest.mark.parametrize("sides", [([0], [1, 1]), ([0, 0], [1]), ([], [])])
def test_of_fewer_than_two_answers_none_is_known_to_have_moved(sides):
    assert moved(same_as(*sides), len(sides[0]), 0.05) == UNDEFINED
    assert collision_change(UNDEFINED, UNDEFINED, same_as(*sides), len(sides[0]), 0.05) == UNDEFINED


# ------------------------------------------------------------------------------------------ agreement across and within


def test_agreement_between_two_has_the_value_of_all_pairs_and_the_interval_of_disjoint_ones():
    base, run = [0] * 8 + [1] * 8, [0] * 4 + [1] * 12
    exact = share(12, 16, 0.05)
    assert between(same_as(base, run), 16, 0.05) == Estimate(0.5, exact.low, exact.high)


def test_disjoint_pairs_that_miss_the_value_are_widened_to_it():
    base, run = [0, 1] * 16, [1, 0] * 16
    assert between(same_as(base, run), 32, 0.05) == Estimate(0.5, 0.0, 0.5)


def test_agreement_with_lost_draws_is_as_if_each_of_their_pairs_might_agree_or_not():
    exact = share(16, 16, 0.05, lost=3)
    assert between(same_as([0] * 16, [0] * 17), 16, 0.05, 3, 0) == Estimate(1.0, exact.low, 1.0)


@pytest.mark.parametrize("sides", [([], [0, 1]), ([0], [])])
def test_between_nothing_and_something_no_agreement_is_defined(sides):
    assert between(same_as(*sides), len(sides[0]), 0.05) == UNDEFINED


@given(SIDES, LOST, LOST)
def test_agreement_is_the_same_from_both_sides(sides, lost_base, lost_run):
    there = between(same_as(*sides), len(sides[0]), 0.05, lost_base, lost_run)
    back = between(same_as(*sides[::-1]), len(sides[1]), 0.05, lost_run, lost_base)
    assert (there.value, there.low, there.high) == pytest.approx((back.value, back.low, back.high))
    assert 0 <= there.low <= there.value <= there.high <= 1


def test_of_an_equivalence_the_change_of_collision_is_that_of_its_two_estimates():
    base, run = Estimate(0.2, 0.1, 0.4), Estimate(0.8, 0.6, 0.9)
    assert collision_change(base, run, same_as([0, 1], [0, 0]), 2, 0.05) == difference(run, base)


def test_of_another_relation_it_is_that_of_neighbours_which_have_no_draw_in_common():
    same = np.pad(chain(16), (0, 16)) | np.eye(32, dtype=bool)
    open_above = Estimate(0.1, 0.0, None)
    all_agree, none_agrees = share(8, 8, 0.05), share(0, 8, 0.05)
    expected = difference(Estimate(0.0, none_agrees.low, none_agrees.high), Estimate(1 / 8, 1 / 8, all_agree.high))
    changed = collision_change(open_above, open_above, same, 16, 0.05)
    assert changed.value == pytest.approx(-1 / 8)
    assert (changed.low, changed.high) == pytest.approx((expected.low, expected.high))


@given(SIDES)
def test_changes_of_collision_have_their_value_within(sides):
    base, run = (np.array(side) for side in sides)
    changed = collision_change(UNDEFINED, UNDEFINED, same_as(base, run), len(base), 0.05)
    assert -1 <= changed.low <= changed.value <= changed.high <= 1
    assert changed.value == pytest.approx(pair_rate(same_as(run)) - pair_rate(same_as(base)))
