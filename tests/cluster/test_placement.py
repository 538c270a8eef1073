"""What workers ask of a cluster, and what is refused because Ray would wait for it for ever."""

from __future__ import annotations

import pytest

from collapsecli.cluster.placement import Share, share_of
from collapsecli.errors import UsageError

EIGHT_GPUS = {"CPU": 96.0, "GPU": 8.0}
SMALL = {"CPU": 2.0}
HEAD = {"memory": 1e9}  # a head node that gives no cores away


@pytest.mark.parametrize(
    ("nodes", "workers", "tensor_parallel", "on_gpus", "share"),
    [
        pytest.param([EIGHT_GPUS], 8, 1, True, Share(0.0, 1), id="one worker for every GPU"),
        pytest.param([HEAD, EIGHT_GPUS, EIGHT_GPUS], 4, 4, True, Share(0.0, 4), id="two workers of four GPUs per node"),
        pytest.param([SMALL], 2, 1, True, Share(0.5, 0), id="vLLM on processors: half of the cores stay free"),
        pytest.param([EIGHT_GPUS], 96, 1, False, Share(0.5, 0), id="scripted workers leave GPUs alone"),
    ],
)
def test_workers_that_fit_ask_for_their_share(nodes, workers, tensor_parallel, on_gpus, share):
    assert share_of(nodes, workers, tensor_parallel, on_gpus=on_gpus) == share
    assert share.cpus * workers < sum(node.get("CPU", 0) for node in nodes)


@pytest.mark.parametrize(
    ("nodes", "workers", "tensor_parallel", "said", "hint"),
    [
        pytest.param([EIGHT_GPUS], 9, 1, "9 workers with a GPU each do not fit", "--replicas 8", id="too few GPUs"),
        pytest.param(
            [{"GPU": 3.0}, {"GPU": 3.0}], 3, 2, "3 workers with 2 GPUs of one node each", "--replicas 2",
            id="a worker is never divided between nodes",
        ),
        pytest.param([SMALL], 3, 1, "its nodes have 2 cores", "--replicas 2", id="too many for cores"),
        pytest.param([SMALL], 1, 2, "the cluster has none", "--tp", id="tensor parallelism without GPUs"),
        pytest.param([HEAD], 1, 1, "its nodes have nothing", "add nodes", id="a head alone that gives nothing away"),
    ],
)  # fmt: skip
def test_workers_that_can_never_all_be_placed_are_refused_with_what_would_fit(
    nodes, workers, tensor_parallel, said, hint
):
    with pytest.raises(UsageError) as refused:
        share_of(nodes, workers, tensor_parallel, on_gpus=True)
    assert said in refused.value.message
    assert hint in refused.value.hint
