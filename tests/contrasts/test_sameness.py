"""Sameness across prompts: known openings, endings and texts, what holds no texts, copies, laws, and known truths."""

import importlib
import random
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import make_cell, make_completion

from collapsecli.contrasts.drawn import Drawn
from collapsecli.contrasts.pairs import mean_share
from collapsecli.contrasts.sameness import MOST_DRAWS, copied, sameness
from collapsecli.judge import judge_cell
from collapsecli.metrics.shares import share
from collapsecli.records import Message, Rules

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PROMPTS = ("bugs", "clouds", "stones", "rivers", "towns")


def drawn(prompt_id, texts, lost=(), cut=(), **changes):
    """A cell that said some texts; requests at the places in `lost` failed, texts at those in `cut` were cut off."""
    cell = make_cell(f"{prompt_id}@t1.0", **{"samples": len(texts), "text": f"Are {prompt_id} real?", **changes})
    completions = [
        make_completion(cell.cell_id, place, text, finish_reason="length" if place in cut else "stop")
        if place not in lost
        else make_completion(cell.cell_id, place, "", finish_reason="error", error_kind="timeout")
        for place, text in enumerate(texts)
    ]
    return Drawn.of(judge_cell(cell, completions, Rules()), completions, 0.05)


def said(*texts_of_prompts, **changes):
    return [drawn(name, texts, **changes) for name, texts in zip(PROMPTS, texts_of_prompts, strict=False)]


def rows(cells):
    found = defaultdict(list)
    for row in sameness("all prompts", cells):
        found[row.metric].append(row)
    return found


def only(found, metric):
    (row,) = found[metric]
    return row


def about(name, begins="There is no single answer to", ends="It depends."):
    """Texts whose middles have nothing in common."""
    return [f" {begins} {name}{place} zq{name}{place}w. {ends}" for place in range(16)]


# ------------------------------------------------------------------------------------------------ openings and endings


def test_one_template_for_all_prompts_is_an_opening_and_an_ending_that_all_share():
    found = rows(said(about("bugs"), about("clouds"), about("stones")))
    for part, label in (("opening", "There is no single answer"), ("ending", "It depends")):
        between, within = only(found, f"same_{part}_between"), only(found, f"same_{part}_within")
        assert between.estimate == mean_share(15, 15, 0.05)
        assert within.estimate == mean_share(24, 24, 0.05)
        assert (between.n, within.n) == (15, 24)
        assert between.label == within.label == label
        assert (between.subject, between.kind, between.suite) == ("all prompts", "sameness", "suite")


def test_what_each_prompt_always_says_is_the_same_within_and_not_between():
    own = [[f"{name}{name} {name}o {name}a {name}e. {name}u."] * 16 for name in ("wug", "dax", "fep")]
    found = rows(said(*own))
    for part in ("opening", "ending", "text"):
        assert only(found, f"same_{part}_within").estimate.value == 1
        assert only(found, f"same_{part}_between").estimate.value == 0
        assert only(found, f"same_{part}_between").label == ""
        assert only(found, f"same_{part}_within").n == 24


def test_case_and_punctuation_make_no_other_opening():
    found = rows(said(["Well, yes: they are real, wug."] * 8, ["**WELL** yes they ARE real? dax."] * 8))
    assert only(found, "same_opening_between").estimate.value == 1


def test_a_text_of_fewer_words_than_an_opening_is_one():
    found = rows(said(["No, they are not."] * 8, ["no they are not"] * 8, ["No, they are not, really."] * 8))
    assert only(found, "same_opening_between").estimate.value == 2 / 6


def test_an_ending_is_the_last_sentence_that_was_finished():
    whole, cut = "One wug ran home. The end came soon.", "Two daxes slept there. The end came soon. And th"
    found = rows([drawn("bugs", [whole] * 8), drawn("clouds", [cut] * 8, cut=range(8))])
    assert only(found, "same_ending_between").estimate.value == 1
    found = rows([drawn("bugs", [whole] * 8), drawn("clouds", [cut] * 8)])  # it ended so
    assert only(found, "same_ending_between").estimate.value == 0


def test_a_prompt_whose_texts_hardly_ever_end_a_sentence_has_openings_alone():
    unfinished = ["There is no single answer to what"] * 8
    endless = drawn("stones", unfinished, cut=range(8))
    found = rows([*said(["There is no single answer. Yes."] * 8, ["There is no single answer. Yes."] * 8), endless])
    assert only(found, "same_opening_between").estimate.value == 1
    assert only(found, "same_opening_within").n == 12
    assert only(found, "same_ending_within").n == 8
    assert not rows([endless, endless])["same_ending_within"]


def test_the_most_shared_opening_is_that_of_most_prompts_not_of_most_completions():
    often = ["Listen to me now, friend."] * 12 + ["Once there was a king."] * 4
    seldom = ["Nobody has ever seen it."] * 12 + ["Once there was a king."] * 4
    found = rows(said(often, often, seldom))
    assert only(found, "same_opening_between").label == "Once there was a king"


