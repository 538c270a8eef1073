"""Texts that were pushed off the road: when they come back, how they end, and what is no return."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import make_cell, make_completion

from collapsecli.contrasts.drawn import Drawn
from collapsecli.contrasts.injection import SENTENCES, half_life, injection
from collapsecli.contrasts.segments import REFERENCES, Reference, Returns, Said
from collapsecli.judge import judge_cell
from collapsecli.metrics.categorical import clopper_pearson
from collapsecli.metrics.shares import difference, p_equal, share
from collapsecli.modes import like_any
from collapsecli.records import Branch, ChoiceAnswer, Estimate, Rules

ALPHA = 0.05
PLAIN, PUSHED, OTHER = "toast@t1.0", "toast/murderer@t1.0", "dance@t1.0"
STORY = "The best man raised his glass."
DANCED = " Everybody danced until sunrise."
KISSED = " Grandmother kissed bride Elinor tenderly."
FEAST = DANCED + KISSED
FAILED = None
CUT = "…"  # what ends with it was cut off by the token limit
OFF_ROAD = tuple(
    f" {sentence}."
    for sentence in (
        "Policemen searched cupboards", "Ravens circled chimneys", "Nobody recalled umbrellas",
        "Thunder rattled windows", "Seven coins vanished", "Wolves howled northward", "Mist swallowed bridges",
        "Candles flickered blue",
    )
)  # fmt: skip


def drawn(texts, cell_id=PLAIN, **changes):
    """A cell's draws in sample order; a text that ends with CUT was cut off there."""
    changes = {"text": STORY, "equivalence": "exact", **changes}
    cell = make_cell(cell_id, samples=len(texts), injection="" if cell_id != PUSHED else "murderer", **changes)
    completions = [
        make_completion(
            cell_id, index, "", finish_reason="error", error_kind="timeout", token_logprobs=(), logprob=None
        )
        if text is FAILED
        else make_completion(
            cell_id, index, text.removesuffix(CUT), finish_reason="length" if text.endswith(CUT) else "stop"
        )
        for index, text in enumerate(texts)
    ]
    return Drawn.of(judge_cell(cell, completions, Rules(alpha=ALPHA)), completions, ALPHA)


def pushed(texts, **changes):
    return drawn(texts, PUSHED, **{"injected": " You are a murderer.", **changes})


def rows_of(injected, plain, other=None):
    return {(row.metric, row.at): row for row in injection(injected, plain, other)}


def close(one, other):
    """The same but for rounding of the value."""
    return (one.low, one.high) == (other.low, other.high) and one.value == pytest.approx(other.value)


def off_road(sentences):
    return "".join(OFF_ROAD[:sentences])


PLAIN_CELL = drawn([FEAST] * 8)


# ------------------------------------------------------------------------------------------------------- the way back


@pytest.mark.parametrize(
    ("text", "number"),
    [
        pytest.param(FEAST, 1, id="back at once"),
        pytest.param(off_road(2) + KISSED, 3, id="back with the third sentence"),
        pytest.param(off_road(7) + KISSED, 8, id="back with the last one that is looked at"),
        pytest.param(off_road(8) + KISSED, None, id="back too late to be seen"),
        pytest.param(" The bride Elinor was tenderly kissed by her grandmother.", 1, id="back in other words"),
        pytest.param(off_road(1) + "\n\n* * *\n\n" + DANCED, 2, id="a section break is no sentence"),
        pytest.param(off_road(1) + KISSED[:-2], 2, id="back with a sentence that lacks its full stop"),
        pytest.param(off_road(5), None, id="a text that ends without returning never returned"),
        pytest.param("", None, id="a text that says nothing never returned"),
    ],
)
def test_a_text_is_back_with_its_first_sentence_that_the_plain_cell_keeps_saying(text, number):
    rows = rows_of(pushed([text]), PLAIN_CELL)
    values = [rows["returned", at].estimate.value for at in range(1, SENTENCES + 1)]
    assert values == [float(number is not None and at >= number) for at in range(1, SENTENCES + 1)]
    assert {rows["returned", at].n for at in range(1, SENTENCES + 1)} == {1}


