import numpy as np
import pytest

from collapsecli.metrics.text import distinct_in_subsets


@pytest.mark.parametrize(
    ("alike", "distinct"),
    [
        pytest.param(np.ones((12, 12)), 1, id="all alike"),
        pytest.param(np.eye(12), 10, id="none alike"),
        pytest.param(np.kron(np.eye(2), np.ones((6, 6))), 2, id="two halves"),
    ],
)
def test_counts_the_modes_of_ten_texts(alike, distinct):
    assert distinct_in_subsets(np.arange(12), alike.astype(np.bool_), 10) == pytest.approx(distinct)


def test_equals_rarefaction_where_the_relation_is_an_equivalence():
    texts = np.repeat(np.arange(20), 3)
    missing = np.prod([(57 - draw) / (60 - draw) for draw in range(10)])
    expected = 20 * (1 - missing)
    assert distinct_in_subsets(texts, np.eye(20, dtype=np.bool_), 10) == pytest.approx(expected, abs=0.25)


def test_does_not_move_with_the_number_of_texts():
    """A chain, each text alike to its neighbours: classes made from all of them would be ever fewer."""
    place = np.arange(100)
    alike = np.abs(place[:, None] - place) <= 10
    few = distinct_in_subsets(place[::5], alike, 10)
    many = distinct_in_subsets(np.tile(place, 4), alike, 10)
    assert few == pytest.approx(many, abs=0.3)


def test_gives_the_same_number_every_time():
    alike = np.random.default_rng(1).random((30, 30)) < 0.3
    alike |= alike.T | np.eye(30, dtype=np.bool_)
    texts = np.arange(30)
    assert distinct_in_subsets(texts, alike, 10) == distinct_in_subsets(texts, alike, 10)
