"""What another model says of a run's tokens is kept once, apart for each model, and found again."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers import make_cell, make_completion

from collapsecli.records import EngineInfo
from collapsecli.runs import TABLES, Manifest, RunFolder, SuiteSource
from collapsecli.runs.rescored import OwedCompletion, RescoredCompletion, RescoredFolder, rescored, unscored

COIN = make_cell("coin@t1.0", samples=8)
TOAST = make_cell("toast/murderer@t1.0", samples=4, injection="murderer")
SCORER = EngineInfo("vllm", "1", "base", {"revision": "a", "dtype": "float32"}, details={"device": "this one"})
FAILED = {"finish_reason": "error", "text": "", "token_ids": (), "token_logprobs": (), "logprob": None}


@pytest.fixture
def run(tmp_path) -> RunFolder:
    suite = SuiteSource("suite", "suite.yaml", "0" * 64, "schema: 1\n")
    folder = RunFolder.named(tmp_path, "r1")
    folder.path.mkdir()
    folder.write_manifest(Manifest("r1", "2026-11-23T02:00:00+00:00", 7, (suite,), (COIN, TOAST)))
    return folder


def draw(run, *completions):
    with run.shard_writer(run.manifest(), "vllm 1") as writer:
        for completion in completions:
            writer.add(completion)


def keep(run, *rows, info=SCORER, adapter=""):
    folder = RescoredFolder(run, info, adapter)
    folder.begin()
    with folder.writer("r1") as writer:
        for row in rows:
            writer.add(row)
    return folder


def row(cell_id="coin@t1.0", sample_index=0, token_logprobs=(-0.5, -0.25), error=None):
    return RescoredCompletion(cell_id, sample_index, token_logprobs, error)


def owed(run, **limits):
    names = {"coin": COIN.cell_id, "toast": TOAST.cell_id}
    todo = RescoredFolder(run, SCORER, "").owed({names[name]: limit for name, limit in limits.items()})
    return [(one.cell_id.partition("@")[0], one.sample_index) for one in todo]


# ------------------------------------------------------------------------------------------------------ what is kept


def test_the_columns_of_a_rescored_shard_are_a_contract(run):
    columns = [f"{column.name}: {column.type}{'?' if column.nullable else ''}" for column in TABLES["rescored"]]
    assert "\n".join(columns) + "\n" == (Path(__file__).parent / "golden" / "rescored.txt").read_text("utf-8")
    (shard,) = keep(run, row()).path.glob("*.parquet")
    assert pq.read_schema(shard).names == [column.name for column in TABLES["rescored"]]


@given(
    st.lists(st.tuples(st.sampled_from(["coin@t1.0", "toast/murderer@t1.0", "é#m+a@t1.0"]), st.integers(0, 9),
                       st.lists(st.floats(-30, 0, width=32), max_size=5)), max_size=30),
    st.integers(1, 3),
)  # fmt: skip
def test_what_was_scored_comes_back_by_cell_and_index_however_it_was_sharded(tmp_path_factory, scored, shards):
    run = RunFolder(tmp_path_factory.mktemp("run"))
    expected = {}
    for start in range(shards):
        kept = scored[start::shards]
        keep(run, *(row(cell_id, index, tuple(logprobs)) for cell_id, index, logprobs in kept))
        for cell_id, index, logprobs in kept:
            expected.setdefault(cell_id, {})[index] = (math.fsum(logprobs), len(logprobs))
    assert rescored(run, SCORER, "") == expected


def test_an_impossible_token_makes_the_completion_impossible(run):
    keep(run, row(token_logprobs=(-0.5, -math.inf)))
    assert rescored(run, SCORER, "") == {"coin@t1.0": {0: (-math.inf, 2)}}


def test_what_could_not_be_scored_has_no_log_probability_and_says_why(run):
    folder = keep(run, row(token_logprobs=(), error="too long \ud800"), row(sample_index=1))
    assert rescored(run, SCORER, "") == {"coin@t1.0": {1: (-0.75, 2)}}
    assert unscored(run, SCORER, "") == {"too long \ufffd": 1}
    (shard,) = folder.path.glob("*.parquet")
    told = pq.read_table(shard).to_pylist()
    assert [(one["logprob"], one["error"], one["n_tokens"]) for one in told] == [
        (None, "too long \ufffd", 0),
        (-0.75, None, 2),
    ]


def test_nothing_is_known_of_a_model_that_was_never_asked(run):
    assert rescored(run, SCORER, "") == {}
    assert unscored(run, SCORER, "") == {}


@pytest.mark.parametrize(
    ("info", "adapter"),
    [
        pytest.param(replace(SCORER, identity={**SCORER.identity, "revision": "b"}), "", id="another revision"),
        pytest.param(replace(SCORER, model="tuned"), "", id="another model"),
        pytest.param(SCORER, "pirate", id="the same with an adapter"),
        pytest.param(replace(SCORER, name="server"), "", id="another engine"),
    ],
)
def test_scores_of_different_models_never_mix(run, info, adapter):
    keep(run, row())
    assert rescored(run, info, adapter) == {}
    keep(run, row(token_logprobs=(-9.0,)), info=info, adapter=adapter)
    assert rescored(run, info, adapter) == {"coin@t1.0": {0: (-9.0, 1)}}
    assert rescored(run, SCORER, "") == {"coin@t1.0": {0: (-0.75, 2)}}


def test_another_machine_is_no_other_model(run):
    keep(run, row())
    moved = replace(SCORER, version="2", details={"device": "that one"}, notes=("a note",))
    assert rescored(run, moved, "") == rescored(run, SCORER, "") != {}


def test_a_folder_says_what_scored(run):
    folder = keep(run, row(), adapter="pirate")
    said = json.loads((folder.path / "model.json").read_text("utf-8"))
    assert said["adapter"] == "pirate"
    assert EngineInfo(**{name: said[name] for name in ("name", "version", "model", "identity", "details")}) == SCORER
    (shard,) = folder.path.glob("*.parquet")
    assert pq.read_table(shard, columns=["run_id", "model", "adapter"]).to_pylist() == [
        {"run_id": "r1", "model": "base", "adapter": "pirate"}
    ]


# ------------------------------------------------------------------------------------------------------ what is owed


def test_owed_is_what_came_back_with_tokens_and_was_not_scored_each_once(run):
    draw(run, *(make_completion(sample_index=index) for index in range(4)), make_completion(TOAST.cell_id, 2))
    draw(
        run,
        make_completion(sample_index=3),
        make_completion(sample_index=4, error_kind="timeout", logprob_kind=None, **FAILED),
        make_completion(sample_index=5, token_ids=(), token_logprobs=(), logprob=None, logprob_kind=None),
    )
    keep(run, row(sample_index=1), row(sample_index=2, token_logprobs=(), error="longer than the model's context"))
    assert sorted(owed(run, coin=8, toast=4)) == [("coin", 0), ("coin", 3), ("toast/murderer", 2)]


def test_a_completion_that_came_back_at_a_second_try_is_owed(run):
    draw(run, make_completion(error_kind="timeout", logprob_kind=None, **FAILED))
    draw(run, make_completion(attempt=2))
    assert owed(run, coin=8) == [("coin", 0)]


@pytest.mark.parametrize("complete", [False, True])
def test_the_same_is_owed_of_shards_as_of_the_file_that_they_are_put_into(run, complete):
    draw(run, *(make_completion(sample_index=index, text=f" {index}") for index in range(8)))
    if complete:
        run.compact(run.manifest())
        run.write_state("complete")
    assert sorted(owed(run, coin=8)) == [("coin", index) for index in range(8)]


def test_completions_past_a_cells_limit_and_other_cells_are_not_owed(run):
    draw(run, *(make_completion(sample_index=index) for index in range(8)), make_completion(TOAST.cell_id))
    assert sorted(owed(run, coin=3)) == [("coin", 0), ("coin", 1), ("coin", 2)]
    assert owed(run) == []


def test_what_is_owed_carries_its_tokens_and_the_length_of_its_prompt(run):
    draw(
        run,
        make_completion(sample_index=0, text="ab"),
        make_completion(sample_index=1, text="c", n_prompt_tokens=0),
        make_completion(TOAST.cell_id, 0, text="d", n_prompt_tokens=0),
    )
    todo = RescoredFolder(run, SCORER, "").owed({COIN.cell_id: 8, TOAST.cell_id: 4})
    assert sorted(todo) == [
        OwedCompletion(COIN.cell_id, 0, (97, 98)),
        OwedCompletion(COIN.cell_id, 1, (99,)),
        OwedCompletion(TOAST.cell_id, 0, (100,)),
    ]
    assert len(todo) == 3
    assert todo.cell_ids == {COIN.cell_id, TOAST.cell_id}
    assert todo.prompt_tokens == {COIN.cell_id: 5}  # of the other nobody knows


# ------------------------------------------------------------------------------------------------------- durability


def test_later_shards_stand_beside_earlier_ones(run):
    folder = keep(run, row(sample_index=0))
    keep(run, row(sample_index=1))
    assert sorted(path.name for path in folder.path.glob("*.parquet")) == ["000001.parquet", "000002.parquet"]
    assert rescored(run, SCORER, "")["coin@t1.0"].keys() == {0, 1}


def test_a_shard_that_was_cut_short_is_moved_aside_and_its_completions_are_owed_again(run):
    draw(run, *(make_completion(sample_index=index) for index in range(2)))
    keep(run, row(sample_index=0))
    folder = keep(run, row(sample_index=1))
    first, _ = sorted(folder.path.glob("*.parquet"))
    first.write_bytes(first.read_bytes()[:100])
    (folder.path / ".000003.parquet.1.tmp").write_bytes(b"half")
    assert owed(run, coin=8) == [("coin", 0)]
    (moved,) = folder.tidied()
    assert moved.read_bytes()
    assert sorted(path.name for path in folder.path.iterdir()) == sorted([moved.name, "000002.parquet", "model.json"])
    assert owed(run, coin=8) == [("coin", 0)]
    assert folder.tidied() == []


def test_damage_inside_a_shard_is_not_believed(run):
    folder = keep(run, *(row(sample_index=index, token_logprobs=(-index / 7,) * 50) for index in range(100)))
    (shard,) = folder.path.glob("*.parquet")
    group = pq.read_metadata(shard).row_group(0)
    (logprob,) = [group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema == "logprob"]
    damaged = bytearray(shard.read_bytes())
    damaged[logprob.data_page_offset + logprob.total_compressed_size // 2] ^= 0xFF
    shard.write_bytes(damaged)
    assert rescored(run, SCORER, "") == {}
    (moved,) = folder.tidied()
    assert moved.read_bytes() == bytes(damaged)
