"""Runs whose answers are compared by embedding. Vectors are planted beside them, so that what is true is known."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from collapsecli.cli import main
from collapsecli.cli.options import equivalence_of
from collapsecli.conclusions import judged
from collapsecli.embedding import embeddings_of
from collapsecli.engines.encoder import folder_state
from collapsecli.errors import EngineStartError, UsageError
from collapsecli.modes import canonical
from collapsecli.records import EncoderInfo, Sameness
from collapsecli.runs import RunFolder
from collapsecli.runs.embeddings import EmbeddingsFolder, digests_of

ENCODER = "somebody/encoder"
# Three ways to be yellow, two to be blue: no word in common, so that only their vectors say it.
ANGLES = {
    "A yellow sun.": 0, "Lemons!": 12, "Some canary": 24,
    "The sea": 90, "Deep water.": 100,
}  # fmt: skip
BASE = {" The sea": 0.5, " Lemons!": 0.5}
RUN = {" A yellow sun.": 0.3, " Lemons!": 0.3, " Some canary": 0.3, " The sea": 0.05, " Deep water.": 0.05}
SUITE = """\
schema: 1
name: colours
sampling: {samples: 128, max_tokens: 8}
prompts:
- {id: colour, text: "Name something.", temperatures: [1.0, 1.4]}
- {id: coin, text: "Flip a coin.", answer: {choice: [Lemons!, The sea]}}
"""


def plant(run, answers, encoder=ENCODER, **identity):
    """Keep vectors of some answers, {text: angle}, beside a run, as if an encoder had given them."""
    folder = EmbeddingsFolder(run, EncoderInfo(encoder, {"dtype": "float32", **identity}))
    folder.begin()
    texts = [canonical(text) for text in answers]
    angles = np.radians(list(answers.values()))
    vectors = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    folder.add(digests_of(texts), vectors, np.array([len(text) > 11 for text in texts]))


@pytest.fixture
def probed(tmp_path, monkeypatch):
    """Sample a script under a name; gives the run's path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suite.yaml").write_text(SUITE)

    def sample(name, answers):
        (tmp_path / f"{name}.yaml").write_text(json.dumps({"prompts": {"colour": answers, "coin": BASE}}))
        words = ["--engine", "scripted", "-m", f"{name}.yaml", "--run-id", name, "--seed", "3", "-q"]
        assert main(["probe", "suite.yaml", *words]) == 0
        return tmp_path / "runs" / name

    return sample


def by_embedding(threshold=0.8, encoder=ENCODER):
    return Sameness("embedding", threshold, encoder)


def of_colour(path, sameness):
    results = judged(RunFolder(path), equivalence=sameness).results
    return next(result for result in results if result.cell.cell_id == "colour@t1.0")


def test_texts_without_a_word_in_common_are_one_mode_where_their_vectors_are_close(probed):
    path = probed("run", RUN)
    plant(path, ANGLES)
    by_words, by_vectors = of_colour(path, None), of_colour(path, by_embedding())
    assert by_words.mode_mass.value < 0.5
    assert by_words.metric("mean_cosine").value is None
    assert by_vectors.verdict == "collapsed"
    assert by_vectors.mode_mass.value == pytest.approx(0.9, abs=0.08)
    assert [mode.count for mode in by_vectors.modes] == [
        sum(mode.count for mode in by_words.modes if colour(mode.text) == which) for which in ("yellow", "blue")
    ]
    cosine = by_vectors.metric("mean_cosine")
    assert cosine.low < cosine.value < cosine.high
    assert 1 < by_vectors.metric("embedding_modes").value < 2


def colour(text):
    return "yellow" if ANGLES[text.strip()] < 45 else "blue"


@pytest.mark.parametrize(
    ("threshold", "modes"),
    [
        pytest.param(0.99, 4, id="ten degrees apart are the same"),
        pytest.param(0.95, 2, id="and twelve"),
        pytest.param(0.5, 2, id="two thirds of a quarter turn are not"),
    ],
)
def test_a_threshold_decides_how_close_is_the_same(probed, threshold, modes):
    path = probed("run", RUN)
    plant(path, {**ANGLES, "Deep water.": 97})
    assert len(of_colour(path, by_embedding(threshold)).modes) == modes


def test_typed_answers_stay_exact_and_need_no_vectors(probed):
    path = probed("run", RUN)
    plant(path, ANGLES)
    coin = judged(RunFolder(path), equivalence=by_embedding()).results[-1]
    assert (coin.cell.equivalence, coin.cell.encoder, len(coin.modes)) == ("lexical", "", 2) or (
        coin.cell.equivalence == "exact"
    )
    assert coin.metric("mean_cosine").value is None


