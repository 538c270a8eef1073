"""Cells of the second wave begin where what their plain cell says most often is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers import make_cell, make_completion

from collapsecli.branches import is_pending, planned
from collapsecli.records import Branch, LabelsAnswer

WARM = " I met him. We laughed a lot. To the groom!"
PLAIN = make_cell("toast@t1.0", equivalence="exact")


def branch(sentences, text="", plain=PLAIN):
    return make_cell("toast/cut@s1@t1.0", injection="cut", branch=Branch(plain.cell_id, sentences, text))


def drawn(*texts, **changes):
    return [make_completion("toast@t1.0", at, text, **changes) for at, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("sentences", "text", "injected"),
    [
        pytest.param(1, "", " I met him.", id="without the space that the next sentence brings"),
        pytest.param(2, " You are a murderer.", " I met him. We laughed a lot. You are a murderer.", id="with a text"),
    ],
)
def test_a_branch_begins_with_the_modes_first_sentences(sentences, text, injected):
    cell = planned(branch(sentences, text), PLAIN, drawn(" Other. Things. Here.", WARM, WARM))
    assert cell.injected == injected
    assert not is_pending(cell)


def test_a_line_break_before_the_branch_point_stays_and_needs_no_space_after_it():
    cell = planned(branch(1, " Then."), PLAIN, drawn("One.\n\nTwo.", "One.\n\nTwo."))
    assert cell.injected == "One.\n\nThen."


def test_where_the_exemplar_is_too_short_the_earliest_deep_enough_text_of_its_mode_is_cut():
    warm = make_cell("toast@t1.0", answer=LabelsAnswer((("warm", "groom"),)), equivalence="exact")
    texts = ["To the groom!", "A night. A drink. To the groom!", "Hello. There. Dear. Old groom."]
    assert planned(branch(2, plain=warm), warm, drawn(*texts)).injected == "A night. A drink."


def test_nothing_is_left_to_say_after_the_last_sentence_so_it_is_no_branch_point():
    why = planned(branch(3), PLAIN, drawn(WARM, WARM))
    assert why == "what toast@t1.0 says most often has 3 sentences at most"


def test_a_sentence_that_the_limit_cut_off_is_no_place_to_branch():
    cut = drawn("One. Two. Three", "One. Two. Three", finish_reason="length")
    assert planned(branch(1), PLAIN, cut).injected == "One."
    assert isinstance(planned(branch(2), PLAIN, cut), str)


def test_a_plain_cell_without_a_readable_answer_gives_no_branch():
    failed = drawn("", "", error_kind="refused", token_ids=(), logprob=None)
    assert planned(branch(1), PLAIN, failed) == "toast@t1.0 has no readable answer to branch from"


@given(st.permutations(range(6)))
def test_the_order_in_which_completions_came_back_does_not_matter(order):
    rows = drawn(WARM, "One. Two. Three.", WARM, "One. Two. Three.", "A. B. C.", WARM)
    assert planned(branch(2), PLAIN, [rows[at] for at in order]).injected == " I met him. We laughed a lot."
