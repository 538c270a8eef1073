"""Rows on their way to disk: how many a kill could take, and what a slow or broken disk does to who hands them over."""

from __future__ import annotations

import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collapsecli.runs.shards import ShardWriter

SHARD_ROWS = 8


def table_of(rows, seconds=0.0):
    time.sleep(seconds)
    return pa.table({"row": list(rows)})


def rows_in(folder):
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path)["row"].to_pylist()]


@pytest.mark.parametrize("n", [0, 1, SHARD_ROWS - 1, SHARD_ROWS, SHARD_ROWS + 1, 5 * SHARD_ROWS + 3])
def test_every_row_is_saved_once_and_in_order(tmp_path, n):
    with ShardWriter(tmp_path / "parts", table_of, SHARD_ROWS) as writer:
        for row in range(n):
            writer.add(row)
    assert rows_in(tmp_path / "parts") == list(range(n))
    assert writer.saved == n


def test_on_a_slow_disk_a_kill_never_takes_more_than_two_shards(tmp_path):
    with ShardWriter(tmp_path / "parts", lambda rows: table_of(rows, 0.02), SHARD_ROWS) as writer:
        for row in range(10 * SHARD_ROWS):
            writer.add(row)
            assert row + 1 - writer.saved <= 2 * SHARD_ROWS


def test_who_waits_for_a_disk_that_breaks_hears_of_it(tmp_path):
    written = threading.Event()

    def breaking(_rows):
        written.wait(10)
        raise OSError(28, "No space left on device")

    def hand_over(writer):
        for row in range(100 * SHARD_ROWS):
            if row == 2 * SHARD_ROWS - 1:
                written.set()
            writer.add(row)

    with (
        pytest.raises(OSError, match="No space left"),
        ShardWriter(tmp_path / "parts", breaking, SHARD_ROWS) as writer,
    ):
        hand_over(writer)
    assert rows_in(tmp_path / "parts") == []