def test_a_report_by_embedding_says_so_and_keeps_its_numbers(probed, capfd):
    path = probed("run", RUN)
    plant(path, ANGLES)
    asked = ["report", str(path), "--equivalence", f"embedding={ENCODER},0.85", "--numbers"]
    assert main(asked) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert f"embedding 0.85 by {ENCODER}" in " ".join(out.split())
    assert "N2 cosine" in out
    assert "1 of 5 texts are longer than" in " ".join(out.split())
    cells = pd.read_parquet(path / "cells.parquet").set_index("cell_id")
    row = cells.loc["colour@t1.0"]
    assert (row["equivalence"], row["threshold"], row["encoder"]) == ("embedding", 0.85, ENCODER)
    assert row["mean_cosine_low"] < row["mean_cosine"] < row["mean_cosine_high"]
    assert row["embedding_modes_low"] < row["embedding_modes"] < row["embedding_modes_high"]
    assert pd.isna(cells.loc["coin@t1.0", "mean_cosine"])
    contrasts = pd.read_parquet(path / "contrasts.parquet")
    at = contrasts[(contrasts["metric"] == "reference_mode") & (contrasts["at"] == 1.4)]["estimate"]
    assert at.tolist() == [pytest.approx(0.85, abs=0.1)]  # the temperature curve compares as the cells do


def test_a_run_that_has_all_its_vectors_needs_no_vllm(probed):
    path = probed("run", RUN)
    plant(path, ANGLES)
    done = without_vllm("report", str(path), "--equivalence", f"embedding={ENCODER}", "-q")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_that_lacks_a_vector_says_what_it_starts_and_without_vllm_the_way_on(probed):
    path = probed("run", RUN)
    plant(path, {text: angle for text, angle in ANGLES.items() if text != "The sea"})
    done = without_vllm("report", str(path), "--equivalence", f"embedding={ENCODER}", "-q")
    assert done.returncode == 4
    assert f"starting {ENCODER}, which embeds answers of {path}" in done.stderr
    assert "vLLM, which embeds texts" in done.stderr
    assert "--equivalence lexical" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_probe_that_could_not_embed_samples_nothing(probed, tmp_path):
    probed("run", RUN)
    text = SUITE.replace("name: colours", f"name: colours\nequivalence: {{embedding: {ENCODER}}}")
    (tmp_path / "embedded.yaml").write_text(text)
    done = without_vllm("probe", "embedded.yaml", "--engine", "scripted", "-m", "run.yaml", "--run-id", "none")
    assert done.returncode == 4
    assert not (tmp_path / "runs" / "none").exists()


def without_vllm(*words):
    """The command in a process of its own that has no vLLM."""
    program = "import sys; sys.modules['vllm'] = None; from collapsecli.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)


def test_an_encoder_that_has_changed_since_is_not_what_its_vectors_are_from(probed, tmp_path):
    path = probed("run", RUN)
    model = tmp_path / "model"
    (model / "1_Pooling").mkdir(parents=True)
    (model / "1_Pooling" / "config.json").write_text("{}")
    plant(path, ANGLES, encoder=str(model), revision=folder_state(model))
    asked = by_embedding(encoder=str(model))
    assert of_colour(path, asked).verdict == "collapsed"
    (model / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    with pytest.raises(EngineStartError):  # a folder like that is no model
        of_colour(path, asked)
    shutil.rmtree(model)  # what nobody can look at any more is taken as it was
    assert of_colour(path, asked).verdict == "collapsed"


def test_vectors_of_another_state_are_never_mixed_in(probed):
    path = probed("run", RUN)
    yellow = {text: angle for text, angle in ANGLES.items() if angle < 45}
    blue = {text: angle for text, angle in ANGLES.items() if angle > 45}
    plant(path, yellow, dtype="float32")
    plant(path, blue, dtype="bfloat16")
    done = without_vllm("report", str(path), "--equivalence", f"embedding={ENCODER}", "-q")
    assert done.returncode == 4


def test_cells_without_an_encoder_have_no_embeddings_and_ask_for_none(probed):
    run = RunFolder(probed("run", RUN))
    assert embeddings_of(run, run.manifest().cells) is None
    assert not (run.path / "embeddings").exists()


# ------------------------------------------------------------------------------------------------------------ compare


def test_two_runs_are_compared_by_the_vectors_of_both(probed, capfd):
    base, run = probed("base", BASE), probed("run", RUN)
    plant(base, {text: ANGLES[text] for text in ("The sea", "Lemons!")})
    plant(run, ANGLES)
    capfd.readouterr()
    words = ["compare", str(base), str(run), "--equivalence", f"embedding={ENCODER}", "--json"]
    assert main(words) == 0
    cells = {cell["cell_id"]: cell for cell in json.loads(capfd.readouterr().out)["cells"]}
    found = cells["colour@t1.0"]
    assert found["collision_run"] == pytest.approx(0.82, abs=0.1)  # .9² + .1²
    assert found["collision_change_low"] > 0.1


def test_runs_that_were_embedded_by_two_states_of_an_encoder_are_not_compared_unasked(probed, capfd):
    base, run = probed("base", BASE), probed("run", RUN)
    plant(base, ANGLES, dtype="float32")
    plant(run, ANGLES, dtype="bfloat16")
    words = ["compare", str(base), str(run), "--equivalence", f"embedding={ENCODER}"]
    assert main(words) == 2
    err = capfd.readouterr().err
    assert "dtype: was float32, is bfloat16" in err
    assert main([*words, "--force"]) == 0


def test_a_trend_is_followed_by_the_vectors_of_every_run(probed, capfd):
    for name, answers in (("base", BASE), ("run", RUN)):
        path = probed(name, answers)
        plant(path, ANGLES)
        text = (path / "run.json").read_text()
        cells = json.loads(text)
        for cell in cells["cells"]:
            if cell["answer"]["kind"] == "text":
                cell |= {"equivalence": "embedding", "threshold": 0.8, "encoder": ENCODER}
        (path / "run.json").write_text(json.dumps(cells))
    capfd.readouterr()
    assert main(["trend", "runs/base", "runs/run"]) == 0
    assert "colour" in capfd.readouterr().out


# ------------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("asked", "sameness"),
    [
        pytest.param("exact", Sameness("exact"), id="a bare name"),
        pytest.param("lexical=0.4", Sameness("lexical", 0.4), id="a threshold"),
        pytest.param("embedding=a/b", Sameness("embedding", 0.8, "a/b"), id="an encoder"),
        pytest.param("embedding=a/b@main,0.7", Sameness("embedding", 0.7, "a/b@main"), id="both"),
        pytest.param("embedding=./a,b", Sameness("embedding", 0.8, "./a,b"), id="a comma in a path"),
        pytest.param("embedding=./a,b,0.5", Sameness("embedding", 0.5, "./a,b"), id="a comma in a path, and one"),
    ],
)
def test_an_equivalence_is_spelled_as_it_is_read(asked, sameness):
    assert equivalence_of(asked) == sameness
    assert equivalence_of(sameness.spelled) == sameness


