"""`collapse check`: is the suite sound, and what would it cost; samples nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from collapsecli.cli.options import FormatNames, MaxSamples, Only, Samples, Suites, Tags
from collapsecli.cli.screen import show

if TYPE_CHECKING:
    from collapsecli.records import Cell
    from collapsecli.suite import PlanTotals


def check(
    suites: Suites,
    samples: Samples = None,
    max_samples: MaxSamples = None,
    formats: FormatNames = None,
    only: Only = None,
    tag: Tags = None,
) -> None:
    """Validate suites and show the plan: cells, completions, the most tokens and disk they can take."""
    from collapsecli.cli.plans import load_suites
    from collapsecli.suite import plan

    planned = plan(
        *load_suites(suites),
        models=(),
        samples=samples,
        max_samples=max_samples,
        formats=[name.value for name in formats or ()],
        only=only or (),
        tags=tag or (),
    )
    show([_table(planned.cells), Text(), Text(_totals(planned.totals)), *_encoders(planned.cells)])


def _table(cells: tuple[Cell, ...]) -> Table:
    from collapsecli.sanitize import one_line

    table = Table(box=None, pad_edge=False)
    table.add_column("cell", overflow="fold")
    for heading in ("samples", "tokens each"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("answer", no_wrap=True)
    table.add_column("expect", no_wrap=True)
    for cell in cells:
        sampling = cell.sampling
        table.add_row(
            Text(one_line(cell.cell_id)),
            f"{'≤' if sampling.adaptive else ''}{sampling.samples:,}",
            f"≤{sampling.max_tokens:,}",
            cell.answer.kind,
            cell.expect.word,
        )
    return table


def _totals(totals: PlanTotals) -> str:
    facts = (
        f"{totals.cells:,} {'cell' if totals.cells == 1 else 'cells'}",
        f"{'at most ' if totals.adaptive else ''}{totals.completions:,} completions",
        f"at most {totals.tokens:,} sampled tokens",
        f"at most {_size(totals.bytes)} on disk",
    )
    return " · ".join(facts)


def _encoders(cells: tuple[Cell, ...]) -> list[Text]:
    """What runs after sampling, to say which answers are the same."""
    from collapsecli.sanitize import one_line

    counts = Counter(cell.sameness for cell in cells if cell.encoder)
    return [
        Text(f"answers of {count:,} compared by embedding: {one_line(encoder)}, the same from {threshold:g} on")
        for (_, threshold, encoder), count in counts.items()
    ]


def _size(count: int) -> str:
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
