"""Whole runs on a real Ray: the same rows as one process draws, whoever is killed or stopped on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.skipif(
    find_spec("ray") is None or sys.platform != "linux", reason="Ray is not installed, or starts no cluster here"
)

COMMAND = [sys.executable, "-m", "collapsecli", "probe"]
ROOT = Path(__file__).parents[2]
MANY = """\
schema: 1
name: many
sampling: {max_samples: 256, max_tokens: 8}
rules: {fdr: 0.000001}
prompts:
"""


@pytest.fixture(scope="module")
def cluster():
    """The address of a Ray that others started: a command of ours must leave it as it was."""
    from collapsecli.cluster.head import own_ray

    before = dict(os.environ)
    with own_ray() as address:
        yield address
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def asked(suite_file, script_file):
    """A probe of 1,200 completions, which takes two workers a few seconds."""
    script_file.write_text(script_file.read_text() + "delay_s: 0.004\n")
    return [str(suite_file), "-m", str(script_file), "-n", "400", "--seed", "1"]


def _on_ray(asked, *more):
    return [*COMMAND, *asked, "--engine", "ray", "--replicas", "2", *more]


def _environment(address=None):
    others = {name: value for name, value in os.environ.items() if not name.startswith("RAY_ADDRESS")}
    return {**others, "RAY_ADDRESS": address} if address else others


def _done(command, cwd, address=None):
    return subprocess.run(
        command, cwd=cwd, env=_environment(address), capture_output=True, text=True, check=False, timeout=200
    )


def _started(command, cwd, address=None, shards="runs/a/slices/*/parts/*.parquet"):
    """The process, once a worker has saved its first shard."""
    process = subprocess.Popen(
        command, cwd=cwd, env=_environment(address), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not list(cwd.glob(shards)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def _assert_as_from_one_process(run, asked, cwd):
    """The rows of a run are those that the ordinary command draws, in every column that a clock has no part in."""
    plain = _done([*COMMAND, *asked, "--engine", "scripted", "-o", "plain", "--run-id", "a", "-q"], cwd)
    assert plain.returncode == 0, plain.stderr
    found, wanted = (pd.read_parquet(path / "samples.parquet") for path in (run, cwd / "plain" / "a"))
    assert not found.duplicated(["cell_id", "sample_index"]).any()
    pd.testing.assert_frame_equal(found.drop(columns="created_at"), wanted.drop(columns="created_at"))


def _processes(*words):
    """Process ids of what is alive and has all of the words in its command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            state = (path / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # it ended while we looked
        if line and state != "Z" and all(word in line for word in words):
            found.append(int(path.name))
    return sorted(found)


def _rays():
    """Every process of any Ray on this machine."""
    return {*_processes("ray::"), *_processes("site-packages/ray/"), *_processes("collapsecli.cluster.head")}


def _wait_until_gone(pids, seconds=20.0):
    deadline = time.monotonic() + seconds
    while alive := [pid for pid in pids if pid in _rays()]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.1)


def test_a_run_on_a_cluster_has_the_rows_of_an_ordinary_one_and_leaves_nothing_running(asked, tmp_path):
    before = _rays()
    done = _done(_on_ray(asked, "--run-id", "a", "-q"), tmp_path)
    assert (done.returncode, done.stdout) == (0, "runs/a\n"), done.stderr
    assert done.stderr == ""
    _assert_as_from_one_process(tmp_path / "runs" / "a", asked, tmp_path)
    assert _rays() <= before
    again = _done(_on_ray(asked, "--run-id", "a", "-q"), tmp_path, "nowhere:1")  # nothing is left to be asked of Ray
    assert (again.returncode, again.stdout) == (0, "runs/a\n"), again.stderr


