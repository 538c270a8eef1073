"""Runs of words: which phrases are shared, counted against brute force, and what is a copy of its prompt."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.contrasts.pairs import mean_share
from collapsecli.contrasts.phrases import (
    COPIED_RUN,
    LONGEST,
    SHORTEST,
    _Run,
    _shared_runs,
    is_copied,
    quoted,
    shared_phrases,
)
from collapsecli.contrasts.wordruns import maximal

WORDS = ["wug", "dax", "blick", "fep", "toma", "zib", "glorp", "quiv", "mip", "snarf"]
WUG = "the wug daxed a blick"


def prompts(*rows):
    """Each prompt's completions as words; an even number of them, so that even and odd ones are as many."""
    return [[None if text is None else text.split() for text in row] for row in rows]


def phrases(*rows, asked=None, alpha=0.05):
    return shared_phrases(prompts(*rows), asked or [""] * len(rows), alpha)


def spelled(found):
    return [" ".join(one.words) for one in found]


# ------------------------------------------------------------------------------------------------------ known answers


def test_a_phrase_of_all_completions_of_two_prompts_is_shared_by_all():
    (found,) = phrases([f"{WUG} x{place}" for place in range(8)], [f"y{place} {WUG}" for place in range(8)])
    assert " ".join(found.words) == WUG
    assert found.prompts == 2
    assert found.share == mean_share(8, 8, 0.05)
    assert found.n == 8


@pytest.mark.parametrize(
    ("rows", "asked", "expected"),
    [
        pytest.param([[WUG] * 8, ["nothing of it at all"] * 8], None, [], id="one prompt alone shares nothing"),
        pytest.param([["wug dax"] * 8] * 2, None, [], id="two words are no phrase"),
        pytest.param([[WUG, *["x"] * 7]] * 2, None, [], id="one completion of a prompt is not enough"),
        pytest.param([[WUG, "x", WUG, *["x"] * 5]] * 2, None, [WUG], id="two are, and here 5 %"),
        pytest.param([[WUG, "x", WUG, *["x"] * 79]] * 2, None, [], id="two of forty-one are less than 5 %"),
        pytest.param([["there is one in the other"] * 8] * 2, None, [], id="common words say nothing"),
        pytest.param([[WUG] * 8] * 2, ["The wug daxed: a blick!", ""], [], id="nor do the words of a prompt"),
        pytest.param([[WUG] * 8] * 2, ["the wug", "a blick"], [WUG], id="but one word of its own is enough"),
        pytest.param([[WUG] * 8] * 2 + [["x"] * 8], ["", "", WUG], [WUG], id="another prompt's words are no matter"),
        pytest.param([[None, *[WUG] * 7]] * 2, None, [WUG], id="lost completions hold nothing"),
        pytest.param([[" ".join(WORDS)] * 8] * 2, None, [" ".join(WORDS[:8])], id="eight words are the most"),
    ],
)
def test_which_phrases_are_shared(rows, asked, expected):
    assert spelled(phrases(*rows, asked=asked)) == expected


def test_only_the_longest_of_phrases_that_always_come_together_is_taken():
    assert spelled(phrases(["wug dax blick fep toma"] * 8, ["wug dax blick fep toma x"] * 8)) == [
        "wug dax blick fep toma"
    ]


def test_a_phrase_that_mostly_stands_alone_is_not_left_to_the_longer_one():
    rows = ["wug dax blick"] * 6 + ["wug dax blick fep"] * 4
    assert spelled(phrases(rows, rows)) == ["wug dax blick"]


def test_at_most_five_phrases_are_named_those_of_most_prompts_first():
    many = [f"a{number} b{number} c{number}" for number in range(7)]
    rows = [[" ".join(f"{one} x{text}" for one in many[: 7 - place]) for text in range(8)] for place in range(6)]
    found = phrases(*rows)
    assert spelled(found) == many[:5]
    assert [one.prompts for one in found] == [6, 6, 5, 4, 3]


def test_a_phrase_is_chosen_on_even_completions_and_counted_on_odd_ones():
    even_alone = [WUG, "x"] * 4
    (found,) = phrases(even_alone, even_alone)
    assert found.share == mean_share(0, 8, 0.05)
    assert not phrases(["x", WUG] * 4, ["x", WUG] * 4)


def test_the_share_is_of_all_prompts_also_of_those_in_which_the_phrase_never_occurs():
    (found,) = phrases([WUG] * 8, [WUG] * 8, ["x"] * 8, ["y"] * 8)
    assert found.share == mean_share(8, 16, 0.05)
    assert found.prompts == 2


def test_a_lost_completion_widens_the_interval_of_a_phrase():
    lost = [WUG, WUG, WUG, None, WUG, WUG, WUG, WUG]
    (found,) = phrases(lost, [WUG] * 8)
    assert found.share == mean_share(7, 7, 0.05, lost=1)
    assert found.n == 7


def test_no_words_at_all_share_nothing():
    assert phrases([], []) == []
    assert phrases([None, None], [None, ""]) == []


# -------------------------------------------------------------------------------------------------------------- laws

TEXT = st.lists(st.sampled_from("abc"), max_size=12)
ROW = st.lists(st.one_of(st.none(), TEXT), min_size=1, max_size=6)


