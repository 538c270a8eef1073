"""Real signals to real processes: what was sampled stays, and the same command goes on."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from collapsecli.runs.shards import SHARD_ROWS


@pytest.fixture
def slow(suite_file, script_file):
    """A probe of a few seconds as a command line; its run is `a`."""
    script_file.write_text(script_file.read_text() + "delay_s: 0.004\n")
    words = [
        "probe",
        str(suite_file),
        "--engine",
        "scripted",
        "-m",
        str(script_file),
        "--run-id",
        "a",
        "-n",
        "400",
        "--seed",
        "1",
    ]
    return [sys.executable, "-m", "collapsecli", *words]


def _started(command, cwd):
    """The process, once it has a shard on disk."""
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not list((cwd / "runs" / "a").glob("parts/*.parquet")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def _saved(cwd):
    parts = [pd.read_parquet(path) for path in sorted((cwd / "runs" / "a" / "parts").glob("*.parquet"))]
    return pd.concat(parts).sort_values(["cell_id", "sample_index"]).reset_index(drop=True)


def _assert_complete(cwd, before):
    samples = pd.read_parquet(cwd / "runs" / "a" / "samples.parquet")
    assert len(samples) == 1200
    assert not samples.duplicated(["cell_id", "sample_index"]).any()
    kept = before.merge(samples[["cell_id", "sample_index"]], on=["cell_id", "sample_index"])
    again = samples.merge(before[["cell_id", "sample_index"]], on=["cell_id", "sample_index"])
    again = again.sort_values(["cell_id", "sample_index"]).reset_index(drop=True)
    assert len(kept) == len(before)
    pd.testing.assert_frame_equal(before, again)


def test_after_a_sigkill_the_same_command_completes_the_run_without_touching_a_row(slow, tmp_path):
    process = _started(slow, tmp_path)
    process.kill()
    process.communicate()
    before = _saved(tmp_path)
    assert 0 < len(before) < 1200
    subprocess.run(slow, cwd=tmp_path, check=True, capture_output=True)
    _assert_complete(tmp_path, before)


def test_a_killed_run_gives_the_same_samples_as_one_that_was_not(slow, tmp_path):
    process = _started(slow, tmp_path)
    process.kill()
    process.communicate()
    subprocess.run(slow, cwd=tmp_path, check=True, capture_output=True)
    undisturbed = [*slow, "--out", "others"]
    subprocess.run(undisturbed, cwd=tmp_path, check=True, capture_output=True)
    columns = ["cell_id", "sample_index", "seed", "text", "logprob"]
    killed = pd.read_parquet(tmp_path / "runs" / "a" / "samples.parquet", columns=columns)
    whole = pd.read_parquet(tmp_path / "others" / "a" / "samples.parquet", columns=columns)
    pd.testing.assert_frame_equal(killed, whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_saves_everything_says_how_to_go_on_and_exits_with_its_number(slow, tmp_path, number):
    process = _started(slow, tmp_path)
    sent = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=15)
    assert time.monotonic() - sent < 15
    assert process.returncode == 128 + number
    assert out == ""
    (last,) = [line for line in err.splitlines() if line.startswith("stopped")]
    assert re.search(r"To go on: collapse probe .*--run-id a", last)
    before = _saved(tmp_path)
    assert len(before) > SHARD_ROWS  # more than the shard that was full: the open one was saved too
    subprocess.run(slow, cwd=tmp_path, check=True, capture_output=True)
    _assert_complete(tmp_path, before)


def test_a_signal_that_comes_twice_at_once_still_saves_everything(slow, tmp_path):
    """A closing terminal sends SIGHUP twice: from the kernel and from the shell."""
    process = _started(slow, tmp_path)
    for _ in range(2):
        process.send_signal(signal.SIGHUP)
        time.sleep(0.001)
    process.communicate(timeout=15)
    assert process.returncode == 128 + signal.SIGHUP
    assert len(_saved(tmp_path)) > SHARD_ROWS
    state = json.loads((tmp_path / "runs" / "a" / "state.json").read_text())
    assert (state["state"], state["saved"]) == ("incomplete", len(_saved(tmp_path)))


def test_a_second_signal_a_while_after_the_first_ends_the_program_at_once(slow, tmp_path):
    code = (
        "import sys, time\n"
        "from collapsecli.engines.scripted import ScriptedEngine\n"
        "ScriptedEngine.close = lambda self: time.sleep(60)\n"  # an engine that will not end
        "from collapsecli.cli import main\n"
        f"sys.exit(main({slow[3:]!r}))\n"
    )
    process = _started([sys.executable, "-c", code], tmp_path)
    process.send_signal(signal.SIGTERM)
    time.sleep(1.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=5)
    assert process.returncode == 128 + signal.SIGTERM


def test_a_second_process_on_the_same_run_exits_75_and_names_the_first(slow, tmp_path):
    process = _started(slow, tmp_path)
    second = subprocess.run(slow, cwd=tmp_path, capture_output=True, text=True, check=False)
    process.kill()
    process.communicate()
    assert second.returncode == 75
    assert f"is being written by process {process.pid} on " in second.stderr
