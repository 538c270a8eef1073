"""Comparisons of anything that the records can hold, for laws that hold whatever is compared."""

from __future__ import annotations

import math
from dataclasses import replace

from comparisons import HOSTILE, HOSTILE_CELL, TUNED_CELLS, UNDEFINED_CELL
from hypothesis import strategies as st

from collapsecli.compared import ComparedCell, Comparison, Difference, Divergence, Extinguished, Phrase, Side, Tempered
from collapsecli.records import Estimate

_VALUES = st.floats(-40.0, 40.0) | st.floats(0.0, 1.0) | st.sampled_from([0.0, 1.0, 1234.5, 123456.7])
_QUESTIONS = ("a@t1.0", "a@t0.7", "toast[" + "subject=bugs," * 12 + "]@t1.0", "猫" * 40, HOSTILE, "")
_TEXTS = ("", "42", HOSTILE, "猫 " * 70, "x" * 300)
_P_VALUES = st.none() | st.floats(0.0, 1.0)
_RESULTS = tuple(side for cell in (*TUNED_CELLS, HOSTILE_CELL, UNDEFINED_CELL) for side in (cell.base, cell.run))
_LABELS = ("collapsed", "narrow", "not_diverse", "undecided", "not_collapsed", "diverse", "invalid", "", HOSTILE)


@st.composite
def _finite(draw):
    """Any part of it may be missing."""
    ends = sorted(draw(st.tuples(_VALUES, _VALUES, _VALUES)))
    kept = draw(st.tuples(*[st.booleans()] * 3))
    low, value, high = (end if keep else None for end, keep in zip(ends, kept, strict=True))
    return Estimate(value, low, high)


@st.composite
def _estimates(draw):
    """An end may be unbounded."""
    found = draw(_finite())
    return draw(st.sampled_from([found, replace(found, high=math.inf), replace(found, low=-math.inf)]))


_DIFFERENCES = st.builds(
    Difference, _estimates(), _estimates(), _estimates(), st.integers(0, 100_000), _P_VALUES, _P_VALUES
)
_DIVERGENCES = st.builds(
    Divergence, *[st.integers(0, 99_999)] * 2, *[_estimates()] * 5, st.none() | st.floats(0.0, 1.0)
)
_NAMES = ("collision", "mode_mass", "distinct_10", "effective_modes_ratio", "valid_rate", "tokens")
_NUMBERS = st.dictionaries(st.sampled_from(_NAMES), _DIFFERENCES)
_CELLS = st.builds(
    ComparedCell,
    st.sampled_from(_QUESTIONS),
    *[st.sampled_from(_RESULTS)] * 2,
    _NUMBERS,
    _DIFFERENCES,
    _estimates(),
    st.sampled_from(("narrower", "wider", "moved", "same")),
    st.booleans(),
    st.none() | _DIVERGENCES,
)
_SIDES = st.builds(
    Side, *[st.sampled_from(_TEXTS)] * 5, st.sampled_from(("vllm 0.32.0", "imported trl")), st.integers(0)
)
_PHRASES = st.builds(
    Phrase,
    st.sampled_from(_TEXTS),
    *[_estimates()] * 2,
    *[st.integers(0, 99)] * 2,
    _estimates(),
    st.integers(0),
    *[st.floats(0.0, 1.0)] * 2,
)
_TEMPERED = st.builds(
    Tempered,
    st.sampled_from(_QUESTIONS),
    *[_finite()] * 3,
    st.integers(0, 99_999),
    st.sampled_from(("scored", "scored, several tokens", "sweep")),
    _P_VALUES,
    st.sampled_from(("not a temperature change", "no change to explain; above T 64", *_TEXTS)),
)
_EXTINGUISHED = st.builds(
    Extinguished,
    st.sampled_from(_QUESTIONS),
    st.integers(0, 99_999),
    st.sampled_from(_TEXTS),
    st.floats(-1.0, 9999.0) | st.just(math.inf),
    st.integers(0, 99_999),
)


def some_comparisons():
    """One cell a question, at most four of them."""
    return st.builds(
        Comparison,
        _SIDES,
        _SIDES,
        st.tuples(st.sampled_from(_TEXTS)),
        st.just(0.05),
        st.sampled_from((0.0, 0.05, 1.0)),
        st.lists(_CELLS, max_size=4, unique_by=lambda cell: cell.question).map(tuple),
        _NUMBERS,
        st.dictionaries(st.tuples(*[st.sampled_from(_LABELS)] * 2), st.integers(0, 100_000)),
        *[st.lists(_PHRASES, max_size=3).map(tuple)] * 2,
        st.lists(_TEMPERED, max_size=3).map(tuple),
        st.none() | _DIVERGENCES,
        st.lists(_EXTINGUISHED, max_size=3).map(tuple),
        st.sampled_from(_TEXTS),
        *[st.lists(st.sampled_from(_TEXTS), max_size=3).map(tuple)] * 2,
    )
