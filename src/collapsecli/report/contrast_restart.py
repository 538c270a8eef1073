"""The block of restarts: texts that end their story to begin a new one. Shows rows; knows no pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from collapsecli.records import UNDEFINED
from collapsecli.report import wording
from collapsecli.report.contrast_layout import MOST_SUBJECTS, WIDE, Entry, name_of, nowhere, rest, tabulated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.padding import Padding

    from collapsecli.records import Contrast

_MOST_QUOTED = 40  # characters of a marker


def restart_block(rows: Sequence[Contrast], names: Mapping[str, str], width: int) -> list[Text | Padding]:
    """In how many completions the text begins anew: where it surely does first, where it never does in one line.

    A plain cell stands beside those that are held against it, and has no line of its own.
    """
    own = {row.cell_id: row for row in rows if row.metric == "restarts"}
    apart = {row.cell_id: row for row in rows if row.metric == "restart_difference"}
    beside = {row.other_cell_id for row in apart.values()}
    told = [row for cell_id, row in own.items() if cell_id not in beside and row.estimate.value is not None]
    plain = {cell_id: own[row.other_cell_id] for cell_id, row in apart.items() if row.other_cell_id in own}
    never = [row for row in told if not _happens(row) and not _happens(plain.get(row.cell_id))]
    seen = [row for row in told if _happens(row) or _happens(plain.get(row.cell_id))]
    seen.sort(key=lambda row: (-(row.estimate.low or 0.0), row.subject))
    if not told:
        return []
    with_q = width >= WIDE and any(row.q_value not in {None, row.p_value} for row in apart.values())
    heading = ("begins anew", "completions", "plain", "points", "p", *(["q"] if with_q else []), "n")
    entries = [
        _entry(row, name_of(row.subject, names), plain.get(row.cell_id), apart.get(row.cell_id), with_q=with_q)
        for row in seen[:MOST_SUBJECTS]
    ]
    table = tabulated(heading if seen else heading[:1], entries, width)
    return [*table, *rest(len(seen) - MOST_SUBJECTS), *nowhere(never, names, besides=bool(seen))]


def _happens(row: Contrast | None) -> bool:
    return row is not None and bool(row.estimate.value)


def _entry(own: Contrast, name: str, plain: Contrast | None, apart: Contrast | None, *, with_q: bool) -> Entry:
    chances = () if apart is None else (apart.p_value, apart.q_value)
    line = (
        Text(name),
        wording.share(own.estimate),
        wording.share(UNDEFINED if plain is None else plain.estimate),
        wording.points(UNDEFINED if apart is None else apart.estimate),
        *(Text(wording.p_value(value)) for value in (chances or (None, None))[: 2 if with_q else 1]),
        Text(str(own.n), "dim"),
    )
    return Entry((line,), (f"most often at {wording.quoted(own.label, _MOST_QUOTED)}",) if own.label else ())
