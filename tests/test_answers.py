"""What is read out of a text, by table: an answer, or None where anything would be a guess."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli import answers
from collapsecli.answers import READERS, read
from collapsecli.records import (
    ChoiceAnswer,
    IntegerAnswer,
    JsonAnswer,
    LabelsAnswer,
    RegexAnswer,
    RhymeAnswer,
    TextAnswer,
    WordsAnswer,
)

ONE_TO_HUNDRED = IntegerAnswer(1, 100)
WIDE = IntegerAnswer(-10, 10_000_000)
COIN = ChoiceAnswer(("Heads", "Tails"))
CITY = ChoiceAnswer(("York", "New York", "C", "C++", "Straße"))
SPECS = (
    TextAnswer(),
    ONE_TO_HUNDRED,
    COIN,
    RegexAnswer(r"a(.)?"),
    JsonAnswer("a.0"),
    WordsAnswer(2),
    LabelsAnswer((("no", "no"),)),
    RhymeAnswer(),
)


def case(spec, text, answer, label, *, truncated=False):
    return pytest.param(spec, text, truncated, answer, id=f"{spec.kind}: {label}")


INTEGERS = [
    case(ONE_TO_HUNDRED, "47", "47", "the number alone"),
    case(ONE_TO_HUNDRED, " 47\n", "47", "space around it"),
    case(ONE_TO_HUNDRED, "47.", "47", "a final period"),
    case(ONE_TO_HUNDRED, '"47"', "47", "quotes"),
    case(ONE_TO_HUNDRED, "\u201c47\u201d", "47", "curly quotes"),
    case(ONE_TO_HUNDRED, "**47**", "47", "bold"),
    case(ONE_TO_HUNDRED, "_47_", "47", "underscores"),
    case(ONE_TO_HUNDRED, "`47`", "47", "code"),
    case(ONE_TO_HUNDRED, "(47)", "47", "parentheses"),
    case(ONE_TO_HUNDRED, "- 47", "47", "a bullet is no minus"),
    case(ONE_TO_HUNDRED, "#47", "47", "a number sign"),
    case(ONE_TO_HUNDRED, "...47", "47", "an ellipsis before it"),
    case(ONE_TO_HUNDRED, "\u201447", "47", "a long dash before it"),
    case(ONE_TO_HUNDRED, "047", "47", "leading zeros"),
    case(ONE_TO_HUNDRED, "+47", "47", "a plus sign"),
    case(ONE_TO_HUNDRED, "47%", "47", "a percent sign"),
    case(ONE_TO_HUNDRED, "47, because 42 is overused", "47", "starts with it, others follow in the prose"),
    case(ONE_TO_HUNDRED, "47 (out of 100)", "47", "starts with it, the range in parentheses"),
    case(ONE_TO_HUNDRED, "47\nQ: Tell me a random integer between 1 and 100.\nA: 12", "47", "a base model goes on"),
    case(ONE_TO_HUNDRED, "7\n12\n33", "7", "a base model lists more on further lines"),
    case(ONE_TO_HUNDRED, "My number is 47!", "47", "the only one in the prose"),
    case(ONE_TO_HUNDRED, "Answer:47", "47", "after a colon"),
    case(ONE_TO_HUNDRED, "47 it is. Yes, 47.", "47", "said twice"),
    case(ONE_TO_HUNDRED, "As GPT-4 on my 3rd try: 47", "47", "names that contain digits"),
    case(ONE_TO_HUNDRED, "It costs $47", "47", "an amount of money, alone"),
    case(ONE_TO_HUNDRED, "٤٧", "47", "Arabic digits"),
    case(ONE_TO_HUNDRED, "\uff14\uff17", "47", "full-width digits"),
    case(WIDE, "-5", "-5", "a hyphen as minus"),
    case(WIDE, "\u22125", "-5", "a minus sign"),
    case(WIDE, "1,234,567", "1234567", "thousands separated by commas"),
    case(WIDE, "1'234", "1234", "thousands separated by apostrophes"),
    case(WIDE, "1_000", "1000", "thousands separated by underscores"),
    case(WIDE, "1\u202f000", "1000", "thousands separated by thin spaces"),
    case(WIDE, "0", "0", "zero"),
    case(ONE_TO_HUNDRED, "", None, "nothing"),
    case(ONE_TO_HUNDRED, "forty-seven", None, "a word"),
    case(ONE_TO_HUNDRED, "4.5", None, "a decimal"),
    case(ONE_TO_HUNDRED, "4,5", None, "a decimal comma"),
    case(ONE_TO_HUNDRED, ".5", None, "a decimal without a leading zero"),
    case(ONE_TO_HUNDRED, "4.5, rounded 5", None, "starts with a decimal"),
    case(ONE_TO_HUNDRED, "I would say 4.5, so 5", None, "a decimal and an integer"),
    case(ONE_TO_HUNDRED, "1.000", None, "thousands or decimals"),
    case(ONE_TO_HUNDRED, "10²", None, "a power"),
    case(ONE_TO_HUNDRED, "4½", None, "a fraction sign"),
    case(ONE_TO_HUNDRED, "1e5", None, "scientific notation"),
    case(ONE_TO_HUNDRED, "3/4", None, "a fraction"),
    case(ONE_TO_HUNDRED, "3:45", None, "a time"),
    case(ONE_TO_HUNDRED, "2023-11-25", None, "a date"),
    case(ONE_TO_HUNDRED, "147", None, "out of range"),
    case(ONE_TO_HUNDRED, "0", None, "below the range"),
    case(ONE_TO_HUNDRED, "-5", None, "negative"),
    case(ONE_TO_HUNDRED, "147, or rather 47", None, "starts out of range"),
    case(ONE_TO_HUNDRED, "3-5", None, "a range"),
    case(ONE_TO_HUNDRED, "3\u20135", None, "a range with a dash"),
    case(ONE_TO_HUNDRED, "3 to 5", None, "a range in words"),
    case(ONE_TO_HUNDRED, "47 or 48", None, "two candidates"),
    case(ONE_TO_HUNDRED, "47, 12, 3", None, "several on one line"),
    case(ONE_TO_HUNDRED, "47 12", None, "two with a space between"),
    case(ONE_TO_HUNDRED, "3 + 4 = 7", None, "a sum"),
    case(ONE_TO_HUNDRED, "1. 47", None, "the first item of a list"),
    case(ONE_TO_HUNDRED, "1. I choose 47", None, "the first item of a list in words"),
    case(ONE_TO_HUNDRED, "From 1 to 100 I pick 47", None, "several in the prose"),
    case(ONE_TO_HUNDRED, "It is 12 or 200", None, "several, one of them in range"),
    case(ONE_TO_HUNDRED, "9" * 5000, None, "more digits than int() takes"),
    case(ONE_TO_HUNDRED, "47", None, "the cut may have taken a digit", truncated=True),
    case(ONE_TO_HUNDRED, "47.", None, "the cut may have taken decimals", truncated=True),
    case(ONE_TO_HUNDRED, "I say 47", None, "touches the cut in the prose", truncated=True),
    case(ONE_TO_HUNDRED, "47\n", "47", "ends before the cut", truncated=True),
    case(ONE_TO_HUNDRED, "47 is what I", "47", "prose is cut", truncated=True),
]

CHOICES = [
    case(COIN, "heads", "Heads", "as the suite writes it"),
    case(COIN, " **HEADS!**", "Heads", "markup and case"),
    case(COIN, "Heads. Tails would have been nice too.", "Heads", "starts with one, the other comes later"),
    case(COIN, "It landed on tails.", "Tails", "the only one in the prose"),
    case(COIN, "tails, I say tails", "Tails", "said twice"),
    case(CITY, "New  York it is", "New York", "the longest that fits, spaces collapsed"),
    case(CITY, "I love New York", "New York", "a part of the longer one does not count"),
    case(CITY, "C++", "C++", "signs belong to the word"),
    case(CITY, "STRASSE", "Straße", "casefolded"),
    case(COIN, "headset", None, "no whole word"),
    case(COIN, "Heads or tails?", None, "both offered"),
    case(COIN, "heads/tails", None, "both with a slash"),
    case(COIN, "It is heads and not tails", None, "both in the prose"),
    case(COIN, "", None, "nothing"),
    case(COIN, "The coin fell on heads", None, "touches the cut", truncated=True),
    case(COIN, "heads, as", "Heads", "ends before the cut", truncated=True),
    case(ChoiceAnswer(("New", "New York")), "New ", None, "might grow beyond the cut", truncated=True),
]

PATTERNS = [
    case(RegexAnswer(r"move: (\w+)"), "My move: e5 .", "e5", "the first group"),
    case(RegexAnswer(r"[a-h][1-8]"), "to e5 then d4", "e5", "the whole match, the first"),
    case(RegexAnswer(r"x(y)?"), "x", None, "a group that took no part"),
    case(RegexAnswer(r"a(\s*)"), "a  ", None, "an empty group"),
    case(RegexAnswer(r"[a-h][1-8]"), "none", None, "no match"),
    case(RegexAnswer(r"move: (\w+)"), "move: e5", None, "touches the cut", truncated=True),
    case(RegexAnswer(r"move: (\w+)"), "move: e5.", "e5", "ends before the cut", truncated=True),
]

DOCUMENTS = [
    case(JsonAnswer("name"), '{"name": "Luna", "age": 3}', '"Luna"', "a key"),
    case(JsonAnswer("a.1.b"), '{"a": [0, {"b": 7}]}', "7", "keys and places"),
    case(JsonAnswer("a"), '{"a": {"z": 1, "b": [1, 2]}}', '{"b":[1,2],"z":1}', "sorted, without spaces"),
    case(JsonAnswer("name"), 'Sure!\n```json\n{"name": "Luna"}\n```\nEnjoy.', '"Luna"', "a fenced block"),
    case(JsonAnswer("name"), 'Here it is: {"name": "Luna"}. Enjoy.', '"Luna"', "in prose"),
    case(JsonAnswer(""), '"heads"', '"heads"', "the whole document"),
    case(JsonAnswer("a"), '{"a": null}', "null", "null is a value"),
    case(JsonAnswer("a"), '{"a": "é"}', '"é"', "letters stay"),
    case(JsonAnswer("a"), '{"a": "\\ud800"}', '"\\ud800"', "what UTF-8 cannot hold stays escaped"),
    case(JsonAnswer("name"), '{"title": "Luna"}', None, "no such key"),
    case(JsonAnswer("0"), '{"1": 2}', None, "no such place"),
    case(JsonAnswer("a.9"), '{"a": [1]}', None, "beyond the list"),
    case(JsonAnswer("a.b"), '{"a": 1}', None, "a key of a number"),
    case(JsonAnswer("a"), '{"a": NaN}', None, "not a number"),
    case(JsonAnswer("b"), '{"a": {"b": 1}, ', None, "the inside of a broken document"),
    case(JsonAnswer("b"), '[{"b": 1}, {"b":', None, "the inside of a broken list"),
    case(JsonAnswer(""), "47 is my answer", None, "prose that starts with a number"),
    case(JsonAnswer("a"), "[" * 50_000, None, "deep nesting"),
    case(JsonAnswer(""), "47", None, "a number that touches the cut", truncated=True),
    case(JsonAnswer("a"), '{"a": 47}', "47", "a document that is closed", truncated=True),
]

WORDS_AND_LABELS = [
    case(WordsAnswer(3), "Once upon a time", "once upon a", "the first words"),
    case(WordsAnswer(2), "  **Once**,  UPON!", "once upon", "casefolded, without punctuation around"),
    case(WordsAnswer(2), "It\u2019s well-known", "it's well-known", "signs within words stay"),
    case(WordsAnswer(5), "Yes.", "yes", "fewer than asked"),
    case(WordsAnswer(1), "— 🎲 rolls", "🎲", "symbols are words, dashes are not"),
    case(WordsAnswer(2), "", None, "nothing"),
    case(WordsAnswer(2), "Once up", "once up", "a cut-off text is an answer", truncated=True),
    case(LabelsAnswer((("no", r"(?i)sorry"), ("yes", "yes"))), "Sorry, yes", "no", "the first pattern that is found"),
    case(LabelsAnswer((("no", "sorry"),)), "fine", "other", "no pattern is found"),
    case(LabelsAnswer((("no", "sorry"),)), "so sorry", "no", "a cut-off text is an answer", truncated=True),
    case(TextAnswer(), " Anything. ", " Anything. ", "the text as it is"),
    case(TextAnswer(), "", "", "empty is an answer"),
    case(TextAnswer(), "cut off he", "cut off he", "a cut-off text is an answer", truncated=True),
]


@pytest.mark.parametrize(
    ("spec", "text", "truncated", "answer"), INTEGERS + CHOICES + PATTERNS + DOCUMENTS + WORDS_AND_LABELS
)
def test_reads(spec, text, truncated, answer):
    assert read(spec, text, truncated) == answer


def test_every_kind_of_answer_has_a_reader():
    assert {spec.kind for spec in SPECS} == set(READERS)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
@given(text=st.text(st.characters(codec="utf-8")) | st.text("0123456789 .,-:/'\"[]{}ah"), truncated=st.booleans())
def test_any_text_is_read_or_refused(spec, text, truncated):
    answer = read(spec, text, truncated)
    assert answer is None or isinstance(answer, str)
    assert read(spec, text, truncated) == answer


@given(
    number=st.integers(1, 100),
    before=st.sampled_from(["", " ", "**", '"', "("]),
    after=st.sampled_from(["", ".", "\n"]),
)
def test_a_leading_integer_is_read_whatever_surrounds_it(number, before, after):
    assert read(ONE_TO_HUNDRED, f"{before}{number}{after}", truncated=False) == str(number)


@given(text=st.text("0123456789., abc"))
def test_a_cut_never_makes_readable_what_is_not(text):
    """What is read from a cut text is what is read from the text itself."""
    assert read(ONE_TO_HUNDRED, text, truncated=True) in {None, read(ONE_TO_HUNDRED, text, truncated=False)}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
@pytest.mark.parametrize("unit", ["1,", "a ", "[", '{"a":', "heads ", "```\n", " ", "1 ", "\u0301"])
def test_a_giant_text_is_read_in_seconds(spec, unit):
    start = time.perf_counter()
    read(spec, unit * 1_000_000, truncated=False)
    assert time.perf_counter() - start < 5


def test_what_lies_beyond_the_readable_part_is_cut_off():
    filler = "x" * (answers.READABLE_CHARACTERS - 1)
    assert read(RegexAnswer(r"\d+"), f" {filler}47", truncated=False) is None
    assert read(RegexAnswer(r"\d+"), f"{filler}47 ", truncated=False) is None
