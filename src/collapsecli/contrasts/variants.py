"""One prompt asked in several ways: is the mode the same, and which variant escapes it? Knows no prompts but one.

Choice and count never meet in one draw. What all variants, or all but one, say most often is chosen on every other
draw of theirs, and its share is counted on draws that had no part in the choice: so the interval of a share is exact
although the answer was chosen, whether or not "the same" is an equivalence. All variants weigh the same in the pool:
each has as many draws there as the one with the fewest readable ones. These are independent draws of unlike
distributions, for which the interval of a mean share holds as well: see `mean_share`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from collapsecli import modes, verdict
from collapsecli.contrasts.pairs import LOST, agreement, between, draws_of, mean_share, within
from collapsecli.metrics.shares import difference
from collapsecli.records import UNDEFINED, Contrast, Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from collapsecli.contrasts.drawn import Drawn
    from collapsecli.contrasts.pairs import Integers, Pairs
    from collapsecli.modes import Grouping
    from collapsecli.records import Cell, Rules

    Bools = NDArray[np.bool_]
    Row = Callable[..., Contrast]


def variants(cells: Sequence[Drawn], rules: Rules, common: str = "") -> Iterator[Contrast]:
    """The rows of cells of one prompt that differ in their variant alone; none for fewer than two.

    The subject is the prompt, with what the variants have in common (`common`) and their injection, and with their
    temperature unless that is 1. An interval about one
    variant has the error rate of its cell, any other that of the cell with the most looks. Pooled are draws up to the
    earliest look at which a cell was judged.

    pooled_mode_mass, pooled_verdict: the mode of the mixture of all variants, and what the rules say of its mass.
    others_mode, others_say: the mode of all other variants by its share in this one, and what it says, in a row of its
        own where that is not the pooled mode.
    stability: the mean of these shares over the variants, of the draws that had no part in any choice.
    escapes: the share of the others' mode here less its share there, for each variant where that is surely below zero;
        the error rate is that of all variants together. Of two variants that disagree, each escapes the other.
    agreement_within, agreement_between: disjoint pairs of draws that are the same, of one variant and of two.

    A variant with too few readable answers has an undefined `others_mode` and is not in the pool. If fewer than two are
    left, the pooled verdict is invalid and no more is said.
    """
    asked = [one for one in cells if verdict.has_verdict(one.cell.sampling)]
    if len(asked) < 2:
        return
    first, alpha = asked[0].cell, min(one.alpha for one in asked)
    row = partial(Contrast, "variants", first.suite, _subject(first, common))
    for one in asked:
        if not _is_readable(one):
            yield row("others_mode", UNDEFINED, 0, one.cell.cell_id, label=one.cell.variant)
    pooled = [one for one in asked if _is_readable(one)]
    if len(pooled) < 2 or not (pool := Pool.of(pooled)).draws:
        yield row("pooled_verdict", UNDEFINED, 0, label="invalid")
        return
    mass, read = mode_mass(pool, alpha), _share_of_readable(asked, alpha)
    label = verdict.verdict(mass, rules, collision=UNDEFINED, valid_rate=read, expect=first.expect)
    yield row("pooled_mode_mass", mass, pool.draws, label=pool.text(pool.heaviest(pool.slots)))
    yield row("pooled_verdict", UNDEFINED, pool.draws, label=label)
    yield from _held_against_others(pooled, pool, alpha, row)
    for name, pairs in (("agreement_within", within), ("agreement_between", between)):
        agreed, n = pool.agreement(pairs(*pool.slots.shape), alpha)
        if n:
            yield row(name, agreed, n)


def _held_against_others(cells: Sequence[Drawn], pool: Pool, alpha: float, row: Row) -> Iterator[Contrast]:
    """The rows of each variant and of all variants that hold them against the others."""
    others, pooled_mode = modes_of_others(pool), pool.heaviest(pool.slots)
    if LOST in others:  # so few draws, and so many of them lost, that nothing could be chosen
        return
    answers = [int(np.count_nonzero(draws != LOST)) for draws in pool.own]
    for one, mode, draws, n in zip(cells, others, pool.own, answers, strict=True):
        of_variant = partial(row, n=n, cell_id=one.cell.cell_id)
        yield of_variant("others_mode", pool.share(mode, draws, one.alpha), label=one.cell.variant)
        if not pool.same(np.array([mode]), np.array([pooled_mode]))[0]:
            yield of_variant("others_say", UNDEFINED, label=pool.text(mode))
    stable, counted = stability(pool, others, alpha)
    yield row("stability", stable, counted)
    for place, (one, mode, n) in enumerate(zip(cells, others, answers, strict=True)):
        apart = less_than_others(pool, place, mode, alpha / len(cells))
        if apart.high is not None and apart.high < 0:
            yield row("escapes", apart, n, one.cell.cell_id, label=one.cell.variant)


# ------------------------------------------------------------------------------------------------------------- pool


@dataclass(frozen=True, slots=True)
class Pool:
    """The answers of V variants by numbers, and which of them are the same.

    own: V times (N_v,) the number of the answer of each draw in sample order, LOST where the draw is; unreadable ones
        are not there. A number is that of a class where "the same" is an equivalence, else that of a distinct text.
    slots: (V, M) the first draws of each, as many as every variant has.
    alike: (D, D) which numbers are the same; None if only those that are equal.
    said: (A,) the text of each answer, and its number, as they first appear.
    """

    own: tuple[Integers, ...]
    slots: Integers
    alike: Bools | None = None
    said: tuple[tuple[int, str], ...] = ()

    @staticmethod
    def of(cells: Sequence[Drawn]) -> Pool:
        """The draws of some variants, in step up to the earliest look at which one of them was judged."""
        look = min(one.result.look for one in cells)
        draws = [_readable_draws(one) for one in cells]
        answers = [answer for of_cell in draws for _, answer in of_cell if answer is not None]
        grouping = _related(cells, answers)
        numbers = grouping.labels if grouping.transitive else grouping.texts
        waiting = iter(numbers.tolist())
        own = [
            np.array([LOST if answer is None else next(waiting) for _, answer in of_cell], np.int64)
            for of_cell in draws
        ]
        fewest = min(sum(index < look for index, _ in of_cell) for of_cell in draws)
        return Pool(
            tuple(own),
            np.stack([one[:fewest] for one in own]),
            None if grouping.transitive else grouping.alike,
            tuple(zip(numbers.tolist(), answers, strict=True)),
        )

    @property
    def draws(self) -> int:
        """The number of answers in the slots."""
        return int(np.count_nonzero(self.slots != LOST))

    def same(self, one: Integers, other: Integers) -> Bools:
        """Which draws of two arrays of one shape are the same; a lost one is not the same as any."""
        same: Bools = one == other if self.alike is None else self.alike[one, other]
        known: Bools = (one != LOST) & (other != LOST)
        return np.logical_and(same, known)

    def heaviest(self, draws: Integers) -> int:
        """The answer among some draws that most of them are the same as (ties: the first); LOST if all are lost."""
        counts = np.bincount(draws[draws != LOST])
        if not len(counts):
            return LOST
        of_same = counts if self.alike is None else self.alike[: len(counts), : len(counts)] @ counts
        return int(np.where(counts > 0, of_same, -1).argmax())

    def count(self, mode: int, draws: Integers) -> tuple[int, int, int]:
        """How many of some draws are the same as one answer, how many are known, and how many are lost."""
        hits = self.same(np.full_like(draws, mode), draws)
        lost = int(np.count_nonzero(draws == LOST))
        return int(hits.sum()), draws.size - lost, lost

    def share(self, mode: int, draws: Integers, alpha: float) -> Estimate:
        """The mean share of one answer in some draws, which had no part in its choice."""
        hits, n, lost = self.count(mode, draws)
        return mean_share(hits, n, alpha, lost)

    def agreement(self, places: Pairs, alpha: float) -> tuple[Estimate, int]:
        """The share of disjoint pairs of slots that are the same, and the number of pairs of which both are known."""
        pairs = (self.slots.ravel()[places[0]], self.slots.ravel()[places[1]])
        return agreement(pairs, self.same(*pairs), alpha)

    def text(self, mode: int) -> str:
        """The text of an answer in the form in which it is said most often (ties: the first)."""
        said = Counter(text for number, text in self.said if number == mode)
        return max(said, key=said.__getitem__, default="")


def _readable_draws(drawn: Drawn) -> list[tuple[int, str | None]]:
    """The index and the answer of each readable draw of a cell, and of each lost one, without an answer."""
    answers = {one.sample_index: answer for one, answer in zip(drawn.completions, drawn.answers, strict=True)}
    draws = [(index, one is None, answers.get(index)) for index, one in enumerate(draws_of(drawn))]
    return [(index, answer) for index, is_lost, answer in draws if is_lost or answer is not None]


def _related(cells: Sequence[Drawn], answers: Sequence[str]) -> Grouping:
    """The answers of several cells of one prompt; imported classes are those of one cell, and no guide to another's."""
    first, asked = cells[0].cell, [one.asked for one in cells]
    if first.answer.kind != "text":
        return modes.relate(answers, "exact").group()
    equivalence = "exact" if first.equivalence == "given" else first.equivalence
    texts = [modes.canonical(answer) for answer in answers]
    embed = cells[0].embed
    return modes.relate(texts, equivalence, prompt="\n".join(asked), threshold=first.threshold, embed=embed).group()


