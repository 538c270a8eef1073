"""`collapse import` from the outside: files that others wrote become runs that every later command accepts."""

from __future__ import annotations

import copy
import errno
import json
import os
import shutil
import signal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collapsecli.cli import main
from collapsecli.cli.import_ import LayoutChoice
from collapsecli.imports import LAYOUTS

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "import"
NOVELTYBENCH = ROOT.parent / "shared" / "reference" / "noveltybench"
MAPPED = ["--map", "prompt_id=q,text=a"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_file(path, *rows):
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return str(path)


def coin(path, heads=40, tails=2):
    return rows_file(
        path,
        *({"q": "coin", "a": "Heads."} for _ in range(heads)),
        *({"q": "coin", "a": "Tails."} for _ in range(tails)),
    )


def cells(run):
    return pd.read_parquet(Path(run) / "cells.parquet").set_index("cell_id")


# -------------------------------------------------------------------------------------------------------- what it makes


def test_an_import_ends_in_a_report_like_a_probe_and_can_be_reported_again(here, capfd):
    assert main(["import", coin(here / "coin.jsonl"), *MAPPED, "--run-id", "r", "-m", "some-model"]) == 0
    out, err = capfd.readouterr()
    assert "coin on some-model: 0 of 1 cell" in out
    assert "· collapsed" in out
    assert "imported plain" in out
    assert "1.0 was assumed" in " ".join(out.split())
    assert "42 completions from" in err
    assert main(["report", "r"]) == 0
    assert capfd.readouterr().out == out


def test_quiet_prints_the_path_and_nothing_else(here, capfd):
    assert main(["import", coin(here / "coin.jsonl"), *MAPPED, "-q"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    samples = pd.read_parquet(Path(out.strip()) / "samples.parquet")
    assert len(samples) == 42
    assert samples["logprob_kind"].isna().all()


def test_answers_and_expectations_are_those_of_a_suite(here):
    words = ["--answer", "{choice: [Heads, Tails]}", "--expect", "uniform", "--temperature", "0.7", "--run-id", "r"]
    assert main(["import", coin(here / "coin.jsonl"), *MAPPED, *words, "--fail-on", "collapsed"]) == 3
    (cell,) = cells("runs/r").itertuples()
    assert (cell.Index, cell.mode, cell.verdict, cell.flag) == ("coin@t0.7", "Heads", "collapsed", "flagged")


def test_nothing_is_flagged_unless_something_is_expected(here):
    assert main(["import", coin(here / "coin.jsonl"), *MAPPED, "--run-id", "r"]) == 0
    assert cells("runs/r")["flag"].isna().all()


def test_a_gate_that_could_never_trip_is_refused(here, capfd):
    assert main(["import", coin(here / "coin.jsonl"), *MAPPED, "--fail-on", "collapsed"]) == 2
    assert "--expect diverse" in capfd.readouterr().err


def test_the_same_file_twice_makes_two_runs_but_never_one(here, capfd):
    path = coin(here / "coin.jsonl")
    assert main(["import", path, *MAPPED, "-q"]) == 0
    assert main(["import", path, *MAPPED, "-q"]) == 0
    first, second = capfd.readouterr().out.split()
    assert first != second
    before = (here / first / "samples.parquet").read_bytes()
    assert main(["import", path, *MAPPED, "--run-id", Path(first).name]) == 2
    assert "there is a run" in capfd.readouterr().err
    assert (here / first / "samples.parquet").read_bytes() == before


def test_an_imported_run_is_never_resumed_by_a_probe(here, suite_file, script_file, capfd):
    assert main(["import", coin(here / "coin.jsonl"), *MAPPED, "-q", "--run-id", "r"]) == 0
    assert main(["probe", str(suite_file), "--engine", "scripted", "-m", str(script_file), "--run-id", "r"]) == 2
    assert "begun with something else" in capfd.readouterr().err


def test_failures_are_rows_and_do_not_make_a_run_incomplete(here, capfd):
    rows = [{"q": "coin", "a": "Heads."}] * 10 + [{"q": "lost", "a": None}] * 30
    path = rows_file(here / "coin.jsonl", *rows)
    assert main(["import", path, *MAPPED, "--run-id", "r", "--fail-on", "invalid"]) == 3
    out = capfd.readouterr().out
    assert "30 failed" in out
    assert "incomplete" not in out
    assert cells("runs/r")["verdict"].tolist() == ["collapsed", "invalid"]


def test_several_models_in_one_import_are_cells_of_their_own(here):
    rows = ({"id": "a", "prompt": "?", "model": f"org/{name}", "generations": ["x"] * 9} for name in ("one", "two"))
    paths = [rows_file(here / f"{number}.jsonl", row) for number, row in enumerate(rows)]
    assert main(["import", *paths, "--run-id", "r", "-q"]) == 0
    assert cells("runs/r")["model"].to_dict() == {"a@t1.0#one": "org/one", "a@t1.0#two": "org/two"}


# ---------------------------------------------------------------------------------------------------------- the classes


def test_classes_of_the_file_can_be_used_at_once_or_later(here, capfd):
    """Every text is another one, and all of them are of one class."""
    rows = [{"id": "a", "prompt": "?", "model": "m", "partition": [0] * 20,
             "generations": [f"{chr(97 + k)}{k} {k}{k}" for k in range(20)]}]  # fmt: skip
    path = rows_file(here / "partitions.jsonl", *rows)
    assert main(["import", path, "--run-id", "later", "--equivalence", "exact"]) == 0
    assert "collapse report runs/later --equivalence given" in capfd.readouterr().err
    assert main(["import", path, "--run-id", "now", "--equivalence", "given"]) == 0
    assert "--equivalence given" not in capfd.readouterr().err
    assert cells("runs/later")["mode_count"].tolist() == [1]
    assert main(["report", "later", "--equivalence", "given"]) == 0
    for run in ("runs/later", "runs/now"):
        assert cells(run)["mode_count"].tolist() == [20]
        assert cells(run)["verdict"].tolist() == ["collapsed"]


def test_classes_that_are_not_there_are_not_taken_over(here, capfd):
    assert main(["import", coin(here / "coin.jsonl"), *MAPPED, "--equivalence", "given"]) == 2
    assert "there are none in it" in capfd.readouterr().err
    assert not (here / "runs").exists()


@pytest.mark.skipif(not NOVELTYBENCH.is_dir(), reason="the reference data are not there")
@pytest.mark.parametrize("model", ["claude-3-opus", "CrPO-llama-3.1-8b-instruct"])
def test_the_classes_of_noveltybench_give_its_published_means(here, model):
    path = NOVELTYBENCH / model / "partitions.jsonl"
    assert main(["import", str(path), "--equivalence", "given", "--run-id", "r", "-q"]) == 0
    classes = pd.read_parquet(here / "runs" / "r" / "modes.parquet").groupby("cell_id").size()
    reference = pd.read_csv(NOVELTYBENCH / "reference.csv").set_index("model").loc[model]
    assert len(classes) == 100
    assert classes.mean() == pytest.approx(reference["recomputed"], abs=1e-9)
    assert cells("runs/r")["mode_mass"].mean() == pytest.approx(reference["mean_mode_share"], abs=1e-9)


# ---------------------------------------------------------------------------------------------------------------- steps


def test_a_log_of_training_becomes_a_run_a_step(here, capfd):
    for step in (10, 20):
        rows = [{"step": step, "prompt": "Say.", "completion": f"c{k * (20 - step)}"} for k in range(20)]
        pq.write_table(pa.Table.from_pylist(rows), here / f"completions_{step:05d}.parquet")
    paths = [str(path) for path in sorted(here.glob("*.parquet"))]
    assert main(["import", *paths, "--run-id", "t", "--expect", "diverse", "--fail-on", "collapsed"]) == 3
    out, err = capfd.readouterr()
    assert out.startswith("runs/t-step000010\ntrl on unknown: 1 of 1 cell")
    assert "2 runs, one per step" in err
    first, second = (cells(f"runs/t-step0000{step}") for step in (10, 20))
    assert first.index.tolist() == second.index.tolist()
    assert second["verdict"].tolist() == ["collapsed"]
    assert main(["import", paths[1], "--run-id", "t"]) == 2


# ------------------------------------------------------------------------------------------------------- malformed rows


def test_malformed_rows_are_told_with_their_places_counted_and_said_in_the_report(here, capfd):
    good = [{"q": "coin", "a": "Heads."}] * 970
    path = rows_file(here / "coin.jsonl", *good, *["{"] * 30)
    assert main(["import", path, *MAPPED, "--run-id", "r"]) == 0
    out, err = capfd.readouterr()
    lines = err.splitlines()
    assert lines[0].startswith(f"{path}:971: not JSON")
    assert lines[20] == "and 10 more malformed rows"
    assert "30 of 1,000 rows are malformed" in " ".join(out.split())
    state = json.loads((here / "runs" / "r" / "state.json").read_text())
    assert (state["state"], state["saved"]) == ("complete", 970)


def test_a_file_with_too_many_malformed_rows_is_refused_and_nothing_is_written(here, capfd):
    path = rows_file(here / "coin.jsonl", *[{"q": "coin", "a": "Heads."}] * 10, *["{"] * 2)
    assert main(["import", path, *MAPPED]) == 2
    assert "2 of 12 rows are malformed, more than 5.0%" in capfd.readouterr().err
    assert not (here / "runs").exists()
    assert main(["import", path, *MAPPED, "--max-malformed", "0.2", "-q"]) == 0


def test_text_of_others_steers_no_terminal(here, capfd):
    path = rows_file(here / "x\x1b[31m.jsonl", {"q": "\x1b[2J", "a": "\x1b]0;x\x07 \u202e"}, {"q": "\x1b[2J"})
    assert main(["import", path, *MAPPED, "--max-malformed", "1"]) == 0
    assert "\x1b" not in "".join(capfd.readouterr())


# ------------------------------------------------------------------------------------------------------------ arguments


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["nothing.jsonl"], "is not there", id="no file"),
        pytest.param(["coin.jsonl"], "none of the layouts", id="no layout"),
        pytest.param(["coin.jsonl", "--layout", "plain"], "which field is which", id="plain without a map"),
        pytest.param(["coin.jsonl", "--map", "text=b"], "no row has a field `b`", id="a field that is not there"),
        pytest.param(["coin.jsonl", *MAPPED, "--answer", "{integer: 5}"], "--answer: ", id="no answer"),
        pytest.param(["coin.jsonl", *MAPPED, "--temperature", "nan"], "Usage", id="no temperature"),
        pytest.param(["coin.jsonl", *MAPPED, "--temperature", "inf"], "is infinite", id="an infinite temperature"),
        pytest.param(["coin.jsonl", *MAPPED, "--max-malformed", "nan"], "Usage", id="no share"),
        pytest.param(["coin.jsonl", *MAPPED, "--run-id", "../x"], "no run id", id="no run id"),
        pytest.param(["coin.jsonl", *MAPPED, "-o", "coin.jsonl"], "cannot make the run's folder", id="no folder"),
    ],
)
def test_what_cannot_be_served_exits_2_with_a_line_and_leaves_nothing(here, capfd, words, said):
    coin(here / "coin.jsonl")
    assert main(["import", *words]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert not (here / "runs").exists()


def test_the_layouts_of_the_command_line_are_those_that_there_are():
    assert [choice.value for choice in LayoutChoice] == list(LAYOUTS)


@pytest.mark.parametrize(
    ("files", "words", "n"),
    [
        pytest.param(
            ["partitions.jsonl"], ["--equivalence", "given"], {"curated-0": 8, "curated-1": 8}, id="noveltybench"
        ),
        pytest.param(["samples_*.jsonl"], [], {"random-0": 8, "random-1": 8}, id="lm-eval"),
        pytest.param(["batch-output.jsonl", "batch-input.jsonl"], [], {"Tell": 6, "Write": 6}, id="openai-batch"),
        pytest.param(["completions_*20.parquet"], [], {"Give": 4, "What": 4}, id="trl"),
        pytest.param(
            ["answers.csv"], ["--map", "prompt=question,text=answer,temperature=temperature"], {"Pick": 16}, id="plain"
        ),
    ],
)
def test_every_example_can_be_imported(here, files, words, n):
    paths = [str(path) for name in files for path in sorted(EXAMPLES.glob(name))]
    assert main(["import", *paths, *words, "-q", "--run-id", "r"]) == 0
    (run,) = (here / "runs").iterdir()
    found = cells(run)["n"].groupby(lambda name: next(start for start in n if name.startswith(start))).sum()
    assert found.to_dict() == n


# -------------------------------------------------------------------------------------------------------------- garbage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
SOUND = {
    name: [json.loads(line) for path in sorted(EXAMPLES.glob(files)) for line in path.read_text("utf-8").splitlines()]
    for name, files in {"noveltybench": "partitions.jsonl", "lm-eval": "samples_*", "openai-batch": "batch-*"}.items()
}


@st.composite
def spoilt_rows(draw):
    """Rows of a layout, some of their values replaced by anything or gone."""
    rows = copy.deepcopy(SOUND[draw(st.sampled_from(sorted(SOUND)))])
    for _ in range(draw(st.integers(1, 4))):
        value = draw(st.sampled_from(rows))
        while value:
            key = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
            if isinstance(value[key], dict | list) and value[key] and draw(st.booleans()):
                value = value[key]
                continue
            if draw(st.booleans()):
                value[key] = draw(JSON)
            else:
                del value[key]
            break
    return rows


@given(rows=spoilt_rows(), tail=st.binary(max_size=40), mapped=st.booleans())
@settings(max_examples=60)
def test_no_garbage_gets_more_than_a_line_of_an_error(tmp_path_factory, rows, tail, mapped):
    folder = tmp_path_factory.mktemp("garbage")
    path = folder / "rows"
    lines = [json.dumps(row).encode("utf-8", "surrogatepass") for row in rows]
    path.write_bytes(b"\n".join([*lines, tail]))
    words = (
        ["--map", "prompt_id=id,text=generations.0,model=model,class=partition.0,logprob=distinct"] if mapped else []
    )
    code = main(["import", str(path), *words, "-o", str(folder / "runs"), "-q", "--max-malformed", "1"])
    assert code in {0, 2}
    assert (folder / "runs").exists() == (code == 0)
    shutil.rmtree(folder)


def test_a_full_disk_leaves_nothing_and_the_same_command_may_be_run_again(here, capfd, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("collapsecli.runs.folder.write_row_groups", full)
    assert main(["import", coin(here / "coin.jsonl"), *MAPPED]) == 75
    assert "No space left on device; nothing was kept" in capfd.readouterr().err
    assert list((here / "runs").iterdir()) == []


@pytest.mark.parametrize(
    "at", ["collapsecli.imports.sources.Source.records", "collapsecli.runs.folder.write_row_groups"]
)
def test_a_signal_stops_an_import_and_leaves_nothing(here, capfd, monkeypatch, at):
    monkeypatch.setattr(at, lambda *_args: os.kill(os.getpid(), signal.SIGTERM))
    assert main(["import", coin(here / "coin.jsonl"), *MAPPED]) == 143
    assert "stopped; nothing was written" in capfd.readouterr().err
    assert list(here.glob("runs/*")) == []


def test_columns_that_would_tell_cells_apart_and_are_not_mapped_are_named(here, capfd):
    path = here / "mixed.jsonl"
    path.write_text("".join(json.dumps({"q": "coin", "a": "Heads", "temperature": t}) + "\n" for t in (0.5, 1.5)))
    assert main(["import", str(path), *MAPPED]) == 0
    assert "the file has temperature, which --map does not name" in " ".join(capfd.readouterr().out.split())
    assert main(["import", str(path), "--map", "prompt_id=q,text=a,temperature=temperature"]) == 0
    assert "does not name" not in capfd.readouterr().out


def test_a_batch_whose_requests_sample_differently_says_so(here, capfd):
    requests, answers = here / "in.jsonl", here / "out.jsonl"
    message = [{"role": "user", "content": "Flip a coin."}]
    asked = [
        {"custom_id": str(k), "method": "POST", "url": "/v1/chat/completions",
         "body": {"model": "m", "messages": message, "top_p": top_p}}
        for k, top_p in enumerate((1.0, 0.01))
    ]  # fmt: skip
    came = [
        {"id": str(k), "custom_id": str(k), "error": None, "response": {"status_code": 200, "body": {
            "object": "chat.completion", "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Heads"}}]}}}
        for k in range(2)
    ]  # fmt: skip
    requests.write_text("".join(json.dumps(row) + "\n" for row in asked))
    answers.write_text("".join(json.dumps(row) + "\n" for row in came))
    assert main(["import", str(answers), str(requests)]) == 0
    assert "cells may mix several distributions" in " ".join(capfd.readouterr().out.split())