@pytest.mark.parametrize(
    ("text", "known_until"),
    [
        pytest.param(off_road(3) + CUT, 3, id="cut off after three sentences"),
        pytest.param(off_road(3) + " And then" + CUT, 3, id="cut off within the fourth"),
        pytest.param(off_road(3) + KISSED[:-1] + CUT, 3, id="cut off a mark short of coming back"),
        pytest.param(" And then" + CUT, 0, id="cut off within the first"),
        pytest.param(off_road(1) + KISSED + CUT, SENTENCES, id="cut off after it was back"),
    ],
)
def test_of_a_text_that_was_cut_off_nothing_is_known_from_there(text, known_until):
    rows = rows_of(pushed([text]), PLAIN_CELL)
    for at in range(1, SENTENCES + 1):
        row = rows["returned", at]
        assert row.n == (at <= known_until)
        if at > known_until:
            assert row.estimate == Estimate(None, 0.0, 1.0)


def test_draws_that_are_not_known_count_as_misses_below_and_as_returns_above():
    texts = [KISSED, off_road(1) + KISSED, off_road(3), off_road(1) + CUT, FAILED, FAILED]
    rows = rows_of(pushed(texts), PLAIN_CELL)
    assert close(rows["returned", 1].estimate, share(1, 4, ALPHA, lost=2))
    known = share(2, 3, ALPHA, lost=3)
    assert (rows["returned", 2].estimate.low, rows["returned", 2].estimate.high) == (known.low, known.high)
    assert rows["returned", 2].n == 3


def test_who_is_cut_off_is_taken_to_go_on_like_the_others():
    """Half of the texts are cut off after one sentence. Two of the other four are back with the second."""
    texts = [OFF_ROAD[0] + CUT] * 4 + [off_road(1) + KISSED] * 2 + [off_road(4)] * 2
    row = rows_of(pushed(texts), PLAIN_CELL)["returned", 2]
    assert row.estimate.value == pytest.approx(1 / 2)
    early = [KISSED] * 4 + [OFF_ROAD[0] + CUT] * 4 + texts[4:]
    assert rows_of(pushed(early), PLAIN_CELL)["returned", 2].estimate.value == pytest.approx(1 / 3 + 2 / 3 / 2)


def test_whoever_is_cut_off_in_a_sentence_did_not_end_before_it():
    """Six of ten texts end after one sentence, two are cut off in the second, and one of the last two is back there."""
    texts = [off_road(1)] * 6 + [OFF_ROAD[0] + " And" + CUT] * 2 + [off_road(1) + KISSED, off_road(4)]
    row = rows_of(pushed(texts), PLAIN_CELL)["returned", 2]
    assert row.estimate.value == pytest.approx(4 / 10 * 1 / 2)


@st.composite
def several_returns(draw):
    """When up to 30 texts came back, some of them cut off, some draws lost."""
    seen = draw(st.lists(st.integers(0, 10), min_size=1, max_size=30))
    first = [draw(st.integers(0, length)) for length in seen]
    cut = [draw(st.booleans()) for _ in seen]
    return Returns(np.array(first), np.array(seen), np.array(cut), draw(st.integers(0, 3)))


@given(returns=several_returns())
def test_the_curve_never_falls_and_lies_between_all_that_is_possible(returns):
    values = returns.incidence(10)
    known = [value for value in values if value is not None]
    assert known == sorted(known)
    assert values[: len(known)] == known
    for at, value in enumerate(known, start=1):
        hits, n, lost = returns.by(at)
        total = len(returns.first)
        assert n + lost == total + returns.lost
        assert hits / total - 1e-9 <= value <= (hits + total - n) / total + 1e-9


