"""Replicas and divided models on real vLLM, on the cores of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from engines.contract import (
    CONTRACT,
    Subject,
    after_a_stop_the_iterator_ends_and_nothing_comes_twice,
    draws_follow_the_known_distribution,
    scores_agree_with_sampled_probabilities_at_temperature_one,
)
from engines.divided import divisible_model
from engines.test_contract import COIN, NUMBER, STORY
from engines.test_replicas import CELLS, PLAN, Killing, drawn, eventually, lives, rows_of, wanted

from collapsecli import demo
from collapsecli.engines import EngineOptions, ScoreRequest, start_engine
from collapsecli.errors import IncompleteError
from collapsecli.pipeline import sample_run
from collapsecli.runs import RunFolder

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two engines need two cores"),
]

TRUTH = json.loads(demo.truth_path().read_text("utf-8"))["prompts"]["coin"]


def subject_of(engine) -> Subject:
    return Subject(engine, replace(COIN, text=TRUTH["text"]), NUMBER, STORY, TRUTH["demo-base"]["answers"])


@pytest.fixture(scope="module")
def two():
    """Two engines of the bundled model, started once; the tests that kill are the last."""
    engine = start_engine("vllm", EngineOptions("demo-base", replicas=2))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def one():
    engine = start_engine("vllm", EngineOptions("demo-base"), own_process=True)
    yield engine
    engine.close()


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_replicas_of_vllm_keep_the_contract_of_an_engine(two, promise):
    promise(subject_of(two))


def group_of(pid):
    """The living processes of a process group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group, *_ = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(group) == pid and state != "Z":
            found.append(int(path.parent.name))
    return found


def test_each_replica_has_cores_of_its_own_and_a_part_of_the_memory(two):
    first, second = (os.sched_getaffinity(engine.pid) for engine in two._engines)
    assert first | second == os.sched_getaffinity(0)
    assert not first & second
    assert two.info.details["replicas"] == "2"
    assert two.info.details["harmless_arguments"] == "gpu_memory_utilization=0.15"
    assert two.info.identity["arguments"] == "none"


def test_the_same_is_drawn_and_scored_as_by_one_engine(two, one):
    requests = wanted(300) + wanted(300, NUMBER, seed=9 << 20) + wanted(100, STORY, seed=11 << 20)
    by_two = drawn(two.sample(requests))
    assert by_two == drawn(one.sample(requests))
    texts = [ScoreRequest(f"{at}", NUMBER, tokens) for at, (cell_id, _, _, tokens) in enumerate(by_two)]
    scored = [{score.score_id: score.token_logprobs for score in engine.score(texts)} for engine in (two, one)]
    assert scored[0].keys() == scored[1].keys()
    assert all(scored[0][key] == pytest.approx(scored[1][key], abs=1e-4) for key in scored[0])
    assert {key: two.info.identity[key] for key in one.info.identity} == one.info.identity


def test_a_run_is_complete_when_one_of_two_is_killed_and_as_one_engine_would_have_drawn_it(two, one, tmp_path):
    """What it had in flight, a window of sequences, is drawn by the other."""
    lent = {"one": Lent(one), "two": Lent(two)}
    assert sample_run(RunFolder(tmp_path / "one"), PLAN, lambda _: lent["one"], Killing(0))
    assert sample_run(RunFolder(tmp_path / "two"), PLAN, lambda _: lent["two"], Killing(50, 0))
    assert len(rows_of(tmp_path / "two")) == sum(cell.sampling.samples for cell in CELLS)
    assert rows_of(tmp_path / "two").equals(rows_of(tmp_path / "one"))
    assert two.info.notes[-1].startswith("replica 1 of 2 died: its process was killed by SIGKILL")


def test_a_run_is_incomplete_when_the_last_is_killed_and_one_engine_goes_on_with_it(two, one, tmp_path):
    with pytest.raises(IncompleteError, match="all 2 replicas died"):
        sample_run(RunFolder(tmp_path / "two"), PLAN, lambda _: Lent(two), Killing(50, 1))
    assert 50 <= RunFolder(tmp_path / "two").state()["saved"] < 600
    assert sample_run(RunFolder(tmp_path / "two"), PLAN, lambda _: Lent(one), Killing(0))
    assert sample_run(RunFolder(tmp_path / "one"), PLAN, lambda _: Lent(one), Killing(0))
    assert rows_of(tmp_path / "two").equals(rows_of(tmp_path / "one"))


class Lent:
    """An engine that a run does not close when it is done: the next test needs it."""

    def __init__(self, engine) -> None:
        self._engine = engine

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def close(self):
        pass


# ------------------------------------------------------------------------------------------------- divided models


def test_a_model_divided_in_two_draws_from_the_same_distribution_and_leaves_no_process(one, tmp_path):
    model = divisible_model(tmp_path / "divisible")
    engine = start_engine("vllm", EngineOptions(model, tensor_parallel=2))
    processes = group_of(engine.pid)
    try:
        draws_follow_the_known_distribution(subject_of(engine))
        scores_agree_with_sampled_probabilities_at_temperature_one(subject_of(engine))
        pairs = list(zip(drawn(engine.sample(wanted(300))), drawn(one.sample(wanted(300))), strict=True))
        assert sum(divided == whole for divided, whole in pairs) >= 297  # sums in another order may tip a draw
        after_a_stop_the_iterator_ends_and_nothing_comes_twice(subject_of(engine))
    finally:
        engine.close()
    assert len(processes) >= 3  # its own, and one for each half
    assert eventually(lambda: not any(map(lives, processes)))


PARENT = """
import sys
from engines.test_replicas import wanted
from collapsecli.engines import EngineOptions, start_engine
engine = start_engine("vllm", EngineOptions(sys.argv[1], tensor_parallel=2))
for completion in engine.sample(wanted(100_000)):
    print(engine.pid, flush=True)
"""


def test_a_parent_killed_leaves_no_worker_of_a_divided_model(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", PARENT, divisible_model(tmp_path / "divisible")]
    with (tmp_path / "log").open("w") as log:
        parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    # vLLM speaks on stdout, too, where nothing guards it.
    pid = next(int(line) for line in parent.stdout if line.strip().isdecimal())
    processes = group_of(pid)
    assert len(processes) >= 3
    parent.kill()
    parent.communicate()
    assert eventually(lambda: not any(map(lives, processes)))
