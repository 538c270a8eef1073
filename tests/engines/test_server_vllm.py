"""vLLM's own OpenAI-compatible server, started for real: the engine's contract, and the draws of this process again."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from engines.adapters import make_adapter
from engines.contract import CONTRACT, Subject, after_a_stop_the_iterator_ends_and_nothing_comes_twice, draw
from engines.test_contract import COIN, NUMBER, STORY

from collapsecli import demo
from collapsecli.engines import EngineOptions, SampleRequest, ScoreRequest, start_engine
from collapsecli.errors import EngineStartError, IncompleteError, SuiteError, UsageError
from collapsecli.records import Message, Road

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
    pytest.mark.skipif(find_spec("uvicorn") is None, reason="what vLLM's server needs is not installed"),
    pytest.mark.skipif(find_spec("aiohttp") is None, reason="aiohttp is not installed"),
]

_SECONDS_TO_START = 240
_KEY = "sk-of-the-test"
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}  # fmt: skip
# What a model's own generation defaults may hold: any of these shows in the draws if it is not overruled.
_DEFAULTS = {"temperature": 0.1, "top_k": 1, "top_p": 0.2, "repetition_penalty": 1.9, "max_new_tokens": 40}


@dataclass(frozen=True)
class Served:
    """A server that runs, and the group of processes that it is."""

    process: subprocess.Popen
    port: int
    log: Path

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def processes(self) -> list[int]:
        """What is left of it: every process of its group that has not ended."""
        return [
            int(stat.parent.name)
            for stat in Path("/proc").glob("[0-9]*/stat")
            if (fields := _stat(stat)) and int(fields[2]) == self.process.pid and fields[0] != "Z"
        ]

    def wait(self) -> Served:
        deadline = time.monotonic() + _SECONDS_TO_START
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.endpoint}/health", timeout=5):  # noqa: S310 - our own address
                    return self
            except OSError:
                time.sleep(0.5)
        raise AssertionError(f"vLLM's server did not start:\n{self.log.read_text('utf-8')[-3000:]}")

    def kill(self) -> None:
        """End it and all of its workers, whatever state they are in."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + 10
            while self.processes and time.monotonic() < deadline:
                os.killpg(self.process.pid, number)
                self.process.poll()
                time.sleep(0.3)
        self.process.wait(10)


def _stat(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").rpartition(")")[2].split()
    except OSError:  # it ended while we looked
        return []


def _serve(folder: Path, *arguments: str) -> Served:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    log = folder / "log.txt"
    with log.open("w") as file:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "vllm.entrypoints.openai.api_server",
                "--model", str(demo.model_path("demo-base")), "--served-model-name", "demo-base",
                "--dtype", "float32", "--host", "127.0.0.1", "--port", str(port),
                "--enforce-eager", "--gpu-memory-utilization", "0.1", "--no-enable-chunked-prefill", *arguments,
            ],
            stdout=file, stderr=file, cwd=folder, start_new_session=True, env={**os.environ, **_ENVIRONMENT},
        )  # fmt: skip
    return Served(process, port, log)


