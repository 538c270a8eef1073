"""A poem in, the rhyme scheme of its first stanza out, heard from English spelling. Knows no prompts and no engine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from string import ascii_lowercase
from typing import Final

from collapsecli.rhymes.spelling import plain, rhymes

__all__ = ["UNRHYMED", "rhyme_scheme", "rhymes"]

UNRHYMED: Final = "unrhymed"
LINES_HEARD: Final = 4
LONGEST_LINE: Final = 100  # characters; what is longer is a paragraph and no line of verse
CHARACTERS_READ: Final = 20_000


def rhyme_scheme(text: str, *, cut: bool = False) -> str | None:
    """The scheme of a poem's first stanza: letters ("abab"), or `unrhymed` where no two of its lines rhyme.

    A stanza is two lines or more without an empty one between them, none longer than a line of verse; of a longer
    stanza the first four lines are heard. Headings, titles and announcements ("Here is a poem:") are no lines of it. A
    stanza written on one line, with slashes, is one too. None where a text has no stanza; also where it is `cut` off
    at a limit before its first four lines are surely whole.

    Lines that rhyme, directly or through another line, share a letter. The same word twice is a repetition, not a
    rhyme: two lines that both end in "rain" share a letter only through a third that rhymes with it.

    It cannot hear slant rhymes ("soul", "all"), rhymes within a line, other languages (what their spelling would sound
    like in English is what is heard), dialects, or words of unusual spelling that are not in the list of `irregular`.
    """
    stanza = _first_stanza(text[:CHARACTERS_READ])
    is_cut = cut or len(text) > CHARACTERS_READ
    if stanza is None or (is_cut and stanza.ends_the_text and len(stanza.lines) <= LINES_HEARD):
        return None
    return _scheme([_last_word(line) for line in stanza.lines[:LINES_HEARD]])


# --------------------------------------------------------------------------------------------------------- stanzas

_MARKUP = re.compile(r"^[\s>*_~`#|\"“”-]+|[\s*_~`|\\]+$")
_HEADING = re.compile(r"\s*(?:#{1,6}\s|\*\*[^*]+\*\*\s*$|__[^_]+__\s*$|(?:title|poem)\s*:)", re.IGNORECASE)
_ANNOUNCEMENT = re.compile(
    r"\b(?:here|sure|certainly|poems?|verses?|haiku|limerick|quatrain|stanza)\b.*:\W*$", re.IGNORECASE
)
_EMPTY_LINE = re.compile(r"\n[ \t>]*(?=\n)")
_SLASH = re.compile(r"\s+//?\s+")
_SMALL_WORDS = frozenset("a an and as at but by for from in into of on or the to with".split())  # noqa: SIM905  reads better
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
_TITLE_WORDS = 6


@dataclass(frozen=True, slots=True)
class _Stanza:
    lines: tuple[str, ...]
    ends_the_text: bool


def _first_stanza(text: str) -> _Stanza | None:
    blocks = _EMPTY_LINE.split(text.replace("\r\n", "\n"))
    for place, block in enumerate(blocks, start=1):
        lines = _lines(block)
        if len(lines) > 1 and max(map(len, lines)) <= LONGEST_LINE:
            return _Stanza(tuple(lines), ends_the_text=place == len(blocks))
    return None


def _lines(block: str) -> list[str]:
    """The lines of verse in a block: without titles, announcements and lines that hold no word."""
    written = [line for line in block.split("\n") if not _HEADING.match(line) and not _ANNOUNCEMENT.search(line)]
    parts = [part for line in written for part in _SLASH.split(line)]
    lines = [line for line in (_MARKUP.sub("", part) for part in parts) if _last_word(line)]
    return lines[1:] if len(lines) > 2 and _is_title(lines[0]) and not _is_title(lines[1]) else lines


def _is_title(line: str) -> bool:
    """A few words without a mark at their end, all with a capital but the small ones."""
    words = line.split()
    capitals = all(word[:1].isupper() for word in words if word not in _SMALL_WORDS)
    return len(words) <= _TITLE_WORDS and capitals and line[-1].isalnum()


def _last_word(line: str) -> str:
    words = _WORD.findall(plain(line))
    return words[-1] if words else ""


# ---------------------------------------------------------------------------------------------------------- scheme


def _scheme(words: list[str]) -> str:
    """A letter for each line, the same for those that rhyme; `unrhymed` where all are different."""
    group = list(range(len(words)))
    for one, other in combinations(range(len(words)), 2):
        if rhymes(words[one], words[other]):
            kept, joined = sorted((group[one], group[other]))
            group = [kept if place == joined else place for place in group]
    if len(set(group)) == len(group):
        return UNRHYMED
    letters = dict(zip(dict.fromkeys(group), ascii_lowercase, strict=False))
    return "".join(letters[place] for place in group)
