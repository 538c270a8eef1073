"""Cells side by side: the same question at every step, and never two different ones in a row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers import make_cell
from trend_makers import collapsing, make_result, make_step, make_trend

from collapsecli.errors import UsageError
from collapsecli.records import Branch, ChoiceAnswer, Expect, Message
from collapsecli.trends import trend_of
from collapsecli.trends.alignment import differing


@pytest.mark.parametrize(
    ("shares", "first", "stays"),
    [
        pytest.param((0.1, 0.1), None, False, id="never"),
        pytest.param((0.1, 0.9, 0.9), 1, True, id="from the second step on"),
        pytest.param((0.9, 0.1, 0.9), 0, False, id="at once, and once not"),
        pytest.param((0.1, 0.9, None), 1, True, id="a step without the cell says nothing"),
        pytest.param((None, 0.9, 0.5), 1, False, id="not asked at first, open at last"),
        pytest.param((0.1, 0.1, 0.9), 2, True, id="at the last step"),
    ],
)
def test_the_first_collapse_is_the_first_verdict_and_stays_if_all_later_ones_agree(shares, first, stays):
    trend = make_trend(shares, other=(0.1,) * len(shares))
    cell = next(cell for cell in trend.cells if cell.question == "cell@t1.0")
    assert (cell.first_collapsed, cell.stays) == (first, stays)
    assert [result is not None for result in cell.results] == [share is not None for share in shares]


BASE = make_cell()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        pytest.param({"text": "Q: Toss a coin.\nA:"}, ("prompt",), id="other words"),
        pytest.param({"text": None, "messages": (Message("user", "Flip."),)}, ("prompt",), id="a chat"),
        pytest.param({"injected": " Well,"}, ("prompt",), id="an injection"),
        pytest.param({"sampling": replace(BASE.sampling, top_p=0.9)}, ("sampling",), id="another cut"),
        pytest.param({"sampling": replace(BASE.sampling, max_tokens=7)}, ("sampling",), id="another length"),
        pytest.param({"answer": ChoiceAnswer(("a", "b"))}, ("answer",), id="read otherwise"),
        pytest.param({"equivalence": "exact"}, ("equivalence",), id="another equivalence"),
        pytest.param({"threshold": 0.4}, ("equivalence",), id="another threshold"),
        pytest.param({"reasoning": "off"}, ("reasoning",), id="without thinking"),
        pytest.param({"text": "x", "threshold": 0.4}, ("prompt", "equivalence"), id="two things"),
        pytest.param({"sampling": replace(BASE.sampling, samples=7, adaptive=True)}, (), id="how many draws"),
        pytest.param({"model": "other", "adapter": "lora", "cell_id": "coin@t1.0#other"}, (), id="another model"),
        pytest.param({"expect": Expect("none"), "tags": ("a",)}, (), id="what is expected"),
    ],
)
def test_two_cells_are_the_same_question_if_they_ask_and_sample_the_same(changes, what):
    assert differing(BASE, replace(BASE, **changes)) == what
    assert differing(replace(BASE, **changes), BASE) == what


def test_a_branch_point_is_the_same_place_whatever_the_plain_cell_said():
    one, other = (make_cell(branch=Branch("plain", 2), injected=said) for said in (" Love.", " Hate."))
    assert differing(one, other) == ()
    assert differing(one, replace(other, branch=Branch("plain", 3))) == ("prompt",)


def test_a_cell_that_asks_otherwise_is_left_out_where_it_does_and_a_note_says_in_what():
    results = [[make_result(collapsing(0.9), text=text)] for text in ("a", "b", "a")]
    trend = trend_of([(make_step(name), of_step) for name, of_step in zip("xyz", results, strict=True)], 0.05)
    assert [result is None for result in trend.cells[0].results] == [False, True, False]
    assert "left out at y, since they ask or sample otherwise than before: coin@t1.0 (prompt)" in trend.notes
    assert "1 of 1 cells are not at every step, and in no mean" in trend.notes
    assert trend.overall == {}


def test_cells_of_several_models_are_one_question():
    results = [
        make_result(collapsing(0.5), f"coin@t1.0#{model}", model=model, prompt_id="coin") for model in ("a", "b")
    ]
    trend = trend_of([(make_step(name), [result]) for name, result in zip("ab", results, strict=True)], 0.05)
    assert [cell.question for cell in trend.cells] == ["coin@t1.0"]
    assert None not in trend.cells[0].results


def test_what_is_missing_or_expected_otherwise_is_said():
    before = [make_result(collapsing(0.9)), make_result(collapsing(0.1), "die@t1.0")]
    after = [make_result(collapsing(0.9), expect=Expect("concentrated"))]
    trend = trend_of([(make_step("x"), before), (make_step("y"), after)], 0.05)
    assert "not asked at y: die@t1.0" in trend.notes
    assert any(note.startswith("something else is expected at some steps") for note in trend.notes)


def test_draws_of_which_nothing_is_known_are_counted_step_by_step():
    answer = ChoiceAnswer(("Heads", "Tails"))
    steps = [
        (make_step("x"), [make_result([" Heads."] * 20, answer=answer)]),
        (make_step("y"), [make_result([" Heads."] * 12 + [" Who knows."] * 3, answer=answer, lost=5)]),
    ]
    assert trend_of(steps, 0.05).notes[-1] == "y: 5 lost, 3 unreadable of 20 completions"


def test_a_step_whose_probabilities_cannot_be_true_is_not_to_be_trusted():
    result = make_result(collapsing(0.5))
    steps = [(make_step("x"), [result]), (make_step("y"), [replace(result, broken="they sum to 1.6")])]
    assert trend_of(steps, 0.05).notes == (
        "y: log-probabilities cannot be true (1 of 1 cells): do not trust this step",
    )


def test_steps_without_a_cell_in_common_are_no_trend():
    steps = [(make_step(name), [make_result([" a"] * 9, f"{name}@t1.0")]) for name in "xy"]
    with pytest.raises(UsageError, match="no cell in common"):
        trend_of(steps, 0.05)


@given(st.lists(st.lists(st.sampled_from([None, 0.05, 0.5, 1.0]), min_size=3, max_size=3), min_size=1, max_size=4))
def test_every_question_has_one_row_with_a_place_for_every_step(rows):
    named = {f"q{k}": row for k, row in enumerate(rows) if any(share is not None for share in row)}
    trend = make_trend((0.5,) * 3, **named)
    assert [cell.question for cell in trend.cells if cell.question != "cell@t1.0"] == sorted(
        (f"{name}@t1.0" for name in named),
        key=lambda question: next(
            (k, question) for k, share in enumerate(named[question.partition("@")[0]]) if share is not None
        ),
    )
    assert all(len(cell.results) == 3 for cell in trend.cells)
    for cell in trend.cells:
        verdicts = [result and result.verdict for result in cell.results]
        assert cell.first_collapsed == (verdicts.index("collapsed") if "collapsed" in verdicts else None)
