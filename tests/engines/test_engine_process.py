"""An engine in a process of its own: the same to whoever asks, and gone when it should be. Needs no vLLM."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from makers import make_cell

from collapsecli.engines import EngineOptions, SampleRequest, ScoreRequest, start_engine
from collapsecli.engines.process import EngineProcessError, packed, unpacked
from collapsecli.errors import EngineStartError, Fault, IncompleteError, SuiteError, UsageError

COIN = make_cell()
STRANGER = make_cell("stranger@t1.0")
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="children are found in /proc")


def script_in(folder, **settings):
    path = folder / "script.yaml"
    path.write_text(json.dumps({"prompts": {"coin": {" Heads.": 0.6, " Tails.": 0.4}}, **settings}), "utf-8")
    return EngineOptions(str(path))


@pytest.fixture
def started(tmp_path):
    """Starts engines from a script's settings, and closes them when the test is over."""
    engines = []

    def start(*, own_process=True, **settings):
        engines.append(start_engine("scripted", script_in(tmp_path, **settings), own_process=own_process))
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


def lives(pid):
    """Whether a process runs; one that has ended and was not fetched yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children_of(pid):
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            found.append(int(path.parent.name))
    return found


def eventually(holds, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not (outcome := holds()):
        if time.monotonic() > deadline:
            return outcome
        time.sleep(0.01)
    return outcome


# ------------------------------------------------------------------------------------------------- the same engine


def trace(engine, batches=4):
    """What happens in which order: every pull with the number of rows seen before it, and every row."""
    happened, seen = [], 0

    def as_they_come():
        for batch in range(batches):
            happened.append(("pull", seen))
            yield SampleRequest(COIN, 7 << 20, tuple(range(8 * batch, 8 * batch + 8)))
            if batch % 2:
                happened.append(("nothing for now", seen))
                yield None
        happened.append(("end", seen))

    for completion in engine.sample(as_they_come()):
        seen += 1
        happened.append((completion.sample_index, completion.text, tuple(completion.token_logprobs)))
    return happened


def test_requests_are_pulled_when_the_same_rows_have_been_seen_as_in_one_process(started):
    assert trace(started()) == trace(started(own_process=False))


def test_it_describes_itself_and_scores_like_the_engine_that_it_runs(started):
    there, here = started(), started(own_process=False)
    assert (there.info, there.room) == (here.info, here.room)
    assert there.tokens(COIN, " Heads.") == here.tokens(COIN, " Heads.") != ()
    requests = [
        ScoreRequest(str(at), COIN, here.tokens(COIN, text)) for at, text in enumerate([" Heads.", " Tails."] * 99)
    ]
    assert list(there.score(iter(requests))) == list(here.score(requests))


def test_it_can_be_asked_while_it_draws_between_rows_and_where_requests_are_made(started):
    engine = started()

    def asking():
        for batch in range(3):
            engine.check([COIN])
            with pytest.raises(UsageError, match="lists no answers for stranger"):
                engine.check([STRANGER])
            yield SampleRequest(COIN, 1 << 20, tuple(range(200 * batch, 200 * batch + 200)))

    rows = engine.sample(asking())
    came_back = []
    for completion in rows:
        came_back.append(completion.sample_index)
        assert len(engine.tokens(COIN, " Heads.")) == 1
    assert came_back == list(range(600))


def test_an_iterator_that_is_left_early_leaves_the_engine_as_it_was(started):
    engine = started()
    request = SampleRequest(COIN, 3 << 20, tuple(range(5000)))
    with closing(engine.sample([request])) as rows:
        first = next(rows)
    again = list(engine.sample([replace(request, indices=(0, 1))]))
    assert [one.sample_index for one in again] == [0, 1]
    assert again[0].token_ids == first.token_ids


def test_what_the_requests_raise_is_raised_and_the_engine_goes_on(started):
    engine = started()

    def broken():
        yield SampleRequest(COIN, 1 << 20, (0,))
        raise IncompleteError("the disk is full")

    with pytest.raises(IncompleteError, match="the disk is full"):
        list(engine.sample(broken()))
    assert len(list(engine.sample([SampleRequest(COIN, 1 << 20, (0, 1))]))) == 2


def test_only_one_iterator_draws_at_a_time(started):
    engine = started()
    rows = engine.sample([SampleRequest(COIN, 1 << 20, tuple(range(50)))])
    next(rows)
    with pytest.raises(RuntimeError, match="drawing already"):
        next(engine.score([ScoreRequest("s", COIN, ())]))
    assert len(list(rows)) == 49


def test_what_is_drawn_ahead_of_the_reader_is_bounded(started):
    """A million draws are asked for and one is taken: what came back unasked for is a few pipes full."""
    engine = started()
    rows = engine.sample([SampleRequest(COIN, 1 << 20, tuple(range(1_000_000)))])
    next(rows)
    time.sleep(0.5)
    engine.stop()
    assert sum(1 for _ in rows) < 2000


# ----------------------------------------------------------------------------------------------------------- errors

FAULTS = (Fault("suite.yaml", 7, 12, "melts", "mend it"), Fault("suite.yaml", 9, 1, "is gone"))


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(UsageError("no such model", hint="name one"), id="wrong usage"),
        pytest.param(SuiteError(FAULTS), id="a faulty suite"),
        pytest.param(EngineStartError("no memory"), id="no start"),
        pytest.param(IncompleteError("stopped", hint="go on"), id="incomplete"),
    ],
)
def test_an_error_of_ours_travels_as_itself(error):
    arrived = unpacked(packed(error))
    assert type(arrived) is type(error)
    assert (str(arrived), arrived.hint, arrived.exit_code) == (str(error), error.hint, error.exit_code)
    assert getattr(arrived, "faults", ()) == getattr(error, "faults", ())


def test_an_engine_that_refuses_to_start_says_why_in_its_own_error(tmp_path):
    with pytest.raises(UsageError, match="cannot read the script") as raised:
        start_engine("scripted", EngineOptions(str(tmp_path / "nowhere.yaml")), own_process=True)
    assert raised.value.hint == "give one with -m FILE.yaml"


def test_what_breaks_the_engine_ends_its_process_with_its_last_words(started):
    engine = started()
    with pytest.raises(EngineProcessError, match=r"^AttributeError: 'NoneType'"):
        engine.tokens(None, " Heads.")
    assert eventually(lambda: engine._process.poll() is not None)
    with pytest.raises(EngineProcessError, match="exit code 1"):
        engine.tokens(COIN, " Heads.")


def draw_and_kill(engine, came_back):
    for completion in engine.sample([SampleRequest(COIN, 1 << 20, tuple(range(100_000)))]):
        came_back.append(completion.sample_index)
        if len(came_back) == 20:
            os.kill(engine._process.pid, signal.SIGKILL)


def test_a_process_killed_while_it_draws_is_reported_with_the_signal_and_its_rows_are_kept(started):
    engine = started(delay_s=0.002)
    came_back = []
    with pytest.raises(EngineProcessError, match="was killed by SIGKILL, as happens when memory runs out"):
        draw_and_kill(engine, came_back)
    assert came_back == list(range(len(came_back)))
    assert 20 <= len(came_back) < 1000


@needs_proc
def test_a_process_killed_while_it_starts_is_an_engine_that_could_not_start(tmp_path):
    os.mkfifo(tmp_path / "never.yaml")  # whoever reads it waits for ever

    def kill():
        (child,) = eventually(lambda: children_of(os.getpid()))
        os.kill(child, signal.SIGILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(EngineStartError, match="could not start: its process was killed by SIGILL"):
        start_engine("scripted", EngineOptions(str(tmp_path / "never.yaml")), own_process=True)
    killer.join()


# ------------------------------------------------------------------------------------------------ stopping, closing


def test_stop_may_be_called_from_a_signal_handler_whatever_it_interrupts(started):
    engine = started(delay_s=0.001)
    before = signal.signal(signal.SIGALRM, lambda *_: engine.stop())
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        rows = list(engine.sample([SampleRequest(COIN, 1 << 20, tuple(range(100_000)))]))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert 0 < len(rows) < 10_000
    assert list(engine.sample([SampleRequest(COIN, 1 << 20, (0,))])) == []


def test_a_process_that_dies_while_it_is_stopped_just_ends(started):
    """A job's manager may kill everything at once: what had not come back is missing, as after any stop."""
    engine = started(delay_s=0.002)
    rows = engine.sample([SampleRequest(COIN, 1 << 20, tuple(range(100_000)))])
    next(rows)
    os.kill(engine._process.pid, signal.SIGSTOP)
    engine.stop()
    os.kill(engine._process.pid, signal.SIGKILL)
    assert len(list(rows)) < 1000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_signals_are_the_parents_to_heed(started, number):
    engine = started()
    os.kill(engine._process.pid, number)
    assert len(list(engine.sample([SampleRequest(COIN, 1 << 20, tuple(range(100)))]))) == 100