# ---------------------------------------------------------------------------------------------------------- numbers


def mode_mass(pool: Pool, alpha: float) -> Estimate:
    """The mass of the heaviest mode of the mixture in which every variant weighs the same.

    Lower end: the most frequent answer among the even draws by its share among the odd ones. It is one mode of the
    mixture, and the heaviest is no lighter. Upper end: the heaviest was drawn at most as often as the most frequent
    answer of all. Where "the same" is no equivalence, the lower end is of the heaviest ball around one answer and the
    upper one of the heaviest set of mutually equal answers, as for a single cell. Undefined without answers.
    """
    if not pool.draws:
        return UNDEFINED
    largest = pool.share(pool.heaviest(pool.slots), pool.slots, alpha)
    low = pool.share(pool.heaviest(pool.slots[:, ::2]), pool.slots[:, 1::2], alpha).low
    return Estimate(largest.value, min(low or 0.0, largest.value or 0.0), largest.high)


def modes_of_others(pool: Pool) -> list[int]:
    """The mode of all other variants, for each of the V: the most frequent answer among their even draws."""
    return [pool.heaviest(np.delete(pool.slots[:, ::2], place, axis=0)) for place in range(len(pool.slots))]


def stability(pool: Pool, others: Sequence[int], alpha: float) -> tuple[Estimate, int]:
    """The mean share, over the variants, of the mode of the others; and the number of answers that it is made of.

    Of the odd draws alone: an even draw of one variant has a part in what is counted in another. Shares that depend on
    each other so have a mean that strays more: its interval by the method of variance estimates recovery misses 9 % of
    the time for two variants of two equal modes and 15 % for eight, with 64 draws of each.
    """
    counted = [pool.count(mode, draws[1::2]) for mode, draws in zip(others, pool.slots, strict=True)]
    hits, n, lost = (sum(column) for column in zip(*counted, strict=True))
    return mean_share(hits, n, alpha, lost), n


def less_than_others(pool: Pool, variant: int, mode: int, alpha: float) -> Estimate:
    """The share of the mode of the others in one variant less its mean share in the others' odd draws."""
    elsewhere = np.delete(pool.slots[:, 1::2], variant, axis=0)
    return difference(pool.share(mode, pool.own[variant], alpha), pool.share(mode, elsewhere, alpha))


# -------------------------------------------------------------------------------------------------------------- words


def _subject(cell: Cell, common: str) -> str:
    injection = (f"[{common}]" if common else "") + (f"/{cell.injection}" if cell.injection else "")
    return cell.prompt_id + injection + ("" if cell.temperature == 1 else f"@t{cell.temperature!r}")


def _is_readable(drawn: Drawn) -> bool:
    return drawn.result.verdict not in {None, "invalid"}


def _share_of_readable(cells: Sequence[Drawn], alpha: float) -> Estimate:
    read = sum(answer is not None for one in cells for answer in one.answers)
    return mean_share(read, sum(len(one.completions) for one in cells), alpha, sum(one.lost for one in cells))
