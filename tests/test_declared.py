"""Declared answers are scored in the form in which a cell says them, and what is known so needs no draws."""

import math
from dataclasses import replace

import pytest
from makers import make_cell

from collapsecli.declared import can_be_scored
from collapsecli.engines import SampleRequest
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.judge import judge, judge_cell
from collapsecli.records import ChoiceAnswer, Expect, IntegerAnswer, Rules, TextAnswer
from collapsecli.scoring import score

DIE = {f" {face}.": 0.02 for face in range(1, 6)} | {" 6.": 0.85, " I cannot roll dice.": 0.05}
FAIR_DIE = Expect("uniform", weights=tuple((str(face), 1 / 6) for face in range(1, 7)))
COIN = Expect("uniform", weights=(("heads", 0.5), ("tails", 0.5)))


def die(**changes):
    return replace(
        make_cell("die@t1.0", answer=IntegerAnswer(1, 6), expect=FAIR_DIE, samples=16, max_tokens=16), **changes
    )


def drawn(engine, cell, n=16):
    return list(engine.sample([SampleRequest(cell, 1 << 20, tuple(range(n)))]))


def test_every_declared_answer_is_scored_with_its_exact_probability():
    engine, cell = ScriptedEngine(Script("dice", {"die": DIE})), die()
    scored = list(score(engine, [(cell, drawn(engine, cell))]))
    assert [one.answer for one in scored] == ["1", "2", "3", "4", "5", "6"]
    assert [one.text for one in scored] == [f" {face}." for face in range(1, 7)]
    masses = [math.exp(math.fsum(one.token_logprobs)) for one in scored]
    assert masses == pytest.approx([0.02] * 5 + [0.85])


def test_scores_settle_a_cell_that_its_draws_leave_open():
    answers = {f" {face}.": 0.02 for face in range(1, 5)} | {" 5.": 0.4, " 6.": 0.5, " No.": 0.02}
    engine, cell = ScriptedEngine(Script("dice", {"die": answers})), die()
    completions = drawn(engine, cell, 2)
    cell = replace(cell, sampling=replace(cell.sampling, samples=2))
    alone = judge_cell(cell, [replace(one, logprob_kind=None) for one in completions], Rules())
    assert (alone.verdict, alone.flag) == ("undecided", "open")
    scored = list(score(engine, [(cell, completions)]))
    result = judge([(cell, completions)], lambda _: Rules(), {cell.cell_id: scored})[0]
    assert result.verdict == "not_collapsed"  # at most .52 / 1, below the threshold of a die, .583
    assert result.flag == "expected"
    assert result.metric("scored_mass").value == pytest.approx(0.98)
    assert result.metric("mode_mass_certain").low == pytest.approx(0.5)
    assert result.metric("mode_mass_certain").high == pytest.approx(0.52)
    # What the declared answers do not hold is unreadable or not; the truth lies within either way.
    distance = result.metric("total_variation_certain")
    truth = sum(max(mass - 1 / 6, 0) for mass in (0.5 / 0.98, 0.4 / 0.98))
    assert distance.low - 1e-9 <= truth <= distance.high + 1e-9


def test_a_scored_favourite_is_flagged_with_a_p_value_of_nothing():
    engine, cell = ScriptedEngine(Script("dice", {"die": DIE})), die()
    completions = drawn(engine, cell)
    scored = list(score(engine, [(cell, completions)]))
    result = judge([(cell, completions)], lambda _: Rules(), {cell.cell_id: scored})[0]
    assert (result.verdict, result.flag, result.p_value) == ("collapsed", "flagged", 0.0)
    six = next(mode for mode in result.modes if mode.text == "6")
    assert six.probability.low <= 0.85 / 0.95 + 1e-9
    assert six.probability.high >= 0.85 / 0.95 - 1e-9


def test_the_form_keeps_capitals_and_choices_that_the_model_writes_its_own_way():
    engine = ScriptedEngine(Script("coins", {"coin": {" Heads!": 0.6, " Tails!": 0.4}}))
    cell = make_cell("coin@t1.0", answer=ChoiceAnswer(("heads", "tails")), expect=COIN, samples=16)
    scored = list(score(engine, [(cell, drawn(engine, cell))]))
    assert [(one.text, round(math.exp(math.fsum(one.token_logprobs)), 6)) for one in scored] == [
        (" Heads!", 0.6),
        (" Tails!", 0.4),
    ]


def test_an_answer_that_the_model_never_says_in_that_form_is_left_out():
    engine = ScriptedEngine(Script("dice", {"die": {" 6.": 0.5, " three": 0.5}}))
    cell = die()
    assert [one.answer for one in score(engine, [(cell, drawn(engine, cell))])] == ["6"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"expect": Expect()}, id="nothing declared"),
        pytest.param({"answer": TextAnswer()}, id="free text has many forms"),
        pytest.param({"sampling": replace(die().sampling, temperature=0.7)}, id="another temperature"),
        pytest.param({"sampling": replace(die().sampling, top_p=0.9)}, id="a cut distribution"),
        pytest.param({"expect": Expect("uniform", weights=tuple((str(k), 1 / 2000) for k in range(2000)))}, id="many"),
    ],
)
def test_only_what_the_untouched_model_draws_and_can_be_listed_is_scored(changes):
    assert can_be_scored(die())
    assert not can_be_scored(die(**changes))


def test_what_was_scored_is_read_again_as_the_suite_reads_now():
    engine, cell = ScriptedEngine(Script("dice", {"die": DIE})), die()
    completions = drawn(engine, cell)
    scored = list(score(engine, [(cell, completions)]))
    three = Expect("uniform", weights=tuple((str(face), 1 / 3) for face in range(1, 4)))
    narrower = replace(cell, answer=IntegerAnswer(1, 3), expect=three)
    result = judge([(narrower, completions)], lambda _: Rules(), {cell.cell_id: scored})[0]
    assert result.metric("scored_mass").value == pytest.approx(0.06)


def test_a_form_without_an_end_and_an_answer_with_a_stop_string_are_not_scored():
    engine, cell = ScriptedEngine(Script("dice", {"die": DIE})), die()
    endless = [replace(one, token_ids=one.token_ids[:-1]) for one in drawn(engine, cell)]
    assert list(score(engine, [(cell, endless)])) == []
    stopping = die(sampling=replace(cell.sampling, stop=("6",)))
    assert "6" not in [one.answer for one in score(engine, [(stopping, drawn(engine, cell))])]


def test_a_cell_without_a_single_readable_answer_has_no_form():
    engine = ScriptedEngine(Script("dice", {"die": {" No.": 1.0}}))
    cell = die()
    assert list(score(engine, [(cell, drawn(engine, cell))])) == []