def test_an_opening_that_one_completion_of_a_prompt_has_is_not_shared():
    once = [f"wug{place} dax fep blick toma" for place in range(15)]
    found = rows(said([*once, "Once there was a king."], ["Once there was a king."] * 16))
    assert only(found, "same_opening_between").label == ""


# --------------------------------------------------------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("asked", "same"),
    [
        pytest.param(("Tell me.", "Say it."), 1, id="what they share is their own"),
        pytest.param(("Gorgeous sunsets glow?", "Gorgeous sunsets glow?"), 0, id="it is the question of both"),
        pytest.param(("Gorgeous sunsets?", "Do they glow?"), 0, id="it is the question of one or the other"),
    ],
)
def test_texts_are_the_same_by_the_words_that_they_share_beyond_their_prompts(asked, same):
    texts = ["Gorgeous sunsets glow: wug."] * 8, ["Gorgeous sunsets glow: dax."] * 8
    cells = [drawn(name, said, text=text) for name, said, text in zip(PROMPTS, texts, asked, strict=False)]
    assert only(rows(cells), "same_text_between").estimate.value == same
    assert only(rows(cells), "same_text_within").estimate.value == 1


def test_phrases_that_several_prompts_share_stand_beside():
    found = rows(said(about("bugs"), about("clouds"), [f"wug{place} dax fep blick" for place in range(16)]))
    phrase = only(found, "shared_phrase")
    assert phrase.label == "There is no single answer to"
    assert phrase.at == 2
    assert phrase.n == 24
    assert phrase.estimate == mean_share(16, 24, 0.05)


# ---------------------------------------------------------------------------------------------------- what is left out


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param([], id="no prompts"),
        pytest.param(said(about("bugs")), id="one prompt"),
        pytest.param(said(about("bugs"), ["47"] * 8), id="a prompt of numbers beside one of texts"),
        pytest.param(said(["Ann Lee Jones"] * 8, ["Bo Ek"] * 8), id="names"),
        pytest.param(said([""] * 8, [" "] * 8), id="empty completions"),
        pytest.param(said(about("bugs")[:1], about("clouds")[:1], temperature=0.0), id="temperature 0"),
        pytest.param([drawn(name, [""] * 4, lost=range(4)) for name in PROMPTS], id="nothing came back"),
    ],
)
def test_there_is_nothing_to_compare_in(cells):
    assert not rows(cells)


def test_an_empty_completion_is_no_text():
    texts = about("bugs")
    found = rows(said([*texts[:8], *[""] * 4, *texts[8:12]], about("clouds")))
    assert only(found, "same_opening_between").n == 12
    assert only(found, "same_opening_between").estimate.value == 1


def test_a_lost_completion_counts_against_every_claim():
    found = rows([drawn("bugs", about("bugs"), lost=[3]), drawn("clouds", about("clouds"), lost=[3, 8])])
    between, within = only(found, "same_opening_between"), only(found, "same_opening_within")
    assert between.estimate == mean_share(14, 14, 0.05, lost=2)
    assert within.estimate == mean_share(13, 13, 0.05, lost=3)
    assert only(found, "same_text_between").estimate == mean_share(14, 14, 0.05, lost=2)


def test_all_prompts_weigh_the_same_however_many_completions_they_have():
    found = rows(said(about("bugs"), about("clouds")[:8]))
    assert (only(found, "same_opening_between").n, only(found, "same_opening_within").n) == (8, 8)


def test_no_more_draws_of_a_cell_are_compared_than_are_needed():
    many = ["There is no single answer."] * (MOST_DRAWS + 44)
    assert only(rows(said(many, many)), "same_opening_between").n == MOST_DRAWS


def test_of_adaptive_cells_only_draws_up_to_the_earliest_look_are_compared():
    cells = [drawn(name, about(name) * 4, adaptive=True) for name in PROMPTS[:2]]
    cells = [replace(one, result=replace(one.result, look=look)) for one, look in zip(cells, (64, 32), strict=True)]
    kept = [replace(one, lost=one.result.look - len(one.completions)) for one in cells]
    assert all(one.alpha == 0.05 / 3 for one in kept)
    between = only(rows(kept), "same_opening_between")
    assert between.estimate == mean_share(between.n, between.n, 0.05 / 3, lost=32 - between.n)


# ------------------------------------------------------------------------------------------------------------- copies

ASKED = "Summary: a young fox learns to swim and saves her sister from the river.\nThe story:"
COPY = " A young fox learns to swim, and saves her sister from the river!"


def of_copies(texts, **changes):
    return list(copied(drawn("fox", texts, **{"text": ASKED, **changes})))


