"""Nothing sampled is ever lost, and nothing comes twice."""

from __future__ import annotations

import json
import os
import stat
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers import make_cell, make_completion

from collapsecli.errors import IncompleteError, UsageError
from collapsecli.records import EngineInfo, Expect, IntegerAnswer, LabelsAnswer, Message, Rules
from collapsecli.runs import (
    Manifest,
    RunFolder,
    SuiteSource,
    differences,
    find_run,
    fingerprint_fields,
    new_run_id,
    runs_root,
)
from collapsecli.runs import shards as shards_module
from collapsecli.runs.durable import write_text_whole
from collapsecli.runs.rows import samples_table

COIN = make_cell("coin@t1.0", samples=8)
TOAST = make_cell("toast/murderer@t1.0", samples=4, injection="murderer")
ENGINE = EngineInfo("scripted", "1", "scripted:x", {"answers": "1"})


def manifest(*cells, **changes) -> Manifest:
    suite = SuiteSource("suite", "suite.yaml", "0" * 64, "schema: 1\n")
    values = {
        "run_id": "r1",
        "created_at": "2026-11-23T02:00:00+00:00",
        "seed": 7,
        "suites": (suite,),
        "engines": {"x": ENGINE},
    }
    return Manifest(**{**values, "cells": cells or (COIN, TOAST), **changes})


@pytest.fixture
def run(tmp_path) -> RunFolder:
    folder = RunFolder.named(tmp_path, "r1")
    folder.path.mkdir()
    folder.write_manifest(manifest())
    return folder


def save(run, *completions):
    with run.shard_writer(run.manifest(), "scripted 1") as writer:
        for completion in completions:
            writer.add(completion)


def table(run) -> pd.DataFrame:
    return pd.read_parquet(run.samples_path)


# ------------------------------------------------------------------------------------------------------- the manifest


def test_a_manifest_comes_back_as_it_was_written(run):
    cells = (
        make_cell(answer=IntegerAnswer(1, 6), expect=Expect("uniform", weights=(("1", 0.5), ("2", 0.5)))),
        make_cell("chat@t0.7", text=None, messages=(Message("user", "Hé 🎲?"),), temperature=0.7),
        make_cell("labels@t1.0", answer=LabelsAnswer((("kind", "love"),)), stop=(".",)),
    )
    written = manifest(
        *cells, suites=(SuiteSource("a", "a.yaml", "f", "text", {"more.csv": "e"}, Rules(0.6, 0.2, 0.01)),)
    )
    run.write_manifest(written)
    assert run.manifest() == written


def test_a_missing_or_foreign_manifest_is_refused_with_its_path(tmp_path):
    with pytest.raises(UsageError, match="no run at"):
        RunFolder(tmp_path).manifest()
    (tmp_path / "run.json").write_text('{"schema": 99}')
    with pytest.raises(UsageError, match=r"cannot read .*run\.json"):
        RunFolder(tmp_path).manifest()


def test_fingerprint_names_what_changed_and_ignores_what_only_changes_the_judgement():
    before = fingerprint_fields(7, (COIN, TOAST), {"x": ENGINE})
    judged_otherwise = replace(COIN, expect=Expect("none"), answer=IntegerAnswer(1, 2), tags=("new",))
    assert fingerprint_fields(7, (judged_otherwise, TOAST), {"x": ENGINE}) == before
    asked_otherwise = replace(COIN, sampling=replace(COIN.sampling, max_tokens=5))
    now = fingerprint_fields(8, (asked_otherwise,), {"x": replace(ENGINE, identity={"answers": "2"})})
    assert differences(before, now) == [
        "cell coin@t1.0: was max_tokens 128, is max_tokens 5",
        "cell toast/murderer@t1.0 is gone",
        "model's answers: was 1, is 2",
        "seed: was 7, is 8",
    ]


# ------------------------------------------------------------------------------------------------- shards and resume


