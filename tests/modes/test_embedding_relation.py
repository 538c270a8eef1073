"""Texts that are the same because their vectors are close."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.modes import relate, same_as, vectors_of
from collapsecli.records import EMBEDDING_THRESHOLD


def at_angle(degrees: float) -> np.ndarray:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)


ANGLES = {"north": 0.0, "nearly north": 20.0, "north-east": 36.0, "east": 90.0, "south": 180.0}


def by_angle(texts):
    return np.array([at_angle(ANGLES[text]) for text in texts], np.float32)


def related(answers, threshold=None):
    return relate(answers, "embedding", threshold=threshold, embed=by_angle)


def test_the_mode_is_the_text_with_most_others_around_it():
    answers = ["north", "nearly north", "north-east", "nearly north", "east", "south"]
    grouping = related(answers, 0.9).group()
    assert grouping.largest == 4  # the two between north and north-east, and these
    assert not grouping.transitive  # north and north-east are not the same
    assert grouping.labels.tolist() == [0, 0, 0, 0, 1, 2]


@pytest.mark.parametrize(
    ("threshold", "same"),
    [
        pytest.param(0.99, [True, False, False, False, False], id="only itself"),
        pytest.param(0.9, [True, True, False, False, False], id="up to 25 degrees"),
        pytest.param(0.8, [True, True, True, False, False], id="up to 36 degrees"),
        pytest.param(float(np.cos(np.radians(20.0))), [True, True, False, False, False], id="the very cosine"),
    ],
)
def test_a_threshold_is_the_smallest_cosine_of_the_same(threshold, same):
    assert same_as("north", list(ANGLES), "embedding", threshold=threshold, embed=by_angle).tolist() == same
    grouping = related(list(ANGLES), threshold).group()
    assert grouping.alike is not None
    assert grouping.alike[0].tolist() == same


def test_another_threshold_needs_no_second_embedding():
    asked = []

    def once(texts):
        asked.extend(texts)
        return by_angle(texts)

    relation = relate(["north", "nearly north", "north"], "embedding", embed=once)
    assert relation.threshold == EMBEDDING_THRESHOLD
    assert [relation.at(t).group().largest for t in (0.5, 0.99)] == [3, 2]
    assert asked == ["north", "nearly north"]  # each text once


def test_an_empty_text_is_not_embedded_and_is_the_same_as_no_other():
    relation = relate(["", "north", "", "north"], "embedding", embed=by_angle)
    grouping = relation.group()
    assert grouping.labels.tolist() in ([0, 1, 0, 1], [1, 0, 1, 0])
    assert same_as("", ["", "north"], "embedding", embed=by_angle).tolist() == [True, False]


def test_empty_texts_alone_need_no_encoder_at_all():
    grouping = relate(["", ""], "embedding", embed=lambda texts: pytest.fail(f"embeds {texts}")).group()
    assert (grouping.largest, grouping.pair_rate) == (2, 1.0)


def test_no_answers_are_no_modes():
    assert related([]).group().largest == 0


def test_without_anything_that_embeds_there_is_no_relation():
    with pytest.raises(ValueError, match="nothing that embeds them"):
        relate(["north"], "embedding")
    with pytest.raises(ValueError, match="nothing that embeds them"):
        same_as("north", ["north"], "embedding")


def test_other_relations_have_no_vectors():
    assert vectors_of(relate(["a"], "exact")) is None
    assert vectors_of(relate(["a"], "lexical")) is None
    assert vectors_of(related(["north"])).tolist() == [[1.0, 0.0]]


def test_the_same_is_symmetric_in_whatever_block_two_texts_stand():
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(1300, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    texts = [str(place) for place in range(len(vectors))]
    grouping = relate(
        texts, "embedding", threshold=0.3, embed=lambda said: vectors[[int(text) for text in said]]
    ).group()
    alike = grouping.alike
    assert alike is not None
    assert (alike == alike.T).all()
    cosines = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    clear = abs(cosines - 0.3) > 1e-5
    assert ((alike == (cosines >= 0.3)) | ~clear | np.eye(len(vectors), dtype=bool)).all()


@given(st.lists(st.sampled_from(list(ANGLES)), min_size=1, max_size=30), st.floats(0.05, 0.95))
def test_the_order_of_the_draws_changes_neither_the_mode_nor_the_pairs(answers, threshold):
    forward, backward = related(answers, threshold).group(), related(answers[::-1], threshold).group()
    assert (forward.largest, forward.pair_rate) == (backward.largest, backward.pair_rate)
