"""Thoughts are told apart from answers, and an unfinished thought is no answer."""

import pytest

from collapsecli.reasoning import split_reasoning


@pytest.mark.parametrize(
    ("text", "prompt", "expected"),
    [
        pytest.param("42", "Q:", (None, "42"), id="a plain answer has no thought"),
        pytest.param("<think>Hmm.</think>\n\n42", "Q:", ("Hmm.", "42"), id="a thought stands before the answer"),
        pytest.param("Hmm.</think>42", "Q:<think>\n", ("Hmm.", "42"), id="the template opened the thought"),
        pytest.param("<think>Hmm, let me", "Q:", ("Hmm, let me", ""), id="cut off inside the thought: no answer"),
        pytest.param("Hmm, let me", "Q:<think>", ("Hmm, let me", ""), id="the same, opened by the template"),
        pytest.param("<think></think>42", "Q:", ("", "42"), id="an empty thought is a thought"),
        pytest.param("I say <think> and </think>", "Q:", (None, "I say <think> and </think>"), id="tags in mid-text"),
        pytest.param("a</think>b", "Q:", (None, "a</think>b"), id="a closing tag alone is text"),
        pytest.param("<reasoning>x</reasoning> y", "", ("x", "y"), id="other tags"),
        pytest.param("", "", (None, ""), id="nothing"),
    ],
)
def test_reasoning_is_split_from_the_answer(text, prompt, expected):
    assert split_reasoning(text, prompt) == expected
