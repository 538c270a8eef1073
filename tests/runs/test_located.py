"""Whatever order completions came back in, each is kept once, and the right one of several is."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import make_cell, make_completion

from collapsecli.runs import TRANSIENT, Manifest, RunFolder, SuiteSource
from collapsecli.runs import located as located_module
from collapsecli.runs.located import IDENTITY, locate
from collapsecli.runs.rows import samples_table
from collapsecli.runs.shards import BrokenFileError, read_row_groups, write_row_groups, write_rows
from collapsecli.runs.tables import SAMPLES, arrow_schema

PLAN = (make_cell("b@t1.0", samples=5), make_cell("a@t1.0", samples=3), make_cell("never@t1.0", samples=2))
STRANGER = make_cell("stranger@t1.0", samples=4)
CELLS = {cell.cell_id: cell for cell in (*PLAN, STRANGER)}
MANIFEST = Manifest("r1", "2026-11-23T02:00:00+00:00", 7, (SuiteSource("suite", "s.yaml", "0", "schema: 1\n"),), PLAN)


class Row(NamedTuple):
    """One completion as it came back: of a cell, or of none that is planned; with how it failed, if it did."""

    cell_id: str
    index: int
    error_kind: str | None
    attempt: int


class Shard(NamedTuple):
    rows: list[Row]
    broken: bool
    rows_of_a_group: int


rows = st.builds(
    Row,
    st.sampled_from(["a@t1.0", "b@t1.0", "b@t1.0", "stranger@t1.0"]),
    st.integers(0, 6),
    st.sampled_from([None, None, "timeout", "refused"]),
    st.integers(1, 3),
)
shards = st.lists(st.builds(Shard, st.lists(rows, max_size=12), st.booleans(), st.integers(1, 5)), max_size=6)


def write(folder, written):
    """Shards with a text for each row that says where it stood."""
    for number, shard in enumerate(written, start=1):
        path = folder.parts_path / f"{number:06d}.parquet"
        completions = [
            make_completion(
                row.cell_id,
                row.index,
                f" {number}.{at}",
                error_kind=row.error_kind,
                error=row.error_kind,
                attempt=row.attempt,
            )
            for at, row in enumerate(shard.rows)
        ]
        table = samples_table(completions, CELLS, "r1", "scripted 1", {})
        write_rows(table, path, row_group_size=shard.rows_of_a_group)
        if shard.broken:
            path.write_bytes(path.read_bytes()[:-9])


def in_order(written):
    """The rows of whole files as they stand, each with its text."""
    for number, shard in enumerate(written, start=1):
        if not shard.broken:
            yield from ((row, f" {number}.{at}") for at, row in enumerate(shard.rows))


def best_of_each(written):
    """The definition: a completion beats a failure, then the latest attempt, then the earliest row."""
    found = []
    for cell in PLAN:
        for index in range(cell.sampling.samples):
            candidates = [one for one in in_order(written) if (one[0].cell_id, one[0].index) == (cell.cell_id, index)]
            if candidates:
                row, text = max(candidates, key=lambda one: (one[0].error_kind is None, one[0].attempt))
                found.append((row.cell_id, row.index, text, row.error_kind, row.attempt))
    return found


def owed_of_each(written):
    """{cell_id: {index: failed attempts}}: nothing where any row of it stays."""
    owed = {cell.cell_id: {} for cell in PLAN}
    for cell in PLAN:
        for row, _ in in_order(written):
            if row.cell_id == cell.cell_id and row.index < cell.sampling.samples:
                failed = row.attempt if row.error_kind in TRANSIENT else 0
                known = owed[cell.cell_id].get(row.index, failed)
                owed[cell.cell_id][row.index] = max(known, failed) if known and failed else 0
    return owed


@pytest.fixture(scope="module")
def small_steps():
    """A few rows at a time, so that a handful of them crosses every border."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(located_module, "_CACHED_ROWS", 3)
        patch.setattr("collapsecli.runs.folder._ROW_GROUP_ROWS", 3)
        patch.setattr("collapsecli.runs.folder._ROWS_AT_ONCE", 4)
        yield


