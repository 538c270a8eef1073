"""Lifted and lost phrases: which are named, how they are counted, and what does not count."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collapsecli.comparison.candidates import counts_in, told_by
from collapsecli.comparison.lifted import MOST_PHRASES, Stratum, lifted_and_lost
from collapsecli.comparison.odds import log_odds
from collapsecli.contrasts.pairs import mean_share

NOVELTYBENCH = Path(__file__).resolve().parents[3] / "shared" / "reference" / "noveltybench"
WUG = "The wug daxed a blick"


def filled(share_of_64, phrase, *, side="x", draws=64):
    """Completions that hold a phrase in so many of 64 places, even and odd alike, among words that come once."""
    return [
        f"{phrase}! {side}{draw}" if draw // 2 % 32 < share_of_64 // 2 else f"{side}{draw} y{draw}"
        for draw in range(draws)
    ]


def named(*strata, alpha=0.05):
    lifted, lost = lifted_and_lost(strata, alpha)
    return [one.text for one in lifted], [one.text for one in lost]


def stratum(base, run, *, asked="Say it.", phrase=WUG):
    return Stratum(asked, filled(base, phrase), filled(run, phrase))


# ------------------------------------------------------------------------------------------------------ known answers


def test_a_phrase_is_counted_on_the_odd_draws_alone_and_spelled_as_it_is_written():
    ((found,), lost) = lifted_and_lost([stratum(2, 40), stratum(0, 30), stratum(0, 0)], 0.05)
    hits = np.array([[1, 20], [0, 15], [0, 0]])
    known = np.full((3, 2), 32)
    change, p_value = log_odds(hits, known, np.zeros_like(hits), 0.05)
    assert lost == []
    assert found.text == WUG
    assert found.base == mean_share(1, 96, 0.05)
    assert found.run == mean_share(35, 96, 0.05)
    assert (found.log_odds, found.p_value) == (change, p_value)
    assert (found.prompts, found.of_prompts) == (2, 3)
    assert found.n == 192
    assert p_value <= found.q_value <= 0.05


def test_swapping_the_sides_makes_lost_of_lifted():
    one, other = "The wug daxed a blick", "Quiv of the snarf"
    base, run = filled(40, other), filled(40, one)
    lifted, lost = lifted_and_lost([Stratum("", base, run)], 0.05)
    lifted_then, lost_then = lifted_and_lost([Stratum("", run, base)], 0.05)
    assert [phrase.text for phrase in lifted] == [one] == [phrase.text for phrase in lost_then]
    assert [phrase.text for phrase in lost] == [other] == [phrase.text for phrase in lifted_then]
    assert lifted[0].log_odds.value == pytest.approx(-lost_then[0].log_odds.value)
    assert (lifted[0].base, lifted[0].run) == (lost_then[0].run, lost_then[0].base)


def test_what_nobody_says_in_the_base_has_a_finite_change_without_an_upper_end():
    ((found,), _) = lifted_and_lost([stratum(0, 64)], 0.05)
    assert 4.5 < found.log_odds.low < found.log_odds.value < 12
    assert found.log_odds.high is None
    assert found.base.value == 0
    assert found.run.value == 1


def test_what_both_sides_say_alike_is_neither_lifted_nor_lost():
    assert named(stratum(40, 40), stratum(64, 64), stratum(0, 0)) == ([], [])


@pytest.mark.parametrize(
    ("even", "odd"),
    [pytest.param(True, False, id="in the even draws alone"), pytest.param(False, True, id="in the odd draws alone")],
)
def test_a_phrase_that_one_half_alone_shows_is_not_named(even, odd):
    run = [WUG if (odd if draw % 2 else even) else f"x{draw}" for draw in range(64)]
    assert named(Stratum("", filled(0, WUG), run)) == ([], [])


def test_a_phrase_that_lies_to_the_other_side_in_the_odd_draws_is_not_named():
    base = [WUG if draw % 2 else f"x{draw}" for draw in range(64)]
    run = [f"x{draw}" if draw % 2 else WUG for draw in range(64)]
    assert named(Stratum("", base, run)) == ([], [])


def test_the_spelling_is_the_one_that_most_completions_have():
    run = [("oh, THE WUG, daxed" if draw % 8 < 2 else "Oh: the Wug daxed") + f" x{draw}" for draw in range(64)]
    assert named(Stratum("", filled(0, WUG), run))[0] == ["Oh: the Wug daxed"]


# ------------------------------------------------------------------------------------------------------ what counts


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        pytest.param("Wug", ["Wug"], id="one word that is rare"),
        pytest.param("😊", ["😊"], id="an emoji"),
        pytest.param("what", [], id="a common word says nothing"),
        pytest.param("instead of", ["instead"], id="of two words both must say something"),
        pytest.param("There is no single", ["There is no single"], id="of four words one is enough"),
        pytest.param("it is what it is", [], id="common words together say nothing"),
        pytest.param("1960", [], id="a number says nothing"),
        pytest.param("今天天气", ["今天天气"], id="characters that are not spaced"),
        pytest.param("one wug dax blick fep toma", ["one wug dax blick fep toma"], id="six words are the most"),
    ],
)
def test_which_phrases_say_something(phrase, expected):
    assert named(stratum(0, 48, phrase=phrase))[0] == expected


def test_a_phrase_is_not_measured_where_the_prompt_has_the_words_that_say_something():
    own = stratum(0, 48, asked="What is the wug that daxed the blick?")
    assert named(own) == ([], [])
    ((found,), _) = lifted_and_lost([own, stratum(0, 48), stratum(0, 48, asked="What is a blick?")], 0.05)
    assert (found.prompts, found.of_prompts, found.n) == (2, 2, 128)


@pytest.mark.parametrize(
    ("words", "asked", "expected"),
    [
        pytest.param("the wug", "a wug", False, id="the prompt has the only word that says something"),
        pytest.param("the wug dax", "a wug", True, id="but not both"),
        pytest.param("no single answer", "answer", True, id="a word that says a little, among three"),
        pytest.param("single", "", False, id="alone it says too little"),
    ],
)
def test_where_a_phrase_counts(words, asked, expected):
    assert counts_in(words.split(), frozenset(asked.split())) is expected


def test_what_a_word_says():
    assert told_by("wug") == 1000
    assert told_by("the") == told_by("42") == told_by("3.14") == 0
    assert 0 < told_by("single") < told_by("magic") < told_by("wug")


def test_a_long_sentence_is_one_phrase():
    sentence = "Wug dax blick fep toma zib glorp quiv mip snarf wuggle daxter"
    lifted, _ = named(stratum(0, 48, phrase=sentence))
    assert len(lifted) == 1
    assert lifted[0] in sentence


def test_sentences_that_come_by_themselves_are_phrases_by_themselves():
    run = [
        f"{'Wug dax blick. ' if draw // 2 % 4 < 3 else ''}{' '.join(f'z{draw}x{place}' for place in range(9))}"
        f"{' Glorp quiv mip.' if draw // 2 % 3 < 2 else ''}"
        for draw in range(96)
    ]
    assert sorted(named(Stratum("", filled(0, WUG, draws=96), run))[0]) == ["Glorp quiv mip", "Wug dax blick"]


def test_at_most_eight_are_named():
    phrases = [f"A{number} B{number} C{number}" for number in range(12)]
    stream = np.random.default_rng(0)
    run = [" ".join(f"{one}. {draw}x" for one in phrases if stream.random() < 0.5) for draw in range(256)]
    lifted, _ = named(Stratum("", [f"x{draw}" for draw in range(256)], run))
    assert len(lifted) == MOST_PHRASES
    assert set(lifted) < set(phrases)


# ------------------------------------------------------------------------------------------------------------- losses


def test_lost_completions_count_against_the_change():
    whole = stratum(8, 40)
    run = [None if draw % 32 == 1 else text for draw, text in enumerate(whole.run)]
    base = [None if draw % 32 == 3 else text for draw, text in enumerate(whole.base)]
    ((plain,), _), ((found,), _) = lifted_and_lost([whole], 0.05), lifted_and_lost([Stratum("", base, run)], 0.05)
    assert found.n == 64 - 4
    assert found.base.high > plain.base.high
    assert found.run.low < plain.run.low
    assert found.log_odds.low < plain.log_odds.low
    assert found.p_value > plain.p_value


def test_a_run_that_lost_everything_proves_nothing():
    assert named(Stratum("", filled(40, WUG), [None] * 64)) == ([], [])
    assert named(Stratum("", [None] * 64, filled(40, WUG))) == ([], [])


# ------------------------------------------------------------------------------------------------------- many prompts


def test_all_prompts_weigh_the_same():
    """Of the second prompt, which has eight times as many draws, as many count as of the first."""
    long = Stratum("", filled(0, WUG, draws=512), filled(0, WUG, draws=512))
    ((found,), _) = lifted_and_lost([stratum(0, 64), long], 0.05)
    assert found.run == mean_share(32, 64, 0.05)
    assert found.n == 128


def test_a_prompt_of_single_draws_is_left_out():
    assert named() == ([], [])
    assert named(Stratum("", ["a wug"], ["a dax"])) == ([], [])
    ((found,), _) = lifted_and_lost([stratum(0, 64), Stratum("", ["a wug"], ["a dax"])], 0.05)
    assert found.of_prompts == 1


def test_a_phrase_of_few_draws_of_many_prompts_is_found():
    strata = [
        Stratum(f"p{prompt}", [f"x{draw}" for draw in range(4)], [WUG if draw < 2 else f"x{draw}" for draw in range(4)])
        for prompt in range(30)
    ]
    ((found,), _) = lifted_and_lost(strata, 0.05)
    assert found.run.value == 0.5
    assert found.prompts == 0  # of two draws no prompt tells anything by itself
    assert found.q_value < 1e-6


@pytest.mark.parametrize(
    ("base", "run", "told"),
    [
        pytest.param(0, 8, 1, id="never against four of 32"),
        pytest.param(0, 6, 0, id="three are too few"),
        pytest.param(40, 48, 0, id="a little more"),
        pytest.param(20, 40, 1, id="twice as many"),
        pytest.param(48, 20, 0, id="fewer"),
    ],
)
def test_when_a_prompt_tells_a_phrase_apart(base, run, told):
    ((found,), _) = lifted_and_lost([stratum(0, 64), stratum(0, 64), stratum(base, run)], 0.05)
    assert found.prompts == 2 + told


# --------------------------------------------------------------------------------------------------------------- laws

TEXT = st.lists(st.sampled_from(["wug", "dax", "blick", "fep"]), max_size=3).map(" ".join)
SIDE = st.lists(st.one_of(st.none(), TEXT), min_size=8, max_size=16)


@settings(max_examples=60)
@given(st.lists(st.tuples(SIDE, SIDE), min_size=1, max_size=3))
def test_whatever_is_named_is_as_common_as_counting_says(sides):
    lifted, lost = lifted_and_lost([Stratum("", base, run) for base, run in sides], 0.5)
    shortest = [min(len(both[side]) for both in sides) for side in (0, 1)]
    for is_lifted, phrases in ((True, lifted), (False, lost)):
        for phrase in phrases:
            assert (phrase.log_odds.value > 0) is is_lifted
            for side, share in enumerate((phrase.base, phrase.run)):
                odd = [text for both in sides for text in both[side][: shortest[side]][1::2]]
                known = [f" {text} " for text in odd if text is not None]
                hits = sum(f" {phrase.text} " in text for text in known)
                assert share == mean_share(hits, len(known), 0.5, len(odd) - len(known))


# --------------------------------------------------------------------------------------------------------- real texts


@pytest.mark.skipif(not NOVELTYBENCH.is_dir(), reason="the reference data are not there")
def test_what_one_real_model_says_and_another_never_does_is_named():
    said = {
        model: [
            json.loads(line) for line in (NOVELTYBENCH / model / "partitions.jsonl").read_text("utf-8").splitlines()
        ]
        for model in ("gemma-2-2b-it", "claude-3-opus")
    }
    strata = [
        Stratum(base["prompt"], base["generations"], run["generations"])
        for base, run in zip(said["gemma-2-2b-it"], said["claude-3-opus"], strict=True)
    ]
    lifted, lost = ({phrase.text: phrase for phrase in found} for found in lifted_and_lost(strata, 0.05))
    assert lifted["As an AI language model, I"].base.value == 0
    assert {"😊", "There's no single", "What kind of"} <= set(lost)
    assert lost["😊"].base.low > 0.05