def test_completions_are_on_disk_a_shard_at_a_time(run):
    with run.shard_writer(run.manifest(), "scripted 1") as writer:
        for index in range(shards_module.SHARD_ROWS + 5):
            writer.add(make_completion(sample_index=index % 8))
    sizes = [pq.read_metadata(path).num_rows for path in sorted(run.parts_path.glob("*.parquet"))]
    assert sizes == [shards_module.SHARD_ROWS, 5]
    assert writer.saved == sum(sizes)


def test_a_shard_that_fills_slowly_is_saved_after_its_time(run, monkeypatch):
    monkeypatch.setattr(shards_module, "SHARD_SECONDS", 0.05)
    saved = threading.Event()
    with run.shard_writer(run.manifest(), "scripted 1") as writer:
        writer.add(make_completion())
        for _ in range(200):
            if writer.saved:
                saved.set()
                break
            threading.Event().wait(0.02)
    assert saved.is_set()


def test_what_a_run_keeps_is_the_union_of_its_shards_without_strays(run):
    save(run, make_completion(sample_index=0), make_completion(sample_index=99))
    save(run, make_completion(sample_index=3))
    assert run.kept((COIN, TOAST)) == {"coin@t1.0": {0: 0, 3: 0}, "toast/murderer@t1.0": {}}


def test_a_failure_that_may_pass_is_owed_again_and_any_other_stays(run):
    failed = {"finish_reason": "error", "text": "", "logprob": None, "logprob_kind": None}
    save(
        run,
        make_completion(sample_index=0, error_kind="timeout", **failed),
        make_completion(sample_index=1, error_kind="refused", **failed),
    )
    assert run.kept((COIN,)) == {"coin@t1.0": {0: 1, 1: 0}}
    save(run, make_completion(sample_index=0, attempt=2))
    assert run.kept((COIN,)) == {"coin@t1.0": {0: 0, 1: 0}}
    run.compact(run.manifest())
    assert table(run)[["sample_index", "error_kind", "attempt"]].fillna("").to_numpy().tolist() == [
        [0, "", 2],
        [1, "refused", 1],
    ]


def test_an_unreadable_shard_is_moved_aside_and_its_completions_are_owed_again(run):
    save(run, make_completion(sample_index=0))
    save(run, make_completion(sample_index=1))
    first, _ = sorted(run.parts_path.glob("*.parquet"))
    first.write_bytes(first.read_bytes()[:100])
    (run.parts_path / ".000009.parquet.1.tmp").write_bytes(b"half")
    (moved,) = run.tidied()
    assert moved.exists()
    assert sorted(path.name for path in run.parts_path.iterdir()) == [moved.name, "000002.parquet"]
    assert run.kept((COIN,))["coin@t1.0"] == {1: 0}


def test_a_new_shard_never_takes_the_name_of_an_old_one(run):
    for index in range(3):
        save(run, make_completion(sample_index=index))
    assert sorted(path.name for path in run.parts_path.iterdir()) == [
        "000001.parquet",
        "000002.parquet",
        "000003.parquet",
    ]


def test_an_error_of_the_disk_reaches_the_one_who_samples_and_leaves_no_half_shard(run, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards_module.pq, "write_table", full)
    with pytest.raises(OSError, match="No space left"), run.shard_writer(run.manifest(), "scripted 1") as writer:
        writer.add(make_completion())
    assert list(run.parts_path.iterdir()) == []


# --------------------------------------------------------------------------------------------------- samples.parquet


