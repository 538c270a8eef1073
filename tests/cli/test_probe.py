"""`collapse probe` from the outside, on an engine whose answers are known."""

from __future__ import annotations

import dataclasses
import errno
import json
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from collapsecli.cli import main
from collapsecli.engines.scripted import ScriptedEngine
from collapsecli.errors import EngineStartError

COMMAND = [sys.executable, "-m", "collapsecli"]


@pytest.fixture
def probe(suite_file, script_file, tmp_path, monkeypatch):
    """Probe the small suite in this process; returns the exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        return main(["probe", str(suite_file), "--engine", "scripted", "-m", str(script_file), *words])

    return run


@pytest.fixture
def probe_command(suite_file, script_file):
    """The same as a command line for a process of its own."""
    return [*COMMAND, "probe", str(suite_file), "--engine", "scripted", "-m", str(script_file)]


# ------------------------------------------------------------------------------------------------------ what it says


def test_probe_prints_a_verdict_for_every_cell_and_exits_0(probe, capfd):
    assert probe("--seed", "1") == 0
    out, err = capfd.readouterr()
    assert "1 of 3 cells flagged" in out
    assert out.splitlines()[4].startswith("✗ collapsed     number ")
    assert "sampling 192 of 192 completions" in err
    assert "sampling" not in out


def test_quiet_prints_the_path_of_the_run_and_nothing_else(probe, capfd):
    assert probe("-q") == 0
    out, err = capfd.readouterr()
    assert err == ""
    (path,) = out.splitlines()
    samples = pd.read_parquet(f"{path}/samples.parquet")
    assert len(samples) == 192
    query = "select count(*) as n from read_parquet($1) where text = ' Paris.'"
    counted = duckdb.execute(query, [f"{path}/samples.parquet"]).df()
    assert counted["n"].tolist() == [64]


def test_run_folder_holds_what_was_asked_what_came_back_and_what_was_concluded(probe, tmp_path):
    probe("--run-id", "one", "--seed", "5")
    run = tmp_path / "runs" / "one"
    names = {path.name for path in run.iterdir()}
    assert {
        "run.json",
        "state.json",
        "samples.parquet",
        "cells.parquet",
        "modes.parquet",
        "summary.json",
        "log.txt",
    } <= names
    manifest = json.loads((run / "run.json").read_text("utf-8"))
    assert manifest["seed"] == 5
    assert {model: info["name"] for model, info in manifest["engines"].items()} == {"scripted:script.yaml": "scripted"}
    assert manifest["suites"][0]["text"].startswith("schema: 1")
    assert json.loads((run / "state.json").read_text("utf-8"))["state"] == "complete"
    cells = pd.read_parquet(run / "cells.parquet").set_index("prompt_id")
    assert cells.loc["number", ["verdict", "flag"]].tolist() == ["collapsed", "flagged"]
    assert cells.loc["coin", "flag"] == "expected"
    assert cells.loc["capital", ["verdict", "flag"]].tolist() == ["collapsed", "expected"]
    assert (cells["mode_mass_low"] <= cells["mode_mass"]).all()
    assert (cells["mode_mass"] <= cells["mode_mass_high"]).all()
    modes = pd.read_parquet(run / "modes.parquet")
    assert modes.groupby("cell_id")["count"].sum().tolist() == [64, 64, 64]


def test_the_same_seed_gives_the_same_samples_and_another_gives_others(probe, tmp_path):
    texts = []
    for run_id, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        probe("-q", "--run-id", run_id, "--seed", seed)
        texts.append(pd.read_parquet(tmp_path / "runs" / run_id / "samples.parquet")["text"].tolist())
    assert texts[0] == texts[1] != texts[2]


def test_a_run_without_a_seed_gets_one_of_its_own(probe, tmp_path):
    for run_id in ("a", "b"):
        probe("-q", "--run-id", run_id)
    seeds = {json.loads((tmp_path / "runs" / run / "run.json").read_text())["seed"] for run in ("a", "b")}
    assert len(seeds) == 2


def test_only_and_samples_narrow_the_plan(probe, tmp_path):
    probe("-q", "--run-id", "a", "--only", "coin", "-n", "5")
    samples = pd.read_parquet(tmp_path / "runs" / "a" / "samples.parquet")
    assert samples["cell_id"].tolist() == ["coin@t1.0"] * 5


def test_a_run_whose_draws_share_their_noise_says_not_to_trust_it(probe, script_file, monkeypatch, capfd):
    """The draws check of every run: here the second half of a cell replays the first."""
    script_file.write_text(yaml.safe_dump({"prompts": {"number": {f" {k}.": 1 for k in range(1, 101)}}}))
    assert probe("--only", "number", "--seed", "1") == 0
    assert "Do not trust this run" not in capfd.readouterr().out
    draw = ScriptedEngine._draw

    def replayed(self, request, index, distribution):
        again = draw(self, request, index % 32, distribution)
        return dataclasses.replace(again, sample_index=index, seed=request.seed + index)

    monkeypatch.setattr(ScriptedEngine, "_draw", replayed)
    assert probe("--only", "number", "--seed", "1") == 0
    assert "Do not trust this run." in " ".join(capfd.readouterr().out.split())


def test_thoughts_go_to_a_column_of_their_own_and_unfinished_ones_are_no_answers(probe, script_file, tmp_path, capfd):
    long = " ".join(["hmm"] * 30)
    answers = f'{{"<think>I like 7.</think> 47.": 0.8, "<think>{long}</think> 12.": 0.2}}'
    script_file.write_text(f"prompts: {{number: {answers}}}\n")
    assert probe("--only", "number", "--run-id", "a", "--seed", "1") == 0
    samples = pd.read_parquet(tmp_path / "runs" / "a" / "samples.parquet")
    finished = samples[samples["finish_reason"] == "stop"]
    assert set(finished["text"]) == {"47."}
    assert set(finished["reasoning"]) == {"I like 7."}
    assert set(samples.loc[samples["finish_reason"] == "length", "text"]) == {""}
    (cell,) = pd.read_parquet(tmp_path / "runs" / "a" / "cells.parquet").to_dict("records")
    assert cell["n_valid"] == len(finished) < 64
    assert pd.isna(cell["seen_mass"])
    assert "thought" in cell["exact_absent"]
    assert "completions were cut off inside their thought and have no answer" in capfd.readouterr().out.replace(
        "\n", " "
    )


def test_thoughts_stay_in_the_text_when_the_suite_keeps_them(probe, suite_file, script_file, tmp_path):
    suite_file.write_text(suite_file.read_text().replace("name: small", "name: small\nreasoning: keep"))
    script_file.write_text('prompts: {coin: {"<think>x</think>Heads": 1}}\n')
    assert probe("-q", "--only", "coin", "--run-id", "a") == 0
    samples = pd.read_parquet(tmp_path / "runs" / "a" / "samples.parquet")
    assert set(samples["text"]) == {"<think>x</think>Heads"}
    assert samples["reasoning"].isna().all()


def test_two_suites_make_one_run_and_each_is_judged_by_its_own_rules(probe, script_file, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text('schema: 1\nname: other\nrules: {collapsed: 0.99}\nprompts: [{id: dog, text: "Name a dog."}]\n')
    script_file.write_text(script_file.read_text() + '  dog: {"Rex": 0.9, "Bello": 0.1}\n')
    assert probe(str(other), "-q", "--run-id", "a", "--seed", "1") == 0
    cells = pd.read_parquet(tmp_path / "runs" / "a" / "cells.parquet").set_index("prompt_id")
    assert cells["suite"].to_dict() == {"number": "small", "coin": "small", "capital": "small", "dog": "other"}
    assert cells.loc["dog", "verdict"] != "collapsed"
    assert cells.loc["number", "verdict"] == "collapsed"


# ------------------------------------------------------------------------------------------------- gates and refusals


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param([], 0, id="no gate, no failure"),
        pytest.param(["--fail-on", "collapsed"], 3, id="a flagged cell collapsed"),
        pytest.param(["--fail-on", "unexpected"], 3, id="a cell is flagged"),
        pytest.param(["--fail-on", "invalid"], 0, id="none is invalid"),
        pytest.param(["--fail-on", "collapsed", "--only", "c*"], 0, id="a control that collapses trips no gate"),
    ],
)
def test_gates_turn_flags_into_exit_3(probe, words, code):
    assert probe("--seed", "1", *words) == code


def test_a_run_in_which_nothing_could_be_read_trips_every_gate(probe, script_file):
    script_file.write_text(script_file.read_text() + "failures: {share: 1.0, kind: refused, transient: false}\n")
    for gate in ("collapsed", "unexpected", "invalid"):
        assert probe("-q", "--fail-on", gate) == 3
    assert probe("-q") == 0


@pytest.mark.parametrize("samples", ["1", "64"])
def test_refused_requests_trip_every_gate_however_few_were_asked(probe, script_file, samples):
    script_file.write_text(script_file.read_text() + "failures: {share: 1.0, kind: refused, transient: false}\n")
    assert probe("-q", "-n", samples, "--fail-on", "collapsed") == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--only", "nothing"], "nothing", id="selecting nothing"),
        pytest.param(["--run-id", "../x"], "no run id", id="a run id that is a path"),
        pytest.param(["-e", "max_model_len=1"], "arguments of vLLM", id="an argument that the engine does not take"),
        pytest.param(["--fail-on", "everything"], "Invalid value", id="an unknown gate"),
        pytest.param(["--nonsense", "x"], "No such option", id="an option that does not exist"),
    ],
)
def test_wrong_arguments_exit_2_and_start_nothing(probe, capfd, tmp_path, words, said):
    assert probe(*words) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err
    assert not (tmp_path / "runs").exists()


def test_an_engine_argument_without_a_value_is_refused(suite_file, capfd):
    assert main(["probe", str(suite_file), "-e", "novalue"]) == 2
    assert "no KEY=VALUE" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["thesis.tex", "log.txt"])
def test_a_folder_that_is_no_run_is_never_written_into_nor_cleared_away(probe, suite_file, tmp_path, capfd, name):
    """Neither by a run that begins nor by one that is refused; not even if its file is named like one of ours."""
    mine = tmp_path / "runs" / "precious"
    mine.mkdir(parents=True)
    (mine / name).write_text("mine")
    suite_file.write_text(suite_file.read_text() + '  - {id: dog, text: "Name a dog."}\n')
    for words in ([], ["--only", "coin"]):
        assert probe("--run-id", "precious", *words) == 2
        assert f"is not empty and no run: it holds {name}" in capfd.readouterr().err
    assert [(path.name, path.read_text()) for path in mine.iterdir()] == [(name, "mine")]


def test_the_name_of_a_run_that_could_not_start_can_be_used_again(probe, tmp_path, monkeypatch):
    def broken(_cls, _model, _adapters):
        raise EngineStartError("no memory")

    with monkeypatch.context() as engine:
        engine.setattr(ScriptedEngine, "open", classmethod(broken))
        assert probe("--run-id", "a") == 4
    assert {path.name for path in (tmp_path / "runs" / "a").iterdir()} == {".lock", "log.txt"}
    assert probe("-q", "--run-id", "a") == 0


def test_a_runs_folder_that_cannot_be_made_is_a_wrong_argument(probe, script_file, capfd):
    assert probe("-o", str(script_file)) == 2
    assert "cannot make the run's folder" in capfd.readouterr().err


def test_what_errors_quote_cannot_steer_the_terminal(probe, script_file, capfd):
    script_file.write_text('prompts: {"coin": {"x": 1}}\n"\\e[31mBAD\\e]0;pwn\\a": 1\n')
    assert probe("--only", "coin") == 2
    err = capfd.readouterr().err
    assert "BAD" in err
    assert not set(err) & {"\x1b", "\x07"}


def test_a_faulty_suite_is_told_so_even_where_vllm_is_missing(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("collapsecli.engines.find_spec", lambda _name: None)
    (tmp_path / "s.yaml").write_text("schema: 2\n")
    assert main(["probe", str(tmp_path / "s.yaml")]) == 2
    assert "s.yaml:1:" in capfd.readouterr().err


def test_tags_narrow_the_plan(probe, suite_file, tmp_path):
    suite_file.write_text(suite_file.read_text() + "    tags: [control]\n")
    assert probe("-q", "--run-id", "a", "--tag", "control") == 0
    assert pd.read_parquet(tmp_path / "runs" / "a" / "cells.parquet")["prompt_id"].tolist() == ["capital"]


def test_prompts_without_scripted_answers_are_refused_by_name_and_leave_no_run(probe, suite_file, capfd, tmp_path):
    suite_file.write_text(suite_file.read_text() + '  - {id: dog, text: "Name a dog."}\n')
    assert probe() == 2
    assert "lists no answers for dog@t1.0" in capfd.readouterr().err
    assert list((tmp_path / "runs").iterdir()) == []


def test_without_vllm_probe_exits_4_in_one_line_that_says_what_next(suite_file, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("collapsecli.engines.find_spec", lambda _name: None)
    assert main(["probe", str(suite_file)]) == 4
    out, err = capfd.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line == (
        "error: vLLM is not installed; `pip install 'collapsecli[vllm]'` (Linux with an NVIDIA GPU; "
        "the README says how on a CPU), or go on without it: `--endpoint URL` of a server, `--engine scripted`"
    )
    assert not (tmp_path / "runs").exists()


def test_a_broken_suite_prints_every_fault_with_its_place_and_starts_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.yaml").write_text(BROKEN)
    assert main(["probe", "broken.yaml", "--engine", "scripted"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    *faults, last = err.splitlines()
    assert last == "error: 7 faults in the suite; nothing was started; mend the lines above and run again"
    places = [fault.split(": ")[0] for fault in faults]
    assert [int(place.split(":")[1]) for place in places] == [3, 4, 6, 8, 11, 13, 16]
    assert not (tmp_path / "runs").exists()


BROKEN = """\
schema: 1
name: broken
modle: demo-tuned
sampling: {samples: 0}
prompts:
  - id: a b
    text: "x"
    answr: text
  - id: b
    text: "x"
    answer: {integer: [5, 1]}
  - id: c
    expect: unifrom
    text: "x"
  - id: d
    text: yes
