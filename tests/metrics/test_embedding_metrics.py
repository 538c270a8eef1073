"""How close the vectors of a cell lie: known answers, laws, and how often the truth is outside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st

from collapsecli.metrics.embedding import closeness

AXES = np.eye(8, dtype=np.float32)


def measured(vectors, counts, alpha=0.05, lost=0):
    found = closeness(np.asarray(vectors, np.float32), np.asarray(counts, np.int64), alpha, lost)
    return found["mean_cosine"], found["embedding_modes"]


@pytest.mark.parametrize(
    ("vectors", "counts", "cosine", "modes"),
    [
        pytest.param(AXES[:1], [64], 1.0, 1.0, id="one text again and again"),
        pytest.param(AXES[:2], [2, 2], 1 / 3, 3.0, id="two texts twice each: two pairs of six agree"),
        pytest.param(AXES[:8], [1] * 8, 0.0, None, id="nothing in common: no pair agrees, and modes are without bound"),
        pytest.param([[1, 0], [-1, 0]], [1, 1], -1.0, 1.0, id="opposite texts are one direction"),
        pytest.param([[1, 0], [0.6, 0.8]], [1, 1], 0.6, 1 / 0.36, id="one pair at a cosine of .6"),
        pytest.param([[0, 0], [1, 0]], [2, 1], 1 / 3, 3.0, id="two empty answers are the same"),
    ],
)
def test_known_vectors_have_known_numbers(vectors, counts, cosine, modes):
    found, in_effect = measured(vectors, counts)
    assert found.value == pytest.approx(cosine)
    assert in_effect.value == (None if modes is None else pytest.approx(modes))


def test_one_answer_has_no_pairs_and_two_have_no_interval():
    assert measured(AXES[:1], [1])[0].value is None
    cosine, modes = measured(AXES[:1], [2])
    assert (cosine.value, cosine.low, cosine.high) == (1.0, None, None)
    assert (modes.value, modes.low, modes.high) == (1.0, None, None)


def test_equal_draws_do_not_report_an_error_of_zero():
    cosine, modes = measured(AXES[:1], [64])
    assert cosine.low == pytest.approx(0.86, abs=0.02)  # 5.6 % of another kind would be missed by 64 draws in 2.5 %
    assert cosine.high == 1.0
    assert (modes.value, modes.low) == (1.0, 1.0)
    assert modes.high > 1.1


def test_lost_draws_widen_the_interval_at_both_ends_and_leave_the_estimate():
    counts = [8, 4, 2, 2]
    whole, lacking = measured(AXES[:4], counts)[0], measured(AXES[:4], counts, lost=8)[0]
    assert whole.value == lacking.value
    assert lacking.low < whole.low
    assert lacking.high > whole.high


unit_vectors = np_st.arrays(
    np.float32, st.tuples(st.integers(2, 8), st.just(5)), elements=st.floats(-1, 1, width=32)
).map(lambda rows: np.array([row / norm if (norm := np.linalg.norm(row)) > 0.1 else AXES[0, :5] for row in rows]))


@given(unit_vectors, st.data())
def test_the_numbers_are_those_of_all_pairs_of_draws(vectors, data):
    counts = np.array(data.draw(st.lists(st.integers(1, 5), min_size=len(vectors), max_size=len(vectors))))
    places = np.repeat(np.arange(len(vectors)), counts)
    cosines = [
        1.0 if one == other else float(vectors[one].astype(np.float64) @ vectors[other])
        for at, one in enumerate(places)
        for other in places[:at]
    ]
    cosine, modes = measured(vectors, counts)
    assert cosine.value == pytest.approx(np.mean(cosines), abs=1e-5)
    squared = float(np.mean(np.square(cosines)))
    if squared > 1e-4:
        assert modes.value == pytest.approx(1 / squared, rel=1e-3)
    if len(places) > 2:
        assert -1 <= cosine.low <= cosine.value <= cosine.high <= 1 + 1e-6


@given(unit_vectors, st.integers(0, 2**16))
def test_turning_all_vectors_changes_nothing(vectors, seed):
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))
    counts = [3] * len(vectors)
    before, after = measured(vectors, counts), measured(vectors @ turn, counts)
    assert before[0].value == pytest.approx(after[0].value, abs=1e-5)
    assert before[0].low == pytest.approx(after[0].low, abs=1e-4)


def test_more_draws_of_the_same_law_narrow_the_interval_and_do_not_move_the_estimate():
    generator = np.random.default_rng(5)
    law = [0.6, 0.2, 0.1, 0.1]
    values = {n: [measured(AXES[:4], generator.multinomial(n, law))[0] for _ in range(200)] for n in (32, 256)}
    truth = float(np.square(law).sum())
    means = {n: np.mean([one.value for one in found]) for n, found in values.items()}
    widths = {n: np.mean([one.high - one.low for one in found]) for n, found in values.items()}
    assert means == {32: pytest.approx(truth, abs=0.02), 256: pytest.approx(truth, abs=0.01)}
    assert widths[256] < widths[32] / 2


@pytest.mark.parametrize(
    "law",
    [
        pytest.param([0.99, *[0.001] * 7], id="nearly always one text"),
        pytest.param([0.9, *[0.1 / 7] * 7], id="one text of nine in ten"),
        pytest.param([0.4, 0.6, 0, 0, 0, 0, 0, 0], id="two texts, where single draws hardly matter"),
        pytest.param([0.125] * 8, id="eight equal texts"),
    ],
)
def test_the_truth_is_outside_the_interval_hardly_more_often_than_it_says(law):
    """With 400 runs at a true rate of 6 %, more than 11 % come up with a probability below 1e-4."""
    generator = np.random.default_rng(7)
    truth = float(np.square(law).sum())
    missed = 0
    for _ in range(400):
        counts = generator.multinomial(64, law)
        cosine, _ = measured(AXES[counts > 0], counts[counts > 0])
        missed += not cosine.low - 1e-9 <= truth <= cosine.high + 1e-9
    assert missed <= 44
