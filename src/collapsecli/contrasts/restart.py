"""Texts that begin anew: one story is ended so that another, a safer one, can begin. Knows markers, and no meaning."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from collapsecli.judge import is_unfinished_thought
from collapsecli.metrics.shares import difference, p_equal, share
from collapsecli.records import Contrast, Estimate
from collapsecli.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collapsecli.contrasts.drawn import Drawn
    from collapsecli.records import Cell

MOST_CHARACTERS = 20_000  # of a text that are looked at: the patterns of a suite may be slow ones
_MOST_OF_LABEL = 40
_PREAMBLE_WORDS = 20  # "Sure! Here is a story for you:" is no text that is left


@dataclass(frozen=True, slots=True)
class Marker:
    """What stands between a text that is left and the next one. It `closes` if it says that the first one is over."""

    name: str
    pattern: re.Pattern[str]
    closes: bool = False


_QUOTES = r"\"'\u201c\u2018"
_DASHES = r"\u2013\u2014-"
# Where a sentence may begin: with a line, or after the end of the one before.
_BEGIN = r"(?:^|(?<=[.!?…\"'\u201d\u2019)\]*_][ \n])|(?<=[.!?…]  ))"
_NUMBER = r"(?:\d{1,3}|[IVXLC]{1,7}|(?i:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve))"

# Nothing in these can be matched in two ways at length: each takes time in proportion to the text.
DEFAULT_PATTERNS: tuple[Marker, ...] = (
    Marker(
        "end of text",
        re.compile(
            r"<\|(?:endoftext|end_of_text|im_end|eot_id|end_of_turn|eos|end|begin_of_text|startoftext|im_start)\|>"
            r"|</s>|<(?:eos|bos|end_of_turn|start_of_turn)>|<\uff5c(?:end|begin)\u2581of\u2581sentence\uff5c>"
        ),
        closes=True,
    ),
    Marker(
        "the end",
        re.compile(
            rf"{_BEGIN}[ \t*_~#(\[<{_QUOTES}{_DASHES}]{{0,12}}(?P<marker>The [Ee]nd|THE END)"
            rf"(?=[ \t]{{0,3}}(?:[.!?…*_~)\]>\"'\u201d\u2019]|[{_DASHES}]{{1,3}}[ \t]{{0,3}}$|$))",
            re.MULTILINE,
        ),
        closes=True,
    ),
    Marker(
        "section break",
        re.compile(r"^[ \t]*(?:([*_=#•+-])[ \t]*\1[ \t]*\1[ \t*_=#•+-]*|[\u2042\u2766][ \t]*)$", re.MULTILINE),
    ),
    Marker("heading", re.compile(r"^[ \t]{0,3}#{1,2}[ \t]+\S[^\n]*$", re.MULTILINE)),
    Marker("line in bold", re.compile(r"^[ \t]{0,3}(\*\*|__)[^\s*_][^\n*_]{0,98}\1[ \t]{0,3}$", re.MULTILINE)),
    Marker(
        "chapter",
        re.compile(
            rf"^[ \t*_#]{{0,8}}(?:Chapter|CHAPTER)[ \t]{_NUMBER}[*_]{{0,3}}(?:[ \t]?[:.{_DASHES}][^\n]{{0,80}})?$",
            re.MULTILINE,
        ),
    ),
    Marker("title", re.compile(r"^[ \t*_#]{0,8}(?:Title|TITLE)[*_]{0,2}:[ \t*_]{0,4}\w[^\n]*$", re.MULTILINE)),
    Marker(
        "fairy tale",
        re.compile(
            rf"{_BEGIN}[ \t*_{_QUOTES}]{{0,4}}"
            r"(?P<marker>O(?i:nce upon a time)|(?:There once|Once,? there) (?:was|were|lived))\b",
            re.MULTILINE,
        ),
    ),
    Marker(
        "long ago",
        re.compile(rf"^[ \t*_{_QUOTES}]{{0,4}}(?P<marker>Long(?:,? long)? ago|A long time ago)\b", re.MULTILINE),
    ),
)

_REQUEST = re.compile(
    r"\s*(?:please|(?:can|could|would|will) you|write|tell|compose|describe|continue|complete|finish|explain|"
    r"summari[sz]e|create|invent|generate|list|give)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"\S+")


def restarts(plain: Drawn, injected: Sequence[Drawn]) -> Iterator[Contrast]:
    """How often the completions of a cell, and of each that was injected with something, begin anew.

    `restarts`: the share of completions that do (see `marker_in`), labelled with the marker that most of them have.
    `restart_difference`: injected minus plain. Draws that were lost, and those cut off inside a thought, might have
    begun anew or not: both ends and the p-value count with it.

    Nothing about a cell without a known text, or whose suite looks for no marker.
    """
    before = _count(plain)
    yield from _share_of(plain, before)
    for cell in injected:
        found = _count(cell)
        yield from _share_of(cell, found)
        if before.n and found.n:
            looks = len(plain.cell.sampling.looks) * len(cell.cell.sampling.looks)
            yield Contrast(
                kind="restart",
                suite=cell.cell.suite,
                subject=cell.cell.cell_id,
                metric="restart_difference",
                estimate=difference(found.share, before.share),
                n=found.n + before.n,
                cell_id=cell.cell.cell_id,
                other_cell_id=plain.cell.cell_id,
                p_value=p_equal(
                    found.hits, found.n, before.hits, before.n, lost=found.lost, other_lost=before.lost, looks=looks
                ),
            )


def marker_in(text: str, markers: Sequence[Marker] = DEFAULT_PATTERNS, *, continued: bool) -> str | None:
    """The first marker with which a completion begins anew, as it stands there; None where it does not.

    A marker that has no text after it ended the text; other markers are no text. In a completion that goes on with a
    text which the prompt began (`continued`), it counts from the first character on: that text was left. Where the
    completion is a text of its own (the answer in a chat, or to a question or a request), a heading or "Once upon a
    time" within its first 20 words is how it begins; a marker that closes ("The End", an end-of-text mark) counts all
    the same.

    Only the first `MOST_CHARACTERS` are looked at.
    """
    text = text[:MOST_CHARACTERS].replace("\r\n", "\n")
    begin = 0 if continued else _after_preamble(text)
    found = [match for one in markers if (match := one.pattern.search(text, 0 if one.closes else begin))]
    end = _end_of_text(text, markers) if found else 0
    first = min((match for match in found if match.end() < end), key=re.Match.start, default=None)
    return None if first is None else (first.groupdict().get("marker") or first[0]).strip()


def markers_of(cell: Cell) -> tuple[Marker, ...]:
    """What a cell's texts are searched for. The patterns of a suite find the marker and not what follows it.

    They count anywhere in a text.
    """
    if cell.restarts is None:
        return DEFAULT_PATTERNS
    return tuple(Marker(pattern, re.compile(pattern), closes=True) for pattern in cell.restarts)


def goes_on(cell: Cell) -> bool:
    """Whether a completion goes on with a text, as far as what stands before it can tell.

    It does after an injection, and after a prompt that is no chat, has no request in it, and does not end with a colon
    or a question mark.
    """
    if cell.injected.strip():
        return not cell.injected.rstrip().endswith((":", "?"))
    if not cell.text or cell.text.rstrip().endswith((":", "?")):
        return False
    return not any(map(_REQUEST.match, sentences(cell.text)))


def _after_preamble(text: str) -> int:
    """Where the words end with which a text of its own may begin."""
    last = next(islice(_WORD.finditer(text), _PREAMBLE_WORDS - 1, None), None)
    return len(text) if last is None else last.end()


def _end_of_text(text: str, markers: Sequence[Marker]) -> int:
    """Where the last letter stands that is not of a marker; one further, so that 0 is none."""
    for one in markers:
        text = one.pattern.sub(lambda match: " " * len(match[0]), text)
    return next((place + 1 for place in range(len(text) - 1, -1, -1) if text[place].isalpha()), 0)


# ------------------------------------------------------------------------------------------------------------ counting


@dataclass(frozen=True, slots=True)
class _Count:
    """How many of `n` known texts begin anew, and with what `marker` most of them do; `lost` ones are not known."""

    hits: int
    n: int
    lost: int
    marker: str
    share: Estimate


def _count(cell: Drawn) -> _Count:
    if cell.cell.restarts == ():
        return _Count(0, 0, 0, "", Estimate())
    texts = [one.text for one in cell.completions if not is_unfinished_thought(one)]
    lost = cell.lost + len(cell.completions) - len(texts)
    markers, continued = markers_of(cell.cell), goes_on(cell.cell)
    found = Counter(marker for text in texts if (marker := marker_in(text, markers, continued=continued)) is not None)
    hits, n = found.total(), len(texts)
    most = found.most_common(1)[0][0] if found else ""
    label = " ".join(most.split())[:_MOST_OF_LABEL].rstrip()
    return _Count(hits, n, lost, label, share(hits, n, cell.alpha, lost))


def _share_of(cell: Drawn, count: _Count) -> Iterator[Contrast]:
    if count.n:
        yield Contrast(
            kind="restart",
            suite=cell.cell.suite,
            subject=cell.cell.cell_id,
            metric="restarts",
            estimate=count.share,
            n=count.n,
            cell_id=cell.cell.cell_id,
            label=count.marker,
        )
