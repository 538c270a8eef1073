"""How a number of two runs and its change are written and read. Knows no cell, no table and no screen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.text import Text

from collapsecli.compared import Difference
from collapsecli.records import UNDEFINED
from collapsecli.report import wording

if TYPE_CHECKING:
    from collections.abc import Mapping

    from collapsecli.records import Estimate

NOTHING = Difference(UNDEFINED, UNDEFINED, UNDEFINED, 0)
TIMES = "\N{MULTIPLICATION SIGN}"
_SHARES = frozenset({"collision", "mode_mass", "valid_rate"})
_MOST_DECIMALS = 4  # of a ratio


def is_ratio(name: str) -> bool:
    """Whether the change of this number is run over base, not run minus base."""
    return name.endswith("_ratio")


def direction(name: str, difference: Difference, alpha: float) -> int:
    """-1 where the run surely has less, 1 where it surely has more, 0 where neither is shown.

    The p-value must allow it, and the interval too where there is one.
    """
    change, neutral = difference.change, 1.0 if is_ratio(name) else 0.0
    if difference.p_value is None or difference.p_value > alpha or change.value is None:
        return 0
    at_least = change.value if change.low is None and change.high is None else change.low
    at_most = change.value if change.low is None and change.high is None else change.high
    if at_least is not None and at_least > neutral:
        return 1
    return -1 if at_most is not None and at_most < neutral else 0


def change_estimate(numbers: Mapping[str, Difference], name: str) -> Estimate:
    """The change of a number; undefined where there is none."""
    return numbers[name].change if name in numbers else UNDEFINED


def side_number(name: str, estimate: Estimate) -> tuple[str, str]:
    """A number of one side and its interval."""
    if name in _SHARES:
        return wording.hundredths(estimate), wording.share_span(estimate)
    value = estimate.value
    if value is None:
        return wording.UNKNOWN, ""
    return wording.number(value), wording.span(*ends(estimate), _decimals(value))


def ends(estimate: Estimate) -> tuple[float | None, float | None]:
    """Both ends of an interval; what is unbounded is no end."""
    low, high = estimate.low, estimate.high
    return (
        None if low is None or math.isinf(low) else low,
        None if high is None or math.isinf(high) else high,
    )


def change_number(name: str, change: Estimate) -> tuple[str, str]:
    """The change of a number and its interval: points of a share, a factor, or a signed number."""
    value, (low, high) = change.value, ends(change)
    if value is None or math.isinf(value):
        return wording.UNKNOWN, ""
    if is_ratio(name):
        decimals = _ratio_decimals(value)
        return f"{TIMES}{value:,.{decimals}f}", _ratio_span(low, high, decimals)
    if name in _SHARES:
        return wording.signed(100 * value), wording.difference_span(_hundredfold(low), _hundredfold(high), 0)
    decimals = _decimals(value)
    signed = wording.signed(value, decimals) if decimals else f"{value:+,.0f}"
    return signed, wording.difference_span(low, high, decimals)


def beside(number: tuple[str, str]) -> Text:
    """A number with its interval beside it."""
    value, interval = number
    return Text.assemble(value, (f" {interval}" if interval else "", "dim"))


def _decimals(value: float) -> int:
    return 1 if abs(value) < 99.95 else 0


def _ratio_decimals(value: float) -> int:
    return 3 if value < 0.095 else 2 if value < 9.95 else 1


def _ratio_span(low: float | None, high: float | None, decimals: int) -> str:
    """With more decimals where rounding would hide that it excludes one."""
    above, below = low is not None and low > 1, high is not None and high < 1
    while decimals < _MOST_DECIMALS and (
        (above and low is not None and low < 1 + 10.0**-decimals)
        or (below and high is not None and high > 1 - 10.0**-decimals)
    ):
        decimals += 1
    return wording.span(low, high, decimals)


def _hundredfold(value: float | None) -> float | None:
    return None if value is None else 100 * value
