"""The report on a terminal: worst first, one line per cell, what it keeps saying. Knows screens, no statistics."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.padding import Padding
from rich.text import Text

from collapsecli.records import OTHER_LABEL, Rules
from collapsecli.report import wording
from collapsecli.report.columns import Column, line, shortened
from collapsecli.report.contrasts import contrast_blocks
from collapsecli.report.numbers import number_blocks
from collapsecli.report.wording import cell_names, p_value
from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from collapsecli.records import Cell, CellResult, Conclusions, Estimate, Mode

# Below this the repeats are more than the sampled probabilities allow, and the run's numbers are not to be trusted.
SURPLUS_ALARM = 1e-3

_GLYPHS = {"flagged": "✗", "open": "?", "expected": "✓", None: "·"}
_STYLES = {"flagged": "bold red", "open": "yellow", "expected": "green", None: ""}
_ORDER = {"flagged": 0, "open": 2, None: 3, "expected": 4}
_WITH_MODES = 72  # narrower screens need the room for the names of the cells
_EMPTY = "(empty)"
_NO_VERDICT = {0: "· not sampled", 1: "· one draw", 2: "· temperature 0"}
_FRAGILE = "≈"
_NARROW_POINTS = 10  # hundredths: an interval up to so wide is shown with both ends
_MOST_NAMED = 6  # cells in one line of the small print
_SEVERAL = 2  # models of a run
_MOST_QUOTED = 12  # flagged cells that are quoted below the table


def report_blocks(conclusions: Conclusions, width: int, *, numbers: bool = False) -> Iterator[Text | Padding]:
    """The report of a run as blocks for a screen of `width` columns, at least 60; with all `numbers` if asked for.

    Each is made when it is asked for: a line for each of thousands of cells is much to hold.
    """
    models = conclusions.by_model()
    yield from _models(conclusions, models)
    last: Text | Padding | None = None
    for of_model in models:
        if last is not None and str(last):  # else it ends with a blank line of its own
            yield Text()
        for last in _of_a_model(of_model, width, numbers=numbers):
            yield last
    yield from _quality(conclusions)
    yield from _way_on(conclusions)


def _of_a_model(conclusions: Conclusions, width: int, *, numbers: bool) -> Iterator[Text | Padding]:
    """What was sampled of one model."""
    results = sorted(conclusions.results, key=_badness)
    yield from _heading(conclusions, results)
    yield Text()
    yield from _table(results, _columns(results, width), width, named=1)
    yield from _quotes(results)
    yield from _declared(results, width)
    yield from contrast_blocks(conclusions, width)
    if numbers:
        yield from number_blocks(results, cell_names(results), width)
    yield Text()
    yield from _open(results)


def _models(conclusions: Conclusions, models: Sequence[Conclusions]) -> list[Text]:
    """One line a model, where there are several: how many of its cells are flagged."""
    if len(models) < _SEVERAL:
        return []
    lines = [Text(f"{len(models)} models, one after the other:", "dim")]
    for of_model in models:
        flagged = sum(result.flag == "flagged" for result in of_model.results)
        said = (f"{flagged} of {len(of_model.results)} cells flagged", "bold red" if flagged else "bold green")
        if not any(result.n for result in of_model.results):
            said = ("not sampled yet", "bold yellow")
        lines.append(Text.assemble(f"  {one_line(of_model.models[0])}: ", said))
    return [*lines, *_incomplete(conclusions), Text()]


def _table(results: Sequence[CellResult], columns: Sequence[Column], width: int, named: int = 0) -> Iterator[Text]:
    """One line a cell, whose name is in the column `named`.

    A name that would look like another one when it is cut stands whole on a line above its own.
    """
    names = cell_names(results)
    shown = {cell_id: shortened(name, columns[named].width) for cell_id, name in names.items()}
    looks = Counter(shown.values())
    yield line([Text(column.heading, "dim") for column in columns], columns)
    for result in results:
        if looks[shown[result.cell.cell_id]] > 1:
            yield Text(f"  {shortened(names[result.cell.cell_id], width - 2)}", "dim", no_wrap=True)
        yield line([column.show(result) for column in columns], columns)


def _badness(result: CellResult) -> tuple[int, float]:
    """Flagged cells first, then invalid, open and unflagged ones; within each the heaviest mode first."""
    rank = 1 if result.verdict == "invalid" else _ORDER[result.flag]
    return rank, -(result.mode_mass.low or 0.0)


# ------------------------------------------------------------------------------------------------------ heading


def _heading(conclusions: Conclusions, results: Sequence[CellResult]) -> list[Text]:
    flagged = sum(result.flag == "flagged" for result in results)
    title = Text.assemble(
        (", ".join(map(one_line, conclusions.suites)), "bold"),
        " on ",
        (", ".join(map(one_line, conclusions.models)), "bold"),
    )
    cells = "cell" if len(results) == 1 else "cells"
    title.append(f": {flagged} of {len(results)} {cells} flagged", "bold red" if flagged else "bold green")
    invalid = sum(result.verdict == "invalid" for result in results)
    title.append(f", {invalid} invalid" if invalid else "", "bold magenta")
    facts = [
        _completions(sum(result.n_judged for result in results)),
        _temperatures(results),
        conclusions.engine,
        f"seed {conclusions.seed}" if conclusions.sampled_here else "",
        *_changed_rules(conclusions),
        *_unusual_equivalences(results),
    ]
    lines = [title, Text(" · ".join(one_line(fact) for fact in facts if fact), "dim")]
    return [*lines, *_incomplete(conclusions)]


def _incomplete(conclusions: Conclusions) -> list[Text]:
    if conclusions.complete:
        return []
    missing = conclusions.planned - conclusions.saved
    return [Text(f"incomplete: {missing:,} of {conclusions.planned:,} completions are missing", "bold yellow")]


def _completions(count: int) -> str:
    return f"{count:,} completion" + ("" if count == 1 else "s")


def _unusual_equivalences(results: Sequence[CellResult]) -> list[str]:
    """How texts were compared, where that is not the default."""
    cells = [result.cell for result in results if result.cell.answer.kind == "text"]
    named = dict.fromkeys(cell.sameness for cell in cells)
    return [
        " ".join(filter(None, [name, "" if threshold is None else f"{threshold:g}", encoder and f"by {encoder}"]))
        for name, threshold, encoder in named
        if (name, threshold) != ("lexical", None)
    ]


def _changed_rules(conclusions: Conclusions) -> list[str]:
    """Thresholds that are not the usual ones."""
    usual = asdict(Rules())
    changed = {
        name: value for _, rules in conclusions.rules for name, value in asdict(rules).items() if value != usual[name]
    }
    return [f"{name} {value:g}" for name, value in changed.items()]


def _temperatures(results: Sequence[CellResult]) -> str:
    temperatures = sorted({result.cell.temperature for result in results})
    return "T " + "–".join(str(temperature) for temperature in dict.fromkeys((temperatures[0], temperatures[-1])))


# -------------------------------------------------------------------------------------------------------- table


def _columns(results: Sequence[CellResult], width: int) -> list[Column]:
    """The columns that fit: the narrow screen shows an interval where the wide one shows the estimate with it."""
    wide = width >= 100
    names = cell_names(results)
    marked = any(result.fragile for result in results)
    verdict = Column("verdict", 16 if marked else 15, right=False, show=_verdict)
    numbers = [
        Column("n", max(3, *(len(_count(result)) for result in results)), right=True, show=_readable),
        Column("mode mass", 12, right=True, show=_mode_mass),
    ]
    if wide:
        numbers.append(Column("modes", 18, right=True, show=_effective_modes_wide))
        if any(_exact(result) for result in results):
            numbers.append(Column("exact", 8, right=True, show=_exact))
    elif width >= _WITH_MODES:
        numbers.append(Column("modes", 9, right=True, show=_effective_modes))
    taken = sum(column.width + 1 for column in (verdict, *numbers))
    named = min(max(len("cell"), *map(cell_len, names.values())), (width - taken) * 6 // 10)
    cell = Column("cell", named, right=False, show=lambda result: Text(shortened(names[result.cell.cell_id], named)))
    saying = Column("keeps saying", width - taken - named - 1, right=False, show=_saying)
    return [verdict, cell, *numbers, saying]


def _verdict(result: CellResult) -> Text:
    if result.verdict is None:
        return Text(_NO_VERDICT.get(min(result.n, 2), ""), "dim")
    if result.verdict == "invalid":
        return Text("! invalid", "bold magenta")
    style = _STYLES[result.flag]
    return Text(f"{_GLYPHS[result.flag]} {result.verdict}{_FRAGILE if result.fragile else ''}", style)


def _readable(result: CellResult) -> Text:
    return Text(_count(result), "dim")


def _count(result: CellResult) -> str:
    judged = result.n_judged
    return str(judged) if judged == result.n_valid else f"{result.n_valid}/{judged}"


def _mode_mass(result: CellResult) -> Text:
    mass = result.mode_mass
    if not _claims(result) or mass.value is None:
        return Text("–", "dim")
    low, high = math.floor(100 * (mass.low or 0.0)), math.ceil(100 * (1.0 if mass.high is None else mass.high))
    return Text.assemble(f"{100 * mass.value:.0f}%", (f" {low}–{high}", "dim"))  # an interval is rounded outwards


def _claims(result: CellResult) -> bool:
    """Whether anything is said about this cell's answers."""
    return result.verdict not in {None, "invalid"}


