"""Curves as points: higher is higher, a gap stays a gap, and nothing leaves the paper."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.records import UNDEFINED, Estimate
from collapsecli.report.curves import Paper, Scale, Tick, curve

UNIT = Scale(0.0, 1.0)
PAPER = Paper(108, 58)  # 100 by 50 pixels between the margins


def drawn(*estimates, scale=UNIT, paper=PAPER):
    return curve(estimates, [f"step {k}" for k in range(len(estimates))], scale, paper)


def points(text):
    return [tuple(map(float, pair.split(","))) for pair in text.split()]


def test_a_curve_goes_from_edge_to_edge_and_from_the_bottom_to_the_top():
    shown = drawn(Estimate(0.0, 0.0, 0.2), Estimate(0.5, 0.3, 0.6), Estimate(1.0, 0.9, 1.0))
    assert [points(line) for line in shown.lines] == [[(4, 54), (54, 29), (104, 4)]]
    assert [points(band) for band in shown.bands] == [[(4, 44), (54, 24), (104, 4), (104, 9), (54, 39), (4, 54)]]
    assert [(dot.x, dot.y, dot.label) for dot in shown.dots] == [
        (4, 54, "step 0"),
        (54, 29, "step 1"),
        (104, 4, "step 2"),
    ]


def test_a_step_without_a_value_is_a_gap_and_one_without_an_interval_has_no_band():
    known = Estimate(0.5, 0.4, 0.6)
    shown = drawn(known, known, UNDEFINED, Estimate(0.5), known)
    assert len(shown.dots) == 4
    assert [len(points(line)) for line in shown.lines] == [2, 2]
    assert [len(points(band)) for band in shown.bands] == [4, 4]


def test_a_lone_step_stands_in_the_middle_with_its_interval_beside_it():
    shown = drawn(Estimate(0.5, 0.25, 0.75))
    assert shown.lines == ()
    assert (shown.dots[0].x, shown.dots[0].y) == (54, 29)
    assert points(shown.bands[0]) == [(52, 16.5), (56, 16.5), (56, 41.5), (52, 41.5)]


def test_nothing_known_draws_nothing_but_the_grid():
    shown = drawn(UNDEFINED, UNDEFINED, scale=Scale(0.0, 10.0, ((0.0, "0"), (10.0, "10"))))
    assert (shown.lines, shown.bands, shown.dots) == ((), (), ())
    assert shown.ticks == (Tick(54, "0"), Tick(4, "10"))


def test_labels_have_room_of_their_own():
    shown = curve(
        [Estimate(0.0), Estimate(1.0)], ["a", "b"], UNIT, Paper(100, 60, left=20, bottom=10), ("first", "last")
    )
    assert [(dot.x, dot.y) for dot in shown.dots] == [(24, 46), (96, 4)]
    assert [(end.label, end.anchor, end.x) for end in shown.ends] == [("first", "start", 20), ("last", "end", 99)]


@pytest.mark.parametrize("beyond", [-5.0, 7.0])
def test_a_value_beyond_the_scale_is_drawn_at_its_end(beyond):
    assert drawn(Estimate(beyond)).dots[0].y == (54 if beyond < 0 else 4)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_a_greater_value_is_never_drawn_lower_and_none_beside_the_paper(values):
    dots = drawn(*(Estimate(value, value / 2, (1 + value) / 2) for value in values)).dots
    assert all(4 <= dot.x <= 104 and 4 <= dot.y <= 54 for dot in dots)
    assert [dot.x for dot in dots] == sorted(dot.x for dot in dots)
    heights = [dot.y for _, dot in sorted(zip(values, dots, strict=True), key=lambda pair: pair[0])]
    assert heights == sorted(heights, reverse=True)
