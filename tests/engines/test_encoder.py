"""A real pooling engine: its vectors are those of transformers itself, and what it holds is given back.

The encoder is random, so that nothing here says whether two texts mean the same.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from collapsecli.cli import main
from collapsecli.engines.encoding import EncoderProcess, require_encoder
from collapsecli.errors import EngineStartError, IncompleteError, UsageError

pytest.importorskip("vllm")
pytestmark = pytest.mark.vllm

CONTEXT_TOKENS = 32
TEXTS = [
    "the okapi",
    "my favorite animal is the okapi",
    "x",
    "中文字, äöü and 🎉",
    "\ud7ff \x00 \x1b[31m",
    "pangolin " * 4 * CONTEXT_TOKENS,
    "",
    " ".join("abcdefghijklmnopqrstuvwxyz0123"),  # exactly the context, with the two tokens at the ends
]
CUT = [False, False, False, False, False, True, False, False]


@pytest.fixture(scope="module")
def made():
    """The module that makes a random encoder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        yield importlib.import_module("random_encoder")


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    return made.write_encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture(scope="module")
def encoder(folder, tmp_path_factory):
    with EncoderProcess(str(folder), tmp_path_factory.mktemp("log") / "log.txt") as process:
        yield process


def test_the_vectors_are_those_of_transformers_itself(encoder, folder, made):
    vectors, is_cut = encoder.embed(TEXTS)
    assert np.abs(vectors - made.ByTransformers(folder, CONTEXT_TOKENS).embed(TEXTS)).max() < 1e-5
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6
    assert is_cut.tolist() == CUT


def test_a_text_has_one_vector_whatever_is_embedded_beside_it(encoder):
    together, alone = encoder.embed(TEXTS).vectors, [encoder.embed([text]).vectors[0] for text in TEXTS]
    assert np.abs(together - np.array(alone)).max() < 1e-5
    assert np.abs(together[::-1] - encoder.embed(TEXTS[::-1]).vectors).max() < 1e-5


def test_no_texts_have_no_vectors(encoder):
    assert encoder.embed([]).vectors.shape[0] == 0


def test_an_encoder_says_what_can_change_its_vectors(encoder):
    identity = encoder.info.identity
    assert (identity["pooling"], identity["context"]) == ("MEAN", str(CONTEXT_TOKENS))
    assert identity["dtype"] in {"float32", "float16", "bfloat16"}
    assert identity["revision"].startswith("folder:")
    assert identity["vllm"]


def test_nothing_of_an_encoder_stays_when_its_block_ends(folder, tmp_path):
    with EncoderProcess(str(folder), tmp_path / "log.txt") as process:
        child = process._process.pid
        os.kill(child, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert "pooling" in (tmp_path / "log.txt").read_text()  # vLLM's own words stand there, not on the screen


def test_an_encoder_that_is_killed_is_an_incomplete_run_and_no_crash(folder, tmp_path):
    with EncoderProcess(str(folder), tmp_path / "log.txt") as process:
        os.kill(process._process.pid, signal.SIGKILL)
        with pytest.raises(IncompleteError, match="killed by SIGKILL"):
            process.embed(["the okapi"])


def test_a_folder_that_is_no_model_cannot_start_and_says_so(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    with pytest.raises(EngineStartError, match="the encoder could not start"):
        EncoderProcess(str(tmp_path / "broken"), tmp_path / "log.txt")


def test_a_path_that_is_not_there_is_told_before_anything_is_started():
    with pytest.raises(UsageError, match="there is no such folder"):
        require_encoder("./nowhere")


# ---------------------------------------------------------------------------------------------------------- end to end

SUITE = """\
schema: 1
name: animals
sampling: {samples: 48, max_tokens: 64}
equivalence: {embedding: ENCODER, threshold: 0.99}
prompts:
- {id: animal, text: "Name an animal."}
- {id: poem, text: "Say something."}
- {id: coin, text: "Flip a coin.", answer: {choice: [Heads, Tails]}}
"""
ANSWERS = {
    "animal": {" The okapi.": 0.7, " the okapi": 0.1, " The pangolin.": 0.2},
    "poem": {" " + "okapi " * CONTEXT_TOKENS: 0.5, " x": 0.5},
    "coin": {" Heads": 0.5, " Tails": 0.5},
}


def test_a_probe_embeds_after_sampling_and_a_report_never_again(folder, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    encoder = tmp_path / "encoder"
    shutil.copytree(folder, encoder)
    (tmp_path / "suite.yaml").write_text(SUITE.replace("ENCODER", str(encoder)))
    (tmp_path / "script.yaml").write_text(json.dumps({"prompts": ANSWERS}))
    assert main(["probe", "suite.yaml", "--engine", "scripted", "-m", "script.yaml", "--run-id", "a"]) == 0
    out, err = capfd.readouterr()
    said = " ".join(out.split())
    assert f"starting {encoder}, which embeds answers of runs/a" in err
    assert "INFO" not in err  # vLLM's own words stand in the log
    assert f"embedding 0.99 by {encoder}" in said
    assert f"1 of 4 texts are longer than the {CONTEXT_TOKENS} tokens" in said
    (stored,) = (tmp_path / "runs" / "a" / "embeddings").iterdir()
    before = {path.name: path.read_bytes() for path in stored.iterdir()}
    cells = pd.read_parquet(tmp_path / "runs" / "a" / "cells.parquet").set_index("cell_id")
    shares = cells.loc["animal@t1.0"]
    assert shares["mode_mass"] == pytest.approx(0.8, abs=0.15)  # what differs in case and stop is one text
    assert shares["mean_cosine"] > 0
    assert pd.isna(cells.loc["coin@t1.0", "mean_cosine"])
    shutil.rmtree(encoder)  # nothing could be embedded any more
    began = time.monotonic()
    assert main(["report", "runs/a"]) == 0
    assert time.monotonic() - began < 10
    again, err = capfd.readouterr()
    assert "starting" not in err
    assert again.split("Note:")[0] == out.split("Note:")[0]
    assert {path.name: path.read_bytes() for path in stored.iterdir()} == before


def test_a_damaged_file_of_vectors_is_embedded_again_and_the_report_goes_on(folder, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suite.yaml").write_text(SUITE.replace("equivalence: {embedding: ENCODER, threshold: 0.99}\n", ""))
    (tmp_path / "script.yaml").write_text(json.dumps({"prompts": ANSWERS}))
    assert main(["probe", "suite.yaml", "--engine", "scripted", "-m", "script.yaml", "--run-id", "a", "-q"]) == 0
    asked = ["report", "runs/a", "--equivalence", f"embedding={folder}", "-q"]
    assert main(asked) == 0
    (stored,) = (tmp_path / "runs" / "a" / "embeddings").iterdir()
    first = stored / "000001.parquet"
    content = first.read_bytes()
    first.write_bytes(content[:-100])  # a damaged file is embedded again, and the report is what it was
    assert main(asked) == 0
    (second,) = stored.glob("*.parquet")
    assert second.name == "000002.parquet"
    columns = ["text_digest", "is_cut"]
    first.write_bytes(content)
    assert pd.read_parquet(first)[columns].equals(pd.read_parquet(second)[columns])
    assert "Traceback" not in capfd.readouterr().err