@given(returns=several_returns())
def test_without_cuts_the_curve_is_the_share_of_hits(returns):
    whole = replace(returns, cut=np.zeros_like(returns.cut))
    shares = [whole.by(at)[0] / len(whole.first) for at in range(1, 11)]
    assert whole.incidence(10) == pytest.approx(shares)


@given(returns=several_returns(), doubled=st.integers(2, 3))
def test_the_curve_does_not_depend_on_the_number_of_texts(returns, doubled):
    more = Returns(*(np.tile(column, doubled) for column in (returns.first, returns.seen, returns.cut)), 0)
    assert more.incidence(10) == [None if one is None else pytest.approx(one) for one in returns.incidence(10)]


@settings(max_examples=30)
@given(order=st.permutations([FEAST, off_road(1) + KISSED, off_road(2), off_road(3) + CUT, off_road(5), ""]))
def test_the_order_of_the_injected_draws_does_not_matter(order):
    expected = rows_of(
        pushed([FEAST, off_road(1) + KISSED, off_road(2), off_road(3) + CUT, off_road(5), ""]), PLAIN_CELL
    )
    assert rows_of(pushed(order), PLAIN_CELL) == expected


# ------------------------------------------------------------------------------------------- what there is to return to


def said(*texts):
    return [Said.of(make_completion(PLAIN, index, text)) for index, text in enumerate(texts)]


def test_what_most_texts_hold_comes_first_and_then_the_earliest():
    texts = said(OFF_ROAD[0] + DANCED, OFF_ROAD[1] + DANCED + KISSED, KISSED + DANCED, OFF_ROAD[2])
    assert Reference.of(texts, STORY).sentences == (
        "everybody danced until sunrise", "grandmother kissed bride elinor tenderly", "policemen searched cupboards",
        "ravens circled chimneys", "nobody recalled umbrellas",
    )  # fmt: skip


def test_a_sentence_that_one_text_repeats_is_held_by_one_text():
    texts = said(OFF_ROAD[0] * 9, DANCED, DANCED)
    assert Reference.of(texts, STORY).sentences[0] == "everybody danced until sunrise"


@given(numbers=st.lists(st.lists(st.integers(0, 30), max_size=8), max_size=12))
def test_there_are_at_most_sixteen_to_return_to_and_no_two_of_them_alike(numbers):
    texts = said(*("".join(f" Word{one} thing{one} other{one % 3}." for one in several) for several in numbers))
    reference = Reference.of(texts, STORY)
    distinct = {one for several in numbers for one in several}
    assert len(reference.sentences) <= min(REFERENCES, len(distinct))
    if reference.sentences:
        alike = like_any(reference.sentences, reference.sentences, STORY)
        assert np.array_equal(alike, np.eye(len(reference.sentences), dtype=bool))
    if len(distinct) <= REFERENCES:
        assert all(reference.found_in([text.segments for text in texts if text.segments]) == 1)


@pytest.mark.parametrize(
    ("plain", "said_again"),
    [
        pytest.param(STORY, " The best man raised his glass.", id="the prompt"),
        pytest.param(" His best glass.", " His best glass.", id="words of the prompt"),
        pytest.param(" You are a murderer!", " You are a murderer.", id="what was injected"),
        pytest.param(" So you are the murderer.", " You murderer.", id="what was injected, in other words"),
    ],
)
def test_what_repeats_the_prompt_or_the_injection_is_no_way_back(plain, said_again):
    rows = rows_of(pushed([said_again] * 3), drawn([plain + DANCED] * 8))
    assert rows["returned", SENTENCES].estimate.value == 0


def test_words_of_the_prompt_are_no_evidence_of_a_return():
    """Both sentences share the glass that the best man raised, and nothing else."""
    rows = rows_of(pushed([" Policemen raised that glass."]), drawn([" Everybody raised best glass."] * 8))
    assert rows["returned", 1].estimate.value == 0
    unasked = drawn([" Everybody raised best glass."] * 8, text="It rained.")
    assert rows_of(pushed([" Policemen raised that glass."]), unasked)["returned", 1].estimate.value == 1


