"""`collapse trend` from the outside: runs in any order become one trend, on the screen, in files, and for programs."""

from __future__ import annotations

import json
import random
import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest

from collapsecli.cli import main
from collapsecli.trends.table import TREND

ROOT = Path(__file__).parents[2]
ROLLOUTS = [str(ROOT / "examples" / "import" / f"completions_{step:05d}.parquet") for step in (10, 20)]
SHARES = {0: 0.05, 100: 0.4, 500: 0.95}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rollouts(path, shares=SHARES, prompts=8, n=32):
    """Completions of a training run that gives one answer more and more of its probability, at three steps."""
    stream = random.Random(7)
    rows = [
        {
            "s": step,
            "q": f"q{k}",
            "p": f"Say {k}.",
            "a": "Yes." if stream.random() < share else f"No {stream.random()}.",
        }
        for step, share in shares.items()
        for k in range(prompts)
        for _ in range(n)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def trained(here, capfd):
    """Three runs of a training run, one per step."""
    words = ["--map", "step=s,prompt_id=q,prompt=p,text=a", "--equivalence", "exact", "--expect", "diverse"]
    assert main(["import", rollouts(here / "roll.jsonl"), *words, "--run-id", "train", "-q"]) == 0
    capfd.readouterr()
    return here / "runs"


@pytest.mark.usefixtures("here")
def test_rollouts_of_a_training_run_become_one_trend(capfd):
    assert main(["import", *ROLLOUTS, "--run-id", "trl", "-q"]) == 0
    capfd.readouterr()
    assert main(["trend", "runs"]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("trl over 2 steps: step 10 → step 20, 0 → 0 of 2 cells collapsed\n")
    assert "Note: order: by the step in the ids of the runs" in out
    assert err == ""


def test_a_training_run_that_collapses_is_seen_to_whatever_the_order_on_the_command_line(trained, capfd):
    names = ["train-step000500", "train-step000000", "train-step000100"]
    assert main(["trend", *names]) == 0
    out, _ = capfd.readouterr()
    assert out.splitlines()[0].endswith("over 3 steps: step 0 → step 500, 0 → 8 of 8 cells collapsed")
    assert main(["trend", str(trained.relative_to(Path.cwd()))]) == 0
    assert capfd.readouterr().out == out
    assert main(["trend", "runs", "--order", "500,0,100"]) == 0
    assert "over 3 steps: train-step000500 → train-step000100" in capfd.readouterr().out


@pytest.mark.usefixtures("trained")
def test_the_table_has_one_row_per_cell_and_step(capfd):
    assert main(["trend", "runs", "--parquet", "t.parquet", "-q"]) == 0
    assert capfd.readouterr() == ("t.parquet\n", "")
    rows = pd.read_parquet("t.parquet")
    assert len(rows) == 8 * 3
    assert list(rows["at"].unique()) == [0, 100, 500]
    assert rows.groupby("step")["first_collapsed"].sum().to_dict() == {"step 0": 0, "step 100": 0, "step 500": 8}
    for run_id, of_run in rows.groupby("run_id"):
        assert main(["report", str(run_id), "-q"]) == 0
        cells = pd.read_parquet(f"runs/{run_id}/cells.parquet").set_index("cell_id")
        mine = of_run.set_index("question")
        for column in ("mode_mass", "mode_mass_low", "mode_mass_high", "collision", "distinct_10", "verdict", "flag"):
            assert mine[column].tolist() == cells.loc[mine.index, column].tolist()


@pytest.mark.usefixtures("trained")
def test_json_alone_is_on_stdout_and_notes_are_beside_it(capfd):
    assert main(["trend", "runs", "--json", "--html", "t.html"]) == 0
    out, err = capfd.readouterr()
    said = json.loads(out)
    assert [step["at"] for step in said["steps"]] == [0, 100, 500]
    assert said["overall"]["mode_mass"]["change"] > 0.5
    assert said["overall"]["mode_mass"]["change_low"] > 0.5
    assert {cell["first_collapsed"] for cell in said["cells"]} == {"step 500"}
    assert err.splitlines() == ["note: order: by the step in the ids of the runs", "wrote t.html"]
    assert main(["trend", "runs", "--json", "-q"]) == 0
    assert json.loads(capfd.readouterr().out) == said


@pytest.mark.usefixtures("trained")
def test_the_page_is_written_whole_beside_the_report(capfd):
    assert main(["trend", "runs", "--html", "t.html"]) == 0
    out, err = capfd.readouterr()
    assert "over 3 steps" in out
    assert err == "wrote t.html\n"
    page = Path("t.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    assert sorted(path.name for path in Path().iterdir()) == ["roll.jsonl", "runs", "t.html"]


def test_judging_a_trend_writes_nothing_into_the_runs(trained):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    assert main(["trend", "runs"]) == 0
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


@pytest.mark.usefixtures("here")
def test_a_run_of_several_models_gives_a_step_for_each(capfd):
    with Path("m.jsonl").open("w", encoding="utf-8") as file:
        for model, share in (("Q-7B", 1.0), ("Q-0.5B", 0.25)):
            for k in range(32):
                text = "Yes." if k < 32 * share else f"No {k}."
                file.write(json.dumps({"m": model, "q": "q", "p": "Say.", "a": text}) + "\n")
    words = ["--map", "model=m,prompt_id=q,prompt=p,text=a", "--equivalence", "exact", "--run-id", "sizes", "-q"]
    assert main(["import", "m.jsonl", *words]) == 0
    capfd.readouterr()
    assert main(["trend", "sizes"]) == 0
    out = capfd.readouterr().out
    assert "over 2 steps: 0.5B → 7B, 0 → 1 of 1 cells collapsed" in out
    assert "by the number of parameters in the names of the models" in out


@pytest.mark.usefixtures("trained")
def test_runs_of_another_suite_in_the_folder_are_left_out_with_a_note(capfd):
    assert main(["import", *ROLLOUTS, "--run-id", "trl", "-q"]) == 0
    capfd.readouterr()
    assert main(["trend", "runs"]) == 0
    out = " ".join(capfd.readouterr().out.split())
    assert "over 3 steps" in out
    assert "Note: runs that do not ask roll are left out: trl-step000010 (trl), trl-step000020 (trl)" in out


def test_an_incomplete_run_is_used_and_said(trained, capfd):
    state = trained / "train-step000100" / "state.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "state": "incomplete", "planned": 300}))
    assert main(["trend", "runs"]) == 0
    out = " ".join(capfd.readouterr().out.split())
    assert "over 3 steps" in out
    assert "train-step000100 is incomplete: 256 of 300 completions are there" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["train-step000100"], "a trend needs two runs or more", id="a single step"),
        pytest.param(["train-step000100", "runs/train-step000100"], "a trend needs two runs", id="one run twice"),
        pytest.param(["nobody", "runs"], "no run 'nobody'", id="no such run"),
        pytest.param(["runs", "--order", "0,100"], "--order leaves out train-step000500", id="a step is left out"),
        pytest.param(["runs", "-q"], "--quiet prints the paths that were written", id="nothing to print"),
        pytest.param(["runs", "--html", "no/such/t.html"], "cannot write no/such/t.html", id="no such folder"),
    ],
)
@pytest.mark.usefixtures("trained")
def test_what_cannot_be_served_is_refused_with_a_way_on(capfd, words, said):
    assert main(["trend", *words]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err
    assert "; " in err


@pytest.mark.usefixtures("here")
def test_a_single_run_of_a_folder_is_refused_too(capfd):
    assert main(["import", ROLLOUTS[0], "--run-id", "trl", "-q"]) == 0
    capfd.readouterr()
    assert main(["trend", "runs"]) == 2
    assert "a trend needs two runs or more" in capfd.readouterr().err


def test_scripted_checkpoints_show_what_their_scripts_say(suite_file, here, capfd):
    for step, weight in ((100, 0.05), (200, 0.5), (1000, 0.9)):
        others = "".join(f', " {k}.": {(1 - weight) / 40}' for k in range(50, 90))
        script = here / f"checkpoint-{step}.yaml"
        script.write_text(
            f'prompts:\n  number: {{" 47.": {weight}{others}}}\n'
            '  coin: {" Heads.": 0.5, " Tails.": 0.5}\n  capital: {" Paris.": 1.0}\n'
        )
        words = ["--engine", "scripted", "-m", str(script), "--run-id", f"r{step}", "--seed", str(step), "-q"]
        assert main(["probe", str(suite_file), *words]) == 0
    capfd.readouterr()
    assert main(["trend", "r1000", "r200", "r100", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    cells = {cell["question"]: cell for cell in said["cells"]}
    number = cells["number@t1.0"]
    assert [step["at"] for step in said["steps"]] == [100, 200, 1000]
    assert (number["first_collapsed"], number["stays"]) == ("checkpoint 200", True)
    for step, weight in zip(number["steps"], (0.05, 0.5, 0.9), strict=True):
        assert step["mode_mass_low"] <= weight <= step["mode_mass_high"]
    assert cells["coin@t1.0"]["first_collapsed"] is None
    assert cells["capital@t1.0"]["first_collapsed"] == "checkpoint 100"
    assert {step["flag"] for step in cells["capital@t1.0"]["steps"]} == {"expected"}


# ------------------------------------------------------------------------------------------------------------ the page

PAGE = (ROOT / "docs" / "trend.md").read_text("utf-8")


def test_every_command_of_the_page_works(here):
    shutil.copytree(ROOT / "examples", here / "examples")
    commands = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    assert len(commands) >= 8
    for command in commands:
        program, *words = shlex.split(command, comments=True)
        assert program == "collapse"
        assert main(words) == 0, command
    assert {path.name for path in here.glob("trend.*")} == {"trend.parquet", "trend.html"}


def test_the_page_names_every_column():
    said = set(re.findall(r"`(\w+)`", PAGE))
    with_ends = {f"{name}{end}" for name in said for end in ("", "_low", "_high")}
    assert {column.name for column in TREND} <= with_ends