@given(st.lists(ROW, min_size=1, max_size=4))
def test_shared_runs_are_those_that_brute_force_finds(rows):
    expected = {}
    for length in range(SHORTEST, LONGEST + 1):
        of_prompts = []
        for row in rows:
            known = [text for text in row if text is not None]
            counts = Counter(
                run
                for text in known
                for run in {tuple(text[place : place + length]) for place in range(len(text) - length + 1)}
            )
            of_prompts.append({run: n for run, n in counts.items() if n >= max(2, 0.05 * len(known))})
        for run in {run for counts in of_prompts for run in counts}:
            places = tuple(place for place, counts in enumerate(of_prompts) if run in counts)
            if len(places) > 1:
                expected[run] = (places, sum(of_prompts[place][run] for place in places))
    assert {run.words: (run.prompts, run.texts) for run in _shared_runs(rows)} == expected


@given(st.lists(ROW, min_size=2, max_size=4))
def test_no_two_phrases_share_three_words_in_a_row(rows):
    found = shared_phrases(
        [[text and [f"q{word}" for word in text] for text in row] for row in rows], [""] * len(rows), 0.05
    )
    parts = [part for one in found for part in {one.words[place : place + 3] for place in range(len(one.words) - 2)}]
    assert len(set(parts)) == len(parts)
    assert len(found) <= 5


@given(st.lists(ROW, min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_prompts_changes_no_phrase(rows, random):
    named = [[text and [f"q{word}" for word in text] for text in row] for row in rows]
    shuffled = random.sample(named, len(named))
    asked = [""] * len(rows)
    assert shared_phrases(named, asked, 0.05) == shared_phrases(shuffled, asked, 0.05)


@pytest.mark.parametrize(
    ("within", "kept"),
    [
        pytest.param(10, False, id="all of them stand in the longer run"),
        pytest.param(9, False, id="nearly all do"),
        pytest.param(8, True, id="a fifth does not"),
    ],
)
def test_a_run_is_left_to_a_longer_one_that_holds_nearly_all_of_it(within, kept):
    short, long = _Run(("a", "b", "c"), (0, 1), 10, 1), _Run(("x", "a", "b", "c", "y"), (0, 1), within, 0)
    middle = _Run(("a", "b", "c", "y"), (0, 1), within, 0)
    found = [run.words for run in maximal([short, middle, long])]
    assert (short.words in found) is kept
    assert middle.words not in found
    assert long.words in found


# ------------------------------------------------------------------------------------------------------------ quoted


@pytest.mark.parametrize(
    ("words", "texts", "expected"),
    [
        pytest.param(["i", "d", "be", "happy"], ["Oh!", " I'd be\nhappy to."], "I'd be happy", id="as it is written"),
        pytest.param(["once", "upon"], ["Thronce uponly"], "once upon", id="not within a word"),
        pytest.param(["art"], ["The SMART artful Art."], "Art", id="nor one word within another"),
        pytest.param(["not", "there"], ["Something else"], "not there", id="spaced where no text has it"),
        pytest.param(["a+b", "(c"], ["x a+b (c"], "a+b (c", id="signs stand for themselves"),
        pytest.param(["今天", "天气", "气好"], [], "今天气好", id="neighbouring characters are run together"),
        pytest.param(["今天", "天气"], ["他说今天气好"], "今天气", id="also within a text"),
        pytest.param(["ok", "ko"], [], "ok ko", id="but letters never are"),
        pytest.param([], ["text"], "", id="nothing is nothing"),
    ],
)
def test_how_a_run_of_words_is_quoted(words, texts, expected):
    assert quoted(words, texts) == expected


@given(
    st.lists(st.sampled_from(["Wug", "dax", "it", "s", "C3"]), min_size=1, max_size=5),
    st.sampled_from([" ", "-", ", "]),
)
def test_a_quotation_has_the_words_that_it_quotes(words, between):
    written = quoted([word.lower() for word in words], ["nothing", between.join(words)])
    assert re.findall(r"\w+", written) == words


# ------------------------------------------------------------------------------------------------------------ copies

ASKED = ["write", "a", "summary", "of", "the", "story", "of", "a", "fox", "who", "learns", "to", "swim"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("the story of a fox who learns to swim", True, id="nine words as they stand"),
        pytest.param("the story of a fox who", True, id="six are a run"),
        pytest.param("the story of a fox", False, id="five are none"),
        pytest.param("here is the story of a fox who and no more than that", False, id="six words of thirteen"),
        pytest.param("here is the story of a fox who and no more", True, id="six words of twelve are half"),
        pytest.param("a fox of the story learns to swim who", False, id="the same words in another order"),
        pytest.param(
            "write a summary of the story xx a fox who learns to swim", True, id="two runs, twelve of thirteen"
        ),
        pytest.param("", False, id="nothing is no copy"),
    ],
)
def test_what_copies_its_prompt(text, expected):
    assert is_copied(text.split(), ASKED) is expected


@given(st.lists(st.sampled_from("abcd"), max_size=20), st.lists(st.sampled_from("abcd"), max_size=20))
def test_a_copy_has_half_of_its_words_in_runs_of_the_prompt(words, asked):
    known = {tuple(asked[place : place + COPIED_RUN]) for place in range(len(asked) - COPIED_RUN + 1)}
    runs = [place for place in range(len(words) - COPIED_RUN + 1) if tuple(words[place : place + COPIED_RUN]) in known]
    inside = {place + step for place in runs for step in range(COPIED_RUN)}
    assert is_copied(words, asked) == (bool(inside) and len(inside) >= len(words) / 2)