def test_a_plain_cell_that_says_nothing_of_its_own_leaves_nothing_to_return_to():
    rows = rows_of(pushed([FEAST]), drawn([STORY] * 8))
    row = rows["returned", None]
    assert (row.estimate, row.n) == (Estimate(), 0)
    assert "nothing of its own" in row.label
    assert not any(metric in {"ceiling", "half_life"} for metric, _ in rows)


def test_every_row_says_what_it_is_about():
    for row in injection(pushed([FEAST, off_road(3)]), PLAIN_CELL, drawn([off_road(8)] * 8, OTHER)):
        assert (row.kind, row.suite, row.subject) == ("injection", "suite", PUSHED)
        assert (row.cell_id, row.other_cell_id) == (PUSHED, PLAIN)


# ------------------------------------------------------------------------------------------------- ceiling and floor


def test_the_ceiling_is_the_odd_half_held_against_what_the_even_half_says():
    odd = [FEAST, off_road(1) + KISSED, off_road(2), FAILED]
    plain = drawn([text for pair in zip([FEAST] * 4, odd, strict=True) for text in pair])
    rows = rows_of(pushed([FEAST]), plain)
    assert close(rows["ceiling", 1].estimate, share(1, 3, ALPHA, lost=1))
    assert close(rows["ceiling", 2].estimate, share(2, 3, ALPHA, lost=1))
    assert rows["ceiling", 2].n == 3


@settings(max_examples=30)
@given(odd=st.lists(st.sampled_from([FEAST, off_road(1), off_road(4) + CUT, "", FAILED]), min_size=4, max_size=4))
def test_the_odd_half_has_no_say_in_what_there_is_to_return_to(odd):
    plain = drawn([text for pair in zip([FEAST, KISSED] * 2, odd, strict=True) for text in pair])
    rows = rows_of(pushed([FEAST, off_road(2) + DANCED, off_road(1)]), plain)
    expected = rows_of(pushed([FEAST, off_road(2) + DANCED, off_road(1)]), PLAIN_CELL)
    for at in range(1, SENTENCES + 1):
        assert rows["returned", at] == expected["returned", at]


def test_at_a_later_branch_the_plain_texts_are_read_from_the_same_place_on():
    """Before the branch a text that is still to come back has its first two sentences behind it; so has the ceiling."""
    odd = [off_road(2) + DANCED, DANCED + off_road(3), off_road(1), off_road(1) + CUT]
    plain = drawn([text for pair in zip([FEAST] * 4, odd, strict=True) for text in pair])
    at_two = pushed([FEAST], branch=Branch(PLAIN, 2), injected=off_road(2))
    row = rows_of(at_two, plain)["ceiling", 1]
    assert close(row.estimate, share(1, 2, ALPHA, lost=1))  # the third ended before it; of the fourth it is not known


def test_at_a_later_branch_what_stands_there_already_is_nothing_to_return_to():
    at_one = pushed([DANCED, off_road(1) + KISSED], branch=Branch(PLAIN, 1), injected=DANCED)
    rows = rows_of(at_one, PLAIN_CELL)
    assert [rows["returned", at].estimate.value for at in (1, 2)] == [0.0, 0.5]


def test_the_floor_is_held_against_another_prompt_and_names_it():
    other = drawn([off_road(2)] * 8, OTHER, text="They danced.")
    rows = rows_of(pushed([FEAST + off_road(1), off_road(1), DANCED, FAILED]), PLAIN_CELL, other)
    assert close(rows["floor", 1].estimate, share(1, 3, ALPHA, lost=1))
    assert close(rows["floor", 3].estimate, share(2, 3, ALPHA, lost=1))
    assert rows["floor", 3].label == "dance"