@given(st.lists(st.integers(0, 11), min_size=0, max_size=40), st.randoms())
def test_compaction_keeps_each_planned_completion_once_in_the_order_of_the_plan(tmp_path_factory, drawn, random):
    run = RunFolder(tmp_path_factory.mktemp("run"))
    run.write_manifest(manifest())
    planned = [("coin@t1.0", i) for i in range(8)] + [("toast/murderer@t1.0", i) for i in range(4)]
    random.shuffle(drawn)
    for half in (drawn[::2], drawn[1::2]):
        save(run, *(make_completion(planned[i][0], planned[i][1]) for i in half))
    run.compact(run.manifest())
    rows = table(run)[["cell_id", "sample_index"]].itertuples(index=False, name=None)
    assert list(rows) == [planned[i] for i in sorted(set(drawn))]


def test_a_run_whose_shards_were_cleared_away_lives_on_in_its_samples(run):
    save(run, make_completion(sample_index=0), make_completion(sample_index=5))
    run.compact(run.manifest())
    before = run.samples_path.read_bytes()
    for path in run.parts_path.iterdir():
        path.unlink()
    assert run.kept((COIN,)) == {"coin@t1.0": {0: 0, 5: 0}}
    run.compact(run.manifest())
    assert run.samples_path.read_bytes() == before


def test_text_survives_the_disk_but_for_lone_surrogates(run):
    texts = ["né\n\x00\x1b[31m", "日本 🎲", "", "a" * 100_000, "broken \ud800"]
    save(
        run,
        *(
            make_completion(sample_index=i, text=text, token_ids=(1,), token_logprobs=(-0.5,))
            for i, text in enumerate(texts)
        ),
    )
    run.compact(run.manifest())
    assert table(run)["text"].tolist() == [*texts[:-1], "broken \ufffd"]


def test_completions_come_back_by_cell_complete_or_not(run):
    kept = [make_completion(sample_index=i, text=f" {i}") for i in (0, 5)]
    save(run, *kept, make_completion("toast/murderer@t1.0", 2))
    for _ in range(2):
        found = {cell.cell_id: [one.sample_index for one in rows] for cell, rows in run.completions((COIN, TOAST))}
        assert found == {"coin@t1.0": [0, 5], "toast/murderer@t1.0": [2]}
        run.compact(run.manifest())


def test_a_damaged_samples_file_is_not_believed_while_its_shards_are_there(run):
    save(run, *(make_completion(sample_index=i, text=f" {i}") for i in range(8)))
    run.compact(run.manifest())
    group = pq.read_metadata(run.samples_path).row_group(0)
    (text,) = [group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema == "text"]
    damaged = bytearray(run.samples_path.read_bytes())
    damaged[text.data_page_offset + text.total_compressed_size // 2] ^= 0xFF
    run.samples_path.write_bytes(damaged)
    ((_, rows),) = run.completions((COIN,))
    assert [one.text for one in rows] == [f" {i}" for i in range(8)]


@pytest.mark.parametrize("gone", ["given", "reasoning"])
def test_a_run_from_before_a_column_was_there_is_read_with_nulls_in_it(run, gone):
    save(run, make_completion(sample_index=0, text=" old"))
    for path in run.parts_path.iterdir():
        pq.write_table(pq.read_table(path).drop_columns([gone]), path)
    for _ in range(2):
        ((_, rows),) = run.completions((COIN,))
        assert [(one.text, getattr(one, gone)) for one in rows] == [(" old", None)]
        assert run.compact(run.manifest()) == 1
    assert table(run).columns.tolist() == pq.read_schema(run.samples_path).names


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_before_we_go_on(tmp_path, monkeypatch):
    """Else a power cut could leave an empty file under a name that promises a whole one."""
    done = []
    replace_file, fsync = Path.replace, os.fsync
    monkeypatch.setattr(Path, "replace", lambda path, to: (done.append("rename"), replace_file(path, to))[1])

    def synced(descriptor):
        done.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        fsync(descriptor)

    monkeypatch.setattr("collapsecli.runs.durable.os.fsync", synced)
    write_text_whole(tmp_path / "x", "whole")
    assert done == ["sync file", "rename", "sync folder"]
    assert (tmp_path / "x").read_text() == "whole"


def test_files_carry_the_schema_version_the_run_and_the_fingerprint(run):
    run.write_manifest(manifest(fingerprint="abc"))
    save(run, make_completion())
    run.compact(run.manifest())
    metadata = pq.read_schema(run.samples_path).metadata
    assert {key: metadata[key] for key in (b"schema_version", b"run_id", b"fingerprint")} == {
        b"schema_version": b"1",
        b"run_id": b"r1",
        b"fingerprint": b"abc",
    }


GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["samples", "cells", "modes", "contrasts", "scores"])
def test_the_columns_of_a_file_are_a_contract(name):
    from collapsecli.runs import TABLES

    columns = [f"{column.name}: {column.type}{'?' if column.nullable else ''}" for column in TABLES[name]]
    assert "\n".join(columns) + "\n" == (GOLDEN / f"{name}.txt").read_text("utf-8")


