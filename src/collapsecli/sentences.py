"""Text in, its sentences out, in order and without loss. Knows no prompts and no completions."""

from __future__ import annotations

import re

_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st sr jr vs etc e.g i.e cf no fig vol approx dept est gen col lt capt sgt rev hon".split()  # noqa: SIM905  reads better
)
# The end of a sentence: its marks, what closes behind them, and the space that follows; or a line that ends.
_END = re.compile(r"(?:[.!?…。！？]+[\"'”’»)\]*_]*(?=\s)|[。！？]+[”’」』）]*)\s*|\n\s*")  # noqa: RUF001  other scripts' marks
_LAST_WORD = re.compile(r"([^\s(\"'“‘]+)\.$")  # noqa: RUF001  quotation marks of print


def sentences(text: str) -> list[str]:
    """The sentences of a text, each with the space that follows it: joined they are the text again.

    A sentence ends with a full stop, a question or exclamation mark before space, or with its line. A full stop after
    an initial or a common abbreviation ends none. What stands after the last end is a sentence too, if an unfinished
    one: see `finished`. Leading space belongs to the first.
    """
    found: list[str] = []
    begin = 0
    for end in _END.finditer(text):
        so_far = text[begin : end.end()]
        if not so_far.strip() or ("\n" not in end.group() and _goes_on(so_far, text[end.end() :])):
            continue
        found.append(so_far)
        begin = end.end()
    rest = text[begin:]
    if rest.strip() or (rest and not found):
        found.append(rest)
    elif rest:
        found[-1] += rest
    return found


def finished(text: str, *, cut: bool) -> list[str]:
    """The sentences without the one that was `cut` off by a limit."""
    found = sentences(text)
    return found[:-1] if cut and found and not _is_whole(found[-1]) else found


def _is_whole(sentence: str) -> bool:
    return bool(re.search(r"[.!?…。！？][\"'”’»)\]*_]*\s*$", sentence)) or sentence.endswith("\n")  # noqa: RUF001


def _goes_on(sentence: str, rest: str) -> bool:
    """Whether the sentence has not ended: it stops in an abbreviation, or in a quotation (`"Really?" he asked`)."""
    is_quoted = re.search(r"[\"'”’»]\s*$", sentence) is not None  # noqa: RUF001
    return _is_abbreviation(sentence) or (is_quoted and rest[:1].islower())


def _is_abbreviation(sentence: str) -> bool:
    last = _LAST_WORD.search(sentence.rstrip())
    if last is None:
        return False
    word = last.group(1)
    return (len(word) == 1 and word.isalpha() and word.isupper() and word != "I") or word.lower() in _ABBREVIATIONS