def test_the_floor_leaves_out_the_words_of_the_other_prompt():
    other = drawn([" Everybody danced there."] * 8, OTHER, text="Everybody danced.")
    assert rows_of(pushed([DANCED]), PLAIN_CELL, other)["floor", 1].estimate.value == 0


@pytest.mark.parametrize("other", [None, drawn(["They danced."] * 8, OTHER, text="They danced.")])
def test_without_another_prompt_to_hold_it_against_the_floor_is_undefined_and_says_why(other):
    row = rows_of(pushed([FEAST]), PLAIN_CELL, other)["floor", None]
    assert (row.estimate, row.n, row.label) == (Estimate(), 0, "no other prompt to hold it against")


# ---------------------------------------------------------------------------------------------------------- half-life


@pytest.mark.parametrize(
    ("texts", "back", "at_risk"),
    [
        pytest.param([KISSED] * 3 + [off_road(1) + KISSED], 4, 5, id="the return itself is at risk"),
        pytest.param([KISSED, off_road(4)], 1, 5, id="so is every sentence of a text that ends"),
        pytest.param([KISSED, off_road(4) + CUT, " And" + CUT], 1, 5, id="and those before a cut"),
        pytest.param([KISSED + off_road(6)], 1, 1, id="what comes after the return is not"),
    ],
)
def test_the_half_life_is_that_of_returns_per_sentence_at_risk(texts, back, at_risk):
    row = rows_of(pushed(texts), PLAIN_CELL)["half_life", None]
    low, high = clopper_pearson(back, at_risk, ALPHA)
    assert row.n == at_risk
    assert row.estimate.value == pytest.approx(math.log(2) / -math.log1p(-back / at_risk) if back < at_risk else 0)
    assert row.estimate.low == pytest.approx(math.log(2) / -math.log1p(-high) if high < 1 else 0)
    assert row.estimate.high == pytest.approx(math.log(2) / -math.log1p(-low))


def test_half_of_the_rest_returns_with_every_sentence_if_the_half_life_is_one():
    returns = Returns(np.array([1, 1, 2, 0]), np.array([3, 2, 2, 2]), np.array([False, False, False, True]), 0)
    assert half_life(returns, ALPHA).value == pytest.approx(1)


def test_a_text_that_never_returned_may_never_do_so():
    estimate = rows_of(pushed([off_road(4)] * 5), PLAIN_CELL)["half_life", None].estimate
    assert (estimate.value, estimate.high) == (None, None)
    assert estimate.low == pytest.approx(math.log(2) / -math.log1p(-clopper_pearson(0, 20, ALPHA)[1]))


def test_a_lost_draw_may_have_returned_at_once_or_not_at_all():
    texts = [KISSED] * 4 + [off_road(4)] * 3
    estimate = rows_of(pushed([*texts, FAILED]), PLAIN_CELL)["half_life", None].estimate
    slow = rows_of(pushed([*texts, off_road(4)]), PLAIN_CELL)["half_life", None].estimate
    soon = rows_of(pushed([*texts, KISSED]), PLAIN_CELL)["half_life", None].estimate
    assert estimate == Estimate(
        rows_of(pushed(texts), PLAIN_CELL)["half_life", None].estimate.value, soon.low, slow.high
    )


def test_without_a_sentence_at_risk_there_is_no_half_life():
    assert ("half_life", None) not in rows_of(pushed(["", " And" + CUT]), PLAIN_CELL)


# ------------------------------------------------------------------------------------------------- endings of texts


ENDED = off_road(1) + KISSED


