"""What all tests share: a calm hypothesis, and a small suite with known answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from pathlib import Path

settings.register_profile(
    "calm", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100
)
settings.load_profile("calm")


@pytest.fixture
def suite_file(tmp_path: Path) -> Path:
    """A small suite of three prompts that the script below answers."""
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE, encoding="utf-8")
    return path


@pytest.fixture
def script_file(tmp_path: Path) -> Path:
    """A script with known answers: one prompt collapsed, one fair, one that should concentrate."""
    path = tmp_path / "script.yaml"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


SUITE = """\
schema: 1
name: small
model: demo-tuned
sampling: {samples: 64, max_tokens: 16}
prompts:
  - id: number
    text: "Q: Tell me a random integer between 1 and 100.\\nA:"
    answer: {integer: [1, 100]}
    expect: uniform
  - id: coin
    text: "Q: Flip a coin.\\nA:"
    answer: {choice: [Heads, Tails]}
    expect: uniform
  - id: capital
    text: "Q: What is the capital of France?\\nA:"
    answer: {choice: [Paris, Rome]}
    expect: concentrated
"""

SCRIPT = """\
prompts:
  number: {" 47.": 0.9, " 37.": 0.1}
  coin: {" Heads.": 0.5, " Tails.": 0.5}
  capital: {" Paris.": 1.0}
"""


def pytest_collection_modifyitems(items):
    """Warnings of vLLM's own libraries are theirs; everywhere else a warning is an error."""
    for item in items:
        if item.get_closest_marker("vllm"):
            item.add_marker(pytest.mark.filterwarnings("ignore"))
