"""What identifies a model and its tokenizer: their content, not their dates; needs no vLLM."""

from __future__ import annotations

import hashlib
import json
import os
import shutil

import pytest

from collapsecli import demo
from collapsecli.engines.places import folder_digest, tokenizer_digest

LARGE = 70 << 20  # read in samples


def weights(step: bytes) -> bytes:
    return hashlib.shake_256(step).digest(LARGE)


@pytest.fixture
def model(tmp_path):
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    (tmp_path / "model.safetensors").write_bytes(weights(b"before"))
    return tmp_path


def test_a_checkpoint_overwritten_in_place_is_another_model(model):
    before = folder_digest(model)
    (model / "model.safetensors").write_bytes(weights(b"after"))
    assert folder_digest(model) != before


def test_a_byte_of_a_small_file_makes_another_model(model):
    before = folder_digest(model)
    (model / "config.json").write_text('{"hidden_size": 9}')
    assert folder_digest(model) != before


def test_a_copy_with_other_dates_is_the_same_model(model):
    before = folder_digest(model)
    os.utime(model / "model.safetensors", (0, 0))
    assert folder_digest(model) == before


def tokenizer(folder):
    return pytest.importorskip("transformers").AutoTokenizer.from_pretrained(str(folder))


def with_tokens(folder, change):
    """A copy of the demo's tokenizer with something else in its file."""
    shutil.copytree(demo.model_path("demo-base"), folder)
    parts = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    change(parts)
    (folder / "tokenizer.json").write_text(json.dumps(parts), "utf-8")
    return tokenizer(folder)


def test_two_models_of_one_tokenizer_are_seen_to_share_it():
    digests = {tokenizer_digest(tokenizer(demo.model_path(name))) for name in demo.MODELS}
    assert len(digests) == 1


def test_two_words_that_change_places_make_another_tokenizer(tmp_path):
    def swap(parts):
        words = parts["model"]["vocab"]
        (one, at), (other, place) = list(words.items())[-2:]
        words |= {one: place, other: at}

    before = tokenizer_digest(tokenizer(demo.model_path("demo-base")))
    assert tokenizer_digest(with_tokens(tmp_path / "swapped", swap)) != before


def test_how_a_batch_was_padded_makes_no_other_tokenizer():
    one = tokenizer(demo.model_path("demo-base"))
    before = tokenizer_digest(one)
    one.backend_tokenizer.enable_padding(length=8)
    one.backend_tokenizer.enable_truncation(4)
    assert tokenizer_digest(one) == before
