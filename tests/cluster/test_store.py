"""A folder and its copy in an object store: whole, in order, and never one worker's rows over another's."""

from __future__ import annotations

import pytest

fsspec = pytest.importorskip("fsspec")

from collapsecli.cluster.store import Mirror, checked_store  # noqa: E402 - where there is no fsspec there is no store
from collapsecli.errors import IncompleteError, UsageError  # noqa: E402


@pytest.fixture(params=["file", "memory"])
def url(request, tmp_path):
    """An empty place in a store of either kind."""
    if request.param == "file":
        yield f"file://{tmp_path}/store/runs/a"
    else:
        yield "memory://runs/a"
        fsspec.filesystem("memory").store.clear()


def _contents(folder):
    """What is in a folder, by file; names of shards without what the store adds."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return sorted((path.name.split("-")[0].removesuffix(".parquet"), path.read_text()) for path in paths)


def _fill(folder, **shards):
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    for name, rows in shards.items():
        (folder / "parts" / f"{name.removeprefix('s')}.parquet").write_text(rows)


def test_what_was_pushed_is_pulled_elsewhere(url, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    _fill(here, s000001="rows", s000002="more")
    (here / "run.json").write_text("{}")
    (here / "state.json").write_text("complete")
    Mirror(here, url).push()
    Mirror(there, url).pull()
    assert _contents(there) == _contents(here)


def test_an_empty_store_gives_an_empty_folder(url, tmp_path):
    Mirror(tmp_path / "there", url).pull()
    assert _contents(tmp_path / "there") == []


def test_two_workers_that_hold_the_same_slice_never_overwrite_each_others_rows(url, tmp_path):
    for name in ("one", "other"):
        _fill(tmp_path / name, s000001=f"rows of {name}")
        Mirror(tmp_path / name, url).push()
    Mirror(tmp_path / "there", url).pull()
    assert [rows for _, rows in _contents(tmp_path / "there")] == ["rows of one", "rows of other"]


def test_what_changed_is_pushed_again_and_what_did_not_is_left_alone(url, tmp_path):
    here = tmp_path / "here"
    _fill(here, s000001="rows")
    (here / "state.json").write_text("running")
    mirror = Mirror(here, url)
    mirror.push()
    files, root = fsspec.core.url_to_fs(url)
    (shard,) = files.ls(f"{root}/parts", detail=False)
    files.pipe_file(shard, b"marked")
    (here / "state.json").write_text("complete")
    mirror.push()
    assert files.cat_file(shard) == b"marked"
    assert files.cat_file(f"{root}/state.json") == b"complete"


def test_a_folder_does_not_pull_what_it_pushed_itself(url, tmp_path):
    here = tmp_path / "here"
    _fill(here, s000001="rows")
    mirror = Mirror(here, url)
    mirror.push()
    mirror.pull()
    assert _contents(here) == [("000001", "rows")]


def test_locks_half_written_files_and_the_compacted_table_stay_behind(url, tmp_path):
    here = tmp_path / "here"
    _fill(here, s000001="rows")
    for name in (".lock", ".run.json.7.tmp", "samples.parquet", "branches.jsonl"):
        (here / name).write_text("x")
    Mirror(here, url).push()
    Mirror(tmp_path / "there", url).pull()
    assert _contents(tmp_path / "there") == [("000001", "rows"), ("branches.jsonl", "x")]


def test_a_state_is_never_pushed_before_the_shards_that_it_speaks_of(url, tmp_path):
    """A shard that is closed while others are on their way must not be promised by a state that came with it."""
    here = tmp_path / "here"
    _fill(here, s000001="rows")
    (here / "state.json").write_text("running")
    mirror = Mirror(here, url)
    put, late = mirror._put, iter(["000002"])

    def slowly(name, path):
        put(name, path)
        for number in late:  # what the writer does meanwhile
            _fill(here, **{f"s{number}": "late"})
            (here / "state.json").write_text("complete")

    mirror._put = slowly
    mirror.push()
    files, root = fsspec.core.url_to_fs(url)
    assert files.cat_file(f"{root}/state.json") == b"running"
    assert len(files.ls(f"{root}/parts", detail=False)) == 1
    mirror.push()
    assert files.cat_file(f"{root}/state.json") == b"complete"
    assert len(files.ls(f"{root}/parts", detail=False)) == 2


def test_what_is_written_in_the_block_is_in_the_store_at_its_end(url, tmp_path):
    here = tmp_path / "here"
    with Mirror(here, url).kept_up():
        _fill(here, s000001="rows")
    Mirror(tmp_path / "there", url).pull()
    assert _contents(tmp_path / "there") == [("000001", "rows")]


def test_a_store_that_takes_nothing_leaves_the_run_incomplete(tmp_path):
    (tmp_path / "store").write_text("a file where a folder should be")
    here = tmp_path / "here"
    with (
        pytest.raises(IncompleteError, match="cannot write to the store"),
        Mirror(here, f"file://{tmp_path}/store/a").kept_up(),
    ):
        _fill(here, s000001="rows")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param("s3://key:hush@bucket/runs", "a secret must not be on a command line", id="credentials"),
        pytest.param("bucket/runs", "is no URL", id="no protocol"),
        pytest.param("nosuch://bucket/runs", "nosuch", id="a kind of store that nobody knows"),
    ],
)
def test_a_store_that_cannot_be_used_is_refused_without_its_secret(url, said):
    with pytest.raises(UsageError) as refused:
        checked_store(url)
    assert said in refused.value.message
    assert "hush" not in f"{refused.value.message} {refused.value.hint}"