LLMRANDOM = ROOT.parent / "shared" / "reference" / "llmrandom"


@pytest.mark.skipif(not LLMRANDOM.is_dir(), reason="the reference data are not there")
def test_a_sweep_that_others_drew_is_a_sweep(here):
    """Two models, eleven temperatures, 200 answers each: every share of the mode at 1 is the published count."""
    answers = json.loads((LLMRANDOM / "llmrandom.json").read_text("utf-8"))
    keys = [dict(zip("mtk", key.split(","), strict=True)) for key in answers]
    rows = [{**key, "q": "number", "a": text} for key, text in zip(keys, answers.values(), strict=True)]
    rows_file(here / "sweep.jsonl", *({**row, "t": float(row["t"])} for row in rows))
    words = ["--map", "prompt_id=q,text=a,temperature=t,model=m", "--answer", "{integer: [1, 100]}"]
    assert main(["import", str(here / "sweep.jsonl"), *words, "--expect", "uniform", "--run-id", "r"]) == 0
    found = pd.read_parquet("runs/r/contrasts.parquet")
    shares = found[found.metric == "reference_mode"].set_index(["cell_id", "at"])
    assert len(shares) == 2 * 11
    for (cell_id, temperature), row in shares.iterrows():
        model = cell_id.rpartition("#")[2]
        said = [one["a"] for one in rows if (one["m"], float(one["t"])) == (model, temperature)]
        assert row.estimate == pytest.approx(said.count(row.label) / len(said))
        assert row.estimate_low <= row.estimate <= row.estimate_high
    halves = found[found.metric == "t_half"].set_index("other_cell_id").sort_index()
    assert len(halves) == 2
    assert (halves.estimate_low <= halves.estimate).all()
    assert (halves.estimate <= halves.estimate_high).all()
    assert halves.estimate.between(0.3, 0.6).all()  # both melt far below 1
