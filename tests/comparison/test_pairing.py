"""Cells are paired by what they ask; what else differs is told, all of it, by name."""

import pytest
from makers import make_cell

from collapsecli.comparison.pairing import pairs, unlike
from collapsecli.records import Branch, ChoiceAnswer, EngineInfo, Message

VLLM = EngineInfo("vllm", "1", "m", {"chat_template": "abc"})
IMPORT = EngineInfo("imported", "plain", "m", {})


def test_the_same_question_to_another_model_is_a_pair():
    base, run = make_cell("coin@t1.0#base", model="base"), make_cell("coin@t1.0#tuned", model="tuned")
    assert [pair.run for pair in pairs([base], [make_cell("die@t1.0"), run])] == [run]
    assert unlike([base], [run], VLLM, VLLM) == []


def test_a_suite_of_another_name_with_the_same_prompts_is_the_same_suite():
    assert pairs([make_cell(suite="old")], [make_cell(suite="new")])


def test_among_several_suites_cells_are_paired_within_their_own():
    base = [make_cell(suite="a"), make_cell(suite="b")]
    run = [make_cell(suite="b"), make_cell(suite="c")]
    assert [(pair.base.suite, pair.run.suite) for pair in pairs(base, run)] == [("b", "b")]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"text": "Q: Roll a die.\nA:"}, "asks something else", id="the prompt"),
        pytest.param({"text": None, "messages": (Message("user", "x"),)}, "asks something else", id="a chat"),
        pytest.param({"injected": " You are."}, "asks something else", id="the injection"),
        pytest.param({"temperature": 0.7}, "temperature 1.0 in the base, 0.7 in the run", id="temperature"),
        pytest.param({"top_p": 0.9}, "top_p 1.0 in the base, 0.9 in the run", id="top_p"),
        pytest.param({"max_tokens": 9}, "max_tokens 128 in the base, 9 in the run", id="max_tokens"),
        pytest.param({"stop": ("\n",)}, "stop", id="stop"),
        pytest.param({"answer": ChoiceAnswer(("a", "b"))}, "answers are read otherwise", id="the reader"),
        pytest.param({"equivalence": "exact"}, "answers are the same if lexical in the base, exact", id="equivalence"),
        pytest.param({"threshold": 0.4}, "answers are the same if lexical in the base, lexical=0.4", id="threshold"),
        pytest.param({"reasoning": "keep"}, "reasoning: strip in the base, keep in the run", id="reasoning"),
    ],
)
def test_whatever_changes_what_is_drawn_or_read_is_told(changes, said):
    (line,) = unlike([make_cell()], [make_cell(**changes)], VLLM, VLLM)
    assert line.startswith(said)
    assert line.endswith(": coin@t1.0")


def test_another_number_of_draws_is_no_difference():
    assert unlike([make_cell(samples=16)], [make_cell(samples=512, adaptive=True)], VLLM, VLLM) == []


def test_cells_that_one_side_lacks_are_named_by_side():
    base, run = [make_cell(), *(make_cell(f"p{n}@t1.0") for n in range(6))], [make_cell(), make_cell("new@t1.0")]
    assert unlike(base, run, VLLM, VLLM) == [
        "only in the base: p0@t1.0, p1@t1.0, p2@t1.0, p3@t1.0 and 2 more",
        "only in the run: new@t1.0",
    ]


def test_a_chat_by_another_template_is_another_question_and_a_text_is_not():
    other = EngineInfo("vllm", "1", "m", {"chat_template": "xyz"})
    chat = make_cell(text=None, messages=(Message("user", "x"),))
    assert unlike([chat], [chat], VLLM, other) == ["another chat template: coin@t1.0"]
    assert unlike([make_cell()], [make_cell()], VLLM, other) == []


def test_of_imported_completions_only_the_temperature_is_known():
    base, run = make_cell(max_tokens=5, top_p=0.5), make_cell()
    assert unlike([base], [run], IMPORT, VLLM) == []
    assert unlike([base], [make_cell(temperature=0.5)], IMPORT, VLLM) != []


def test_where_a_branch_begins_is_the_models_own_affair_and_where_it_leaves_is_not():
    base = make_cell("p/x@t1.0", branch=Branch("p@t1.0", 2, " No."), injected="One thing. No.")
    assert (
        unlike([base], [make_cell("p/x@t1.0", branch=Branch("p@t1.0", 2, " No."), injected="Else. No.")], None, None)
        == []
    )
    assert (
        unlike([base], [make_cell("p/x@t1.0", branch=Branch("p@t1.0", 3, " No."), injected="Else. No.")], None, None)
        != []
    )