def _effective_modes(result: CellResult) -> Text:
    return wording.modes(result.effective_modes) if _claims(result) else Text("–", "dim")


def _effective_modes_wide(result: CellResult) -> Text:
    modes = result.effective_modes
    if not _claims(result) or modes.value is None or modes.low is None:
        return _effective_modes(result)
    return Text.assemble(wording.number(modes.value), " ", (wording.modes(modes).plain, "dim"))


def _exact(result: CellResult) -> Text:
    """The mode's certain probability, rounded outwards; empty where it is under a hundredth and says nothing."""
    certain = result.metric("mode_mass_certain")
    low = math.floor(100 * (certain.low or 0.0) + 1e-9)
    high = math.ceil(100 * (1.0 if certain.high is None else certain.high) - 1e-9)
    if not low or not _claims(result):
        return Text()
    return Text(f"≥{low}%" if high > low + _NARROW_POINTS else f"{low}–{high}%", "dim")


def _saying(result: CellResult) -> Text:
    if result.n == 0:
        return Text()
    if result.verdict == "invalid" or not result.modes:
        return Text(one_line(result.unread) or _EMPTY, "italic dim")
    if result.modes[0].count == 1 and result.n_valid > 1:
        return Text("(nothing twice)", "dim")
    return Text(one_line(result.modes[0].text) or _EMPTY)


