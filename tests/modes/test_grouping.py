"""Laws of every equivalence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.modes import EQUIVALENCES, relate

ANSWERS = st.lists(st.sampled_from(["a b c", "a b d", "x y", "x", "", "🎲", "a b c d e f"]), max_size=24)
ALL = pytest.mark.parametrize("equivalence", EQUIVALENCES)


ALPHABETS = ("abcdefxy", "βγδεζηθλ", "жзийклмн")


def by_letters(texts):
    """A vector of each text: how often it has each letter, by its place in whatever alphabet."""
    places = {letter: place for letters in ALPHABETS for place, letter in enumerate(letters)}
    counts = np.zeros((len(texts), 9), np.float32)
    for row, text in zip(counts, texts, strict=True):
        for letter in text.replace(" ", ""):
            row[places.get(letter, 8)] += 1
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def related(answers, equivalence):
    """With classes by the first letter where classes are given, and vectors of letters where texts are embedded."""
    return relate(answers, equivalence, given=[answer[:1] for answer in answers], embed=by_letters)


def group(answers, equivalence):
    return related(answers, equivalence).group()


@ALL
def test_no_answers_have_no_modes(equivalence):
    nothing = group([], equivalence)
    assert (len(nothing.labels), nothing.hits, nothing.largest, nothing.pair_rate) == (0, 0, 0, None)
    assert (nothing.lone, nothing.paired) == (0, 0)


@ALL
def test_one_answer_has_no_pairs(equivalence):
    one = group(["x"], equivalence)
    assert (one.labels.tolist(), one.hits, one.largest, one.pair_rate, one.lone) == ([0], 0, 1, None, 1)


@ALL
def test_equal_answers_are_one_mode(equivalence):
    same = group(["x"] * 5, equivalence)
    assert (same.labels.tolist(), same.hits, same.largest, same.pair_rate) == ([0] * 5, 4, 5, 1.0)
    assert (same.lone, same.paired) == (0, 0)


@ALL
@given(answers=ANSWERS)
def test_bounds(equivalence, answers):
    found = group(answers, equivalence)
    n = len(answers)
    assert 0 <= found.hits <= max(found.largest - 1, 0), "each hit adds one to the largest count"
    assert found.largest <= n
    assert found.pair_rate is None or 0 <= found.pair_rate <= 1
    assert found.lone + found.paired <= n
    assert sorted(set(found.labels.tolist())) == list(range(len(set(found.labels.tolist()))))


@ALL
@given(answers=ANSWERS, data=st.data())
def test_the_order_does_not_matter_but_to_predictions(equivalence, answers, data):
    shuffled = data.draw(st.permutations(answers))
    one, other = group(answers, equivalence), group(shuffled, equivalence)
    assert (one.pair_rate, one.largest) == (other.pair_rate, other.largest)
    assert (one.lone, one.paired) == (other.lone, other.paired)


@ALL
@given(answers=ANSWERS)
def test_equal_answers_are_always_in_one_mode(equivalence, answers):
    labels = group(answers, equivalence).labels.tolist()
    assert len(set(zip(answers, labels, strict=True))) == len(set(answers))


@ALL
@given(answers=ANSWERS, data=st.data())
def test_a_prefix_is_grouped_as_if_it_were_all(equivalence, answers, data):
    first = data.draw(st.integers(0, len(answers)))
    relation = related(answers, equivalence)
    of_prefix, alone = relation.group(first), group(answers[:first], equivalence)
    assert of_prefix.labels.tolist() == alone.labels.tolist()
    assert of_prefix.texts.tolist() == alone.texts.tolist()
    for name in ("hits", "largest", "pair_rate", "lone", "paired", "transitive"):
        assert getattr(of_prefix, name) == getattr(alone, name), name
    assert (of_prefix.alike is None) == (alone.alike is None)
    if of_prefix.alike is not None:
        assert of_prefix.alike.tolist() == alone.alike.tolist()


@ALL
def test_more_than_all_answers_are_all_answers(equivalence):
    relation = related(["a", "b", "a"], equivalence)
    assert relation.group(99).labels.tolist() == relation.group().labels.tolist()


@ALL
@given(answers=ANSWERS)
def test_the_names_of_answers_do_not_matter(equivalence, answers):
    """Words that the table of weights does not list weigh the same: others in their place leave the relation alone."""
    greek, cyrillic = (
        group([answer.translate(str.maketrans(ALPHABETS[0], letters)) for answer in answers], equivalence)
        for letters in ALPHABETS[1:]
    )
    assert greek.labels.tolist() == cyrillic.labels.tolist()
    assert (greek.hits, greek.largest, greek.pair_rate) == (cyrillic.hits, cyrillic.largest, cyrillic.pair_rate)
