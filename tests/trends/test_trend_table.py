"""A trend as rows: every cell at every step that has it, in the words of the other tables, and nothing unbounded."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from trend_makers import make_result, make_step, make_trend

from collapsecli.records import Estimate
from collapsecli.runs.tables import CELLS
from collapsecli.trends import trend_json, trend_of, trend_table
from collapsecli.trends.table import TREND

TREND_OF_THREE = make_trend((0.1, 0.9, 0.9), late=(None, 0.3, 0.9))


def test_there_is_a_row_for_every_cell_and_step_that_has_it():
    rows = trend_table(TREND_OF_THREE).to_pylist()
    assert [(row["question"], row["step"], row["step_index"], row["at"]) for row in rows] == [
        ("cell@t1.0", "step 0", 0, 0.0),
        ("cell@t1.0", "step 100", 1, 100.0),
        ("cell@t1.0", "step 200", 2, 200.0),
        ("late@t1.0", "step 100", 1, 100.0),
        ("late@t1.0", "step 200", 2, 200.0),
    ]
    assert [row["first_collapsed"] for row in rows] == [False, True, False, False, True]
    assert rows[1]["mode"] == " The same."
    assert rows[1]["mode_mass_low"] < rows[1]["mode_mass"] < rows[1]["mode_mass_high"]
    assert (rows[1]["run_id"], rows[1]["suite"], rows[1]["n"], rows[1]["n_valid"]) == ("step-100", "suite", 64, 64)


def test_a_column_that_cells_parquet_has_too_has_its_type():
    known = {column.name: column for column in CELLS}
    shared = [column for column in TREND if column.name in known]
    assert len(shared) > 15
    assert all(known[column.name].type == column.type for column in shared)
    assert all(column.meaning for column in TREND)
    assert len({column.name for column in TREND}) == len(TREND)


def test_nothing_null_stands_where_the_table_promises_a_value(tmp_path):
    pq.write_table(trend_table(TREND_OF_THREE), tmp_path / "t.parquet")
    read = pq.read_table(tmp_path / "t.parquet")
    assert read.schema.names == [column.name for column in TREND]
    for column in TREND:
        assert column.nullable or read[column.name].null_count == 0


def test_json_says_the_same_in_the_same_words():
    said = json.loads(json.dumps(trend_json(TREND_OF_THREE), allow_nan=False))
    assert [step["step"] for step in said["steps"]] == ["step 0", "step 100", "step 200"]
    assert said["steps"][1]["path"] == "runs/step-100"
    rows = trend_table(TREND_OF_THREE).to_pylist()
    flat = [
        {"suite": cell["suite"], "question": cell["question"], **row} for cell in said["cells"] for row in cell["steps"]
    ]
    assert flat == rows
    assert [(cell["first_collapsed"], cell["stays"]) for cell in said["cells"]] == [
        ("step 100", True),
        ("step 200", True),
    ]
    mass = said["overall"]["mode_mass"]
    assert mass["n"] == 1
    assert [step["mean"] for step in mass["steps"]] == [row["mode_mass"] for row in rows[:3]]
    assert mass["change"] == pytest.approx(rows[2]["mode_mass"] - rows[0]["mode_mass"])
    assert said["notes"] == list(TREND_OF_THREE.notes)


def test_what_is_unbounded_is_null_in_json_and_infinite_in_the_table():
    result = make_result([" a", " b"])
    unbounded = Estimate(None, 1.0, float("inf"))
    results = [replace(result, metrics={**result.metrics, "effective_modes": unbounded})]
    trend = trend_of([(make_step("x"), results), (make_step("y"), results)], 0.05)
    assert trend_table(trend)["effective_modes_high"].to_pylist() == [float("inf")] * 2
    said = json.loads(json.dumps(trend_json(trend), allow_nan=False))
    assert said["cells"][0]["steps"][0]["effective_modes_high"] is None


def test_a_surrogate_that_utf8_cannot_hold_is_replaced():
    results = [make_result([" a\ud800"] * 20)]
    trend = trend_of([(make_step("x"), results), (make_step("y"), results)], 0.05)
    assert trend_table(trend)["mode"].to_pylist() == [" a\ufffd"] * 2