@pytest.mark.parametrize(
    ("texts", "hits", "n"),
    [
        pytest.param([ENDED, DANCED + KISSED, off_road(3)], 2, 3, id="the last sentence counts"),
        pytest.param([KISSED + off_road(1)], 0, 1, id="another one does not"),
        pytest.param([" Tenderly grandmother kissed the bride Elinor", off_road(2)], 1, 2, id="in other words"),
        pytest.param([ENDED, KISSED + CUT, off_road(2) + CUT], 1, 1, id="a text that was cut off has no ending"),
        pytest.param([ENDED, "", "\n* * *"], 1, 3, id="a text without a sentence did not end so"),
        pytest.param([ENDED + "\n\n***\n"], 1, 1, id="a section break is no ending"),
    ],
)
def test_a_text_ends_the_same_with_a_last_sentence_like_that_of_most_plain_ones(texts, hits, n):
    row = rows_of(pushed(texts), PLAIN_CELL)["same_ending", None]
    assert (row.estimate, row.n) == (share(hits, n, ALPHA), n)
    assert row.label == "Grandmother kissed bride Elinor tenderly."


def test_the_ending_is_chosen_in_the_even_half_and_its_plain_share_counted_in_the_odd_one():
    even, odd = [ENDED, ENDED, DANCED, OFF_ROAD[5]], [ENDED, DANCED, DANCED, FAILED]
    plain = drawn([text for pair in zip(even, odd, strict=True) for text in pair])
    rows = rows_of(pushed([ENDED] * 5 + [DANCED] + [FAILED]), plain)
    assert rows["same_ending_plain", None].estimate == share(1, 3, ALPHA, lost=1)
    assert rows["same_ending_plain", None].n == 3
    row = rows["same_ending_difference", None]
    assert row.estimate == difference(share(5, 6, ALPHA, lost=1), share(1, 3, ALPHA, lost=1))
    assert row.p_value == p_equal(5, 6, 1, 3, lost=1, other_lost=1)
    assert row.n == 9
    assert {rows[metric, None].label for metric in ("same_ending", "same_ending_plain", "same_ending_difference")} == {
        "Grandmother kissed bride Elinor tenderly."
    }


@pytest.mark.parametrize(
    ("texts", "plain", "whose"),
    [
        pytest.param([off_road(3) + CUT] * 2, [FEAST] * 8, "this cell", id="no injected text ended"),
        pytest.param([ENDED] * 2, [FEAST + CUT] * 8, "the plain cell", id="no plain text ended"),
    ],
)
def test_where_every_text_was_cut_off_the_ending_is_undefined_and_says_why(texts, plain, whose):
    rows = rows_of(pushed(texts), drawn(plain))
    row = rows["same_ending", None]
    assert row.estimate == Estimate()
    assert whose in row.label
    assert ("same_ending_difference", None) not in rows


# ---------------------------------------------------------------------------------------------- endings of answers


COIN = {"answer": ChoiceAnswer(("heads", "tails", "edge"))}


def test_a_typed_answer_ends_the_same_if_it_is_the_plain_cells_mode():
    plain = drawn([" Heads."] * 6 + [" Tails."] * 2 + [" What?"], **COIN)
    injected = pushed([" Heads."] * 2 + [" Tails."] * 6 + [" What?", FAILED], **COIN)
    rows = rows_of(injected, plain)
    same = rows["same_ending", None]
    assert (same.estimate, same.n, same.label) == (share(2, 8, ALPHA, lost=1), 8, "heads")
    assert rows["same_ending_plain", None].estimate == plain.result.mode_mass
    assert rows["same_ending_plain", None].n == 8
    row = rows["same_ending_difference", None]
    assert row.estimate == difference(same.estimate, plain.result.mode_mass)
    assert row.p_value == p_equal(2, 8, 3, 4, lost=1)  # heads in the odd half, of which one is not readable


def test_imported_classes_say_which_answers_are_the_same():
    plain, injected = (
        replace(one, completions=tuple(replace(c, given=name) for c, name in zip(one.completions, names, strict=True)))
        for one, names in (
            (drawn(list("abcdefgh"), equivalence="given"), ["warm"] * 6 + ["cold", ""]),
            (pushed(list("ijkl"), equivalence="given"), ["warm", "cold", "warm", ""]),
        )
    )
    plain = replace(plain, result=judge_cell(plain.cell, plain.completions, Rules()))
    row = rows_of(injected, plain)["same_ending", None]
    assert (row.estimate.value, row.n, row.label) == (0.5, 4, "a")


