"""Vectors kept beside a run: each text once, found by what it says, and embedded again where a file is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.records import EncoderInfo
from collapsecli.runs import TABLES
from collapsecli.runs.embeddings import EmbeddingsFolder, digests_of

INFO = EncoderInfo("encoder", {"revision": "folder:1", "dtype": "float32"})


def vectors_for(texts, dimensions=4):
    """A vector of length 1 that belongs to a text: from its digest."""
    numbers = [np.frombuffer(digest.ljust(16, b"\0"), np.uint8)[:dimensions] for digest in digests_of(texts).tolist()]
    vectors = np.array(numbers, np.float32).reshape(len(texts), dimensions) + 1
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def kept(folder, *shards, info=INFO):
    store = EmbeddingsFolder(folder, info)
    store.begin()
    for texts in shards:
        store.add(digests_of(texts), vectors_for(texts), np.zeros(len(texts), np.bool_))
    return store


def test_what_was_kept_is_read_as_it_was(tmp_path):
    texts = ["", "okapi", "中文", "a\ud800b", "x" * 10_000]
    store = kept(tmp_path, texts[:2], texts[2:])
    known = store.read()
    assert (known.vectors(texts[::-1]) == vectors_for(texts[::-1])).all()
    assert known.missing(digests_of([*texts, "new"])).tolist() == digests_of(["new"]).tolist()


@given(st.lists(st.text(), unique=True, min_size=1, max_size=40))
def test_no_two_texts_share_a_digest(texts):
    assert len(np.unique(digests_of(texts))) == len(texts)


def test_a_text_that_was_not_embedded_is_an_error_and_no_vector(tmp_path):
    with pytest.raises(KeyError):
        kept(tmp_path, ["okapi"]).read().vectors(["okapi", "lynx"])
    with pytest.raises(KeyError):
        kept(tmp_path / "empty").read().vectors(["okapi"])


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[: len(content) // 2], id="half a file"),
        pytest.param(lambda _: b"", id="an empty one"),
        pytest.param(lambda content: content[:300] + bytes([content[300] ^ 1]) + content[301:], id="one bit"),
    ],
)
def test_a_damaged_shard_is_embedded_again(tmp_path, damage):
    store = kept(tmp_path, [f"text {number}" for number in range(64)], ["lynx"])
    first = store.path / "000001.parquet"
    first.write_bytes(damage(first.read_bytes()))
    known = store.read()
    assert known.missing(digests_of(["text 3", "lynx"])).tolist() == digests_of(["text 3"]).tolist()
    store.begin()  # sets it aside, and its number is not given again
    store.add(digests_of(["text 3"]), vectors_for(["text 3"]), np.zeros(1, np.bool_))
    assert (store.read().vectors(["text 3", "lynx"]) == vectors_for(["text 3", "lynx"])).all()
    assert sorted(path.name for path in store.path.glob("*.parquet")) == ["000002.parquet", "000003.parquet"]
    assert len(list(store.path.glob("*.broken-*"))) == 1


def test_what_a_kill_left_half_written_is_cleared(tmp_path):
    store = kept(tmp_path, ["okapi"])
    (store.path / ".000002.parquet.123.tmp").write_bytes(b"half")
    store.begin()
    assert not list(store.path.glob(".*.tmp"))
    assert not store.read().missing(digests_of(["okapi"])).size


def test_every_state_of_an_encoder_has_a_folder_of_its_own(tmp_path):
    old = kept(tmp_path, ["okapi"])
    other = EncoderInfo("encoder", {**INFO.identity, "dtype": "bfloat16"})
    new = kept(tmp_path, ["lynx"], info=other)
    kept(tmp_path, ["lynx"], info=EncoderInfo("another", INFO.identity))
    assert old.path != new.path
    assert [store.info for store in EmbeddingsFolder.of(tmp_path, "encoder")] == [other, INFO]  # the newest first


def test_every_shard_says_what_embedded_it(tmp_path):
    metadata = pq.read_schema(kept(tmp_path, ["okapi"]).path / "000001.parquet").metadata
    assert json.loads(metadata[b"encoder"]) == {"model": "encoder", "identity": INFO.identity}


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"model": "encoder", "identity": 1}', '{"model": "enc'])
def test_a_folder_that_nobody_described_is_no_store(tmp_path, content):
    store = kept(tmp_path, ["okapi"])
    (store.path / "encoder.json").write_text(content, encoding="utf-8")
    assert EmbeddingsFolder.of(tmp_path, "encoder") == []


def test_the_columns_of_the_file_are_a_contract():
    columns = [f"{column.name}: {column.type}{'?' if column.nullable else ''}" for column in TABLES["embeddings"]]
    assert columns == (Path(__file__).parent / "runs" / "golden" / "embeddings.txt").read_text("utf-8").splitlines()


def test_texts_that_were_cut_are_counted_once(tmp_path):
    store = kept(tmp_path)
    for texts in (["a", "b"], ["b", "c"]):
        store.add(digests_of(texts), vectors_for(texts), np.array([text == "b" for text in texts]))
    known = store.read()
    assert (known.n_cut, len(known.digests)) == (1, 3)