def test_every_shard_has_all_columns_even_when_all_its_rows_failed():
    failed = make_completion(text="", token_ids=(), token_logprobs=(), logprob=None, logprob_kind=None,
                             finish_reason="error", error_kind="timeout", error="slow")  # fmt: skip
    rows = samples_table([failed], {COIN.cell_id: COIN}, "r1", "x", {})
    assert rows.schema == samples_table([make_completion()], {COIN.cell_id: COIN}, "r1", "x", {}).schema


# ------------------------------------------------------------------------------------------------- locks, names, state


def test_a_run_that_is_being_written_is_refused_with_its_holder(run):
    with (
        run.locked(),
        pytest.raises(IncompleteError, match=r"written by process \d+ on "),
        RunFolder(run.path).locked(),
    ):
        pass
    with RunFolder(run.path).locked():
        pass


def test_state_keeps_its_counts(run):
    run.write_state("running", attempts=1)
    run.write_state("complete", saved=12)
    state = run.state()
    assert (state["state"], state["attempts"], state["saved"]) == ("complete", 1, 12)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a b", "x" * 200, "-q"])
def test_a_run_id_that_is_no_plain_name_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="no run id"):
        RunFolder.named(tmp_path, name)


def test_runs_are_found_by_path_by_the_beginning_of_the_id_and_as_latest(tmp_path):
    for run_id, created_at in (("20260102-b", "2026-01-02"), ("20260101-z", "2026-01-01"), ("other", "2026-01-03")):
        folder = RunFolder.named(tmp_path, run_id)
        folder.path.mkdir()
        folder.write_manifest(manifest(run_id=run_id, created_at=created_at))
    assert find_run(str(tmp_path / "other"), tmp_path).path.name == "other"
    assert find_run("20260102", tmp_path).path.name == "20260102-b"
    assert find_run("latest", tmp_path).path.name == "other"
    with pytest.raises(UsageError, match="could be any of"):
        find_run("2026", tmp_path)
    with pytest.raises(UsageError, match="no run 'nothing'"):
        find_run("nothing", tmp_path)


def test_run_ids_sort_by_time_and_are_plain_names():
    moments = [datetime(2026, month, 1, tzinfo=UTC) for month in range(1, 13)]
    ids = [new_run_id(moment) for moment in moments]
    assert ids == sorted(ids)
    assert all(RunFolder.named(Path(), run_id) for run_id in ids)
    assert len({new_run_id(moments[0]) for _ in range(3)}) > 1


def test_runs_live_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.delenv("COLLAPSE_RUNS", raising=False)
    assert runs_root() == Path("runs")
    monkeypatch.setenv("COLLAPSE_RUNS", str(tmp_path))
    assert runs_root() == tmp_path
    assert runs_root(Path("here")) == Path("here")


def test_manifest_is_json_that_others_can_read(run):
    document = json.loads((run.path / "run.json").read_text("utf-8"))
    assert document["cells"][0]["cell_id"] == "coin@t1.0"
    assert document["seed"] == 7
