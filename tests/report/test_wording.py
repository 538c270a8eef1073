"""How numbers are written: an interval is rounded outwards, and what is not known is not made up."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.records import UNDEFINED, Estimate
from collapsecli.report import wording


@pytest.mark.parametrize(
    ("low", "high", "decimals", "written"),
    [
        pytest.param(91.6, 99.2, 0, "91–100", id="outwards to whole numbers"),
        pytest.param(0.121, 0.711, 2, "0.12–0.72", id="outwards to hundredths"),
        pytest.param(7.000000000001, 28.999999999999, 0, "7–29", id="whole but for rounding errors"),
        pytest.param(-8.4, 9.3, 0, "-9 to 10", id="a negative end needs a word between"),
        pytest.param(-8.4, -0.2, 0, "-9 to 0", id="no negative zero"),
        pytest.param(5.12, None, 1, "≥5.1", id="no upper end"),
        pytest.param(5.12, math.inf, 1, "≥5.1", id="an infinite upper end"),
        pytest.param(None, 5.12, 1, "≤5.2", id="no lower end"),
        pytest.param(None, None, 1, "", id="no interval"),
    ],
)
def test_an_interval_is_written_so(low, high, decimals, written):
    assert wording.span(low, high, decimals) == written


@pytest.mark.parametrize(
    ("low", "high", "written"),
    [
        pytest.param(13.4, 37.2, "13–38", id="far from zero"),
        pytest.param(-42.8, -0.35, "-42.8 to -0.3", id="just below zero"),
        pytest.param(0.042, 3.0, "0.04–3.00", id="hardly above zero"),
        pytest.param(-0.4, 3.0, "-1 to 3", id="around zero"),
        pytest.param(None, -0.35, "≤-0.3", id="one end, below zero"),
    ],
)
def test_a_difference_that_is_sure_never_seems_to_include_zero(low, high, written):
    assert wording.difference_span(low, high, 0) == written


@given(st.floats(-1e4, 1e4), st.floats(0.0, 1e4), st.integers(0, 2))
def test_a_written_interval_holds_the_true_one(low, width, decimals):
    high = low + width
    ends = wording.span(low, high, decimals).replace(",", "")
    written = re.fullmatch(r"(-?[\d.]+)(?:–| to )(-?[\d.]+)", ends)
    assert written
    assert float(written[1]) <= low + 1e-8
    assert float(written[2]) >= high - 1e-8


@pytest.mark.parametrize(
    ("show", "estimate", "written"),
    [
        pytest.param(wording.share, Estimate(0.984, 0.916, 1.0), "98% 91–100", id="a share"),
        pytest.param(wording.share, Estimate(0.5), "50%", id="a share without an interval"),
        pytest.param(wording.share, Estimate(0.5, None, 0.7), "50% 0–70", id="a share whose lower end is unknown"),
        pytest.param(wording.share, Estimate(None, 0.4, 0.7), "40–70%", id="bounds of a share"),
        pytest.param(wording.share, UNDEFINED, "–", id="no share"),
        pytest.param(wording.share_words, Estimate(0.984, 0.916, 1.0), "98% (91–100)", id="a share in words"),
        pytest.param(wording.points, Estimate(0.25, 0.13, 0.38), "+25 13–38", id="a difference"),
        pytest.param(wording.points, Estimate(-0.001, -0.08, 0.09), "0 -8 to 9", id="no difference has no sign"),
        pytest.param(wording.points, UNDEFINED, "–", id="no known difference"),
        pytest.param(wording.points_words, UNDEFINED, "", id="nothing to say of a difference"),
        pytest.param(wording.modes, Estimate(8.1, 4.56, 17.84), "4.5–17.9", id="modes by their interval"),
        pytest.param(wording.modes, Estimate(300.0, 101.9, 1840.2), "101–1,841", id="many modes without decimals"),
        pytest.param(wording.modes, Estimate(300.0, 101.9, math.inf), "101–∞", id="no end to the modes"),
        pytest.param(wording.modes, Estimate(1.3), "~1.3", id="a rough number of modes"),
        pytest.param(wording.modes, UNDEFINED, "–", id="no number of modes"),
        pytest.param(wording.nats, Estimate(1.234, 1.205, 1.3), "1.23 1.20–1.30", id="nats"),
        pytest.param(wording.nats, UNDEFINED, "–", id="no nats"),
    ],
)
def test_an_estimate_is_written_so(show, estimate, written):
    assert str(show(estimate)) == written


@pytest.mark.parametrize(
    ("p", "q", "written"),
    [
        pytest.param(0.0123, 0.0456, "p = .012, q = .046", id="one of many"),
        pytest.param(0.0123, 0.0123, "p = .012", id="the only one"),
        pytest.param(1e-9, 1e-4, "p < .001, q < .001", id="small"),
        pytest.param(0.5, None, "p = .500", id="without q"),
        pytest.param(None, None, "", id="none"),
    ],
)
def test_chances_are_written_so(p, q, written):
    assert wording.p_words(p, q) == written


@pytest.mark.parametrize(
    ("several", "written"),
    [
        pytest.param([], "", id="none"),
        pytest.param([64, 64], "64", id="equal"),
        pytest.param([64, 3, 9], "3–64", id="a range"),
    ],
)
def test_counts_are_written_as_a_range(several, written):
    assert wording.counts(several) == written


def test_a_quote_is_cut_and_made_visible():
    assert wording.quoted("\x1b[31m one\n\ntwo", 60) == "“␛[31m one ⏎ two”"
    assert wording.quoted("x" * 80, 10) == f"“{'x' * 9}…”"
