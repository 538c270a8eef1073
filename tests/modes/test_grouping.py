import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.modes import GROUPERS, canonical, group

ANSWERS = st.lists(st.sampled_from(["a b c", "a b d", "x y", "x", "", "🎲", "a b c d e f"]), max_size=24)
BOTH = pytest.mark.parametrize("equivalence", GROUPERS)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        pytest.param("  Okapi ", "okapi", id="space and case"),
        pytest.param("Okapi.", "okapi", id="a final period"),
        pytest.param("**Okapi.**", "okapi", id="a period within markup"),
        pytest.param('"Okapi".', "okapi", id="a period after quotes"),
        pytest.param("\u201cOkapi\u201d", "okapi", id="curly quotes"),
        pytest.param("# Title", "title", id="a heading"),
        pytest.param("> quoted", "quoted", id="a quotation"),
        pytest.param("an\n\n  okapi", "an okapi", id="line breaks are spaces"),
        pytest.param("\uff21\uff22", "ab", id="full-width letters"),
        pytest.param("wait...", "wait...", id="an ellipsis is no final period"),
        pytest.param("C#", "c#", id="a number sign at the end belongs to the name"),
        pytest.param("don't", "don't", id="inner quotes stay"),
        pytest.param("***", "***", id="markup alone stays"),
        pytest.param(".", ".", id="a period alone stays"),
        pytest.param("", "", id="nothing"),
        pytest.param("🎲", "🎲", id="symbols stay"),
    ],
)
def test_canonical_form(text, form):
    assert canonical(text) == form


@given(st.text(st.characters(codec="utf-8")))
def test_the_canonical_form_is_its_own_canonical_form(text):
    assert canonical(canonical(text)) == canonical(text)


@BOTH
def test_no_answers_have_no_modes(equivalence):
    nothing = group([], equivalence)
    assert (len(nothing.labels), nothing.hits, nothing.largest, nothing.pair_rate) == (0, 0, 0, None)


@BOTH
def test_one_answer_has_no_pairs(equivalence):
    one = group(["x"], equivalence)
    assert (one.labels.tolist(), one.hits, one.largest, one.pair_rate) == ([0], 0, 1, None)


@BOTH
def test_equal_answers_are_one_mode(equivalence):
    same = group(["x"] * 5, equivalence)
    assert (same.labels.tolist(), same.hits, same.largest, same.pair_rate) == ([0] * 5, 4, 5, 1.0)


@BOTH
@given(answers=ANSWERS)
def test_bounds(equivalence, answers):
    found = group(answers, equivalence)
    n = len(answers)
    assert 0 <= found.hits <= max(found.largest - 1, 0), "each hit adds one to the largest count"
    assert found.largest <= n
    assert found.pair_rate is None or 0 <= found.pair_rate <= 1
    assert sorted(set(found.labels.tolist())) == list(range(len(set(found.labels.tolist()))))


@BOTH
@given(answers=ANSWERS, data=st.data())
def test_pair_rate_and_largest_do_not_depend_on_the_order(equivalence, answers, data):
    shuffled = data.draw(st.permutations(answers))
    one, other = group(answers, equivalence), group(shuffled, equivalence)
    assert (one.pair_rate, one.largest) == (other.pair_rate, other.largest)


@BOTH
@given(answers=ANSWERS)
def test_the_names_of_answers_do_not_matter(equivalence, answers):
    """Other letters for the same letters: the relation stays."""
    renamed = [answer.translate(str.maketrans("abcdefxy", "ghijklvw")) for answer in answers]
    one, other = group(answers, equivalence), group(renamed, equivalence)
    assert one.labels.tolist() == other.labels.tolist()
    assert (one.hits, one.largest, one.pair_rate) == (other.hits, other.largest, other.pair_rate)


@BOTH
@given(answers=ANSWERS)
def test_equal_answers_are_always_in_one_mode(equivalence, answers):
    labels = group(answers, equivalence).labels.tolist()
    assert len(set(zip(answers, labels, strict=True))) == len(set(answers))
