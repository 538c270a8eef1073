"""Completions of different prompts that are the same: how they open, how they end, what they say, what they repeat.

Knows texts alone: which answer is read in them does not matter here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from sys import intern
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from collapsecli import verdict
from collapsecli.contrasts.pairs import LOST, agreement, between, draws_of, within
from collapsecli.contrasts.phrases import COPIED_RUN, is_copied, quoted, shared_phrases
from collapsecli.metrics.shares import share
from collapsecli.modes import canonical, like_any
from collapsecli.modes.words import words_of
from collapsecli.records import Contrast
from collapsecli.sentences import finished

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from collapsecli.contrasts.drawn import Drawn
    from collapsecli.contrasts.pairs import Bools, Integers, Pairs
    from collapsecli.records import Completion

    Row = Callable[..., Contrast]
    Words = tuple[str, ...]

Item = TypeVar("Item")

OPENING_WORDS = 5
FEWEST_WORDS = 4  # of a prompt's median completion: names and numbers are no texts
FEWEST_WITH = 2  # completions of a prompt that open or end alike, for it to be one of those that share it
MOST_DRAWS = 256
MOST_PAIRS = 4096  # of texts of two prompts: every two prompts have words of their own to leave out


def sameness(subject: str, prompts: Sequence[Drawn]) -> Iterator[Contrast]:
    """The rows of plain cells of different prompts at one temperature; none for fewer than two that hold texts.

    An opening is the first five words, an ending the last finished sentence. They are the same if their words are, in
    any case and with any punctuation; texts are if they share enough words, those of their prompts left out. A cell
    whose median completion has fewer than four words holds no texts, and an empty completion is none. All prompts
    weigh the same: of each as many draws count as of the one with the fewest, up to the earliest look at which one was
    judged, and 256 at most. Every interval has the error rate of the cell with the most looks.

    same_opening_, same_ending_ and same_text_, _between two prompts and _within one: disjoint pairs of draws that agree
        in it. The label is the opening or ending that most prompts share (ties: with most completions), if any two do.
    shared_phrase: a phrase of `shared_phrases`, with the number of prompts as its place.
    """
    spoken = [one for one in prompts if verdict.has_verdict(one.cell.sampling) and _holds_texts(one)]
    if len(spoken) < 2:
        return
    look, alpha = min(MOST_DRAWS, *(one.result.look for one in spoken)), min(one.alpha for one in spoken)
    row = partial(Contrast, "sameness", spoken[0].cell.suite, subject)
    said = [_texts(one, look) for one in spoken]
    asked = [one.asked for one in spoken]
    texts = _in_step(said)
    openings = [[text and text.words[:OPENING_WORDS] for text in of_prompt] for of_prompt in texts]
    endings = _in_step([_endings(of_prompt) for of_prompt in said if _often_ends(of_prompt)])
    written = [text.written for of_prompt in said for text in of_prompt if text is not None]
    for name, parts in (("same_opening", openings), ("same_ending", endings)):
        if len(parts) > 1 and parts[0]:
            yield from _same_parts(name, parts, quoted(_most_shared(parts), written), alpha, row)
    yield from _same_texts([[text and text.text for text in of_prompt] for of_prompt in texts], asked, alpha, row)
    for phrase in shared_phrases([[text and text.words for text in of_prompt] for of_prompt in texts], asked, alpha):
        yield row("shared_phrase", phrase.share, phrase.n, at=phrase.prompts, label=quoted(phrase.words, written))


def copied(cell: Drawn) -> Iterator[Contrast]:
    """The share of completions that repeat their prompt: at least half of their words stand so in it, six in a row.

    All completions that came back count, those of fewer words as none that copies. There is no row for a prompt of
    fewer than twelve words that nothing repeats, nor for a single draw at temperature 0.
    """
    asked, draws = words_of(canonical(cell.asked)), draws_of(cell)
    known = [words_of(canonical(one.text)) for one in draws if one is not None]
    hits = sum(is_copied(words, asked) for words in known)
    if known and verdict.has_verdict(cell.cell.sampling) and (hits or len(asked) >= 2 * COPIED_RUN):
        of_cell, name = share(hits, len(known), cell.alpha, len(draws) - len(known)), cell.cell.cell_id
        yield Contrast("sameness", cell.cell.suite, name, "copied", of_cell, len(known), cell_id=name)


# ------------------------------------------------------------------------------------------------------------ texts


class _Text(NamedTuple):
    """A completion as it was written, and as it is compared: canonical, its words, and its last finished sentence's."""

    written: str
    text: str
    words: Words
    ending: Words