@needs_proc
def test_a_closed_engine_has_no_process_and_draws_nothing(started):
    engine = started()
    pid = engine._process.pid
    assert lives(pid)
    engine.close()
    assert not lives(pid)
    assert list(engine.sample([SampleRequest(COIN, 1 << 20, (0,))])) == []
    engine.stop()
    engine.close()


def test_an_engine_is_closed_in_the_middle_of_its_draws(started):
    engine = started()
    rows = engine.sample([SampleRequest(COIN, 1 << 20, tuple(range(1_000_000)))])
    next(rows)
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < 5
    rows.close()


def test_engines_follow_each_other_in_one_parent(started):
    first = started()
    drawn = list(first.sample([SampleRequest(COIN, 1 << 20, (0, 1, 2))]))
    first.close()
    again = list(started().sample([SampleRequest(COIN, 1 << 20, (0, 1, 2))]))
    assert [one.token_ids for one in again] == [one.token_ids for one in drawn]


PARENT = """
import sys
from collapsecli.engines import EngineOptions, SampleRequest, start_engine
from makers import make_cell
engine = start_engine("scripted", EngineOptions(sys.argv[1]), own_process=True)
for completion in engine.sample([SampleRequest(make_cell(), 1 << 20, tuple(range(1_000_000)))]):
    print("drawn", flush=True)
"""


def parent_of(script):
    """A process of its own that draws without end, and the engine's process below it."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", PARENT, str(script)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    (child,) = eventually(lambda: children_of(parent.pid))
    return parent, child


@needs_proc
@pytest.mark.parametrize("delay_s", [0.0, 0.05], ids=["held up by a full pipe", "in the middle of a draw"])
def test_a_parent_killed_while_it_draws_leaves_no_process(tmp_path, delay_s):
    parent, child = parent_of(script_in(tmp_path, delay_s=delay_s).model)
    assert parent.stdout.readline() == "drawn\n"
    parent.kill()
    parent.communicate()
    assert eventually(lambda: not lives(child))


@needs_proc
def test_a_parent_killed_while_its_engine_starts_leaves_no_process(tmp_path):
    os.mkfifo(tmp_path / "never.yaml")
    parent, child = parent_of(tmp_path / "never.yaml")
    time.sleep(1)
    assert lives(child)
    parent.kill()
    parent.communicate()
    assert eventually(lambda: not lives(child))