def test_completions_that_repeat_their_prompt_are_counted_among_all():
    (row,) = of_copies([COPY, "Nothing of the sort.", COPY, ""] * 8)
    assert row.estimate == share(16, 32, 0.05)
    assert (row.metric, row.n, row.subject, row.cell_id) == ("copied", 32, "fox@t1.0", "fox@t1.0")


def test_lost_completions_may_have_been_copies():
    (row,) = of_copies([COPY] * 8, lost=[2, 5])
    assert row.estimate == share(6, 6, 0.05, lost=2)
    assert row.n == 6


def test_a_long_prompt_that_nothing_repeats_is_told():
    (row,) = of_copies(["Nothing of the sort."] * 16)
    assert row.estimate == share(0, 16, 0.05)


@pytest.mark.parametrize(
    ("texts", "changes"),
    [
        pytest.param(
            ["Nothing of the sort."] * 4, {"text": "Are bugs real?"}, id="a short prompt that nothing repeats"
        ),
        pytest.param([COPY], {"temperature": 0.0}, id="a single draw at temperature 0"),
        pytest.param([COPY] * 4, {"lost": range(4)}, id="nothing that came back"),
    ],
)
def test_there_is_no_row_of_copies_for(texts, changes):
    assert of_copies(texts, **changes) == []


def test_a_short_prompt_that_is_repeated_is_told():
    (row,) = of_copies(["Are bugs and ants and bees real?"] * 4, text="Are bugs and ants and bees real?")
    assert row.estimate.value == 1


def test_what_was_injected_and_every_message_are_part_of_the_prompt():
    turns = (Message("system", "Be brief."), Message("user", "Summarise: a young fox learns to swim"))
    (row,) = of_copies([COPY] * 4, text=None, messages=turns, injected=" and saves her sister from the river")
    assert row.estimate.value == 1


# -------------------------------------------------------------------------------------------------------------- laws

WORDS = st.sampled_from(["there is no single answer", "once there was a king", "wug dax blick fep toma", "no", ""])
TEXT = st.builds(lambda begin, end: f"{begin} x. {end}.", WORDS, WORDS)
CELL = st.lists(TEXT, min_size=2, max_size=8)


@settings(max_examples=40)
@given(st.lists(CELL, min_size=2, max_size=4))
def test_every_value_lies_between_its_ends_and_is_made_of_some_pairs(texts):
    for row in sameness("all prompts", said(*texts)):
        assert row.n > 0
        assert 0 <= row.estimate.low <= row.estimate.value <= row.estimate.high <= 1


@settings(max_examples=40)
@given(st.lists(st.lists(TEXT, min_size=4, max_size=4), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_prompts_does_not_matter_within_them(texts, order):
    cells = said(*texts)
    shuffled = order.sample(cells, len(cells))
    for metric in ("same_opening_within", "same_ending_within", "same_text_within", "shared_phrase"):
        assert [row.estimate for row in rows(cells)[metric]] == [row.estimate for row in rows(shuffled)[metric]]


@settings(max_examples=40)
@given(CELL, CELL)
def test_of_two_prompts_it_does_not_matter_which_is_first(one, other):
    first, second = said(one, other)
    forth, back = rows([first, second]), rows([second, first])
    for metric in ("same_opening_between", "same_ending_between", "same_text_between"):
        assert [row.estimate for row in forth[metric]] == [row.estimate for row in back[metric]]


def test_prompts_that_say_the_same_agree_between_as_within():
    texts = [f"Text {place % 3} begins like this here. So be it {place % 5}." for place in range(30)]
    shuffled = random.Random(7).sample(texts, len(texts))
    found = rows([drawn(f"p{place}", shuffled) for place in range(5)])
    assert only(found, "same_opening_between").estimate.value == 1  # the same draw of each prompt
    assert only(found, "same_opening_within").estimate.low < 1 / 3 < only(found, "same_opening_within").estimate.high


def test_a_suite_of_prompts_is_compared_in_a_second_or_two():
    """Twenty prompts, 64 completions of each, 100 words; on an idle core in .3 to .7 s, on a shared one in 1.2 s."""
    words = [f"w{number}" for number in range(3000)]
    stream = random.Random(1)
    cells = [
        drawn(f"p{place}", [" ".join(["There is no single answer.", *stream.choices(words, k=95)]) for _ in range(64)])
        for place in range(20)
    ]
    seconds = []
    for _ in range(3):  # the best of three: another process on the core makes ours slower, and never faster
        began = time.process_time()
        assert len(list(sameness("all prompts", cells))) > 5
        seconds.append(time.process_time() - began)
    assert min(seconds) < 3


# ------------------------------------------------------------------------------------------------------- known truths


def test_intervals_hold_in_simulations_with_known_truth():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        found = list(importlib.import_module("truth_sameness").rows(40))
    assert len(found) > 45
    assert not [row for row in found if not row.ok]