"""


# --------------------------------------------------------------------------------------------------------- resuming


def test_the_same_command_again_changes_nothing(probe, tmp_path, capfd):
    probe("--run-id", "a", "--seed", "3")
    first = capfd.readouterr().out
    before = (tmp_path / "runs" / "a" / "samples.parquet").read_bytes()
    assert probe("--run-id", "a", "--seed", "3") == 0
    assert (tmp_path / "runs" / "a" / "samples.parquet").read_bytes() == before
    assert capfd.readouterr().out == first


def test_a_run_begun_with_something_else_is_refused_with_the_difference(probe, suite_file, capfd):
    probe("--run-id", "a", "--seed", "3")
    capfd.readouterr()
    suite_file.write_text(suite_file.read_text().replace("Flip a coin.", "Toss a coin."))
    assert probe("--run-id", "a", "--seed", "4") == 2
    err = capfd.readouterr().err
    assert "cell coin@t1.0 asks something else" in err
    assert "seed: was 3, is 4" in err
    assert probe("--run-id", "a", "-n", "7") == 2
    assert "cell number@t1.0: was samples 64, is samples 7" in capfd.readouterr().err


def test_what_only_changes_the_judgement_may_change_between_sittings(probe, suite_file, tmp_path):
    probe("--run-id", "a")
    suite_file.write_text(suite_file.read_text().replace("expect: concentrated", "expect: diverse"))
    assert probe("--run-id", "a", "--fail-on", "collapsed") == 3
    cells = pd.read_parquet(tmp_path / "runs" / "a" / "cells.parquet").set_index("prompt_id")
    assert cells.loc["capital", "flag"] == "flagged"


def test_another_script_under_the_same_run_is_refused(probe, script_file, capfd):
    script_file.write_text(script_file.read_text() + "failures: {share: 0.3, kind: timeout, transient: false}\n")
    assert probe("--run-id", "a") == 75
    script_file.write_text(script_file.read_text().replace("0.9", "0.8"))
    assert probe("--run-id", "a") == 2
    assert "model's answers: was" in capfd.readouterr().err


def test_a_finished_run_is_never_relabelled_with_another_model(probe, suite_file, script_file, tmp_path, capfd):
    probe("-q", "--run-id", "a")
    other = script_file.rename(tmp_path / "other.yaml")
    before = {path.name: path.read_bytes() for path in (tmp_path / "runs" / "a").glob("*.*")}
    capfd.readouterr()
    words = ["probe", str(suite_file), "--engine", "scripted", "-m", str(other), "--run-id", "a"]
    assert main(words) == 2
    assert "model: was scripted:script.yaml, is scripted:other.yaml" in capfd.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "runs" / "a").glob("*.*")} == before


def test_a_refused_resume_leaves_the_run_as_it_was(probe, script_file, tmp_path):
    script_file.write_text(script_file.read_text() + "failures: {share: 0.3, kind: timeout, transient: false}\n")
    assert probe("--run-id", "a") == 75
    names = ("run.json", "state.json")
    before = [(tmp_path / "runs" / "a" / name).read_text() for name in names]
    script_file.write_text(script_file.read_text().replace("0.9", "0.8"))
    assert probe("--run-id", "a") == 2
    assert [(tmp_path / "runs" / "a" / name).read_text() for name in names] == before


@pytest.mark.parametrize("column", ["token_ids", "text", "cell_id"])
def test_a_damaged_shard_is_moved_aside_drawn_again_and_said(probe, tmp_path, capfd, column):
    """Damage in any column, found by its checksum, never by luck."""
    assert probe("-q", "--run-id", "a", "--seed", "1") == 0
    run = tmp_path / "runs" / "a"
    whole = pd.read_parquet(run / "samples.parquet")
    shard = min((run / "parts").glob("*.parquet"))
    group = pq.read_metadata(shard).row_group(0)
    (at,) = [i for i in range(group.num_columns) if group.column(i).path_in_schema.split(".")[0] == column]
    chunk = group.column(at)
    damaged = bytearray(shard.read_bytes())
    damaged[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 0xFF
    shard.write_bytes(damaged)
    (run / "samples.parquet").unlink()
    assert probe("--run-id", "a", "--seed", "1") == 0
    assert "could not be read and was moved aside" in " ".join(capfd.readouterr().err.split())
    samples = pd.read_parquet(run / "samples.parquet")
    kept = [name for name in whole.columns if name != "created_at"]
    pd.testing.assert_frame_equal(samples[kept], whole[kept])


def test_an_engine_that_dies_leaves_an_incomplete_run_that_goes_on(probe, tmp_path, monkeypatch, capfd):
    drawn = ScriptedEngine.sample

    def dies(self, requests):
        for at, completion in enumerate(drawn(self, requests)):
            if at == 40:
                raise RuntimeError("out of\n\x1b[31mmemory")
            yield completion

    monkeypatch.setattr(ScriptedEngine, "sample", dies)
    assert probe("--run-id", "a", "--seed", "1") == 75
    err = capfd.readouterr().err
    assert "the engine died while sampling: RuntimeError" in err
    assert "--run-id a" in err
    assert "\x1b" not in err
    state = json.loads((tmp_path / "runs" / "a" / "state.json").read_text())
    assert (state["state"], state["saved"]) == ("incomplete", 40)
    assert "RuntimeError" in (tmp_path / "runs" / "a" / "log.txt").read_text()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert probe("-q", "--run-id", "a", "--seed", "1") == 0


def test_a_full_disk_leaves_an_incomplete_run_that_goes_on(probe, tmp_path, monkeypatch, capfd):
    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("collapsecli.runs.shards.write_rows", full)
        assert probe("--run-id", "a", "--seed", "1") == 75
    err = capfd.readouterr().err
    assert "cannot write to runs/a: No space left on device" in err
    assert "collapse probe" in err
    assert probe("-q", "--run-id", "a", "--seed", "1") == 0
    assert len(pd.read_parquet(tmp_path / "runs" / "a" / "samples.parquet")) == 192


def test_failures_that_pass_are_tried_again_and_say_so(probe, script_file, tmp_path):
    script_file.write_text(script_file.read_text() + "failures: {share: 0.3, kind: timeout}\n")
    assert probe("-q", "--run-id", "a") == 0
    samples = pd.read_parquet(tmp_path / "runs" / "a" / "samples.parquet")
    assert samples["error_kind"].isna().all()
    assert set(samples["attempt"]) == {1, 2}


def test_failures_that_stay_leave_the_run_incomplete_and_resumable(probe, script_file, tmp_path, capfd):
    script_file.write_text(script_file.read_text() + "failures: {share: 0.3, kind: timeout, transient: false}\n")
    assert probe("--run-id", "a", "--seed", "2") == 75
    err = capfd.readouterr().err
    assert re.search(r"runs/a: (\d+) of 192 completions are missing \(\1 failed in a way that may pass\)", err)
    assert "collapse probe" in err
    assert "--run-id a" in err
    state = json.loads((tmp_path / "runs" / "a" / "state.json").read_text())
    assert state["state"] == "incomplete"
    assert state["failed"] > 0
    assert main(["report", "runs/a"]) == 0
    assert "incomplete" in capfd.readouterr().out


def test_no_gate_is_passed_by_an_incomplete_run_and_its_unsampled_cells_are_not_called_invalid(
    probe, tmp_path, monkeypatch, capfd
):
    drawn = ScriptedEngine.sample

    def dies(self, requests):
        for at, completion in enumerate(drawn(self, requests)):
            if at == 64:
                raise RuntimeError("gone")
            yield completion

    monkeypatch.setattr(ScriptedEngine, "sample", dies)
    assert probe("--run-id", "a", "--seed", "1") == 75
    capfd.readouterr()
    assert main(["report", "runs/a", "--fail-on", "invalid"]) == 75
    out, err = capfd.readouterr()
    assert out.count("· not sampled") == 2
    assert "invalid" not in out
    assert "runs/a is incomplete, and no gate can be passed" in err
    cells = pd.read_parquet(tmp_path / "runs" / "a" / "cells.parquet")
    assert cells["n"].tolist() == [64, 0, 0]


def test_a_gate_that_trips_says_which_cells_tripped_it(probe, capfd):
    assert probe("--seed", "1", "--fail-on", "collapsed", "--fail-on", "invalid") == 3
    assert "--fail-on collapsed: number@t1.0\n" in (err := capfd.readouterr().err)
    assert "--fail-on invalid" not in err


# ---------------------------------------------------------------------------------------------------------- processes


def test_the_program_and_the_module_are_the_same_command(tmp_path):
    for command in ([str(Path(sys.executable).with_name("collapse"))], COMMAND):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, cwd=tmp_path, check=True)
        assert done.stdout.startswith("collapse 0.")


def test_help_loads_no_heavy_library(tmp_path):
    code = (
        "import sys; from collapsecli.cli import main; main(['--help']); "
        "heavy = {'torch', 'vllm', 'pyarrow', 'pandas', 'numpy', 'scipy', 'transformers'} & set(sys.modules); "
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_library_prints_on_stdout_never_reaches_the_result(probe_command, tmp_path):
    noisy = (
        "import os, sys, collapsecli.engines.scripted as s\n"
        "opened = s.ScriptedEngine.open.__func__\n"
        "def noisy(cls, model, adapters):\n"
        "    print('noise'); os.write(1, b'raw noise'); os.system('echo child noise')\n"
        "    return opened(cls, model, adapters)\n"
        "s.ScriptedEngine.open = classmethod(noisy)\n"
        "from collapsecli.cli import main\n"
        f"sys.exit(main({probe_command[3:]!r} + ['-q', '--run-id', 'a']))\n"
    )
    done = subprocess.run([sys.executable, "-c", noisy], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "runs/a\n", "")
    log = (tmp_path / "runs" / "a" / "log.txt").read_text()
    assert all(words in log for words in ("noise\n", "raw noise", "child noise"))


def test_a_reader_that_leaves_early_is_no_error(probe_command, tmp_path):
    pipe = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$@" 2>err | true', "_", *probe_command], cwd=tmp_path, check=False
    )
    assert pipe.returncode == 0
    assert "Traceback" not in (tmp_path / "err").read_text()