@pytest.mark.parametrize(
    "asked", ["embedding", "embedding=", "embedding=,0.8", "embedding=m,1.5", "embedding=m,0", "exact=0.5", "words"]
)
def test_what_says_nothing_of_when_answers_are_the_same_is_refused(asked):
    with pytest.raises(UsageError, match="there is no equivalence"):
        equivalence_of(asked)


def test_check_shows_what_will_be_embedded(tmp_path, capfd):
    (tmp_path / "suite.yaml").write_text(f"equivalence: {{embedding: {ENCODER}}}\n{SUITE}")
    assert main(["check", str(tmp_path / "suite.yaml")]) == 0
    assert f"answers of 2 compared by embedding: {ENCODER}, the same from 0.8 on" in capfd.readouterr().out


def test_looks_asked_on_the_command_line_are_refused_before_anything_is_started(tmp_path, capfd):
    (tmp_path / "suite.yaml").write_text(f"equivalence: {{embedding: {ENCODER}}}\n{SUITE}")
    assert main(["check", str(tmp_path / "suite.yaml"), "--max-samples", "64"]) == 2
    assert "looks are taken while sampling, and the encoder runs after it" in capfd.readouterr().err


@pytest.mark.parametrize("place", ["suite", "shared"])
def test_faults_of_embedded_prompts_stand_where_the_suite_says_them(tmp_path, capfd, place):
    lines = {
        "suite": ("sampling: {max_samples: 64}", "looks are taken"),
        "shared": ("inject: [{id: i, at: {sentences: 1}, into: [a]}]", "a branch point"),
    }
    line, said = lines[place]
    (tmp_path / "s.yaml").write_text(
        f"schema: 1\nequivalence: {{embedding: m}}\n{line}\nprompts:\n- {{id: a, text: x}}\n"
        "- {id: b, text: y, equivalence: exact}\n"
    )
    assert main(["check", str(tmp_path / "s.yaml")]) == 2
    err = capfd.readouterr().err
    assert f"{tmp_path}/s.yaml:3:{line.index('64' if place == 'suite' else '{sentences') + 1}: {said}" in err


def test_prompts_that_are_not_embedded_may_be_looked_at(tmp_path, capfd):
    (tmp_path / "s.yaml").write_text(
        "schema: 1\nequivalence: {embedding: m}\nsampling: {max_samples: 64}\nprompts:\n"
        "- {id: a, text: x, answer: {words: 1}}\n- {id: b, text: y, equivalence: lexical}\n"
        "- {id: c, text: z, sampling: {samples: 32}}\n"
    )
    assert main(["check", str(tmp_path / "s.yaml")]) == 0, capfd.readouterr().err
