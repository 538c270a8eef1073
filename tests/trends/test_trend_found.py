"""Which runs a command line names: paths, ids and folders, each once, and of a folder those of one suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from makers import make_cell

from collapsecli.errors import UsageError
from collapsecli.runs import Manifest, RunFolder, SuiteSource
from collapsecli.trends import runs_of, said_incomplete

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path):
    """Three runs of one suite and one of another."""
    for day, (run_id, suite) in enumerate(
        [("a-1", "rng"), ("a-2", "rng"), ("b-1", "rng"), ("other", "poems")], start=1
    ):
        begin(tmp_path, run_id, suite, day)
    return tmp_path


def begin(root: Path, run_id: str, suite: str, day: int) -> RunFolder:
    run = RunFolder.named(root, run_id)
    run.prepare()
    source = SuiteSource(suite, f"{suite}.yaml", "0", "")
    run.write_manifest(Manifest(run_id, f"2026-01-{day:02d}T00:00:00+00:00", 1, (source,), (make_cell(suite=suite),)))
    return run


def names(found):
    return [run.path.name for run in found[0]]


def test_one_run_that_cannot_be_read_does_not_spoil_a_folder(root):
    (root / "broken").mkdir()
    (root / "broken" / "run.json").write_text("{")
    runs, notes = runs_of([str(root)], root)
    assert [run.path.name for run in runs] == ["a-1", "a-2", "b-1"]
    assert any(note.startswith("broken is left out: cannot read") for note in notes)


def test_a_folder_stands_for_the_runs_in_it_of_the_suite_that_most_ask(root):
    found = runs_of([str(root)], root)
    assert names(found) == ["a-1", "a-2", "b-1"]
    assert found[1] == ["runs that do not ask rng are left out: other (poems)"]


def test_runs_that_are_named_say_which_suite_is_meant(root):
    assert names(runs_of([str(root / "other"), str(root)], root)) == ["other"]
    assert names(runs_of(["other", "a-1"], root)) == ["other", "a-1"]


def test_of_equally_many_the_newest_suite_is_meant(root):
    begin(root, "other-2", "poems", 5)
    begin(root, "other-3", "poems", 6)
    assert names(runs_of([str(root)], root)) == ["other", "other-2", "other-3"]


def test_ids_their_beginnings_and_paths_are_runs_and_each_counts_once(root):
    found = runs_of(["b", str(root / "a-1"), "a-1", "latest"], root)
    assert names(found) == ["b-1", "a-1", "other"]
    assert found[1] == []


def test_a_folder_without_runs_and_an_id_that_could_be_two_are_refused(root, tmp_path_factory):
    with pytest.raises(UsageError, match="no run"):
        runs_of([str(tmp_path_factory.mktemp("empty"))], root)
    with pytest.raises(UsageError, match="could be any of a-1, a-2"):
        runs_of(["a"], root)


def test_a_run_that_is_not_whole_is_said_with_what_is_there(root):
    run = RunFolder(root / "a-1")
    assert said_incomplete(run) == "a-1 is incomplete"
    run.write_state("incomplete", planned=64, saved=20)
    assert said_incomplete(run) == "a-1 is incomplete: 20 of 64 completions are there"
    run.write_state("complete")
    assert said_incomplete(run) == ""
