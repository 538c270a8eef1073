"""Every contrast of a run: which cells are held against which. Measures nothing itself."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from collapsecli import verdict
from collapsecli.contrasts.certainty import certainty
from collapsecli.contrasts.drawn import Drawn
from collapsecli.contrasts.injection import injection
from collapsecli.contrasts.restart import restarts
from collapsecli.contrasts.roads import roads
from collapsecli.contrasts.sameness import copied, sameness
from collapsecli.contrasts.temperature import temperature
from collapsecli.contrasts.variants import variants
from collapsecli.records import Contrast, Estimate
from collapsecli.spilled import Spill, SpilledList

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from collapsecli.modes import Vectors
    from collapsecli.records import Cell, CellResult, Completion, Rules, Scored

    Read = Callable[[Sequence[Cell]], Iterable[tuple[Cell, Sequence[Completion]]]]

__all__ = ["Drawn", "contrasts_of"]

_MOST_TEXTS = 1 << 15  # of all plain cells together that are held at once, to compare prompts
_MOST_TEXTS_OF_A_CELL = 256


def contrasts_of(
    results: Sequence[CellResult],
    read: Read,
    rules_of: Callable[[Cell], Rules],
    scores: Mapping[str, Sequence[Scored]] | None = None,
    vectors: Vectors | None = None,
) -> Sequence[Contrast]:
    """Every contrast of judged cells, model by model; `read` gives the completions of some of them, in their order.

    Rows with a p-value get a q-value: it is adjusted over all rows of its kind in the suite, of the same model.
    They lie on disk: there are some for every prompt.
    """
    found = _spilled()
    for model, adapter in dict.fromkeys(result.cell.sampled for result in results):
        of_model = [result for result in results if result.cell.sampled == (model, adapter)]
        for row in _of_a_model(of_model, read, rules_of, scores or {}, vectors):
            found.append(replace(row, model=model, adapter=adapter))
    return found


def _of_a_model(
    results: Sequence[CellResult],
    read: Read,
    rules_of: Callable[[Cell], Rules],
    scores: Mapping[str, Sequence[Scored]],
    vectors: Vectors | None,
) -> Iterator[Contrast]:
    known = {result.cell.cell_id: result for result in results}

    def drawn(cells: Sequence[Cell]) -> Iterator[Drawn]:
        for cell, completions in read(cells) if cells else ():
            scored = scores.get(cell.cell_id, ())
            yield Drawn.of(known[cell.cell_id], completions, rules_of(cell).alpha, scored, vectors)

    plain = _plain_cells([result.cell for result in results])
    kept = min(_MOST_TEXTS_OF_A_CELL, _MOST_TEXTS // max(len(plain), 1))
    prompts = [one.first(kept) for one in drawn(plain)]
    rows = _spilled()
    for cells in _by_prompt(drawn, results):
        for row in _of_a_prompt(cells, prompts, rules_of):
            rows.append(row)
    for row in _across_prompts(prompts):
        rows.append(row)
    yield from _with_q_values(rows)


# ----------------------------------------------------------------------------------------------------- one prompt


def _by_prompt(
    drawn: Callable[[Sequence[Cell]], Iterator[Drawn]], results: Sequence[CellResult]
) -> Iterator[list[Drawn]]:
    """The cells of each prompt that have something to be held against, or a road; prompt by prompt, as they come."""
    groups: dict[Hashable, list[Cell]] = defaultdict(list)
    for result in results:
        groups[_prompt_of(result.cell)].append(result.cell)
    taken = {key: cells for key, cells in groups.items() if len(cells) > 1 or any(c.roads or c.restarts for c in cells)}
    waiting: dict[Hashable, list[Drawn]] = defaultdict(list)
    for one in drawn([cell for cells in taken.values() for cell in cells]):
        key = _prompt_of(one.cell)
        waiting[key].append(one)
        if len(waiting[key]) == len(taken[key]):
            yield waiting.pop(key)


def _of_a_prompt(
    cells: Sequence[Drawn], prompts: Sequence[Drawn], rules_of: Callable[[Cell], Rules]
) -> Iterator[Contrast]:
    for sweep in _grouped(cells, lambda cell: (cell.variant, cell.injection)):
        yield from temperature(sweep)
    for beside in _grouped(cells, lambda cell: (cell.variant, cell.temperature)):
        yield from _pushed(beside, prompts)
    for same_place in _grouped(cells, lambda cell: (cell.injection, cell.temperature)):
        for within, asked in _comparable(same_place):
            yield from variants(asked, rules_of(asked[0].cell), within)
    for one in cells:
        yield from roads(one)


# The wording and the format stand behind the variables of a variant.
_FORM = re.compile(r"(?:(?:^|,)wording=\d+)?(?:(?:^|,)format=[a-z-]+)?$")


def _comparable(cells: Sequence[Drawn]) -> Iterator[tuple[str, list[Drawn]]]:
    """Variants that can be pooled, with what they have in common: the forms of one question, or questions in one form.

    Another value of a variable asks something else; another wording or format asks the same otherwise.
    """
    forms = {one.cell.variant: _FORM.search(one.cell.variant) for one in cells}
    form_of = {variant: found.group().strip(",") if found else "" for variant, found in forms.items()}
    values_of = {variant: variant.removesuffix(form).strip(",") for variant, form in form_of.items()}
    several = len(set(values_of.values())) > 1
    if any(form_of.values()):
        for asked in _grouped(cells, lambda cell: values_of[cell.variant]):
            yield values_of[asked[0].cell.variant] if several else "", asked
    if several:
        form = form_of[cells[0].cell.variant]
        yield form, [one for one in cells if form_of[one.cell.variant] == form]


def _pushed(cells: Sequence[Drawn], prompts: Sequence[Drawn]) -> Iterator[Contrast]:
    """A plain cell and those that were injected with something."""
    plain = next((one for one in cells if not one.cell.injection), None)
    if plain is None:
        return
    injected = [one for one in cells if one is not plain]
    for one in injected:
        yield from injection(one, plain, _least_like(one, prompts))
        yield from certainty(one, plain)
    if verdict.has_verdict(plain.cell.sampling) and (injected or plain.cell.restarts):
        yield from restarts(plain, injected)


def _least_like(one: Drawn, prompts: Sequence[Drawn]) -> Drawn | None:
    """The plain cell of another prompt of the suite that has the fewest tags in common."""
    cell = one.cell
    others = [other for other in prompts if other.cell.suite == cell.suite and other.cell.prompt_id != cell.prompt_id]
    return min(others, key=lambda other: len({*other.cell.tags} & {*cell.tags}), default=None)


# ---------------------------------------------------------------------------------------------------- all prompts


def _plain_cells(cells: Sequence[Cell]) -> list[Cell]:
    """The first plain cell of each prompt, at the temperature nearest to 1; a single draw is none."""
    found: dict[Hashable, Cell] = {}
    for cell in cells:
        if not cell.injection and verdict.has_verdict(cell.sampling):
            known = found.setdefault(_prompt_of(cell), cell)
            if cell.variant == known.variant and abs(cell.temperature - 1) < abs(known.temperature - 1):
                found[_prompt_of(cell)] = cell
    return list(found.values())


def _across_prompts(prompts: Sequence[Drawn]) -> Iterator[Contrast]:
    for one in prompts:
        yield from copied(one)
    for group in _grouped(prompts, lambda cell: cell.suite):
        yield from sameness("all prompts", group)
        tags = dict.fromkeys(tag for one in group for tag in one.cell.tags)
        for tag in tags:
            tagged = [one for one in group if tag in one.cell.tags]
            if len(tagged) < len(group):
                yield from sameness(tag, tagged)


# ------------------------------------------------------------------------------------------------------- grouping


def _prompt_of(cell: Cell) -> Hashable:
    return cell.suite, cell.prompt_id


def _grouped(cells: Sequence[Drawn], key: Callable[[Cell], Hashable]) -> list[list[Drawn]]:
    groups: dict[Hashable, list[Drawn]] = defaultdict(list)
    for one in cells:
        groups[key(one.cell)].append(one)
    return list(groups.values())


def _with_q_values(rows: Sequence[Contrast]) -> Iterator[Contrast]:
    families: dict[Hashable, list[int]] = defaultdict(list)
    p_values, adjusted = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for at, row in enumerate(rows):
        if row.p_value is not None:
            families[row.suite, row.kind].append(at)
            p_values[at] = row.p_value
    for places in families.values():
        adjusted[places] = verdict.q_values(p_values[places].tolist())
    for row, q_value in zip(rows, adjusted.tolist(), strict=True):
        yield row if math.isnan(q_value) else replace(row, q_value=q_value)


# --------------------------------------------------------------------------------------------------------- on disk


_NAMES = tuple(field.name for field in fields(Contrast) if field.name != "estimate")


def _spilled() -> SpilledList[Contrast]:
    return SpilledList(Spill(_packed, _unpacked))


def _packed(row: Contrast) -> object:
    estimate = row.estimate.value, row.estimate.low, row.estimate.high
    return estimate, tuple(getattr(row, name) for name in _NAMES)


def _unpacked(packed: tuple[tuple[float | None, ...], tuple[Any, ...]]) -> Contrast:
    estimate, values = packed
    return Contrast(estimate=Estimate(*estimate), **dict(zip(_NAMES, values, strict=True)))
