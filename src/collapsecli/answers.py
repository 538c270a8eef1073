"""Text in, one answer out, or None: what cannot be read for certain is invalid, never guessed.

Knows nothing of cells, counts or verdicts.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any

from collapsecli.records import OTHER_LABEL
from collapsecli.rhymes import rhyme_scheme

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from collapsecli.records import (
        AnswerSpec,
        ChoiceAnswer,
        IntegerAnswer,
        JsonAnswer,
        LabelsAnswer,
        RegexAnswer,
        RhymeAnswer,
        TextAnswer,
        WordsAnswer,
    )

READABLE_CHARACTERS = 100_000


def read(spec: AnswerSpec, text: str, truncated: bool) -> str | None:
    """Read the answer that `spec` asks for out of one completion's text.

    Returns the canonical answer: the text itself, a decimal integer, the choice as the suite writes it, a label's
    name, a JSON value with sorted keys, the first words casefolded, a rhyme scheme; or None where the text holds no
    answer or more than one. `truncated` says that the text was cut at the token limit: `integer`, `choice`, `regex`,
    `json` and `rhyme` then accept only what ends before the cut. All kinds but `text` look at the first
    `READABLE_CHARACTERS` only.
    """
    return READERS[spec.kind](spec, text, truncated)


def _read_text(_spec: TextAnswer, text: str, _truncated: bool) -> str:
    return text


# --------------------------------------------------------------------------------------------------------- integer

# What separates a number from its surroundings. A point, a comma, a slash, a dash or a colon between digits does not:
# "4.5", "3/4", "2-3" and "3:45" are one thing each, and no integer.
_SEPARATORS = r"\s\"`*~()\[\]{}<>|=!?;…—$€£¥₹"
_CHUNK = re.compile(rf"(?:[^{_SEPARATORS}:]|(?<=\d):(?=\d))+")
_BEFORE_NUMBER = re.compile(r"(?:[_',:#]|\.{2,})+")
_AFTER_NUMBER = "_.,:'%°-\u2013/\\"
_INTEGER = re.compile(r"([-+]?(?:\d{1,3}(?:([,_'])\d{3})(?:\2\d{3})*|\d+))(?:\.0{1,2})?")
_SCIENTIFIC = re.compile(r"[-+]?\d[\d.,]*e[-+]?\d+", re.IGNORECASE)
_NOTHING_YET = re.compile(r"[\s\"`*~()\[\]{}<>|=!?;:…—_',#.-]*")  # quotes and markup, but no sign of a currency
_ANOTHER_NUMBER = re.compile(r"[ \t]*(?:or|to|and|through|[-\u2013—,/&+*x\u00d7÷=:^])?[ \t]*[-+]?\d", re.IGNORECASE)
_LIST_MARKER = re.compile(r"[.)][ \t]+[\"'`*_(]*(?:(?P<number>[-+]?\d)|\S)")
_THIN_SPACE_GROUP = re.compile(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_PLAIN_SIGNS = str.maketrans("\u2212\ufe63\uff0d\uff0b\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb", '---+\'\'"""""')
_MAX_DIGITS = 40


def _read_integer(spec: IntegerAnswer, text: str, truncated: bool) -> str | None:
    """The integer that the text starts with, else the only one in it.

    A text that starts with a number which is no single integer ("4.5", "3 to 5", "1. 47") holds no answer. Otherwise
    all numbers of the text have to be the same integer. Words that contain digits ("GPT-4", "3rd") are no numbers.
    """
    text, truncated = _readable(text, truncated)
    text = _THIN_SPACE_GROUP.sub(",", text.translate(_PLAIN_SIGNS))
    numbers = list(_numbers(text))
    if not numbers:
        return None
    start, end, value = numbers[0]
    values = {value for _, _, value in numbers}
    if _NOTHING_YET.fullmatch(text, 0, start):
        if _is_part_of_a_list(text, end, value, values):
            return None
    elif len(values) > 1:
        return None
    if value is None or not spec.low <= value <= spec.high:
        return None
    touches_the_cut = truncated and not text[end:].strip(".,:'_")
    return None if touches_the_cut else str(value)


def _numbers(text: str) -> Iterator[tuple[int, int, int | None]]:
    """Start, end and value of every number of a text; the value is None where it is no integer."""
    for chunk in _CHUNK.finditer(text):
        if not any(character.isdigit() for character in chunk[0]):
            continue
        opening = _BEFORE_NUMBER.match(chunk[0])
        start = chunk.start() + (opening.end() if opening else 0)
        number = text[start : chunk.end()].rstrip(_AFTER_NUMBER)
        end = start + len(number)
        integer = _INTEGER.fullmatch(number)  # a table of numbers often writes 7 as 7.0
        if integer and len(number) <= _MAX_DIGITS:
            yield start, end, int(re.sub(r"[,_']", "", integer[1]))
        elif _SCIENTIFIC.fullmatch(number) or not any(character.isalpha() for character in number):
            yield start, end, None


def _is_part_of_a_list(text: str, end: int, value: int | None, values: set[int | None]) -> bool:
    """Whether a leading number is followed by another one on its line, or numbers the items of a list."""
    if _ANOTHER_NUMBER.match(text, end):
        return True
    marker = _LIST_MARKER.match(text, end)
    return marker is not None and (marker["number"] is not None or (value == 1 and len(values) > 1))


