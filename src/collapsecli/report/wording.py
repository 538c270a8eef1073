"""How cells, numbers, intervals and quotes are written on a screen. Knows neither columns nor what a number means."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from rich.text import Text

from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collapsecli.records import CellResult, Estimate

UNKNOWN = "–"
_ROUNDING_ERROR = 1e-9  # an end that is whole but for this stays as it is


def cell_names(results: Sequence[CellResult]) -> dict[str, str]:
    """Cell ids; without the model, and without the temperature, where the rest tells the cell from all others."""
    cells = {result.cell.cell_id: result.cell for result in results}.values()
    sweeps, questions = Counter(cell.sweep for cell in cells), Counter(cell.question for cell in cells)
    return {
        cell.cell_id: one_line(
            cell.sweep if sweeps[cell.sweep] == 1 else cell.question if questions[cell.question] == 1 else cell.cell_id
        )
        for cell in cells
    }


def cut(text: str, most: int) -> str:
    """A text on one line of at most so many characters."""
    shown = one_line(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def quoted(text: str, most: int) -> str:
    """A text on one line in quotation marks, of at most so many characters between them."""
    return f"“{cut(text, most)}”"


def counts(several: Iterable[int]) -> str:
    """From the least to the greatest of some counts; empty for none."""
    ordered = sorted(several)
    return "–".join(dict.fromkeys(map(str, (ordered[0], ordered[-1])))) if ordered else ""


def number(value: float | None) -> str:
    """A count or a number of modes; infinite where there is none."""
    if value is None or math.isinf(value):
        return "∞"
    return f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def p_value(value: float | None) -> str:
    """A p-value as a column shows it."""
    if value is None:
        return UNKNOWN
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def p_words(p: float | None, q: float | None) -> str:
    """A p-value in a sentence, and its q-value where it is one of many; empty where there is none."""
    if p is None:
        return ""
    beside = "" if q is None or q == p else f", {_named('q', q)}"
    return _named("p", p) + beside


def _named(name: str, value: float) -> str:
    return f"{name} {p_value(value)}" if value < 0.001 else f"{name} = {p_value(value)}"


# -------------------------------------------------------------------------------------------------- with intervals


def span(low: float | None, high: float | None, decimals: int) -> str:
    """An interval, rounded outwards; with one end alone a bound, without any empty."""
    if low is None and high is None:
        return ""
    if high is None or math.isinf(high):
        return f"≥{_down(low or 0.0, decimals)}"
    if low is None or math.isinf(low):
        return f"≤{_up(high, decimals)}"
    return f"{_down(low, decimals)}{' to ' if low < 0 else '–'}{_up(high, decimals)}"


def difference_span(low: float | None, high: float | None, decimals: int) -> str:
    """The interval of a difference: with up to two more decimals where rounding would hide that it excludes zero."""
    near = low if low is not None and low > 0 else -high if high is not None and high < 0 else 0.0
    least = 10.0**-decimals
    more = 0 if near <= 0 or near >= least else 1 if near >= least / 10 else 2
    return span(low, high, decimals + more)


def share_span(estimate: Estimate) -> str:
    """The interval of a share in hundredths, rounded outwards; an end that is not known is that of all shares."""
    if estimate.low is None and estimate.high is None:
        return ""
    return span(100 * (estimate.low or 0.0), 100 * (1.0 if estimate.high is None else estimate.high), 0)


def hundredths(estimate: Estimate) -> str:
    """A share without its interval."""
    return UNKNOWN if estimate.value is None else f"{100 * estimate.value:.0f}%"


def share(estimate: Estimate) -> Text:
    """A share with its interval; the interval alone where there is no best value in it."""
    ends = share_span(estimate)
    if estimate.value is None:
        return Text(f"{ends}%" if ends else UNKNOWN, "dim")
    return _with_ends(hundredths(estimate), ends)


def share_words(estimate: Estimate) -> str:
    """A share with its interval in a sentence."""
    ends = share_span(estimate)
    if estimate.value is None:
        return f"{ends}%" if ends else UNKNOWN
    return hundredths(estimate) + (f" ({ends})" if ends else "")


def points(estimate: Estimate) -> Text:
    """A difference of shares in percentage points, with its interval."""
    if estimate.value is None:
        return Text(UNKNOWN, "dim")
    return _with_ends(signed(100 * estimate.value), _points_span(estimate))


def points_words(estimate: Estimate) -> str:
    """A difference of shares in a sentence; empty where it is not known."""
    ends = _points_span(estimate)
    if estimate.value is None:
        return ""
    return f"{signed(100 * estimate.value)} points" + (f" ({ends})" if ends else "")


def modes(estimate: Estimate) -> Text:
    """A number of effective modes by its interval, or as a rough value where it has none."""
    if estimate.low is None:
        return Text(UNKNOWN if estimate.value is None else f"~{number(estimate.value)}", "dim")
    high = estimate.high
    unbounded = high is None or math.isinf(high)
    return Text(f"{_mode_end(estimate.low, up=False)}–{'∞' if unbounded else _mode_end(high or 0.0, up=True)}")


def nats(estimate: Estimate) -> Text:
    """A number of nats with its interval."""
    if estimate.value is None:
        return Text(UNKNOWN, "dim")
    return _with_ends(f"{estimate.value:.2f}", span(estimate.low, estimate.high, 2))


def signed(value: float, decimals: int = 0) -> str:
    """A number with its sign, zero without."""
    rounded = round(value, decimals)
    return f"{rounded:+.{decimals}f}" if rounded else f"{0:.{decimals}f}"


def _with_ends(value: str, ends: str) -> Text:
    return Text.assemble(value, (f" {ends}" if ends else "", "dim"))


def _points_span(estimate: Estimate) -> str:
    low, high = estimate.low, estimate.high
    return difference_span(None if low is None else 100 * low, None if high is None else 100 * high, 0)


def _mode_end(value: float, *, up: bool) -> str:
    decimals = 1 if value < 99.95 else 0
    return (_up if up else _down)(value, decimals)


def _down(value: float, decimals: int) -> str:
    scale = 10**decimals
    return f"{math.floor(value * scale + _ROUNDING_ERROR) / scale + 0.0:,.{decimals}f}"


def _up(value: float, decimals: int) -> str:
    scale = 10**decimals
    return f"{math.ceil(value * scale - _ROUNDING_ERROR) / scale + 0.0:,.{decimals}f}"
