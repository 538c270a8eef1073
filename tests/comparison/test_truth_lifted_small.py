"""The laws of lifted phrases at small sizes: the same simulations with fewer runs, and what would refute them."""

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def truth_lifted():
    """The benchmark."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("truth_lifted")


def test_what_is_said_of_lifted_phrases_is_true(truth_lifted):
    found = list(truth_lifted.rows(60))
    assert not [row for row in found if not row.ok]
    named = [row for row in found if row.interval == "named as lifted, and is"]
    assert len(named) == 3
    assert all(row.runs > 10 for row in named)


def test_a_rate_of_errors_above_alpha_would_be_found_out(truth_lifted):
    assert truth_lifted._rate("", "", "", [True] * 95 + [False] * 5).ok
    assert not truth_lifted._rate("", "", "", [True] * 80 + [False] * 20).ok