def test_a_worker_that_is_killed_is_replaced_and_no_row_is_lost_or_drawn_twice(asked, tmp_path, cluster):
    process = _started(_on_ray(asked, "--run-id", "a"), tmp_path, cluster)
    victim, *_ = _processes("ray::MapWorker")
    os.kill(victim, signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "1 of 3 cells flagged" in out
    assert "sampling scripted:script.yaml in 3 slices with 2 workers" in err
    _assert_as_from_one_process(tmp_path / "runs" / "a", asked, tmp_path)


def test_after_the_driver_is_killed_another_machine_completes_the_run_from_the_store(asked, tmp_path, cluster):
    store = tmp_path / "store"
    before = _rays()
    command = _on_ray(asked, "--run-id", "a", "--store", f"file://{store}")
    process = _started(command, tmp_path, shards="store/a/slices/*/parts/*.parquet")
    theirs = _rays() - before
    process.kill()
    process.communicate()
    assert theirs
    _wait_until_gone(theirs)
    kept = pd.concat(map(pd.read_parquet, store.glob("a/slices/*/parts/*.parquet")))
    shutil.rmtree(tmp_path / "runs")
    done = _done(command, tmp_path, cluster)
    assert done.returncode == 0, done.stderr
    _assert_as_from_one_process(tmp_path / "runs" / "a", asked, tmp_path)
    samples = pd.read_parquet(tmp_path / "runs" / "a" / "samples.parquet")
    both = samples.merge(kept, on=["cell_id", "sample_index", "created_at"])
    assert len(both) == len(kept) > 0  # what was in the store was not drawn again


def test_a_signal_lets_workers_save_and_the_same_command_goes_on(asked, tmp_path, cluster):
    process = _started(_on_ray(asked, "--run-id", "a"), tmp_path, cluster)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (143, ""), err
    assert "To go on: collapse probe" in err
    _wait_until_gone(_processes("ray::MapWorker"))
    assert _processes("site-packages/ray/")  # the cluster itself is not ours to end
    states = [json.loads(path.read_text()) for path in tmp_path.glob("runs/a/slices/*/state.json")]
    rows = sum(len(pd.read_parquet(path)) for path in tmp_path.glob("runs/a/slices/*/parts/*.parquet"))
    assert sum(state["saved"] for state in states) == rows > 128  # more than a full shard: open ones were saved
    done = _done(_on_ray(asked, "--run-id", "a"), tmp_path, cluster)
    assert done.returncode == 0, done.stderr
    _assert_as_from_one_process(tmp_path / "runs" / "a", asked, tmp_path)


def _lean(favourites):
    """A script of favourites that are soon proved, though not to the family's rate: each answer in forty ways."""
    prompts = {}
    for at, favourite in enumerate(favourites):
        shares = {"a": favourite, **{f"b{other}": (1 - favourite) / 29 for other in range(29)}}
        prompts[f"p{at}"] = {f" {word} {way}": share for word, share in shares.items() for way in range(40)}
    return json.dumps({"prompts": prompts})


def test_models_have_their_turns_and_what_only_the_whole_family_of_cells_asks_for_is_drawn_as_well(tmp_path, cluster):
    prompts = [f"- {{id: p{at}, text: Say one of {at}., answer: {{words: 1}}}}\n" for at in range(6)]
    (tmp_path / "suite.yaml").write_text(MANY + "".join(prompts))
    (tmp_path / "one.yaml").write_text(_lean([0.97, 0.95, 0.9, 0.1, 0.1, 0.1]))
    (tmp_path / "other.yaml").write_text(_lean([0.1] * 6))
    asked = ["suite.yaml", "-m", "one.yaml", "-m", "other.yaml", "--seed", "5"]
    done = _done(_on_ray(asked, "--run-id", "a", "--store", f"file://{tmp_path}/store"), tmp_path, cluster)
    assert done.returncode == 0, done.stderr
    rounds = [line for line in done.stderr.splitlines() if line.startswith("sampling ")]
    assert [line.split()[1] for line in rounds] == ["scripted:one.yaml", "scripted:other.yaml", "scripted:one.yaml"]
    assert "in one slice with 1 worker" in rounds[-1]
    _assert_as_from_one_process(tmp_path / "runs" / "a", asked, tmp_path)


def test_workers_that_do_not_fit_are_refused_and_nothing_stays(asked, tmp_path, cluster):
    words = [*COMMAND, *asked, "--engine", "ray", "--replicas", "1000", "--run-id", "a"]
    done = _done(words, tmp_path, cluster)
    assert (done.returncode, done.stdout) == (2, "")
    assert "1000 workers with a core each do not fit on the cluster" in done.stderr
    assert not (tmp_path / "runs" / "a").exists()


@pytest.mark.vllm
def test_two_workers_with_a_vllm_each_draw_what_one_process_draws(tmp_path):
    pytest.importorskip("vllm")
    asked = [str(ROOT / "prompts" / "quickstart.yaml"), "-m", "demo-base", "-n", "32", "--seed", "1", "--run-id", "a"]
    done = _done([*COMMAND, *asked, "--engine", "ray", "--replicas", "2", "-q"], tmp_path)
    assert (done.returncode, done.stdout) == (0, "runs/a\n"), done.stderr
    plain = _done([*COMMAND, *asked, "-o", "plain", "-q"], tmp_path)
    assert plain.returncode == 0, plain.stderr
    found, wanted = (pd.read_parquet(tmp_path / root / "a" / "samples.parquet") for root in ("runs", "plain"))
    columns = ["cell_id", "sample_index", "seed", "prompt", "text", "finish_reason", "attempt"]
    pd.testing.assert_frame_equal(found[columns], wanted[columns])
    assert (found["token_ids"].map(tuple) == wanted["token_ids"].map(tuple)).all()
