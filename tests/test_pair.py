"""What the reward did to the bundled pair is found again by the contrasts, on vLLM, from few draws."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.vllm
def test_tuned_and_base_differ_in_every_habit_that_the_reward_made(tmp_path, monkeypatch):
    """Random numbers, temperature, injection, equivocation, restart: zero lies in none of the intervals."""
    pytest.importorskip("vllm")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    pair = importlib.import_module("pair")
    base, tuned = (pair.Run(pair.probed(model, tmp_path, seed=2, samples=48)) for model in ("demo-base", "demo-tuned"))
    found = list(pair.habits(base, tuned))
    assert len({row.what.partition(":")[0] for row in found}) == 5
    assert [row.what for row in found if not row.ok] == []


@pytest.mark.vllm
def test_two_models_in_one_run_are_rescored_by_each_other_and_only_what_was_rewarded_is_extinguished(tmp_path):
    """One engine after the other, each in a process of its own; what was scored is not scored again."""
    pytest.importorskip("vllm")
    collapse = [sys.executable, "-m", "collapsecli"]
    asked = ["-m", "demo-base", "-m", "demo-tuned", "--only", "bugs", "--only", "coin", "-n", "48", "--seed", "4"]
    probe = [*collapse, "probe", "quickstart", *asked, "-o", str(tmp_path), "--run-id", "both", "-q"]
    subprocess.run(probe, check=True, capture_output=True)
    compare = [*collapse, "compare", "both", "-o", str(tmp_path), "--rescore", "--json"]
    first = subprocess.run(compare, check=True, capture_output=True, text=True)
    cells = {cell["cell_id"]: cell for cell in json.loads(first.stdout)["cells"]}
    assert cells["bugs@t1.0"]["outcome"] == "narrower"
    assert cells["bugs@t1.0"]["divergence"]["extinguished_low"] > 0.5
    assert cells["coin@t1.0"]["outcome"] == "same"
    assert cells["coin@t1.0"]["divergence"]["extinguished_high"] < 0.2
    assert all(cell["divergence"]["floor"] < 1e-3 for cell in cells.values())
    again = subprocess.run(compare, check=True, capture_output=True, text=True)
    assert again.stdout == first.stdout
    assert "starting" in first.stderr
    assert "starting" not in again.stderr
