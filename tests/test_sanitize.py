"""Nothing a model writes can steer a terminal or hide."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.sanitize import one_line, storable, visible

ANY_TEXT = st.text(st.characters())  # lone surrogates included


@given(ANY_TEXT)
def test_no_character_that_steers_or_hides_survives(text):
    for shown in (visible(text), one_line(text)):
        assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        shown.encode("utf-8")


@given(ANY_TEXT)
def test_stored_text_is_utf8_and_only_lone_surrogates_change(text):
    kept = storable(text)
    kept.encode("utf-8")
    assert len(kept) == len(text)
    assert all(a == b or (b == "\ufffd" and unicodedata.category(a) == "Cs") for a, b in zip(text, kept, strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("\x1b[31mred", "␛[31mred", id="an escape sequence is shown, not obeyed"),
        pytest.param("a\u202eb", "a\\u202eb", id="a bidi override is shown"),
        pytest.param("a\u200bb", "a\\u200bb", id="a zero-width space is shown"),
        pytest.param("[/INST] [bold]", "[/INST] [bold]", id="markup is only text"),
        pytest.param("né 日本 🎲", "né 日本 🎲", id="letters of any script and emoji stay"),
        pytest.param("\ud800", "\\ud800", id="a lone surrogate is shown"),
        pytest.param("a\x7f\x00", "a␡␀", id="delete and nul are shown"),
    ],
)
def test_unsafe_text_becomes_visible(text, expected):
    assert visible(text) == expected


def test_line_breaks_become_a_sign_on_one_line():
    assert one_line(" The end.\n\n\nOnce  upon\ta time\r\n") == "The end. ⏎ Once upon a time"


def test_newlines_stay_where_asked_for():
    assert visible("a\nb\x1b", newlines=True) == "a\nb␛"