# ------------------------------------------------------------------------------------------------ what is said


def _quotes(results: Sequence[CellResult]) -> list[Text | Padding]:
    """What every flagged cell keeps saying, in full words; what the unread texts of an invalid one say."""
    names = cell_names(results)
    told = [result for result in results if result.flag == "flagged" or result.verdict == "invalid"]
    blocks: list[Text | Padding] = []
    for result in told[:_MOST_QUOTED]:
        heading = Text.assemble((names[result.cell.cell_id], "bold"), (f" {_claim(result)}:", "dim"))
        asked = Text(f"to “{_last_of(_asked(result.cell))}”", "dim")
        blocks += [Text(), Padding(heading, (0, 0, 0, 2)), Padding(asked, (0, 2, 0, 4))]
        blocks.append(Padding(Text(_quoted(result)), (0, 2, 0, 4)))
    if len(told) > _MOST_QUOTED:
        blocks += [Text(), Text(f"  and {len(told) - _MOST_QUOTED} more; all of them are in cells.parquet", "dim")]
    return blocks


def _asked(cell: Cell) -> str:
    if cell.messages:  # what is said beforehand is the model's turn, not the user's
        return "\n".join(filter(None, (cell.messages[-1].content, cell.injected)))
    return (cell.text or "") + cell.injected


