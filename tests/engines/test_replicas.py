"""Replicas on one machine: one engine to whoever asks, whichever of them draws or dies. Needs no vLLM, no GPU."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path

import pandas as pd
import pytest
from engines.contract import CONTRACT, Subject, after_a_stop_the_iterator_ends_and_nothing_comes_twice
from engines.test_contract import COIN, KNOWN, NUMBER, STORY
from makers import make_cell

from collapsecli.engines import EngineOptions, SampleRequest, ScoreRequest, start_engine
from collapsecli.engines.process import EngineProcess
from collapsecli.engines.replicas import Replicas, require_equal
from collapsecli.engines.scripted import ScriptedEngine
from collapsecli.engines.sharing import SharedCall
from collapsecli.errors import EngineStartError, IncompleteError, UsageError
from collapsecli.pipeline import RunPlan, sample_run
from collapsecli.records import EngineInfo
from collapsecli.runs import RunFolder, SuiteSource

STRANGER = make_cell("stranger@t1.0")
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="children are found in /proc")


def script_in(folder, name="known.yaml", **settings):
    path = folder / name
    path.write_text(json.dumps({"prompts": KNOWN, **settings}), "utf-8")
    return str(path)


@pytest.fixture
def started(tmp_path):
    """Starts engines from a script's settings, and closes them when the test is over."""
    engines = []

    def start(replicas=2, **settings):
        engines.append(start_engine("scripted", EngineOptions(script_in(tmp_path, **settings), replicas=replicas)))
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


def wanted(n, cell=COIN, *, seed=7 << 20, per_request=200):
    return [SampleRequest(cell, seed, tuple(range(at, min(n, at + per_request)))) for at in range(0, n, per_request)]