@settings(max_examples=60)
@given(shards)
@pytest.mark.usefixtures("small_steps")
def test_any_interleaving_of_shards_is_compacted_to_the_best_row_of_each_planned_draw(written):
    with tempfile.TemporaryDirectory() as root:
        run = RunFolder(Path(root))
        run.parts_path.mkdir()
        write(run, written)
        expected = best_of_each(written)
        assert run.kept(PLAN) == owed_of_each(written)
        judged = [(cell.cell_id, [row.text for row in found]) for cell, found in run.completions(PLAN)]
        assert judged == [(cell.cell_id, [one[2] for one in expected if one[0] == cell.cell_id]) for cell in PLAN]
        assert run.compact(MANIFEST) == len(expected)
        table = pq.read_table(run.samples_path)
        columns = ("cell_id", "sample_index", "text", "error_kind", "attempt")
        assert list(zip(*(table[name].to_pylist() for name in columns), strict=True)) == expected
        groups = pq.read_metadata(run.samples_path)
        assert all(groups.row_group(at).num_rows <= 3 for at in range(groups.num_row_groups))
        run.compact(MANIFEST)  # again, from the shards and from itself
        assert pq.read_table(run.samples_path).equals(table)


@given(st.lists(st.integers(0, 9), unique=True), st.integers(1, 7))
def test_the_number_of_draws_that_are_there_is_that_of_the_definition(indices, until):
    cell = make_cell("a@t1.0", samples=10)
    with tempfile.TemporaryDirectory() as root:
        completions = [make_completion("a@t1.0", index) for index in indices]
        table = samples_table(completions, {"a@t1.0": cell}, "r1", "scripted 1", {})
        write_rows(table, Path(root) / "1.parquet")
        kept = locate([Path(root) / "1.parquet"], [cell], IDENTITY).kept()
    assert kept.saved("a@t1.0", until) == sum(index < until for index in indices)


def test_a_file_of_several_row_groups_whose_last_one_is_damaged_counts_for_nothing(tmp_path):
    cell = make_cell("a@t1.0", samples=400)
    whole, damaged = tmp_path / "1.parquet", tmp_path / "2.parquet"
    for path, first in ((whole, 0), (damaged, 100)):
        completions = [make_completion("a@t1.0", first + index, f" {first + index} {'x' * 50}") for index in range(100)]
        groups = [samples_table(part, {"a@t1.0": cell}, "r", "s", {}) for part in (completions[:50], completions[50:])]
        write_row_groups(groups, arrow_schema(SAMPLES), path)
    start = pq.read_metadata(damaged).row_group(1).column(0).dictionary_page_offset
    content = bytearray(damaged.read_bytes())
    content[start + 40] ^= 0xFF
    damaged.write_bytes(content)
    columns = [column.name for column in SAMPLES]
    with pytest.raises(BrokenFileError):
        list(read_row_groups(damaged, columns))
    found = locate([damaged, whole], [cell], columns)
    assert found.files == [whole]
    assert list(found.kept()["a@t1.0"]) == list(range(100))


def test_completions_are_read_a_few_at_a_time_and_a_large_cell_by_itself(tmp_path):
    cells = [make_cell("large@t1.0", samples=50), *(make_cell(f"small-{at}@t1.0", samples=4) for at in range(9))]
    completions = [make_completion(cell.cell_id, at, f" {at}") for cell in cells for at in range(cell.sampling.samples)]
    order = np.random.default_rng(0).permutation(len(completions))
    known = {cell.cell_id: cell for cell in cells}
    for number, part in enumerate(np.array_split(order, 6)):
        table = samples_table([completions[at] for at in part], known, "r", "s", {})
        write_rows(table, tmp_path / f"{number}.parquet")
    located = locate(sorted(tmp_path.glob("*.parquet")), cells, [*IDENTITY, "text"])
    found = [(cell.cell_id, table["text"].to_pylist()) for cell, table in located.by_cell(most_rows=10)]
    assert found == [(cell.cell_id, [f" {at}" for at in range(cell.sampling.samples)]) for cell in cells]
