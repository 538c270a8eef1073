"""A curve on one line: as long as its values, never falling where they rise, and legible in ASCII."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.cli.screen import _PLAIN
from collapsecli.report.sparkline import BARS, sparkline

FINITE = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("values", "ends", "drawn"),
    [
        pytest.param([], (0.0, 1.0), "", id="no values, no bars"),
        pytest.param([0.0, 0.5, 1.0], (0.0, 1.0), "▁▅█", id="both ends and the middle"),
        pytest.param([k / 8 for k in range(8)], (0.0, 1.0), BARS, id="eight equal steps"),
        pytest.param([-3.0, 7.0], (0.0, 1.0), "▁█", id="beyond an end is that end"),
        pytest.param([None, 0.0, None], (0.0, 1.0), "·▁·", id="what is missing is a dot, no low bar"),
        pytest.param([2.0, 2.0], (2.0, 2.0), "▁▁", id="no scale, the lowest bars"),
        pytest.param([0.0, 5e-324], (0.0, 5e-324), "▁█", id="the smallest scale there is"),
    ],
)
def test_a_curve_is_drawn_as_by_hand(values, ends, drawn):
    assert sparkline(values, *ends) == drawn


@given(st.lists(st.none() | FINITE, max_size=40), FINITE, FINITE)
def test_every_value_has_one_character(values, low, high):
    line = sparkline(values, low, high)
    assert len(line) == len(values)
    assert [bar == "·" for bar in line] == [value is None for value in values]


@given(st.lists(FINITE, min_size=2), FINITE, FINITE)
def test_a_greater_value_never_has_a_lower_bar(values, low, high):
    steps = [BARS.index(bar) for bar in sparkline(sorted(values), low, high)]
    assert steps == sorted(steps)


def test_where_stdout_has_ascii_alone_the_bars_stay_apart_from_each_other_and_from_what_is_missing():
    plain = f"{BARS}·".translate(_PLAIN)
    assert plain.isascii()
    assert len(set(plain)) == len(BARS) + 1
