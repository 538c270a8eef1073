"""After an injection: whether a text comes back to what the plain cell says, how soon, and whether it ends the same.

Knows texts and counts, no tokens and no probabilities.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from collapsecli.contrasts.segments import CANDIDATES, Reference, Returns, Said
from collapsecli.metrics.categorical import clopper_pearson
from collapsecli.metrics.shares import difference, p_equal, share
from collapsecli.modes import like_any, same_as
from collapsecli.records import UNDEFINED, Contrast, Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from collapsecli.contrasts.drawn import Drawn

    Row = Callable[..., Contrast]

SENTENCES = 8
_FEWEST = 4


def injection(injected: Drawn, plain: Drawn, other: Drawn | None) -> Iterator[Contrast]:
    """The rows of kind "injection": `injected` held against its `plain` cell, and against the `other` prompt's.

    The plain completions of even sample index say what there is to return to (`Reference`); those of odd index are
    the ceiling, so that nothing is held against itself. A return is the first sentence alike any of the reference.
    `returned`, `ceiling`, `floor`: the share that is back by each of the first 8 sentences. At a later branch the plain
    texts are read from the same place on. `half_life`: in sentences. `same_ending`, `same_ending_plain` and
    `same_ending_difference`: the share that ends in the plain cell's mode: the answer, or the last sentence of a text
    that ended by itself.

    All arms are held against a reference with the words of that reference's own prompt taken out, and never those of
    the injection: so `returned` and `ceiling` measure one relation, and a sentence is not back because it speaks of the
    prompt's subject, as every completion does. What only repeats the prompt or the injection is no return either.

    The reference, and a text's ending, are chosen from draws that no share is counted in, so every share is of
    independent draws and has an exact interval. The mode of typed answers is chosen from all plain draws: its own share
    has the interval of the mode mass, which allows for that, and the p-value compares the mode of the even half in the
    odd half. With all draws it would find a difference in 16 % of cells of thirty equal answers that did not change.

    A plain cell at temperature 0 is one completion: the reference, and no ceiling. Nothing is said where fewer than 4
    plain completions, or no injected ones, came back.
    """
    is_enough = len(plain.completions) >= (1 if _is_single(plain) else _FEWEST)
    if not injected.completions or not is_enough:
        return
    cell, other_id = injected.cell, plain.cell.cell_id
    row = partial(Contrast, "injection", cell.suite, cell.cell_id, cell_id=cell.cell_id, other_cell_id=other_id)
    pushed, arms = _said(injected), _Arms.of(plain)
    yield from _way_back(row, injected, pushed, plain, arms)
    yield from _floor(row, injected, pushed, other)
    is_typed = plain.cell.answer.kind != "text" or plain.cell.equivalence == "given"
    found = _of_answers(injected, plain, arms) if is_typed else _of_texts(injected, pushed, plain, arms)
    yield from _same_ending(row, injected, plain, found)


def _is_single(drawn: Drawn) -> bool:
    return drawn.cell.temperature == 0


def _said(drawn: Drawn, parity: int | None = None) -> list[Said]:
    """What a cell's completions say, all of them or those of even (0) or odd (1) sample index."""
    return [Said.of(one) for one in drawn.completions if parity in {None, one.sample_index % 2}]


