# ruff: noqa: RUF001 (marks of other scripts)
"""Where sentences end, by a table; and that nothing of a text is lost, whatever it looks like."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collapsecli.sentences import finished, sentences

HOSTILE = st.text(alphabet="aA1.!?…\"'”»)]* _\n\r\t-#>。！」\u2028\u00a0é", max_size=40)


# ------------------------------------------------------------------------------------------------------ known answers


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("", [], id="nothing has no sentence"),
        pytest.param("  ", ["  "], id="space alone is kept"),
        pytest.param(" A glass. Then another! And?", [" A glass. ", "Then another! ", "And?"], id="three marks"),
        pytest.param("One line\nand the next\n\nand a third", ["One line\n", "and the next\n\n", "and a third"],
                     id="a line ends a sentence"),
        pytest.param("\n\n To begin.", ["\n\n To begin."], id="leading space belongs to the first sentence"),
        pytest.param("a\r\nb\r\n\r\nc.", ["a\r\n", "b\r\n\r\n", "c."], id="the line ends of Windows"),
        pytest.param("It costs 3.5 euros. No more.", ["It costs 3.5 euros. ", "No more."], id="a point in a number"),
        pytest.param("Mr. Smith met Dr. Low. They ate.", ["Mr. Smith met Dr. Low. ", "They ate."], id="titles"),
        pytest.param("J. R. Tolkien wrote. So did I. We all do.", ["J. R. Tolkien wrote. ", "So did I. ", "We all do."],
                     id="initials end none, but I does"),
        pytest.param("The U.S. army, e.g. here. Ok.", ["The U.S. army, e.g. here. ", "Ok."], id="letters with points"),
        pytest.param("No. I think not.", ["No. ", "I think not."], id="no is an answer"),
        pytest.param("See No. 5. Then go.", ["See No. 5. ", "Then go."], id="no is a number before a number"),
        pytest.param("Cake, pie etc. went fast. “Dr. Low!” he cried.",
                     ["Cake, pie etc. went fast. ", "“Dr. Low!” he cried."], id="abbreviations in quotation marks"),
        pytest.param("1. Apples\n2. Pears", ["1. Apples\n", "2. Pears"], id="the items of a list"),
        pytest.param("Fruit:\n- 12. Pears. Good.", ["Fruit:\n", "- 12. Pears. ", "Good."], id="an item further down"),
        pytest.param(" 47. I like it.", [" 47. ", "I like it."], id="a number that is the answer"),
        pytest.param("I was born in 1947. You too.", ["I was born in 1947. ", "You too."], id="a year at an end"),
        pytest.param("Wait... what? Well… yes. Well... Yes.", ["Wait... what? ", "Well… yes. ", "Well... ", "Yes."],
                     id="a hesitation goes on in small letters"),
        pytest.param('"Really?" he asked. "No." She left.', ['"Really?" he asked. ', '"No." ', "She left."],
                     id="a quotation within a sentence"),
        pytest.param("(He left.) **So it was.** Yes", ["(He left.) ", "**So it was.** ", "Yes"],
                     id="what closes belongs to the sentence"),
        pytest.param("好。你好！「真的？！」他走了。", ["好。", "你好！", "「真的？！」", "他走了。"],
                     id="Chinese needs no space"),
        pytest.param("वह गया। वह आया।", ["वह गया। ", "वह आया।"], id="Hindi"),
        pytest.param("!!! ??? end", ["!!! ", "??? ", "end"], id="marks alone"),
    ],
)  # fmt: skip
def test_a_text_is_split_where_its_sentences_end(text, found):
    assert sentences(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("He came. She", ["He came. "], id="a sentence that was cut off"),
        pytest.param("He came. She left.", ["He came. ", "She left."], id="a cut just after the last one"),
        pytest.param("He came.\nShe left\n", ["He came.\n", "She left\n"], id="a line that was ended"),
        pytest.param("He said “Go!”", ["He said “Go!”"], id="a closed quotation"),
        pytest.param("He met Dr.", [], id="an abbreviation is no end"),
        pytest.param("1. Pears\n2.", ["1. Pears\n"], id="nor is the number of an item"),
        pytest.param("He", [], id="nothing is finished"),
        pytest.param("", [], id="nothing is there"),
        pytest.param(" \n ", [], id="nothing but space"),
    ],
)
def test_what_the_limit_cut_off_is_no_finished_sentence(text, found):
    assert finished(text, cut=True) == found


# --------------------------------------------------------------------------------------------------------------- laws


@given(text=HOSTILE | st.text(max_size=60))
@example(text="\n. ")
def test_the_sentences_of_a_text_are_the_text(text):
    found = sentences(text)
    assert "".join(found) == text
    assert all(sentence.strip() for sentence in found) or not text.strip()


@given(text=HOSTILE)
def test_a_text_that_ended_by_itself_is_finished(text):
    assert finished(text, cut=False) == sentences(text)


@given(text=HOSTILE)
def test_a_cut_takes_the_last_sentence_or_none(text):
    found = sentences(text)
    assert finished(text, cut=True) in ([*found], found[:-1])


@given(text=HOSTILE, more=st.sampled_from(["And more", "And more. And more.", "A\n\nB"]))
def test_a_finished_sentence_stays_one_however_the_text_goes_on(text, more):
    kept = finished(text, cut=True)
    longer = sentences(f"{text} {more}")
    assert [sentence.strip() for sentence in longer[: len(kept)]] == [sentence.strip() for sentence in kept]
    assert len(longer) > len(kept)


@pytest.mark.parametrize(
    "unit", [".", '."', "A. ", "1. ", 'a." ', "\n*", " ", "！”", "...", "\r", "Mr. ", ". ", "\n ", "」"]
)  # fmt: skip
def test_the_time_grows_no_faster_than_the_text(unit):
    text = unit * (100_000 // len(unit))
    began = time.process_time()
    assert "".join(sentences(text + "x")) == text + "x"
    finished(text, cut=True)
    assert time.process_time() - began < 5
