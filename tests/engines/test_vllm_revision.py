"""What identifies a model in a folder: its content, not its dates; needs no vLLM."""

from __future__ import annotations

import hashlib
import os

import pytest

from collapsecli.engines.vllm import _revision

LARGE = 70 << 20  # read in samples


def weights(step: bytes) -> bytes:
    return hashlib.shake_256(step).digest(LARGE)


@pytest.fixture
def model(tmp_path):
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    (tmp_path / "model.safetensors").write_bytes(weights(b"before"))
    return tmp_path


def test_a_checkpoint_overwritten_in_place_is_another_model(model):
    before = _revision(str(model), None)
    (model / "model.safetensors").write_bytes(weights(b"after"))
    assert _revision(str(model), None) != before


def test_a_byte_of_a_small_file_makes_another_model(model):
    before = _revision(str(model), None)
    (model / "config.json").write_text('{"hidden_size": 9}')
    assert _revision(str(model), None) != before


def test_a_copy_with_other_dates_is_the_same_model(model):
    before = _revision(str(model), None)
    os.utime(model / "model.safetensors", (0, 0))
    assert _revision(str(model), None) == before