def _running(server):
    try:
        yield server.wait()
    finally:
        server.kill()
    assert server.processes == []


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server as we would have it."""
    folder = tmp_path_factory.mktemp("served")
    yield from _running(_serve(folder, "--logprobs-mode", "processed_logprobs", "--generation-config", "vllm"))


@pytest.fixture(scope="module")
def hard_served(tmp_path_factory):
    """One that is as hard to live with as can be."""
    folder = tmp_path_factory.mktemp("hard")
    adapter = make_adapter(folder / "dpo")
    yield from _running(
        _serve(
            folder, "--api-key", _KEY, "--override-generation-config", json.dumps(_DEFAULTS),
            "--enable-lora", "--max-loras", "2", "--lora-modules", f"dpo={adapter}",
        )
    )  # fmt: skip


def _closed_in_the_end(options):
    engine = start_engine("server", options)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def engine(served):
    yield from _closed_in_the_end(EngineOptions("", endpoint=served.endpoint))


@pytest.fixture(scope="module")
def hard_engine(hard_served, tmp_path_factory):
    key_file = tmp_path_factory.mktemp("key") / "key"
    key_file.write_text(_KEY, "utf-8")
    yield from _closed_in_the_end(
        EngineOptions("demo-base", {"patience_s": 3, "tries": 3, "backoff_s": 0.1}, endpoint=hard_served.endpoint,
                      key_file=str(key_file), adapters={"dpo": "unused"})
    )  # fmt: skip


@pytest.fixture(scope="module")
def in_process():
    engine = start_engine("vllm", EngineOptions("demo-base"))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def subject(engine):
    truth = json.loads(demo.truth_path().read_text("utf-8"))["prompts"]["coin"]
    return Subject(engine, replace(COIN, text=truth["text"]), NUMBER, STORY, truth["demo-base"]["answers"])


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_the_server_engine_keeps_the_contract(subject, promise):
    promise(subject)


def test_a_server_tells_what_it_is(engine):
    info = engine.info
    assert (info.name, info.model, info.notes) == ("server", "demo-base", ())
    assert info.version == info.identity["server_version"] != "unknown"
    known = ("served_model", "dialect", "max_model_len", "logprobs")
    assert [info.identity[name] for name in known] == ["demo-base", "vllm", "512", "processed"]


# ---------------------------------------------------------------------------------- the same draws as in this process


def asked(text=None, *, user="", **changes):
    sampling = {name: changes.pop(name) for name in ("temperature", "top_p", "top_k", "min_p", "stop", "max_tokens")
                if name in changes}  # fmt: skip
    cell = replace(COIN, text=text, messages=(Message("user", user),) if user else (), **changes)
    return replace(cell, temperature=sampling.get("temperature", 1.0), sampling=replace(cell.sampling, **sampling))


FIELDS = ("sample_index", "seed", "prompt", "n_prompt_tokens", "token_ids", "text", "finish_reason", "logprob_kind")
SAME = {
    "untouched": COIN,
    "a hundred answers": NUMBER,
    "long texts": STORY,
    "a stop string": replace(STORY, sampling=replace(STORY.sampling, stop=(".", " the "))),
    "everything set": asked(STORY.text, temperature=0.8, top_p=0.9, top_k=20, min_p=0.02, max_tokens=48),
    "the likeliest": asked(STORY.text, temperature=0.0, max_tokens=48),
    "cut in a sign": asked("日本", temperature=2.0, max_tokens=7),
    "a chat": asked(user="Flip a coin."),
    "a chat with a word put in its mouth": asked(user="Name an animal.", injected=" The", injection="i"),
    "a chat whose beginning ends with a space": asked(user="Name an animal.", injected=" A cat. ", injection="i"),
    "a prompt with a text put after it": asked(COIN.text, injected=" It shows", injection="i"),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_seeds_give_the_same_rows_as_in_this_process(engine, in_process, name):
    cell = SAME[name]
    engine.check([cell])
    indices = [0] if cell.temperature == 0 else range(64)
    theirs, ours = draw(in_process, cell, indices, seed=3 << 20), draw(engine, cell, indices, seed=3 << 20)
    for field in FIELDS:
        assert [getattr(one, field) for one in ours] == [getattr(one, field) for one in theirs], field
    for one, other in zip(ours, theirs, strict=True):
        assert one.token_logprobs == pytest.approx(tuple(other.token_logprobs), abs=1e-4)


@pytest.mark.parametrize("cell", [COIN, SAME["a chat"]], ids=["a text", "a chat"])
def test_a_road_has_the_tokens_and_the_probability_that_it_has_in_this_process(engine, in_process, cell):
    tokens = engine.tokens(cell, " Heads.")
    assert tokens == in_process.tokens(cell, " Heads.") != ()
    (ours,), (theirs,) = (list(one.score([ScoreRequest("s", cell, tokens)])) for one in (engine, in_process))
    assert ours.error is None
    assert ours.token_logprobs == pytest.approx(theirs.token_logprobs, abs=1e-4)


def test_a_text_that_is_too_long_to_be_scored_is_said_to_be(engine):
    (score,) = engine.score([ScoreRequest("s", COIN, (5,) * 600)])
    assert score.error == "longer than the model's context"


def test_a_token_that_the_model_does_not_have_is_an_error_and_no_score(engine):
    (score,) = engine.score([ScoreRequest("s", COIN, (10_000_000,))])
    assert score.error
    assert score.token_logprobs == ()


def test_prompts_that_leave_no_room_are_refused_before_anything_is_drawn(engine):
    long = replace(COIN, cell_id="long@t1.0", text="word " * 2000)
    with pytest.raises(UsageError, match=r"context of 512 tokens: long@t1\.0"):
        engine.check([COIN, long])


def test_a_road_that_melts_into_the_prompt_is_refused_with_its_line(engine):
    cell = replace(COIN, text="Q: Flip a coin.\nA: ", roads=(Road("Heads", ("suite.yaml", 7, 12)),))
    with pytest.raises(SuiteError) as raised:
        engine.check([cell])
    assert "suite.yaml:7:12" in str(raised.value.faults[0])


def test_thousands_of_prompts_are_read_in_seconds(engine):
    cells = [replace(COIN, cell_id=f"coin-{at}@t1.0", text=f"Q: {at}\nA:") for at in range(2000)]
    began = time.monotonic()
    engine.check(cells)
    assert time.monotonic() - began < 30


# ------------------------------------------------------------------------------------------ a server hard to live with


def test_the_defaults_of_a_model_never_apply(hard_engine):
    """Any of them alone would leave the coin with one side, or next to it."""
    hard_engine.check([COIN])
    counts = Counter(one.text for one in draw(hard_engine, COIN, range(64), seed=5 << 20))
    assert min(counts[" Heads."], counts[" Tails."]) > 10  # 27 are expected; P(false alarm) < 1e-6


def test_a_limit_on_tokens_that_a_model_brings_along_makes_errors_and_no_answers(hard_engine):
    drawn = draw(hard_engine, STORY, range(16), seed=5 << 20)
    cut = [one for one in drawn if one.error_kind]
    assert cut
    assert {one.error for one in cut} == {"the server cut the text after 40 tokens, and 64 were asked for"}
    assert all(len(one.token_ids) < 40 or one.error_kind for one in drawn)


def test_a_server_that_gives_the_models_own_probabilities_is_found_out(hard_engine):
    assert hard_engine.info.identity["logprobs"] == "raw"
    assert any("--logprobs-mode processed_logprobs" in note for note in hard_engine.info.notes)
    tempered = replace(COIN, temperature=2.0, sampling=replace(COIN.sampling, temperature=2.0, max_tokens=1))
    kinds = {one.logprob_kind for one in draw(hard_engine, COIN, range(8), seed=7 << 20)}
    assert kinds == {"sampling"}
    for one in draw(hard_engine, tempered, range(8), seed=7 << 20):
        (untouched,) = draw(hard_engine, replace(COIN, sampling=replace(COIN.sampling, max_tokens=1)), [0], seed=1)
        assert one.logprob_kind == "model"
        if one.token_ids == untouched.token_ids:
            assert math.isclose(one.logprob, untouched.logprob, abs_tol=1e-4)


def test_an_adapter_of_the_server_draws_otherwise_than_its_base(hard_engine):
    bugs = replace(COIN, text="Q: Are bugs real?\nA:", sampling=replace(COIN.sampling, max_tokens=24))
    adapted = replace(bugs, cell_id="bugs@t1.0#dpo", adapter="dpo")
    hard_engine.check([bugs, adapted])
    base, poet = (
        Counter(one.text for one in draw(hard_engine, cell, range(64), seed=9 << 20)) for cell in (bugs, adapted)
    )
    assert (base & poet).total() < 48
    with pytest.raises(UsageError, match="no adapter `ppo`"):
        hard_engine.check([replace(bugs, adapter="ppo")])


def test_a_wrong_key_is_refused_at_the_start(hard_served):
    with pytest.raises(EngineStartError, match="does not take the key"):
        start_engine("server", EngineOptions("demo-base", endpoint=hard_served.endpoint))


def test_a_server_that_is_killed_ends_the_run_and_every_row_before_is_an_answer(hard_served, hard_engine):
    """The last that is asked of it."""
    rows = hard_engine.sample([SampleRequest(COIN, 11 << 20, tuple(range(1_000_000)))])
    came_back = [next(rows) for _ in range(512)]
    os.killpg(hard_served.process.pid, signal.SIGKILL)
    with pytest.raises(IncompleteError, match="has answered nothing for"):
        came_back.extend(rows)
    assert all(one.error_kind is None for one in came_back)


def test_after_a_stop_the_iterator_ends_and_nothing_comes_twice(subject):
    after_a_stop_the_iterator_ends_and_nothing_comes_twice(subject)
