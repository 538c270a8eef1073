"""Slices as people use them: processes side by side, one of them killed, the schedulers' examples, every refusal."""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from collapsecli.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def asked(suite_file, script_file, at_home):
    """What every slice is asked, but for its number."""
    assert at_home == suite_file.parent
    return [str(suite_file), "--engine", "scripted", "-m", str(script_file), "--run-id", "night"]


def probe(asked, *more):
    return main(["probe", *asked, *more])


def rows_of(run):
    return pd.read_parquet(f"runs/{run}/samples.parquet").drop(columns=["run_id", "created_at"])


def whole_of(asked, run="night"):
    """The rows of one run of the same seed."""
    seed = yaml.safe_load(Path(f"runs/{run}/run.json").read_text())["seed"]
    assert probe(asked, "--run-id", "whole", "--seed", str(seed)) == 0
    return rows_of("whole")


def test_slices_side_by_side_one_of_them_killed_and_resumed_are_the_whole_run(asked, script_file, at_home, capsys):
    script_file.write_text(script_file.read_text() + "delay_s: 0.004\n")
    command = [sys.executable, "-m", "collapsecli", "probe", *asked, "-n", "400", "--shard"]
    running = [
        subprocess.Popen([*command, f"{number}/3"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for number in (1, 2, 3)
    ]
    deadline = time.monotonic() + 60
    while not list(at_home.glob("runs/night/slices/02-of-03/parts/*.parquet")):
        assert time.monotonic() < deadline
        assert running[1].poll() is None
        time.sleep(0.01)
    running[1].kill()
    codes = [process.communicate() and process.returncode for process in running]
    assert codes == [0, -9, 0]
    assert main(["merge", "night"]) == 75
    assert "slice 2 of 3 is unfinished" in capsys.readouterr().err
    subprocess.run([*command, "2/3"], check=True, capture_output=True)
    assert main(["merge", "night"]) == 0
    joined = rows_of("night")
    assert len(joined) == 1200
    script_file.write_text(script_file.read_text().replace("delay_s: 0.004", ""))
    pd.testing.assert_frame_equal(joined, whole_of([*asked, "-n", "400"]))


def test_the_report_of_what_was_joined_is_that_of_the_whole_run(asked, capsys):
    for number in (1, 2, 3):
        assert probe(asked, "--shard", f"{number}/3", "--seed", "3") == 0
    capsys.readouterr()
    assert main(["merge", "night"]) == 0
    joined = capsys.readouterr().out
    assert probe(asked, "--run-id", "whole", "--seed", "3") == 0
    assert capsys.readouterr().out.replace("runs/whole", "runs/night") == joined


def test_slices_agree_on_a_seed_that_another_run_id_or_another_plan_does_not_share(asked, capsys):
    for number, more in ((1, []), (2, []), (1, ["--run-id", "day"]), (1, ["--run-id", "few", "-n", "32"])):
        assert probe(asked, "--shard", f"{number}/2", "-q", *more) == 0
    paths = capsys.readouterr().out.split()
    seeds = [yaml.safe_load(Path(path, "run.json").read_text())["seed"] for path in paths]
    assert seeds[0] == seeds[1]
    assert len(set(seeds)) == 3


def test_before_slices_are_joined_every_command_says_how(asked, capsys):
    assert probe(asked, "--shard", "1/2") == 0
    for words in (["report", "night"], ["report", "runs/night"], ["probe", *asked]):
        assert main(words) == 2
        assert "was sampled in slices, and they are not joined; collapse merge runs/night" in capsys.readouterr().err
    assert sorted(path.name for path in Path("runs/night").iterdir()) == ["slices"]


def test_what_is_missing_is_named_with_the_way_to_get_it(asked, capsys):
    assert probe(asked, "--shard", "2/3") == 0
    capsys.readouterr()
    assert main(["merge", "night", "--fail-on", "collapsed"]) == 75
    screen = capsys.readouterr()
    assert "runs/night is incomplete: slices 1, 3 of 3 are missing" in screen.err
    assert "sample with --shard 1/3 as the others were, then join again" in screen.err
    assert "not all of 3 slices are here: 1, 3 missing" in screen.out
    assert main(["report", "night", "--fail-on", "collapsed"]) == 75  # no gate can be passed by a part
    assert probe(asked) == 0  # the ordinary command draws the rest
    pd.testing.assert_frame_equal(rows_of("night"), whole_of(asked))


def test_gates_look_at_the_whole_run(asked, capsys):
    codes = {probe(asked, "--shard", f"{number}/3", "--fail-on", "collapsed") for number in (1, 2, 3)}
    assert codes == {0, 3}  # one slice has the collapsed cell
    assert main(["merge", "night", "--fail-on", "collapsed"]) == 3
    assert "--fail-on collapsed: number@t1.0" in capsys.readouterr().err


def test_merge_prints_the_path_alone_when_asked_to_be_quiet(asked, capsys):
    assert probe(asked, "--shard", "1/1") == 0
    capsys.readouterr()
    assert main(["merge", "night", "-q"]) == 0
    assert capsys.readouterr().out == "runs/night\n"


def test_slices_from_separate_disks_are_joined_by_naming_them(asked, at_home):
    for number, disk in ((1, "a"), (2, "b")):
        assert probe(asked, "--shard", f"{number}/2", "-o", disk) == 0
    assert main(["merge", "night", "a/night/slices/01-of-02", "b/night/slices/02-of-02"]) == 0
    pd.testing.assert_frame_equal(rows_of("night"), whole_of(asked))
    assert main(["merge", str(at_home / "c" / "night"), "a/night/slices/01-of-02", "b/night/slices/02-of-02"]) == 0
    assert (at_home / "c" / "night" / "samples.parquet").is_file()


def test_a_folder_that_only_happens_to_be_called_like_the_run_is_not_taken_for_it(asked, at_home, capsys):
    (at_home / "night").mkdir()
    assert probe(asked, "--shard", "1/1") == 0
    capsys.readouterr()
    assert main(["merge", "night", "-q"]) == 0
    assert capsys.readouterr().out == "runs/night\n"
    assert main(["merge", "night", "runs/night/slices/01-of-01", "-o", "elsewhere", "-q"]) == 0
    assert capsys.readouterr().out == "elsewhere/night\n"


@pytest.mark.parametrize("name", ["night", "./night", "../runs/night", "night/../night", "."])
def test_the_run_may_be_named_by_its_path(asked, at_home, monkeypatch, name):
    assert probe(asked, "--shard", "1/1") == 0
    monkeypatch.chdir(at_home / "runs" / "night" if name == "." else at_home / "runs")
    assert main(["merge", name, "-q"]) == 0
    assert (at_home / "runs" / "night" / "samples.parquet").is_file()


def test_a_slice_that_could_not_start_leaves_its_runs_name_free(asked, at_home, script_file, capsys):
    good = script_file.read_text()
    script_file.write_text("prompts: {number: {}}\n")
    assert probe(asked, "--shard", "1/2") == 2
    assert "needs answers" in capsys.readouterr().err
    assert not list(at_home.glob("runs/*"))
    (at_home / "runs" / "night" / "slices" / "02-of-02").mkdir(parents=True)  # as a kill before run.json leaves it
    script_file.write_text(good)
    assert probe(asked) == 0


def test_a_folder_of_other_peoples_slices_is_no_place_for_a_run(asked, at_home, capsys):
    (at_home / "runs" / "night" / "slices").mkdir(parents=True)
    (at_home / "runs" / "night" / "slices" / "holiday.jpg").touch()
    assert probe(asked) == 2
    assert "is not empty and no run: it holds slices" in capsys.readouterr().err


def test_more_slices_than_groups_leave_empty_ones_that_are_complete_and_say_so(asked, capsys):
    for number in range(1, 6):
        assert probe(asked, "--shard", f"{number}/5") == 0
    assert capsys.readouterr().out.count("has no cells: there are fewer groups of them than slices") == 2
    assert main(["merge", "night"]) == 0
    pd.testing.assert_frame_equal(rows_of("night"), whole_of(asked))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--shard", "0/3"], "--shard '0/3' is no part of a plan; NUMBER/OF, counted from 1", id="number"),
        pytest.param(["--shard", "1/3", "--fail-on", "regressed"], "needs a run to hold this one against", id="gate"),
        pytest.param(["--shard", "1/3", "--baseline", "before"], "join them first: collapse merge", id="baseline"),
        pytest.param(["--shard", "1/3", "--run-id", "before"], "is sampled as a whole and has no slices", id="whole"),
        pytest.param(["--shard", "2/3", "--run-id", "../up"], "is no run id", id="id"),
    ],
)
def test_what_no_slice_can_be_asked_is_refused_before_anything_is_sampled(asked, words, said, capsys):
    assert probe(asked, "--run-id", "before") == 0
    assert probe(asked, *words) == 2
    assert said in capsys.readouterr().err
    assert not Path("runs/night").exists()


