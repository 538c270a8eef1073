"""Certainty along the text: known answers, bins, what makes it absent, and a model whose probabilities are known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers import make_cell, make_completion

from collapsecli.contrasts.certainty import bin_medians, certainty
from collapsecli.contrasts.drawn import Drawn
from collapsecli.engines import SampleRequest
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.judge import judge_cell
from collapsecli.metrics.shares import difference
from collapsecli.records import Estimate, Rules

PLAIN, INJECTED = "toast@t1.0", "toast/murderer@t1.0"
TEXTS = st.lists(st.lists(st.floats(0, 9), min_size=1, max_size=40), min_size=1, max_size=8)


def text_of(place, surprisals, cell_id=PLAIN, **changes):
    """A completion whose tokens have these surprisals, in nats; the same ones are the same tokens."""
    values = {"text": f"text {place}", "token_ids": tuple(round(1000 * one) for one in surprisals)}
    logprobs = tuple(-one for one in surprisals)
    values |= {"token_logprobs": logprobs, "logprob": sum(logprobs)}
    return make_completion(cell_id, place, **{**values, **changes})


def drawn(texts, cell_id=PLAIN, samples=None):
    """A cell that sampled these texts, each a list of surprisals or a completion."""
    cell = make_cell(cell_id, samples=samples or len(texts))
    completions = [
        text_of(place, one, cell_id) if isinstance(one, list) else replace(one, cell_id=cell_id, sample_index=place)
        for place, one in enumerate(texts)
    ]
    result = judge_cell(cell, completions, Rules())
    if result.broken:  # made-up surprisals need not be possible all at once
        result = replace(result, absent="", broken="")
    return Drawn.of(result, completions, 0.05)


def along(rows, cell_id):
    """The curve of one cell: by place, its value, ends and number of texts."""
    return {
        row.at: (row.estimate.value, row.estimate.low, row.estimate.high, row.n)
        for row in rows
        if row.metric == "surprisal" and row.cell_id == cell_id
    }


# ------------------------------------------------------------------------------------------------------ known answers


def test_each_place_has_the_median_over_the_texts_that_reach_it():
    plain = drawn([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0], [5.0], [6.0]])
    injected = drawn([[float(place), 1.0, 2.0] for place in range(10)], INJECTED)
    rows = list(certainty(injected, plain))
    assert along(rows, PLAIN) == {0: (3.5, 1, 6, 6)}  # three texts have a second token: too few
    assert along(rows, INJECTED) == {0: (4.5, 1, 8, 10), 1: (1, 1, 1, 10), 2: (2, 2, 2, 10)}


def test_a_row_says_which_cell_it_is_of_and_which_it_is_held_against():
    rows = list(certainty(drawn([[1.0]] * 6, INJECTED), drawn([[1.0]] * 6)))
    assert {(row.kind, row.suite, row.subject, row.other_cell_id) for row in rows} == {
        ("certainty", "suite", INJECTED, PLAIN)
    }
    assert [(row.metric, row.cell_id, row.at) for row in rows] == [
        ("surprisal", INJECTED, 0), ("surprisal", PLAIN, 0), ("surprisal_difference", INJECTED, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "value", "low"),
    [
        pytest.param(4, 1.5, None, id="four texts have a median without ends"),
        pytest.param(5, 2.0, None, id="so have five"),
        pytest.param(6, 2.5, 0.0, id="six have ends"),
    ],
)
def test_few_texts_have_a_median_and_no_interval(texts, value, low):
    cell = drawn([[float(place)] for place in range(texts)])
    found = along(certainty(drawn([[1.0]] * 6, INJECTED), cell), PLAIN)
    assert found[0][:2] == (value, low)


def test_three_texts_have_no_median():
    assert not along(certainty(drawn([[1.0]] * 6, INJECTED), drawn([[1.0]] * 3)), PLAIN)


def test_a_text_counts_once_however_many_tokens_it_has_in_a_bin():
    """Seventeen tokens make bins of two. One text with low and high tokens is as much as one with two middling ones."""
    plain = drawn([[0.0, 8.0] * 8 + [1.0]] * 6)
    rows = list(certainty(drawn([[3.0, 5.0] * 8 + [1.0]] * 6, INJECTED), plain))
    expected = dict.fromkeys(range(0, 16, 2), (4.0, 4.0, 4.0, 6))
    assert along(rows, PLAIN) == {**expected, 16: (1.0, 1.0, 1.0, 6)}
    assert along(rows, INJECTED) == along(rows, PLAIN)


def test_a_certain_token_has_a_surprisal_of_zero_and_not_of_minus_zero():
    found = along(certainty(drawn([[0.0]] * 6, INJECTED), drawn([[0.0]] * 6)), PLAIN)
    assert [math.copysign(1, number) for number in found[0]] == [1, 1, 1, 1]


# ---------------------------------------------------------------------------------------------------------------- bins


@pytest.mark.parametrize(
    ("lengths", "others", "places"),
    [
        pytest.param([1] * 6, [1] * 6, [0], id="one token"),
        pytest.param([16] * 6, [16] * 6, list(range(16)), id="sixteen tokens, a bin each"),
        pytest.param([17] * 6, [17] * 6, list(range(0, 18, 2)), id="seventeen: two tokens a bin"),
        pytest.param([160] * 6, [160] * 6, list(range(0, 160, 10)), id="never more than sixteen bins"),
        pytest.param([8] * 6, [32] * 6, [0, 2, 4, 6], id="the longer cell says how wide they are"),
        pytest.param([8] * 57 + [800] * 3, [8] * 40, list(range(8)), id="a few very long texts do not"),
    ],
)
def test_bins_reach_as_far_as_nine_in_ten_of_all_completions(lengths, others, places):
    plain, injected = drawn([[1.0] * n for n in lengths]), drawn([[1.0] * n for n in others], INJECTED)
    assert list(along(certainty(injected, plain), PLAIN)) == places


@given(TEXTS, st.integers(1, 5))
def test_a_bin_holds_the_median_of_the_text_there(texts, width):
    found = bin_medians([[-one for one in text] for text in texts], width)
    assert found.shape == (len(texts), 16)
    for row, text in zip(found, texts, strict=True):
        for place, value in enumerate(row):
            there = text[place * width : (place + 1) * width]
            assert value == pytest.approx(np.median(there)) if there else math.isnan(value)


@given(TEXTS.filter(lambda texts: len(texts) >= 4), st.floats(0, 3))
def test_a_model_that_is_less_sure_of_every_token_is_so_all_along_the_curve(texts, more):
    rows = list(certainty(drawn([[one + more for one in text] for text in texts], INJECTED), drawn(texts)))
    plain, injected = along(rows, PLAIN), along(rows, INJECTED)
    assert plain.keys() == injected.keys()
    for place, (value, _, _, n) in plain.items():
        assert injected[place][0] == pytest.approx(value + more)
        assert injected[place][3] == n


# -------------------------------------------------------------------------------------------------------- both together


def test_the_difference_is_that_of_nats_per_token():
    generator = np.random.default_rng(1)
    plain = drawn([generator.exponential(0.3, 20).tolist() for _ in range(32)])
    injected = drawn([generator.exponential(1.5, 5).tolist() for _ in range(32)], INJECTED)
    row = list(certainty(injected, plain))[-1]
    assert row.estimate == difference(injected.result.metric("token_rate"), plain.result.metric("token_rate"))
    assert row.estimate.low < 1.2 < row.estimate.high
    assert row.n == 64


def test_texts_that_are_all_the_same_leave_the_difference_without_an_interval():
    row = list(certainty(drawn([[1.0]] * 32, INJECTED), drawn([[0.5]] * 32)))[-1]
    assert row.estimate == Estimate(0.5)


def test_lost_draws_count_against_both_ends():
    texts = [[float(place)] for place in range(20)]
    whole, with_losses = drawn(texts), drawn(texts, samples=20)
    lost = replace(with_losses, lost=2)
    injected = drawn([[1.0]] * 6, INJECTED)
    assert along(certainty(injected, whole), PLAIN)[0] == (9.5, 5, 14, 20)
    assert along(certainty(injected, lost), PLAIN)[0] == (9.5, 3, 16, 20)


# --------------------------------------------------------------------------------------------------------------- absent


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text_of(0, [1.0], logprob_kind="model"), id="log-probabilities of the untouched model"),
        pytest.param(text_of(0, [1.0], logprob_kind=None, logprob=None, token_logprobs=()), id="none at all"),
        pytest.param(text_of(0, [1.0], token_logprobs=()), id="none by token"),
        pytest.param(text_of(0, [1.0], token_logprobs=(math.nan,)), id="one that is not a number"),
        pytest.param(text_of(0, [1.0], token_logprobs=(-math.inf,), logprob=-math.inf), id="an impossible token"),
        pytest.param(text_of(0, [1.0], reasoning="Hmm."), id="tokens of a thought"),
    ],
)
def test_without_the_surprisal_of_every_token_sampled_there_are_no_rows(text):
    known, unknown = [[1.0]] * 8, [[1.0]] * 7 + [text]
    assert list(certainty(drawn(known, INJECTED), drawn(known)))
    assert not list(certainty(drawn(unknown, INJECTED), drawn(known)))
    assert not list(certainty(drawn(known, INJECTED), drawn(unknown)))


def test_probabilities_that_cannot_be_true_say_nothing_of_certainty():
    """Four different texts of 90 % each."""
    texts = [text_of(place, [0.1], token_ids=(place,)) for place in range(4)]
    result = judge_cell(make_cell(PLAIN, samples=4), texts, Rules())
    assert result.broken
    assert not list(certainty(drawn([[1.0]] * 8, INJECTED), Drawn.of(result, texts, 0.05)))


def test_a_cell_of_which_nothing_came_back_has_no_rows():
    failed = make_completion(PLAIN, 0, "", error_kind="timeout", finish_reason="error", token_ids=(), token_logprobs=())
    assert not list(certainty(drawn([[1.0]] * 8, INJECTED), drawn([failed])))


# ----------------------------------------------------------------------------------------------------------- the engine


def test_a_scripted_model_is_as_sure_as_its_script_says():
    """A fair choice between two words, then no choice; after the injection four words, then two."""
    script = Script(
        "toast",
        {
            "toast": {"To peace.": 0.5, "My friends.": 0.5},
            "toast/murderer": {f"{first} {second}.": 1.0 for first in "abcd" for second in ("run", "hide")},
        },
    )
    engine = ScriptedEngine(script)

    def drawn_from(cell_id, injection):
        cell = make_cell(cell_id, prompt_id="toast", injection=injection, samples=32)
        completions = list(engine.sample([SampleRequest(cell, 7 << 20, tuple(range(32)))]))
        return Drawn.of(judge_cell(cell, completions, Rules()), completions, 0.05)

    rows = list(certainty(drawn_from(INJECTED, "murderer"), drawn_from(PLAIN, "")))
    ln2 = math.log(2)
    assert {at: found[0] for at, found in along(rows, PLAIN).items()} == pytest.approx({0: ln2, 1: 0, 2: 0})
    assert {at: found[0] for at, found in along(rows, INJECTED).items()} == pytest.approx({0: 2 * ln2, 1: ln2, 2: 0})
    assert rows[-1].estimate.value == pytest.approx(ln2 - ln2 / 3)