@pytest.mark.parametrize(
    ("texts", "plain", "whose"),
    [
        pytest.param([" What?"] * 3, [" Heads."] * 8, "this cell", id="no injected answer"),
        pytest.param([" Heads."] * 3, [" What?"] * 8, "the plain cell", id="no plain answer"),
    ],
)
def test_without_readable_answers_the_ending_is_undefined_and_says_why(texts, plain, whose):
    row = rows_of(pushed(texts, **COIN), drawn(plain, **COIN))["same_ending", None]
    assert row.estimate == Estimate()
    assert whose in row.label


@pytest.mark.parametrize(
    "even", [[" Heads."] * 4, [" Heads."] * 3 + [" Tails."], [" Heads."] * 2 + [" Tails.", " Edge."]]
)
def test_the_p_value_does_not_count_the_draws_that_chose_the_mode(even):
    """They hold more of it than there is: with them, thirty equal answers differ from themselves in 16 % of cells."""
    odd = [" Heads.", " Tails.", " Heads.", " Tails."]
    plain = drawn([text for pair in zip(even, odd, strict=True) for text in pair], **COIN)
    row = rows_of(pushed([" Tails."] * 7 + [" Heads."], **COIN), plain)["same_ending_difference", None]
    assert row.p_value == p_equal(1, 8, 2, 4)


def test_the_p_value_pays_for_every_pair_of_looks():
    answers = [" Heads."] * 12 + [" Tails."] * 20
    plain = drawn([" Heads."] * 30 + [" Tails."] * 2, **COIN, adaptive=True)
    injected = pushed(answers, **COIN, adaptive=True)
    one, other = (len(cell.cell.sampling.looks) for cell in (plain, injected))
    heads = sum(answer == "heads" for answer in injected.answers)
    odd = [answer for answer in plain.answers[1::2] if answer is not None]
    row = rows_of(injected, plain)["same_ending_difference", None]
    assert one * other == 4
    assert row.p_value == p_equal(heads, len(injected.answers), odd.count("heads"), len(odd), looks=4)


# --------------------------------------------------------------------------------------------------- too few draws


def test_at_temperature_0_the_one_completion_is_the_reference_and_there_is_no_ceiling():
    plain = drawn([ENDED], temperature=0.0)
    rows = rows_of(pushed([off_road(1) + " Then grandmother kissed Elinor tenderly."], temperature=0.0), plain)
    assert rows["returned", 1].estimate.value == 1  # its first sentence stands in the plain text too
    assert rows["same_ending", None].estimate == share(1, 1, ALPHA)
    assert {metric for metric, _ in rows} == {"returned", "half_life", "floor", "same_ending"}


def test_at_temperature_0_the_answer_of_one_draw_has_no_share():
    rows = rows_of(pushed([" Tails."], temperature=0.0, **COIN), drawn([" Heads."], temperature=0.0, **COIN))
    assert rows["same_ending", None].estimate == share(0, 1, ALPHA)
    assert ("same_ending_plain", None) not in rows


@pytest.mark.parametrize(
    ("texts", "plain"),
    [
        pytest.param([FEAST], [FEAST] * 3 + [FAILED] * 5, id="three plain completions"),
        pytest.param([FAILED] * 4, [FEAST] * 8, id="no injected one"),
    ],
)
def test_of_too_few_draws_nothing_is_said(texts, plain):
    assert not rows_of(pushed(texts), drawn(plain))


def test_a_half_that_is_lost_leaves_nothing_to_return_to():
    rows = rows_of(pushed([FEAST]), drawn([FAILED, FEAST] * 5))
    assert rows["returned", None].n == 0