def drawn(rows):
    return sorted((one.cell_id, one.sample_index, one.seed, one.token_ids) for one in rows)


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(holds, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not (outcome := holds()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return outcome


def kill(engine, *numbers):
    for number in numbers:
        os.kill(engine._engines[number].pid, signal.SIGKILL)


def killing_after(rows, n_rows, engine, *numbers):
    """The rows, with these replicas killed once so many have been seen."""
    for at, row in enumerate(rows):
        if at == n_rows:
            kill(engine, *numbers)
        yield row


# ------------------------------------------------------------------------------------------------- the same engine


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    engine = start_engine("scripted", EngineOptions(script_in(tmp_path_factory.mktemp("script")), replicas=3))
    yield Subject(engine, COIN, NUMBER, STORY, KNOWN["coin"])
    engine.close()


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_replicas_keep_the_contract_of_an_engine(subject, promise):
    promise(subject)


def test_after_a_stop_replicas_end_and_nothing_comes_twice(started):
    after_a_stop_the_iterator_ends_and_nothing_comes_twice(Subject(started(3), COIN, NUMBER, STORY, KNOWN["coin"]))


def test_the_same_is_drawn_as_by_one_engine(started):
    requests = wanted(500) + wanted(300, NUMBER, seed=9 << 20)
    assert drawn(started(3).sample(requests)) == drawn(started(1).sample(requests))


def test_the_same_is_scored_as_by_one_engine(started):
    many, one = started(3), started(1)
    tokens = {text: one.tokens(COIN, text) for text in (" Heads.", " Tails.")}
    assert many.tokens(COIN, " Heads.") == tokens[" Heads."] != ()
    requests = [ScoreRequest(f"{at}{text}", COIN, tokens[text]) for at in range(500) for text in tokens]
    scored = sorted(many.score(requests), key=lambda score: score.score_id)
    assert scored == sorted(one.score(requests), key=lambda score: score.score_id)


def test_they_describe_themselves_as_the_engine_that_each_of_them_is(started):
    many, one = started(3), started(1)
    assert (many.info.name, many.info.version, many.info.identity) == (
        one.info.name,
        one.info.version,
        one.info.identity,
    )
    assert many.info.details == {"replicas": "3", "replica_devices": "none | none | none"}
    assert many.info.notes == one.info.notes
    assert many.room == 3 * one.room


def test_they_can_be_asked_while_they_draw(started):
    """Where requests are made and between rows, as a schedule does: in a thread other than those that draw."""
    engine = started(3)

    def asking():
        for batch in range(3):
            engine.check([COIN])
            with pytest.raises(UsageError, match="lists no answers for stranger"):
                engine.check([STRANGER])
            yield SampleRequest(COIN, 1 << 20, tuple(range(200 * batch, 200 * batch + 200)))

    came_back = []
    for completion in engine.sample(asking()):
        came_back.append(completion.sample_index)
        assert len(engine.tokens(COIN, " Heads.")) == 1
    assert sorted(came_back) == list(range(600))


def test_requests_are_made_in_the_thread_that_takes_the_rows_and_may_depend_on_them(started):
    threads, seen = set(), 0

    def as_they_come():
        for batch in range(20):
            threads.add(threading.current_thread())
            yield SampleRequest(COIN, 7 << 20, tuple(range(8 * batch, 8 * batch + 8)))
            while seen < 8 * batch + 8:
                yield None

    for _ in started(2).sample(as_they_come()):
        seen += 1
    assert (threads, seen) == ({threading.current_thread()}, 160)


def test_a_server_is_refused_before_anything_is_started(tmp_path):
    with pytest.raises(UsageError, match="a server has its own"):
        Replicas("server", EngineOptions(str(tmp_path), endpoint="http://localhost:1", replicas=2))


# ------------------------------------------------------------------------------------------------------- the feeding


def quickest_s(engine, n):
    """Seconds in which so many draws come: the best of three, since other work may be on this machine."""
    took_s = []
    for _ in range(3):
        began = time.monotonic()
        assert len(list(engine.sample(wanted(n)))) == n
        took_s.append(time.monotonic() - began)
    return min(took_s)


def test_every_replica_draws_and_all_at_the_same_time(started):
    """Each draw takes 10 ms: 300 take 3 s of one engine, and 1 s of three."""
    assert quickest_s(started(3, delay_s=0.01), 300) < 2


def test_a_single_request_is_shared(started):
    """Draws of one prompt, which are drawn together where there is other work: 32 of 30 ms, a second of one engine."""
    assert quickest_s(started(2, delay_s=0.03), 32) < 0.8


class Recorded:
    """An engine, and when it was waiting for a request that it was not given."""

    def __init__(self, engine) -> None:
        self._engine, self.n_drawn, self.waited_s = engine, 0, 0.0

    def sample(self, requests):
        for row in self._engine.sample(self._timed(requests)):
            self.n_drawn += 1
            yield row

    def _timed(self, requests):
        while True:
            began = time.monotonic()
            request = next(iter(requests), None)
            self.waited_s += time.monotonic() - began
            if request is None:
                return
            yield request


def test_a_faster_replica_draws_more_and_neither_waits_while_there_is_work(tmp_path):
    delays_s = {0: 0.008, 1: 0.002}
    engines = {
        number: Recorded(
            EngineProcess("scripted", EngineOptions(script_in(tmp_path, f"{number}.yaml", delay_s=delay_s)))
        )
        for number, delay_s in delays_s.items()
    }
    requests = (request for at in range(120) for request in wanted(8, seed=at << 20))
    renamed = (
        SampleRequest(make_cell(f"coin-{at}@t1.0", prompt_id="coin"), request.seed, request.indices)
        for at, request in enumerate(requests)
    )
    call = SharedCall(engines, "sample", renamed, ahead=64, is_stopped=lambda: False, on_death=lambda *_: None)
    began = time.monotonic()
    came_back = Counter((row.cell_id, row.sample_index) for row in call.rows())
    took_s = time.monotonic() - began
    call.join()
    for recorded in engines.values():
        recorded._engine.close()
    assert len(came_back) == 960
    assert set(came_back.values()) == {1}
    assert 2.5 < engines[1].n_drawn / engines[0].n_drawn < 6  # 4, as the delays are
    # At the end one may wait for the other's last request: 8 draws of 8 ms.
    assert all(recorded.waited_s < 0.064 + 0.1 * took_s for recorded in engines.values())


def test_what_is_drawn_ahead_of_the_reader_is_bounded(started):
    engine = started(2)
    rows = engine.sample([SampleRequest(COIN, 1 << 20, tuple(range(1_000_000)))])
    next(rows)
    time.sleep(0.5)
    engine.stop()
    assert sum(1 for _ in rows) < 4000


# ---------------------------------------------------------------------------------------------------------- dying


def test_one_of_three_killed_in_the_middle_loses_no_draw_and_doubles_none(started, capfd):
    engine = started(3, delay_s=0.002)
    rows = drawn(killing_after(engine.sample(wanted(900)), 100, engine, 1))
    assert rows == drawn(started(1).sample(wanted(900)))
    said = capfd.readouterr().err.splitlines()
    assert said == [
        "replica 2 died: its process was killed by SIGKILL, as happens when memory runs out; 2 of 3 go on with its work"
    ]
    assert engine.info.notes[-1].startswith("replica 2 of 3 died: its process was killed by SIGKILL")
    assert engine.room == 2
    assert len(list(engine.sample(wanted(90)))) == 90
    assert not lives(engine._engines[1].pid)


def test_one_killed_between_two_calls_is_noticed_and_the_others_go_on(started):
    engine = started(2)
    kill(engine, 0)
    engine.check([COIN])
    assert len(engine.tokens(COIN, " Heads.")) == 1
    assert len(list(engine.sample(wanted(300)))) == 300


def test_one_killed_while_it_scores_loses_no_score(started):
    engine = started(2)
    tokens = engine.tokens(COIN, " Heads.")
    rows = killing_after(engine.score(ScoreRequest(str(at), COIN, tokens) for at in range(3000)), 50, engine, 0)
    assert sorted(int(score.score_id) for score in rows) == list(range(3000))


def test_when_all_are_killed_what_came_back_is_kept_and_the_rest_is_told(started):
    engine, came_back = started(2, delay_s=0.002), []
    with pytest.raises(IncompleteError, match="all 2 replicas died, the last of this: its process was killed by SIG"):
        came_back.extend(killing_after(engine.sample(wanted(5000)), 50, engine, 0, 1))
    with pytest.raises(IncompleteError, match="all 2 replicas died"):
        engine.check([COIN])
    with pytest.raises(IncompleteError, match="all 2 replicas died"):
        list(engine.sample(wanted(10)))


def test_deaths_after_the_last_draw_cost_nothing(started):
    engine, seen = started(2), 0

    def asking():
        yield from wanted(100)
        while seen < 100:
            yield None
        kill(engine, 0, 1)
        with pytest.raises(IncompleteError, match="all 2 replicas died"):
            engine.check([COIN])

    for _ in engine.sample(asking()):
        seen += 1
    assert seen == 100


class Poisoned:
    """An engine that dies of one draw, whoever has it."""

    def __init__(self, engine, poison, deaths) -> None:
        self._engine, self._poison, self._deaths = engine, poison, deaths

    def sample(self, requests):
        return self._engine.sample(self._tasted(requests))

    def _tasted(self, requests):
        for request in requests:
            if request is not None and self._poison in request.indices:
                self._deaths.append(request.indices)
                os.kill(self._engine.pid, signal.SIGKILL)
            yield request


def test_a_draw_of_which_replicas_die_is_given_up_after_the_second_and_all_else_is_drawn(tmp_path):
    deaths, options = [], EngineOptions(script_in(tmp_path))
    processes = [EngineProcess("scripted", options) for _ in range(3)]
    engines = {number: Poisoned(engine, 70, deaths) for number, engine in enumerate(processes)}
    requests = iter([SampleRequest(COIN, 7 << 20, tuple(range(at, at + 8))) for at in range(0, 400, 8)])
    call = SharedCall(engines, "sample", requests, ahead=64, is_stopped=lambda: False, on_death=lambda *_: None)
    came_back = Counter(row.sample_index for row in call.rows())
    for engine in processes:
        engine.close()
    assert len(deaths) == 2
    assert set(came_back) == set(range(400)) - set(deaths[1])
    assert set(came_back.values()) == {1}
    assert call.n_given_up == len(deaths[1]) <= 8
    assert not call.is_whole


def test_what_was_given_up_is_told_when_all_else_is_drawn(started):
    """Both that had the first draws are killed: what was in flight at both deaths is left for the next sitting."""
    engine, came_back, asked = started(3, delay_s=0.05), set(), []

    def kill_who_draws(index):
        holders = [n for n, held in engine._call._stock._in_flight.items() if ("coin@t1.0", index) in held]
        kill(engine, *holders)
        return holders

    def draw():
        for row in engine.sample(wanted(60)):
            came_back.add(row.sample_index)
            holders = {n for n, held in engine._call._stock._in_flight.items() if ("coin@t1.0", 59) in held}
            if holders and len(asked) < 2 and holders.isdisjoint(asked):
                asked.extend(kill_who_draws(59))

    with pytest.raises(IncompleteError, match="draws were given up: they were in flight when a replica died, twice"):
        draw()
    assert len(asked) == 2
    assert 59 not in came_back
    assert 30 < len(came_back) < 60


# -------------------------------------------------------------------------------------------------------- starting


def test_wrong_usage_is_told_as_one_engine_tells_it(tmp_path):
    with pytest.raises(UsageError, match="cannot read the script"):
        start_engine("scripted", EngineOptions(str(tmp_path / "nowhere.yaml"), replicas=3))


def children():
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == os.getpid() and state != "Z":
            found.append(int(path.parent.name))
    return sorted(found)


@needs_proc
def test_one_that_dies_as_it_starts_ends_all_and_is_named(tmp_path):
    os.mkfifo(tmp_path / "never.yaml")
    before = children()

    def kill_one():
        eventually(lambda: len(children()) == len(before) + 3)
        os.kill(sorted(set(children()) - set(before))[1], signal.SIGILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(EngineStartError, match=r"replica \d of 3: the engine could not start: its process was killed"):
        start_engine("scripted", EngineOptions(str(tmp_path / "never.yaml"), replicas=3))
    killer.join()
    assert children() == before


@needs_proc
def test_a_signal_while_they_start_leaves_none_behind(tmp_path):
    os.mkfifo(tmp_path / "never.yaml")
    before = children()

    class Told(BaseException):
        pass

    def leave(*_):
        raise Told

    handler = signal.signal(signal.SIGALRM, leave)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(Told):
            start_engine("scripted", EngineOptions(str(tmp_path / "never.yaml"), replicas=3))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert children() == before


INFO = EngineInfo("vllm", "0.32.0", "org/model", {"revision": "aaa", "dtype": "bfloat16"})


@pytest.mark.parametrize(
    ("other", "differing"),
    [
        pytest.param(replace(INFO, identity={**INFO.identity, "revision": "bbb"}), "revision", id="another revision"),
        pytest.param(replace(INFO, identity={**INFO.identity, "adapter a": "1"}), "adapter a", id="an adapter more"),
        pytest.param(replace(INFO, version="0.33.0"), "version", id="another version"),
    ],
)
def test_engines_that_are_not_equal_are_refused(other, differing):
    """The hub may have got a new revision between the start of one and that of the next."""
    with pytest.raises(EngineStartError, match=f"replica 3 is not .* replica 1 is: they differ in {differing}"):
        require_equal([INFO, replace(INFO, details={"device": "GPU 1"}), other])
    require_equal([INFO, replace(INFO, details={"device": "GPU 1"})])


# ------------------------------------------------------------------------------------------------ stopping, closing


@pytest.mark.parametrize("delay_s", [0.001, 0.0], ids=["while they draw", "while all wait for the reader"])
def test_stop_may_be_called_from_a_signal_handler_whatever_it_interrupts(started, delay_s):
    engine = started(3, delay_s=delay_s)
    before = signal.signal(signal.SIGALRM, lambda *_: engine.stop())
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        rows = list(engine.sample(wanted(100_000)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert 0 < len(rows) < 100_000
    assert len(set(drawn(rows))) == len(rows)
    assert list(engine.sample(wanted(10))) == []


@pytest.mark.parametrize("moment", range(24))
def test_a_stop_at_any_moment_ends_the_call(tmp_path, moment):
    """A signal's handler runs between any two steps of the reader: here right after one of its looks."""
    engines = {number: ScriptedEngine.open(script_in(tmp_path)) for number in range(2)}
    looks, stopped = count(), threading.Event()

    def is_stopped():
        was_stopped = stopped.is_set()
        if threading.current_thread() is reader and next(looks) == moment:
            stopped.set()
            for engine in engines.values():
                engine.stop()
        return was_stopped

    call = SharedCall(engines, "sample", iter(wanted(4)), ahead=1, is_stopped=is_stopped, on_death=lambda *_: None)

    def read_slowly():
        for _ in call.rows():
            time.sleep(0.02)  # in which the engines draw everything, and wait for more

    reader = threading.Thread(target=read_slowly, daemon=True)
    reader.start()
    reader.join(5)
    assert not reader.is_alive()
    call.join()


def test_stop_while_requests_are_made_ends_all(started):
    """None of the replicas has anything to do then, and each waits for work."""
    engine = started(3)

    def stopping():
        yield from wanted(30)
        while engine._call._stock.living and not engine._call._stock.is_empty:
            yield None
        engine.stop()
        yield from wanted(30, NUMBER)

    assert {row.cell_id for row in engine.sample(stopping())} == {"coin@t1.0"}


def test_an_iterator_that_is_left_early_leaves_the_replicas_as_they_were(started):
    engine = started(2)
    for _ in range(5):
        with closing(engine.sample(wanted(5000))) as rows:
            next(rows)
    assert drawn(engine.sample(wanted(100))) == drawn(started(1).sample(wanted(100)))


def test_what_the_requests_raise_is_raised_and_the_replicas_go_on(started):
    engine = started(2)

    def broken():
        yield from wanted(10)
        raise IncompleteError("the disk is full")

    with pytest.raises(IncompleteError, match="the disk is full"):
        list(engine.sample(broken()))
    assert len(list(engine.sample(wanted(20)))) == 20


def test_what_an_engine_refuses_on_purpose_is_no_death(started):
    engine = started(2)
    with pytest.raises(UsageError, match="lists no answers for stranger"):
        list(engine.sample([SampleRequest(STRANGER, 1 << 20, (0,))]))
    assert engine.info.notes == started(1).info.notes
    assert len(list(engine.sample(wanted(20)))) == 20


def test_only_one_iterator_draws_at_a_time(started):
    engine = started(2)
    rows = engine.sample(wanted(50))
    next(rows)
    with pytest.raises(RuntimeError, match="drawing already"):
        next(engine.score([ScoreRequest("s", COIN, ())]))
    assert len(list(rows)) == 49


@needs_proc
def test_replicas_are_closed_in_the_middle_of_their_draws_all_at_once(started):
    engine = started(3, delay_s=0.001)
    pids = [process.pid for process in engine._engines]
    rows = engine.sample(wanted(1_000_000))
    next(rows)
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < 5
    assert not any(map(lives, pids))
    rows.close()
    engine.stop()
    engine.close()
    assert list(engine.sample(wanted(10))) == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("replica")]


PARENT = """
import sys
from collapsecli.engines import EngineOptions, SampleRequest, start_engine
from makers import make_cell
engine = start_engine("scripted", EngineOptions(sys.argv[1], replicas=3))
print(*(process.pid for process in engine._engines), flush=True)
for completion in engine.sample([SampleRequest(make_cell(), 1 << 20, tuple(range(1_000_000)))]):
    print("drawn", flush=True)
"""


@needs_proc
def test_a_parent_killed_while_they_draw_leaves_no_process(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", PARENT, script_in(tmp_path, delay_s=0.01)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert parent.stdout.readline() == "drawn\n"
    assert len(pids) == 3
    assert all(map(lives, pids))
    parent.kill()
    parent.communicate()
    assert eventually(lambda: not any(map(lives, pids)))


# -------------------------------------------------------------------------------------------------------- whole runs


class Killing:
    """A watch (see the ledger) that kills replicas once so many completions have come."""

    stopped = False

    def __init__(self, after, *numbers) -> None:
        self._left, self._numbers = after, numbers

    def sampling(self, engine, _):
        self._engine = engine

    def noticed(self, what):
        raise AssertionError(what)

    def advanced(self, *_):
        self._left -= 1
        if not self._left:
            kill(self._engine, *self._numbers)


CELLS = (
    make_cell("coin@t1.0", samples=300, max_tokens=16),
    make_cell("number@t1.0", samples=300, max_tokens=16, text=NUMBER.text),
)
PLAN = RunPlan((SuiteSource("suite", "suite.yaml", "", ""),), CELLS, seed=1)


def sampled(path, script, replicas, watch):
    def start(_):
        return start_engine("scripted", EngineOptions(script, replicas=replicas))

    return sample_run(RunFolder(path), PLAN, start, watch)


def rows_of(path):
    return pd.read_parquet(path / "samples.parquet", columns=["cell_id", "sample_index", "seed", "token_ids", "text"])


def test_a_run_is_complete_when_one_of_two_is_killed_and_as_one_engine_would_have_drawn_it(tmp_path):
    script = script_in(tmp_path, delay_s=0.001)
    assert sampled(tmp_path / "one", script, 1, Killing(0))
    assert sampled(tmp_path / "two", script, 2, Killing(100, 0))
    pd.testing.assert_frame_equal(rows_of(tmp_path / "two"), rows_of(tmp_path / "one"))


def test_a_run_is_incomplete_when_both_are_killed_and_one_engine_goes_on_with_it(tmp_path):
    script = script_in(tmp_path, delay_s=0.001)
    assert sampled(tmp_path / "one", script, 1, Killing(0))
    with pytest.raises(IncompleteError, match="all 2 replicas died"):
        sampled(tmp_path / "two", script, 2, Killing(100, 0, 1))
    state = RunFolder(tmp_path / "two").state()
    assert state["state"] == "incomplete"
    assert 100 <= state["saved"] < 600
    assert sampled(tmp_path / "two", script, 1, Killing(0))
    pd.testing.assert_frame_equal(rows_of(tmp_path / "two"), rows_of(tmp_path / "one"))
