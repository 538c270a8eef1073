"""What all tests share: a calm hypothesis, and small makers of the nouns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from collapsecli.records import Cell, Completion, Expect, IntegerAnswer, Sampling, TextAnswer

if TYPE_CHECKING:
    from pathlib import Path

settings.register_profile(
    "calm", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100
)
settings.load_profile("calm")


def make_cell(cell_id: str = "coin@t1.0", **changes) -> Cell:
    """A cell of one prompt; any field can be changed, sampling by its own names."""
    sampling = {
        name: changes.pop(name) for name in Sampling.__dataclass_fields__ if name in changes and name != "temperature"
    }
    temperature = changes.pop("temperature", 1.0)
    values = {
        "cell_id": cell_id,
        "suite": "suite",
        "prompt_id": cell_id.rpartition("@")[0].split("/")[0].split("[")[0] or cell_id,
        "variant": "",
        "injection": "",
        "temperature": temperature,
        "model": "model",
        "adapter": "",
        "text": "Q: Flip a coin.\nA:",
        "messages": (),
        "injected": "",
        "sampling": Sampling(temperature=temperature, **sampling),
        "answer": TextAnswer(),
        "expect": Expect(),
    }
    return Cell(**{**values, **changes})


def make_completion(cell_id: str = "coin@t1.0", sample_index: int = 0, text: str = " Heads.", **changes) -> Completion:
    """A completion whose tokens are its characters, each with probability 1/e."""
    values = {
        "cell_id": cell_id,
        "sample_index": sample_index,
        "seed": 1000 + sample_index,
        "prompt": "Q: Flip a coin.\nA:",
        "text": text,
        "token_ids": tuple(map(ord, text)),
        "token_logprobs": (-1.0,) * len(text),
        "logprob": -1.0 * len(text),
        "n_prompt_tokens": 5,
        "finish_reason": "stop",
        "logprob_kind": "sampling",
        "created_at": 1_760_000_000.0,
    }
    return Completion(**{**values, **changes})


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


@pytest.fixture
def integer() -> IntegerAnswer:
    """A whole number from 1 to 100."""
    return IntegerAnswer(1, 100)


def pytest_collection_modifyitems(items):
    """Warnings of vLLM's own libraries are theirs; everywhere else a warning is an error."""
    for item in items:
        if item.get_closest_marker("vllm"):
            item.add_marker(pytest.mark.filterwarnings("ignore"))
