"""A curve on one line of text, a character a value. Knows neither scales nor what is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
_MISSING = "·"


def sparkline(values: Sequence[float | None], low: float, high: float) -> str:
    """One bar for each value, eight equal steps from `low` to `high`; a dot for None.

    A value beyond an end is drawn as that end. Where `high` is not above `low`, all bars are the lowest.
    """
    return "".join(_MISSING if value is None else BARS[_step(value, low, high)] for value in values)


def _step(value: float, low: float, high: float) -> int:
    if value <= low or high <= low:
        return 0
    if value >= high:
        return len(BARS) - 1
    return min(int(len(BARS) * ((value - low) / (high - low))), len(BARS) - 1)