class _Arms(NamedTuple):
    """The halves of a plain cell: what there is to return to, and the ceiling, of which `lost` are not known.

    At temperature 0 the one completion is the first half.
    """

    even: list[Said]
    odd: list[Said]
    lost: int

    @classmethod
    def of(cls, plain: Drawn) -> _Arms:
        odd = _said(plain, 1)
        return cls(_said(plain, 0), odd, max(0, plain.result.look // 2 - len(odd)))


# ------------------------------------------------------------------------------------------------------ the way back


def _way_back(row: Row, injected: Drawn, pushed: Sequence[Said], plain: Drawn, arms: _Arms) -> Iterator[Contrast]:
    reference = Reference.of(arms.even, plain.asked, injected.cell.injected)
    if not reference.sentences:
        yield row("returned", UNDEFINED, 0, label="the plain cell says nothing of its own to return to")
        return
    returns = Returns.of(reference, pushed, injected.lost)
    yield from _by_sentence(row, "returned", returns, injected.alpha)
    branch = injected.cell.branch
    ceiling = Returns.of(reference, arms.odd, arms.lost, passed=branch.sentences if branch else 0)
    yield from _by_sentence(row, "ceiling", ceiling, plain.alpha)
    if returns.at_risk:
        yield row("half_life", half_life(returns, injected.alpha), returns.at_risk)


def _floor(row: Row, injected: Drawn, pushed: Sequence[Said], other: Drawn | None) -> Iterator[Contrast]:
    """How often a text is alike what another prompt's cell keeps saying: the share that returns by chance."""
    reference = Reference.of(_said(other, 0), other.asked, injected.cell.injected) if other else None
    if other is None or reference is None or not reference.sentences:
        yield row("floor", UNDEFINED, 0, label="no other prompt to hold it against")
        return
    returns = Returns.of(reference, pushed, injected.lost)
    yield from _by_sentence(row, "floor", returns, injected.alpha, other.cell.prompt_id)


def _by_sentence(row: Row, metric: str, returns: Returns, alpha: float, label: str = "") -> Iterator[Contrast]:
    """The curve, each point with the ends of `share`: its losses are the draws of which it is not known."""
    if not len(returns.first):
        return
    counts = [returns.by(sentence) for sentence in range(1, SENTENCES + 1)]
    hits, known, lost = np.array(counts).T
    low, high = clopper_pearson(hits, known + lost, alpha)[0], clopper_pearson(hits + lost, known + lost, alpha)[1]
    values = returns.incidence(SENTENCES)
    for place, (value, (_, n, _)) in enumerate(zip(values, counts, strict=True)):
        estimate = Estimate(value, float(low[place]), float(high[place]))
        yield row(metric, estimate, n, at=float(place + 1), label=label)


def half_life(returns: Returns, alpha: float) -> Estimate:
    """The sentences in which half of those not yet back return, if each sentence returns with one probability h.

    ln 2 / -ln(1 - h), h = returns / sentences at risk, with the Clopper-Pearson ends of h exchanged. The high end is
    None if the text may never return, and so is the value if none did. Sentences at risk are no fixed number of trials,
    for a return ends them: in 224 simulated settings (1 to 128 texts, h from .02 to .9, texts of equal length or not)
    the interval missed in at most 4.9 %. A lost draw counts at the lower end of h as one that was at risk for as long
    as any other without returning, at the upper end as one that returned at once. Where some completions never return,
    h falls and no half-life describes the curve: it is the short number beside it.
    """
    back, at_risk = int((returns.first > 0).sum()), returns.at_risk
    longest = int(returns.spent.max(initial=0))
    low, _ = clopper_pearson(back, at_risk + returns.lost * longest, alpha)
    _, high = clopper_pearson(back + returns.lost, at_risk + returns.lost, alpha)
    return Estimate(_half_life(back / at_risk), _half_life(float(high)), _half_life(float(low)))


def _half_life(hazard: float) -> float | None:
    if hazard <= 0:
        return None
    return math.log(2) / -math.log1p(-hazard) if hazard < 1 else 0.0


# ----------------------------------------------------------------------------------------------------------- endings


class _Count(NamedTuple):
    """`hits` of `n` draws, and what is not known of further ones that are lost."""

    hits: int
    n: int
    lost: int


class _Endings(NamedTuple):
    """How often a cell's ending comes up: injected, plain, and in the draws that the p-value compares."""

    ending: str
    injected: _Count
    plain: Estimate
    plain_n: int
    compared: tuple[_Count, _Count]


def _same_ending(row: Row, injected: Drawn, plain: Drawn, found: _Endings | str) -> Iterator[Contrast]:
    if isinstance(found, str):
        yield row("same_ending", UNDEFINED, 0, label=found)
        return
    row = partial(row, label=found.ending)
    pushed = _share(found.injected, injected.alpha)
    yield row("same_ending", pushed, found.injected.n)
    if _is_single(plain) or not found.plain_n:
        return
    yield row("same_ending_plain", found.plain, found.plain_n)
    looks = len(injected.cell.sampling.looks) * len(plain.cell.sampling.looks)
    one, other = found.compared
    p_value = p_equal(one.hits, one.n, other.hits, other.n, lost=one.lost, other_lost=other.lost, looks=looks)
    n = found.injected.n + found.plain_n
    yield row("same_ending_difference", difference(pushed, found.plain), n, p_value=p_value)


def _share(count: _Count, alpha: float) -> Estimate:
    return share(count.hits, count.n, alpha, count.lost)


def _of_answers(injected: Drawn, plain: Drawn, arms: _Arms) -> _Endings | str:
    """The answer as the ending, the plain cell's mode; or why there is none."""
    answers, plain_answers = _classes(injected), _classes(plain)
    if not answers or not plain_answers:
        return f"no answer of {'this' if plain_answers else 'the plain'} cell is readable"
    mode = plain.result.modes[0]
    even, odd = ([one for index, one in plain_answers.items() if index % 2 == parity] for parity in (0, 1))
    chosen = Counter(even).most_common(1)[0][0] if even else None
    said = list(answers.values())
    return _Endings(
        mode.text,
        _Count(said.count(plain_answers[mode.sample_index]), len(said), injected.lost),
        plain.result.mode_mass,
        plain.result.n_valid,
        (_Count(said.count(chosen), len(said), injected.lost), _Count(odd.count(chosen), len(odd), arms.lost)),
    )


def _classes(drawn: Drawn) -> dict[int, Hashable]:
    """The class of each readable answer, by sample index: the one that it was imported with, else the answer."""
    is_given = drawn.cell.equivalence == "given"
    return {
        completion.sample_index: (True, completion.given) if is_given and completion.given else (False, answer)
        for completion, answer in zip(drawn.completions, drawn.answers, strict=True)
        if answer is not None
    }


def _of_texts(injected: Drawn, pushed: Sequence[Said], plain: Drawn, arms: _Arms) -> _Endings | str:
    """The last sentence of a text that ended by itself as its ending; or why there is none.

    A text that was cut off has none and is left out; one that ended without a sentence did not end like the others.
    The plain ending is the one that most endings of the even half are alike; ties prefer the earliest.
    """
    ended, odd = ([text for text in texts if not text.cut] for texts in (pushed, arms.odd))
    even = [text for text in arms.even if text.segments and not text.cut][:CANDIDATES]
    if not ended or not even:
        return f"no completion of {'this' if even else 'the plain'} cell ended before the token limit"
    forms = [text.segments[-1] for text in even]
    place = int(like_any(forms, forms, plain.asked).sum(axis=1).argmax())
    found = _Count(_alike(forms[place], ended, plain.asked), len(ended), injected.lost)
    counted = _Count(_alike(forms[place], odd, plain.asked), len(odd), arms.lost)
    return _Endings(even[place].sentences[-1], found, _share(counted, plain.alpha), counted.n, (found, counted))


def _alike(ending: str, texts: Sequence[Said], prompt: str) -> int:
    endings = [text.segments[-1] for text in texts if text.segments]
    return int(same_as(ending, endings, "lexical", prompt=prompt).sum())
