"""Text in, its sentences out, in order and without loss. Knows no prompts and no completions."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st sr jr vs etc cf approx dept est gen col lt capt sgt rev hon ph.d".split()  # noqa: SIM905  reads better
)
_BEFORE_NUMBERS = frozenset(("no", "nos", "fig", "vol", "ch", "sec", "p", "pp"))  # "No. 5", but "No. I think not."

_SPACED_MARKS = ".!?\u2026\u061f\u06d4\u0964\u0965"  # also of Arabic, Urdu and Devanagari
_UNSPACED_MARKS = "\u3002\uff01\uff1f"  # of Chinese and Japanese
_MARKS = _SPACED_MARKS + _UNSPACED_MARKS
_QUOTES = "\"'\u2019\u201d\u00bb\u300d\u300f"
_CLOSING = _QUOTES + ")]*_\uff09"

# The end of a sentence: its marks, what closes behind them, and the space that follows; or a line that ends. Nothing is
# tried twice, so that a long run of marks takes no longer than other text.
_CLOSED = f"[{re.escape(_CLOSING)}]*+"
_END = re.compile(
    rf"(?<![{_MARKS}])(?:[{_MARKS}]++{_CLOSED}(?=\s|\Z)|[{_SPACED_MARKS}]*+[{_UNSPACED_MARKS}][{_MARKS}]*+{_CLOSED})\s*+"
    r"|\n\s*+"
)
_LONGEST = 16  # characters: no abbreviation is longer, nor the number of an item with what stands before it
_OPENING = "([\"'\u2018\u201c"
_LETTERS_WITH_POINTS = re.compile(r"[^\W\d_](?:\.[^\W\d_])+")
_NUMBER_OF_ITEM = re.compile(r"(\s*)[>*#-]*\s*(\d{1,3})")
_NEXT = " A"


def sentences(text: str) -> list[str]:
    """The sentences of a text, each with the space that follows it: joined they are the text again.

    A sentence ends with a full stop, a question or exclamation mark before space, or with its line. A full stop after
    an initial, a common abbreviation or the number of an item ends none. What stands after the last end is a sentence
    too, if an unfinished one: see `finished`. Leading space belongs to the first.
    """
    found: list[str] = []
    begin = 0
    for end in _ends(text):
        found.append(text[begin:end])
        begin = end
    rest = text[begin:]
    if rest.strip() or (rest and not found):
        found.append(rest)
    elif rest:
        found[-1] += rest
    return found


def finished(text: str, *, cut: bool) -> list[str]:
    """The sentences without the one that was `cut` off by a limit."""
    if not cut:
        return sentences(text)
    ends = list(_ends(text + _NEXT))  # with more text a whole sentence ends, and an unfinished one goes on
    return [text[begin:end] for begin, end in pairwise([0, *ends])]


def _ends(text: str) -> Iterator[int]:
    """Where each sentence ends that does so by a mark or with its line, and not only because the text does."""
    begin, is_new_line = 0, False
    for end in _END.finditer(text):
        ends_line = "\n" in end.group()
        if _is_blank(text, begin, end) if ends_line else _goes_on(text, begin, end, is_new_line):
            continue
        yield end.end()
        begin, is_new_line = end.end(), ends_line


def _is_blank(text: str, begin: int, end: re.Match[str]) -> bool:
    return end.group().isspace() and not text[begin : end.start()].strip()


def _goes_on(text: str, begin: int, end: re.Match[str], is_new_line: bool) -> bool:
    """Whether the sentence has not ended: it hesitates, quotes (`"Really?" he asked`), or has only abbreviated."""
    closed = end.group().rstrip()
    marks, after = closed.rstrip(_CLOSING), text[end.end() : end.end() + 1]
    if after.islower() and (closed[-1] in _QUOTES or marks.endswith(("..", "\u2026"))):
        return True
    if closed != ".":
        return False
    before = text[max(begin, end.start() - _LONGEST) : end.start()]
    return _is_abbreviation(before, after) or _is_number_of_item(before, begin, is_new_line)


def _is_abbreviation(before: str, after: str) -> bool:
    word = (before.split() or [""])[-1].lstrip(_OPENING).lower()
    is_initial = len(word) == 1 and before[-1].isupper() and word != "i"
    is_listed = word in _ABBREVIATIONS or (word in _BEFORE_NUMBERS and after.isdigit())
    return is_initial or is_listed or ("." in word and _LETTERS_WITH_POINTS.fullmatch(word) is not None)


def _is_number_of_item(before: str, begin: int, is_new_line: bool) -> bool:
    item = _NUMBER_OF_ITEM.fullmatch(before)
    if item is None:
        return False
    return is_new_line or "\n" in item[1] or (begin == 0 and item[2] == "1")  # an answer may be " 47. It is …"
