"""What the reward did to the bundled pair is found again by the contrasts, on vLLM, from few draws."""

import importlib
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