# ---------------------------------------------------------------------------------------------------------- choice

_ALTERNATIVE = re.compile(r"\s*(?:,|/|&|\bor\b|\band\b)\s*(?:or\b|and\b)?\s*")
_PUNCTUATION = re.compile(r"[\W_]*")


def _read_choice(spec: ChoiceAnswer, text: str, truncated: bool) -> str | None:
    """The choice that the text starts with (the longest), else the only one that occurs in it as whole words."""
    text, truncated = _readable(text, truncated)
    text = _folded(text)
    by_folded = {" ".join(_folded(choice).split()): choice for choice in spec.choices}
    pattern = _any_of(tuple(by_folded))
    found = list(pattern.finditer(text))
    if not found:
        return None
    first, names = found[0], [" ".join(match[0].split()) for match in found]
    leads = _PUNCTUATION.fullmatch(text, 0, first.start()) is not None
    if leads and len(found) > 1 and names[0] != names[1]:
        leads = _ALTERNATIVE.fullmatch(text, first.end(), found[1].start()) is None
    if not leads and len(set(names)) > 1:
        return None
    if truncated and not text[first.end() :].strip():
        might_grow = any(other.startswith(names[0] + " ") for other in by_folded)
        if first.end() == len(text) or might_grow:
            return None
    return by_folded[names[0]]


def _any_of(choices: tuple[str, ...]) -> re.Pattern[str]:
    """A pattern of whole words for any of the (folded) choices, the longest first."""
    longest_first = sorted(choices, key=len, reverse=True)
    words = (r"\s+".join(re.escape(word) for word in choice.split()) for choice in longest_first)
    return re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)")


# ------------------------------------------------------------------------------------- regex, json, words and labels


def _read_regex(spec: RegexAnswer, text: str, truncated: bool) -> str | None:
    """The first group of the first match (the whole match if the pattern has no group), outer space removed."""
    text, truncated = _readable(text, truncated)
    match = re.search(spec.pattern, text)
    if match is None:
        return None
    group = 1 if match.re.groups else 0
    if truncated and match.end(group) == len(text):
        return None
    return (match[group] or "").strip() or None


_FENCED = re.compile(r"```[\w-]*\s*\n(.*?)```", re.DOTALL)


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_reject_constant)


def _read_json(spec: JsonAnswer, text: str, truncated: bool) -> str | None:
    """The value at a dotted path of the JSON document in the text: the text itself, a fenced block, or in prose."""
    text, truncated = _readable(text, truncated)
    for document, is_cut in _documents(text, truncated):
        try:
            value, end = _DECODER.raw_decode(document)
        except (ValueError, RecursionError):
            continue
        is_whole = not is_cut and end == len(document)
        if is_whole or isinstance(value, dict | list):
            return _value_at(value, spec.path)
    return None


def _documents(text: str, truncated: bool) -> Iterator[tuple[str, bool]]:
    """Where a JSON document may start, and whether its end may be cut off.

    A document that does not parse is never searched for smaller ones: they would be parts of it.
    """
    yield text.strip(), truncated and text == text.rstrip()
    fenced = _FENCED.search(text)
    if fenced:
        yield fenced[1].strip(), False
    opening = re.search(r"[{\[]", text)
    if opening:
        yield text[opening.start() :], truncated


def _value_at(value: Any, path: str) -> str | None:
    for key in path.split(".") if path else ():
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and len(key) < 10 and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    try:
        dumped = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        dumped.encode()
    except UnicodeEncodeError:  # a lone surrogate cannot be stored as UTF-8
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    return dumped


def _read_words(spec: WordsAnswer, text: str, truncated: bool) -> str | None:
    """The first words, casefolded, without the punctuation around them, joined by single spaces."""
    text, _ = _readable(text, truncated)
    words: list[str] = []
    for chunk in _folded(text).split():
        word = _without_outer_punctuation(chunk)
        if word:
            words.append(word)
        if len(words) == spec.count:
            break
    return " ".join(words) or None


def _without_outer_punctuation(chunk: str) -> str:
    inner = [place for place, character in enumerate(chunk) if not unicodedata.category(character).startswith("P")]
    return chunk[inner[0] : inner[-1] + 1] if inner else ""


def _read_labels(spec: LabelsAnswer, text: str, truncated: bool) -> str:
    text, _ = _readable(text, truncated)
    return next((name for name, pattern in spec.labels if re.search(pattern, text)), OTHER_LABEL)


def _read_rhyme(_spec: RhymeAnswer, text: str, truncated: bool) -> str | None:
    text, cut = _readable(text, truncated)
    return rhyme_scheme(text, cut=cut)


def _readable(text: str, truncated: bool) -> tuple[str, bool]:
    """The part of a text that is looked at, and whether it ends at a cut."""
    return text[:READABLE_CHARACTERS], truncated or len(text) > READABLE_CHARACTERS


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")


READERS: dict[str, Callable[[Any, str, bool], str | None]] = {
    "text": _read_text,
    "integer": _read_integer,
    "choice": _read_choice,
    "regex": _read_regex,
    "json": _read_json,
    "words": _read_words,
    "labels": _read_labels,
    "rhyme": _read_rhyme,
}
