"""A comparison as programs read it: the words of the tables, every key always there, no number that JSON lacks."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from comparison_strategies import some_comparisons
from comparisons import EQUAL, STRANGE, TUNED
from hypothesis import given

from collapsecli.records import UNDEFINED, Estimate
from collapsecli.report.compare_json import comparison_json
from collapsecli.runs.tables import CELLS


def _shape(value):
    """The keys of nested objects; of a list those of its first item."""
    if isinstance(value, dict):
        return {key: _shape(inner) for key, inner in value.items()}
    return [_shape(value[0])] if isinstance(value, list) and value else None


@given(some_comparisons())
def test_every_comparison_is_json_without_infinities(comparison):
    assert json.loads(json.dumps(comparison_json(comparison), allow_nan=False))["schema"] == 1


@given(some_comparisons())
def test_the_keys_are_the_same_whatever_is_known(comparison):
    told, usual = comparison_json(comparison), comparison_json(TUNED)
    assert {*told} == {*usual}
    assert {*told["suite"]["overall"]} == {*usual["suite"]["overall"]}
    assert all({*cell} == {*usual["cells"][0]} for cell in told["cells"])


def test_a_cell_has_both_sides_and_the_change_of_every_number_with_its_ends():
    cell = comparison_json(TUNED)["cells"][1]
    assert cell["cell_id"] == "opinion[subject=bugs]@t1.0"
    assert (cell["outcome"], cell["regressed"]) == ("narrower", True)
    assert (cell["verdict_base"], cell["verdict_run"]) == ("not_collapsed", "collapsed")
    assert (cell["mode_base"], cell["n_run"], cell["mode_count_run"]) == (" Yes.", 64, 60)
    compared = TUNED.cells[1].numbers["collision"]
    for side, estimate in (("base", compared.base), ("run", compared.run), ("change", compared.change)):
        ends = (cell[f"collision_{side}"], cell[f"collision_{side}_low"], cell[f"collision_{side}_high"])
        assert ends == (estimate.value, estimate.low, estimate.high)
    assert (cell["p_value"], cell["q_value"]) == (cell["collision_p_value"], cell["collision_q_value"]) == (2e-4, 2e-4)
    assert (cell["moved"], cell["moved_low"], cell["moved_high"]) == (0.94, 0.82, 1.0)
    assert cell["divergence"]["extinguished_high"] == pytest.approx(0.93)


def test_a_ratio_keeps_its_name_and_its_sides_lose_it():
    overall = comparison_json(TUNED)["suite"]["overall"]
    assert (overall["effective_modes_base"], overall["effective_modes_run"]) == (9.1, 3.2)
    assert (overall["effective_modes_ratio"], overall["effective_modes_ratio_low"]) == (0.352, 0.19)
    assert "effective_modes_change" not in overall


def test_the_words_are_those_of_the_tables():
    columns = {column.name for column in CELLS}
    named = {key.removesuffix("_base") for key in comparison_json(TUNED)["cells"][0] if key.endswith("_base")}
    assert named - columns == {"tokens"}  # whose mean no table has


def test_outcomes_and_verdicts_are_counted():
    suite = comparison_json(TUNED)["suite"]
    assert suite["outcomes"] == {"narrower": 4, "wider": 1, "moved": 1, "same": 2, "regressed": 2}
    assert sum(row["cells"] for row in suite["transitions"]) == len(TUNED.cells)
    assert {"base": "diverse", "run": "not_diverse", "cells": 1} in suite["transitions"]


def test_phrases_temperatures_and_extinguished_completions_are_there():
    beyond = replace(TUNED.tempered[0], t_eff=Estimate(64.0, 64.0, math.inf))
    told = comparison_json(replace(TUNED, tempered=(beyond,)))
    assert (told["lifted"][0]["share_run"], told["lifted"][0]["share_base_low"]) == (0.612, 0.004)
    assert told["lost"][0]["text"] == "Raise your glass to"
    assert told["tempered"][0]["subject"] == "integer-1-100"  # a cell without its temperature
    assert (told["tempered"][0]["t_eff"], told["tempered"][0]["t_eff_high"]) == (64.0, None)
    assert told["extinguished"][0] == {
        "cell_id": "opinion[subject=bugs]@t1.0",
        "sample_index": 17,
        "text": " Never.",
        "nats": 34.5,
        "n_tokens": 31,
    }


def test_what_is_undefined_or_unbounded_is_null_and_never_zero():
    told = comparison_json(STRANGE)
    assert told["suite"]["overall"]["distinct_10_change"] is None
    assert told["extinguished"][0]["nats"] is None
    assert told["cells"][0]["divergence"]["kl_high"] is None
    assert told["cells"][1]["collision_base"] is None
    assert (told["divergence"], told["unscored"] != "") == (None, True)


def test_both_sides_say_where_they_come_from():
    told = comparison_json(EQUAL)
    assert (told["base"]["run_id"], told["run"]["seed"]) == ("20261123T020000Z-demo-base", 8)
    assert told["suite"]["suites"] == ["quickstart"]


def test_undefined_sides_keep_the_shape_of_a_phrase():
    bare = replace(TUNED, lifted=(replace(TUNED.lifted[0], base=UNDEFINED),))
    assert _shape(comparison_json(bare)["lifted"]) == _shape(comparison_json(TUNED)["lifted"])