def _texts(drawn: Drawn, look: int) -> list[_Text | None]:
    """The first `look` draws of a cell in sample order without empty ones; None for each that is lost."""
    read = [None if one is None else _read(one) for one in draws_of(drawn, look)]
    return [text for text in read if text is None or text.words]


def _read(completion: Completion) -> _Text:
    text = canonical(completion.text)
    whole = finished(completion.text, cut=completion.finish_reason == "length")
    return _Text(completion.text, text, _words(text), _words(canonical(whole[-1])) if whole else ())


def _words(text: str) -> Words:
    """The words of a text, each there once however many texts say it."""
    return tuple(map(intern, words_of(text)))


def _holds_texts(drawn: Drawn) -> bool:
    lengths = [len(words_of(canonical(one.text))) for one in drawn.completions]
    return bool(lengths) and float(np.median(lengths)) >= FEWEST_WORDS


def _endings(texts: Sequence[_Text | None]) -> list[Words | None]:
    return [text and text.ending for text in texts if text is None or text.ending]


def _often_ends(texts: Sequence[_Text | None]) -> bool:
    """Whether at least half of the texts got as far as the end of a sentence."""
    known = [text for text in texts if text is not None]
    return 2 * sum(bool(text.ending) for text in known) >= len(known) > 0


def _in_step(rows: Sequence[Sequence[Item]]) -> list[Sequence[Item]]:
    """As many of each row as there are in the shortest."""
    fewest = min(map(len, rows), default=0)
    return [row[:fewest] for row in rows]


# ------------------------------------------------------------------------------------------------------- agreement


def _same_parts(
    name: str, parts: Sequence[Sequence[Words | None]], label: str, alpha: float, row: Row
) -> Iterator[Contrast]:
    """The agreement of openings or endings, V prompts of M draws each."""
    said = _numbered(parts)
    for where, places in (("between", between(*said.shape)), ("within", within(*said.shape))):
        one, other = said.ravel()[places[0]], said.ravel()[places[1]]
        agreed, n = agreement((one, other), one == other, alpha)
        if n:
            yield row(f"{name}_{where}", agreed, n, label=label)


def _same_texts(
    texts: Sequence[Sequence[str | None]], asked: Sequence[str], alpha: float, row: Row
) -> Iterator[Contrast]:
    """The agreement of whole texts (canonical), V prompts of M draws each."""
    most = max(1, MOST_PAIRS // (len(texts) // 2))
    for where, paired, draws in (("between", between, most), ("within", within, MOST_DRAWS)):
        compared = [of_prompt[:draws] for of_prompt in texts]
        said, places = _numbered(compared), paired(len(compared), len(compared[0]))
        one, other = (said.ravel()[side] for side in places)
        agreed, n = agreement((one, other), _alike(compared, places, asked), alpha)
        if n:
            yield row(f"same_text_{where}", agreed, n)


def _alike(texts: Sequence[Sequence[str | None]], places: Pairs, asked: Sequence[str]) -> Bools:
    """Which pairs of texts share enough words, those of both their prompts left out; all of two prompts at once."""
    draws, flat = len(texts[0]), [text or "" for of_prompt in texts for text in of_prompt]
    by_prompts: dict[tuple[int, int], list[int]] = defaultdict(list)
    for pair, (one, other) in enumerate(zip(*(side.tolist() for side in places), strict=True)):
        by_prompts[one // draws, other // draws].append(pair)
    alike = np.zeros(len(places[0]), np.bool_)
    for prompts, pairs in by_prompts.items():
        one, other = ([flat[place] for place in side[pairs].tolist()] for side in places)
        prompt = "\n".join(asked[prompt] for prompt in dict.fromkeys(prompts))
        alike[pairs] = like_any(one, other, prompt).diagonal()
    return alike


def _numbered(said: Sequence[Sequence[Hashable | None]]) -> Integers:
    """What is said as numbers, LOST where it is not known."""
    numbers: dict[Hashable, int] = {}
    return np.array(
        [[LOST if one is None else numbers.setdefault(one, len(numbers)) for one in row] for row in said], np.int64
    )


def _most_shared(parts: Sequence[Sequence[Words | None]]) -> Words:
    """What two completions or more say in most prompts (ties: most completions, then the first); empty below two."""
    said: Counter[Words] = Counter()
    prompts: Counter[Words] = Counter()
    for of_prompt in parts:
        counts = Counter(part for part in of_prompt if part is not None)
        said.update(counts)
        prompts.update(part for part, count in counts.items() if count >= FEWEST_WITH)
    most = max(prompts, key=lambda part: (prompts[part], said[part]), default=())
    return most if prompts[most] > 1 else ()