def _last_of(text: str, width: int = 66) -> str:
    """The end of a prompt, which an answer follows, on one line."""
    line = one_line(text)
    return line if len(line) <= width else f"…{line[1 - width :]}"


def _claim(result: CellResult) -> str:
    if result.verdict == "invalid":
        judged = result.n_judged
        return f"has no readable answer in {judged - result.n_valid} of {judged}"
    mode, expected = result.modes[0], f"(expected: {result.cell.expect.word})"
    if result.fragile:
        expected += f"; {_FRAGILE} {result.fragile}"
    says, how_exactly = _says(result, mode)
    return f"{says} in {mode.count} of {result.n_valid}{how_exactly} {expected}"


def _says(result: CellResult, mode: Mode) -> tuple[str, str]:
    """What a mode says, and how many of those in it say it word for word."""
    word_for_word = f", {mode.said} word for word"
    if mode.kind == "refusal":
        return "refuses", ""
    if result.cell.equivalence == "given":
        return "says things of one class of the file", word_for_word
    if result.cell.answer.kind == "labels" and mode.text == OTHER_LABEL:
        return "says what no label's pattern finds", ""
    if result.cell.answer.kind != "text":
        return f"says {one_line(mode.text)!r}", ""
    return ("says the same word for word", "") if mode.said == mode.count else ("says much the same", word_for_word)


def _quoted(result: CellResult) -> str:
    text = result.unread if result.verdict == "invalid" else result.modes[0].exemplar
    shown = one_line(text)
    return f"“{shown if len(shown) <= 400 else shown[:399] + '…'}”" if shown else _EMPTY


# --------------------------------------------------------------------------------------------------- small print


def _declared(results: Sequence[CellResult], width: int) -> list[Text]:
    """How far each cell is from its declared distribution. The p-value stands beside and never decides alone."""
    names = cell_names(results)
    told = [result for result in results if result.cell.expect.weights and _claims(result)]
    if not told:
        return []
    columns = [
        Column("answers in effect", 17, right=True, show=_in_effect),
        Column("distance", 13, right=True, show=lambda result: _distance(result.metric("total_variation"))),
        *([Column("exact", 7, right=True, show=_exact_distance)] if any(map(_exact_distance, told)) else []),
        Column("p", 6, right=True, show=lambda result: Text(p_value(result.metric("fit_p_value").value))),
        Column("n", 5, right=True, show=lambda result: Text(str(result.n_valid), "dim")),
    ]
    heading = "against what was declared"
    longest = max(len(heading), *(cell_len(names[result.cell.cell_id]) for result in told))
    named = min(longest, width - sum(column.width + 1 for column in columns))
    shown = Column(heading, named, right=False, show=lambda result: Text(shortened(names[result.cell.cell_id], named)))
    return [Text(), *_table(told, [shown, *columns], width)]


def _in_effect(result: CellResult) -> Text:
    return Text(f"{wording.number(result.effective_modes.value)} of {len(result.cell.expect.weights or ())}")


def _exact_distance(result: CellResult) -> Text:
    return _distance(result.metric("total_variation_certain"))


def _distance(estimate: Estimate) -> Text:
    ends = f"{_fraction(estimate.low)}–{_fraction(estimate.high)}"
    if estimate.value is None:
        return Text("" if estimate.low is None else ends)
    return Text.assemble(_fraction(estimate.value), (f" {ends}", "dim"))


def _fraction(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}".removeprefix("0")


