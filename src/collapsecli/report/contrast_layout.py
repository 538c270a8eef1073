"""A block of contrasts: a table of subjects with sentences between its lines. Knows no kind of contrast."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from rich.padding import Padding
from rich.text import Text

from collapsecli.records import UNDEFINED
from collapsecli.report.columns import shortened
from collapsecli.report.wording import counts, span
from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collapsecli.records import Contrast, Estimate

MOST_SUBJECTS = 12  # subjects that one block tells of
WIDE = 76  # columns of a screen from which no number is left out
_LEAST_NAME = 8  # columns that a name is never denied
_MOST_NAMED = 4  # cells in which nothing happened
_INDENT = 4  # of the sentences below a subject

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Subject:
    """What some contrasts of one kind are about, by the name that a report gives it."""

    name: str
    rows: tuple[Contrast, ...]

    def row(self, metric: str) -> Contrast | None:
        """The first row of a metric."""
        return next((row for row in self.rows if row.metric == metric), None)

    def estimate(self, metric: str) -> Estimate:
        """The number of that row; undefined where there is none."""
        row = self.row(metric)
        return UNDEFINED if row is None else row.estimate

    def all(self, metric: str) -> list[Contrast]:
        """Every row of a metric."""
        return [row for row in self.rows if row.metric == metric]

    def curve(self, metric: str, cell_id: str | None = None) -> dict[float, Contrast]:
        """The rows of a metric by their place, in order; those of one cell alone if asked for."""
        rows = [row for row in self.all(metric) if cell_id is None or row.cell_id == cell_id]
        placed = {row.at: row for row in rows if row.at is not None}
        return dict(sorted(placed.items()))


def subjects_of(rows: Sequence[Contrast], names: Mapping[str, str]) -> list[Subject]:
    """Rows by their subject, with the suite before its name where two suites have one. `names` are those of cells."""
    grouped: dict[tuple[str, str], list[Contrast]] = {}
    for row in rows:
        grouped.setdefault((row.suite, row.subject), []).append(row)
    suites = Counter(subject for _, subject in grouped)
    return [
        Subject((f"{one_line(suite)}: " if suites[subject] > 1 else "") + name_of(subject, names), tuple(group))
        for (suite, subject), group in grouped.items()
    ]


def name_of(cell_id: str, names: Mapping[str, str]) -> str:
    """The name of a cell; what is none keeps its own."""
    return names.get(cell_id) or one_line(cell_id)


def first_and_more(items: Sequence[_Item], most: int) -> tuple[Sequence[_Item], str]:
    """The first ones, and how many there are besides in words."""
    more = len(items) - most
    return items[:most], f" and {more} more" if more > 0 else ""


# ---------------------------------------------------------------------------------------------------------- layout


@dataclass(frozen=True, slots=True)
class Entry:
    """What is said of one subject: lines of a table, whose first text is a name, and sentences below them."""

    lines: tuple[tuple[Text, ...], ...]
    words: tuple[str, ...] = ()


def tabulated(
    heading: Sequence[str], entries: Sequence[Entry], width: int, *, quotes: bool = False
) -> list[Text | Padding]:
    """A table with its heading for a screen of `width` columns; no line of it wraps, the sentences do.

    The columns of numbers, flush right, are as wide as their widest. Names have what is left, and share it with a last
    column of `quotes`, flush left. Names that would look alike there stand whole on a line of their own.
    """
    titles = (Text(heading[0], "bold"), *(Text(title, "dim") for title in heading[1:]))
    lines = [titles, *(line for entry in entries for line in entry.lines)]
    widths, gap = _widths(lines, width, quotes=quotes), _gap(width)
    blocks: list[Text | Padding] = [_line(titles, widths, gap, quotes=quotes)]
    looks = Counter(shortened(entry.lines[0][0].plain, widths[0]) for entry in entries)
    for entry in entries:
        (name, *numbers), *others = entry.lines
        if looks[shortened(name.plain, widths[0])] > 1:
            blocks.append(Text(shortened(name.plain, width), name.style, no_wrap=True))
            name = Text()
        lines = [(name, *numbers), *others]
        blocks += [_line(line, widths, gap, quotes=quotes) for line in lines]
        blocks += [Padding(Text(words), (0, 0, 0, _INDENT)) for words in entry.words]
    return blocks


def rest(hidden: int, legend: str = "") -> list[Text | Padding]:
    """What stands below a table: how many subjects are not in it, and how to read it."""
    more = [Text(f"  and {hidden} more; all of them are in contrasts.parquet", "dim")] if hidden > 0 else []
    return [*more, *([Text(legend, "dim")] if legend else [])]


def nowhere(rows: Sequence[Contrast], names: Mapping[str, str], *, besides: bool) -> list[Padding]:
    """The cells whose share is zero, and what it surely is at most; `besides` others that stand above."""
    if not rows:
        return []
    most = max(1.0 if row.estimate.high is None else row.estimate.high for row in rows)
    few = ", ".join(sorted(name_of(row.subject, names) for row in rows)) if len(rows) <= _MOST_NAMED else ""
    cells = few or f"{len(rows)}{' more' if besides else ''} cells"
    draws, bound = counts(row.n for row in rows), span(None, 100 * most, 0)
    each = "" if len(rows) == 1 else " of each"
    return [Padding(Text(f"none in {cells} (n {draws}; surely {bound}%{each})", "dim"), (0, 0, 0, 2))]


def name_width(heading: Sequence[str], entries: Sequence[Entry], width: int) -> int:
    """Columns that are left for the names."""
    lines = [tuple(map(Text, heading)), *(line for entry in entries for line in entry.lines)]
    return width - sum(_widest(lines, k) + _gap(width) for k in range(1, len(heading)))


def _gap(width: int) -> int:
    """Spaces between two columns."""
    return 2 if width >= WIDE else 1


def _widths(lines: Sequence[Sequence[Text]], width: int, *, quotes: bool) -> list[int]:
    count = len(lines[0])
    widest = [_widest(lines, k) for k in range(count)]
    numbers = widest[1 : count - 1] if quotes else widest[1:]
    left = width - sum(size + _gap(width) for size in numbers)
    if not quotes:
        return [max(_LEAST_NAME, min(widest[0], left)), *numbers]
    name = max(_LEAST_NAME, min(widest[0], left * 6 // 10))
    return [name, *numbers, max(0, left - name - _gap(width))]


def _widest(lines: Sequence[Sequence[Text]], k: int) -> int:
    return max(line[k].cell_len for line in lines)


def _line(texts: Sequence[Text], widths: Sequence[int], gap: int, *, quotes: bool) -> Text:
    built = Text(no_wrap=True, overflow="ellipsis")
    for k, (text, size) in enumerate(zip(texts, widths, strict=True)):
        shown = Text(shortened(text.plain, size), text.style) if k == 0 else text.copy()
        shown.truncate(size, overflow="ellipsis")
        missing = " " * (size - shown.cell_len)
        left = k == 0 or (quotes and k == len(widths) - 1)
        built.append(" " * gap if k else "")
        built.append_text(Text.assemble(shown, missing) if left else Text.assemble(missing, shown))
    built.rstrip()
    return built
