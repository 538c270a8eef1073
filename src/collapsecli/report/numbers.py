"""All numbers of every cell, for who asks: a second table below the report."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from collapsecli.report.columns import Column, line, shortened
from collapsecli.report.wording import number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.padding import Padding

    from collapsecli.records import CellResult, Estimate

# What is shown of each cell: heading, width, metric, and how its number is written.
_NUMBERS: tuple[tuple[str, int, str, Callable[[Estimate], str]], ...] = (
    ("distinct@10", 13, "distinct_10", lambda estimate: _with_ends(estimate, number)),
    ("N1", 6, "hill_1", lambda estimate: _at_least(estimate.value, number)),
    ("seen", 4, "coverage", lambda estimate: _hundredths(estimate.value)),
    ("exact", 5, "seen_mass", lambda estimate: _hundredths(estimate.value)),
    ("nats", 5, "entropy", lambda estimate: number(estimate.value)),
    ("branching", 12, "branching_factor", lambda estimate: _with_ends(estimate, number)),
    ("sure", 4, "near_certain", lambda estimate: _hundredths(estimate.value)),
    ("shared", 6, "opening_tokens", lambda estimate: number(estimate.value)),
)
# Where answers were embedded, these come first.
_OF_EMBEDDINGS: tuple[tuple[str, int, str, Callable[[Estimate], str]], ...] = (
    ("cosine", 13, "mean_cosine", lambda estimate: _with_ends(estimate, _cosine)),
    ("N2 cosine", 13, "embedding_modes", lambda estimate: _with_ends(estimate, number)),
)
_LEGEND = (
    "distinct@10: different answers among ten. N1: modes by entropy, from counts, which miss rare ones. seen: "
    "probability that a next draw was seen before, from counts; exact: from probabilities. nats: entropy of the "
    "completions. branching: equally likely tokens per step. sure: tokens above .99. shared: tokens two completions "
    "share before they part. With all ends: cells.parquet."
)

_LEGEND_OF_EMBEDDINGS = (
    "cosine: of the embeddings of two completions, on average; N2 cosine: one over its mean square. Both depend on the "
    "encoder: docs/embedding.md. "
)


def number_blocks(results: Sequence[CellResult], names: Mapping[str, str], width: int) -> list[Text | Padding]:
    """The numbers of every cell as lines for a screen of `width` columns: as many as fit, the first ones first."""
    embedded = any(result.metric("mean_cosine").value is not None for result in results)
    columns = [
        Column(heading, size, right=True, show=_shower(metric, write))
        for heading, size, metric, write in ((*_OF_EMBEDDINGS, *_NUMBERS) if embedded else _NUMBERS)
    ]
    named = max(8, min(max(map(cell_len, names.values())), width - sum(column.width + 1 for column in columns)))
    while sum(column.width + 1 for column in columns) + named > width:
        columns.pop()
    cell = Column("cell", named, right=False, show=lambda result: Text(shortened(names[result.cell.cell_id], named)))
    columns = [cell, *columns]
    headings = line([Text(column.heading, "dim") for column in columns], columns)
    lines = [line([column.show(result) for column in columns], columns) for result in results]
    legend = Text((_LEGEND_OF_EMBEDDINGS if embedded else "") + _LEGEND, "dim")
    return [Text(), headings, *lines, legend, *_why_absent(results)]


def _why_absent(results: Sequence[CellResult]) -> list[Text]:
    """Why the numbers that come from probabilities are not there, and in how many cells."""
    reasons = Counter(result.absent for result in results if result.absent)
    return [Text(f"Without probabilities: {count} of {len(results)}, {why}") for why, count in reasons.most_common(3)]


def _shower(metric: str, write: Callable[[Estimate], str]) -> Callable[[CellResult], Text]:
    def shown(result: CellResult) -> Text:
        estimate = result.metric(metric)
        return Text("–" if estimate.value is None else write(estimate))

    return shown


def _hundredths(value: float | None) -> str:
    return "–" if value is None else f"{math.floor(100 * value) / 100:.2f}".removeprefix("0")


def _at_least(value: float | None, write: Callable[[float | None], str]) -> str:
    return "–" if value is None else f"≥{write(value)}"


def _cosine(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("0.", ".", 1)


def _with_ends(estimate: Estimate, write: Callable[[float | None], str]) -> str:
    if estimate.low is None or estimate.high is None:
        return write(estimate.value)
    return f"{write(estimate.value)} {write(estimate.low)}–{write(estimate.high)}"