def _open(results: Sequence[CellResult]) -> list[Text]:
    """What would settle the open cells, and which flags are withheld."""
    names = cell_names(results)
    lines = []
    settled = sorted((r.draws_to_settle, names[r.cell.cell_id]) for r in results if r.draws_to_settle)
    if settled:
        named = ", ".join(f"{name} {draws:,}" for draws, name in settled[:_MOST_NAMED])
        more = f" and {len(settled) - _MOST_NAMED} more" if len(settled) > _MOST_NAMED else ""
        lines.append(Text(f"Open: draws in all that would probably settle it: {named}{more}"))
    withheld = [names[result.cell.cell_id] for result in results if result.withheld]
    if withheld:
        named = ", ".join(withheld[:_MOST_NAMED]) + (" and more" if len(withheld) > _MOST_NAMED else "")
        lines.append(
            Text(
                f"Withheld ({len(withheld)} flags): sure for each alone, not among so many cells at this rate of false "
                f"discoveries (rules fdr; 1 withholds none): {named}"
            )
        )
    return lines


def _quality(conclusions: Conclusions) -> list[Text]:
    results = conclusions.results
    ahead = sum(result.n_ahead for result in results)
    unreadable = sum(result.n_judged - result.n_failed - result.n_valid for result in results)
    counts = [
        *([f"{ahead:,} drawn ahead and not counted"] if ahead else []),
        f"{unreadable:,} unreadable",
        f"{sum(result.n_truncated for result in results):,} cut off",
        f"{sum(result.n_failed for result in results):,} failed",
    ]
    lines = [Text(f"Data: {', '.join(counts)}; {_draws(conclusions)}")]
    p_value = conclusions.surplus_p_value
    if p_value is not None and p_value < SURPLUS_ALARM:
        lines.append(
            Text(
                f"More repeats than the sampled probabilities allow (p = {p_value:.0e}): the draws are not "
                "independent, or the probabilities are of another distribution. Do not trust this run.",
                "bold red",
            )
        )
    broken = [result for result in results if result.broken]
    if broken:
        names = ", ".join(one_line(result.cell.cell_id) for result in broken[:_MOST_NAMED])
        lines.append(Text(f"Error: {names}: {broken[0].broken}", "bold red"))
    lines += [Text(f"Note: {one_line(note)}", "yellow") for note in conclusions.notes]
    lines.append(Text(_legend(conclusions), "dim"))
    return lines


def _draws(conclusions: Conclusions) -> str:
    draws = conclusions.draws
    if not draws.draws:
        return "draws not checked (no log-probabilities of the sampled distribution)"
    return f"{draws.repeats:,} repeats among {draws.draws:,} draws, {draws.expected:,.0f} expected"


def _legend(conclusions: Conclusions) -> str:
    level = f"{100 * (1 - conclusions.alpha):g} %"
    fragile = any(result.fragile for result in conclusions.results)
    exact = any(result.metric("mode_mass_certain").low for result in conclusions.results)
    compared_by = {result.cell.equivalence for result in conclusions.results if result.cell.answer.kind == "text"}
    return (
        f"mode mass: share of the most frequent answer, {level} interval. modes: effective number of answers"
        + ("; ~ by shared words, not by meaning, and without interval" if "lexical" in compared_by else "")
        + ("; ~ by an encoder's cosine, and without interval" if "embedding" in compared_by else "")
        + (". exact (from 100 columns on): the mode's mass from probabilities; the verdict uses both" if exact else "")
        + (
            ". Against what was declared: distance is total variation, 0 to 1, p of a fair cell; neither decides"
            if any(result.cell.expect.weights for result in conclusions.results)
            else ""
        )
        + ". ✗ flagged, ? open, ✓ nothing to flag, · no claim, ! unreadable"
        + (f", {_FRAGILE} fragile: the verdict hangs on when texts count as the same" if fragile else "")
        + "."
    )


def _way_on(conclusions: Conclusions) -> list[Text]:
    several = len(conclusions.models) >= _SEVERAL
    return [
        Text(),
        *([Text(f"Base against tuned: collapse compare {conclusions.path}", "dim")] if several else []),
        Text(f"All of it:  {conclusions.path}", "dim"),
        Text(f"Once again: collapse report {conclusions.path}", "dim"),
    ]