def test_a_slice_needs_the_name_of_its_run(asked, capsys):
    assert main(["probe", *asked[:-2], "--shard", "1/3"]) == 2
    assert "--shard needs the id of the run that all slices are of" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_slices_of_another_plan_are_refused_with_what_differs(asked, capsys):
    assert probe(asked, "--shard", "1/2", "--seed", "1") == 0
    assert probe(asked, "--shard", "2/2", "--seed", "2") == 0
    assert main(["merge", "night"]) == 2
    assert "seed: 1 in slice 1; 2 in slice 2" in capsys.readouterr().err
    assert not Path("runs/night/run.json").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("nothing", "runs/nothing has no slices", id="nothing there"),
        pytest.param("no id", "is no run id", id="no id"),
    ],
)
def test_merge_says_where_it_looked(at_home, name, said, capsys):
    assert main(["merge", name]) == 2
    assert said in capsys.readouterr().err
    assert not list(at_home.iterdir())


# ------------------------------------------------------------------------------------------- examples and the docs


@pytest.fixture
def shell(at_home):
    """Runs a shell command as a job does: `collapse` is on its path."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def run(words, **environment):
        environment = {**os.environ, "PATH": path, **environment}
        return subprocess.run(words, cwd=at_home, env=environment, check=True, capture_output=True)

    return run


def test_the_slurm_script_samples_one_slice_a_task(asked, shell, suite_file, script_file):
    script = str(ROOT / "examples/slurm/array.sbatch")
    shell(["bash", "-n", script])
    options = [str(suite_file), "--engine", "scripted", "-m", str(script_file)]
    for task in (1, 2):
        shell(["bash", script, *options], SLURM_ARRAY_TASK_ID=str(task), SLURM_ARRAY_TASK_COUNT="1", SLICES="2",
              RUN_ID="night")  # fmt: skip
    merge = re.search(r'--wrap "(.*)"', Path(script).read_text())[1].removesuffix(" --fail-on collapsed")
    shell(["bash", "-c", merge], RUN_ID="night", RUNS="runs")
    pd.testing.assert_frame_equal(rows_of("night"), whole_of(asked))


def test_the_kubernetes_jobs_sample_one_slice_a_pod_and_join_them(asked, shell, suite_file, script_file):
    slices, merge = yaml.safe_load_all((ROOT / "examples/kubernetes/indexed-job.yaml").read_text())
    count = slices["spec"]["completions"]
    (probing,) = slices["spec"]["template"]["spec"]["containers"]
    (merging,) = merge["spec"]["template"]["spec"]["containers"]
    given = {entry["name"]: entry["value"] for entry in probing["env"]}
    assert given["SLICES"] == str(count)
    mine = {"SUITE": str(suite_file), "OPTIONS": f"--engine scripted -m {script_file}", "RUNS": "runs", "SLICES": "2"}
    for index in (0, 1):
        shell(probing["command"], **{**given, **mine, "JOB_COMPLETION_INDEX": str(index)})
    shell(merging["command"], RUN_ID="night", RUNS="runs")
    pd.testing.assert_frame_equal(rows_of("night"), whole_of(asked))


def test_the_commands_of_the_page_on_slices_run(asked):
    page = (ROOT / "docs/slices.md").read_text("utf-8")
    commands = re.search(r"```sh\n(.*?)```", page, re.DOTALL)[1].splitlines()
    assert len(commands) == 4
    for command in commands:
        here = command.replace("examples/quickstart.yaml", " ".join(asked[:-2]))
        assert main(shlex.split(here, comments=True)[1:]) == 0
    pd.testing.assert_frame_equal(rows_of("night"), whole_of(asked))
