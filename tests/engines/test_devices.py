"""Which devices each engine gets, as tables: there is no GPU where these run."""

from __future__ import annotations

import os
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.engines import EngineOptions
from collapsecli.engines.devices import Share, core_shares, gpu_shares, gpus_in, shares, visible_gpus
from collapsecli.errors import UsageError

TWO_GPUS = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-aaaa)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-22222222-bbbb)
"""
ONE_DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-11111111-aaaa)
  MIG 3g.20gb     Device  0: (UUID: MIG-33333333-cccc)
  MIG 3g.20gb     Device  1: (UUID: MIG-44444444-dddd)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-22222222-bbbb)
"""


@pytest.mark.parametrize(
    ("listing", "gpus"),
    [
        pytest.param(TWO_GPUS, ("0", "1"), id="whole GPUs by their numbers"),
        pytest.param(
            ONE_DIVIDED, ("MIG-33333333-cccc", "MIG-44444444-dddd", "1"), id="the instances of a divided one by UUID"
        ),
        pytest.param("No devices found.\n", (), id="none"),
        pytest.param("", (), id="nothing said"),
    ],
)
def test_gpus_are_counted_in_the_words_of_nvidia_smi(listing, gpus):
    assert gpus_in(listing) == gpus


@pytest.mark.parametrize(
    ("visible", "gpus"),
    [
        pytest.param(None, ("0", "1", "2"), id="all, where nothing is said"),
        pytest.param("2,0", ("2", "0"), id="those that are named, in that order"),
        pytest.param(" 1 , 2 ", ("1", "2"), id="spaces are none of a name"),
        pytest.param("GPU-1111,MIG-3333", ("GPU-1111", "MIG-3333"), id="UUIDs as they are"),
        pytest.param("", (), id="none, said so"),
        pytest.param("-1", (), id="none, by a number that no GPU has"),
        pytest.param("0,-1,2", ("0",), id="those before a number that no GPU has, as CUDA does"),
        pytest.param("NoDevFiles", (), id="none given by Slurm"),
    ],
)
def test_what_may_be_seen_is_what_the_variable_says_else_all(visible, gpus):
    assert visible_gpus(visible, lambda: ("0", "1", "2")) == gpus


def seen_by(share: Share) -> str:
    return share.environment["CUDA_VISIBLE_DEVICES"]


@pytest.mark.parametrize(
    ("gpus", "replicas", "per_replica", "given"),
    [
        pytest.param("01", 2, 1, ["0", "1"], id="one each"),
        pytest.param("01234567", 2, 4, ["0,1,2,3", "4,5,6,7"], id="four each, neighbours together"),
        pytest.param("0123", 1, 2, ["0,1"], id="one replica leaves the rest alone"),
        pytest.param("75", 2, 1, ["7", "5"], id="in the order in which they were named"),
    ],
)
def test_gpus_are_dealt_in_their_order(gpus, replicas, per_replica, given):
    found = gpu_shares(tuple(gpus), replicas, per_replica)
    assert [seen_by(share) for share in found] == given
    assert [share.label for share in found] == [f"GPU {names}" for names in given]


@pytest.mark.parametrize(
    ("replicas", "per_replica", "said", "hint"),
    [
        pytest.param(5, 1, "5 replicas need 5 GPUs, and 4 can be seen: 0, 1, 2, 3", "--replicas 4", id="replicas"),
        pytest.param(3, 2, "3 replicas of 2 GPUs need 6, and 4 can be seen: 0, 1, 2, 3", "--replicas 2", id="both"),
        pytest.param(1, 8, "an engine of 8 GPUs needs 8, and 4 can be seen: 0, 1, 2, 3", "--tp 4", id="one engine"),
    ],
)
def test_too_few_gpus_are_refused_with_what_there_is_and_what_to_ask_for(replicas, per_replica, said, hint):
    with pytest.raises(UsageError) as raised:
        gpu_shares(("0", "1", "2", "3"), replicas, per_replica)
    assert raised.value.message == said
    assert hint in raised.value.hint


@pytest.mark.parametrize(
    ("replicas", "per_replica", "said"),
    [
        pytest.param(3, 1, "3 replicas need 3 cores, and 2 may be used", id="replicas"),
        pytest.param(2, 2, "2 replicas of 2 cores need 4, and 2 may be used", id="both"),
        pytest.param(1, 4, "an engine of 4 cores needs 4, and 2 may be used", id="one engine"),
    ],
)
def test_too_few_cores_are_refused(replicas, per_replica, said):
    with pytest.raises(UsageError) as raised:
        core_shares((0, 1), replicas, per_replica)
    assert raised.value.message == said
    assert raised.value.hint == "ask for 2 at most, --replicas times --tp"


@given(st.integers(1, 64), st.integers(1, 8), st.integers(1, 8))
def test_cores_are_divided_wholly_evenly_and_without_overlap(n, replicas, per_replica):
    cores = tuple(range(100, 100 + n))
    if replicas * per_replica > n:
        with pytest.raises(UsageError):
            core_shares(cores, replicas, per_replica)
        return
    given_to = [share.cores for share in core_shares(cores, replicas, per_replica)]
    assert frozenset().union(*given_to) == frozenset(cores)
    assert all(not one & other for one, other in combinations(given_to, 2))
    sizes = [len(one) for one in given_to]
    assert max(sizes) - min(sizes) <= per_replica


def test_workers_of_one_engine_are_told_their_cores_and_engines_share_the_memory():
    one, other = core_shares((0, 4, 1, 5, 2, 6, 3, 7), 2, 2)
    assert one.environment == {"VLLM_CPU_OMP_THREADS_BIND": "0,4|1,5"}
    assert other.environment == {"VLLM_CPU_OMP_THREADS_BIND": "2,6|3,7"}
    assert one.arguments == other.arguments == {"gpu_memory_utilization": 0.075}
    (alone, _) = core_shares((0, 1), 2, 1)
    assert alone.environment == {}  # one worker is held by the cores of its process
    assert (alone.label, one.label) == ("core 0", "cores 0,4,1,5")


def test_what_the_user_says_stands_above_a_share():
    share = Share("GPU 0", arguments={"gpu_memory_utilization": 0.1})
    fitted = share.fitted(EngineOptions("m", {"gpu_memory_utilization": 0.8}, replicas=4, tensor_parallel=2))
    assert fitted == EngineOptions("m", {"gpu_memory_utilization": 0.8}, replicas=1, tensor_parallel=2)
    assert share.fitted(EngineOptions("m", replicas=4)).arguments == {"gpu_memory_utilization": 0.1}


def test_a_server_has_devices_of_its_own():
    with pytest.raises(UsageError, match="a server has its own"):
        shares("server", EngineOptions("m", replicas=2))


def test_a_scripted_engine_needs_no_device():
    assert shares("scripted", EngineOptions("m", replicas=50)) == [Share("none")] * 50


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores are not given to processes on this system")
def test_only_cores_that_this_process_may_use_are_given_away(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (share,) = shares("vllm", EngineOptions("m"))
    assert share.cores == os.sched_getaffinity(0)
