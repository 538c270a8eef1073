"""What lies on disk is what was put there."""

from __future__ import annotations

import gc
import tracemalloc
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers import make_cell, make_completion

from collapsecli.judge import judge
from collapsecli.judge.resting import RestingResults
from collapsecli.records import Rules
from collapsecli.spilled import MOST_RECENT, Spill, SpilledMapping, SpilledSequence

texts = st.text(max_size=20)


def plain(in_memory_bytes=64):
    return Spill(list, tuple, in_memory_bytes)


@given(st.lists(st.lists(texts, max_size=5), max_size=8), st.randoms(use_true_random=False))
def test_sequences_come_back_in_any_order_as_they_were_put(values, random):
    spill = plain()
    spilled = [SpilledSequence(spill, value) for value in values]
    order = list(range(len(values)))
    random.shuffle(order)
    for at in order:
        assert spilled[at] == tuple(values[at])
        assert (len(spilled[at]), bool(spilled[at]), list(spilled[at])) == (
            len(values[at]),
            bool(values[at]),
            values[at],
        )
        assert spilled[at][:2] == tuple(values[at][:2])


@given(st.lists(st.dictionaries(texts, st.floats(allow_nan=False)), max_size=6))
def test_mappings_are_equal_to_those_they_came_from(values):
    spill = Spill(dict, dict, 64)
    spilled = [SpilledMapping(spill, value) for value in values]
    for mapping, value in zip(spilled, values, strict=True):
        assert mapping == value
        assert (len(mapping), list(mapping), mapping.get("missing")) == (len(value), list(value), value.get("missing"))


def test_a_store_can_grow_after_it_was_read():
    spill = plain()
    first = spill.put(["one"])
    assert spill.get(first) == ("one",)
    second = spill.put(["two"])
    assert (spill.get(first), spill.get(second), len(spill)) == (("one",), ("two",), 2)


def test_a_store_holds_a_few_values_however_many_were_looked_at():
    spill = plain()
    numbers = [spill.put(["x" * 10_000]) for _ in range(20 * MOST_RECENT)]
    tracemalloc.start()
    try:
        for number in numbers:
            spill.get(number)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * MOST_RECENT * 10_000


def test_the_file_of_a_store_is_closed_with_it():
    spill = plain()
    spill.put(["x" * 1000])  # past what is held in memory: a file of the system
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del spill
        gc.collect()


@pytest.mark.parametrize("texts", [(" 1", " 2", " 2", " nine"), (), ("same",) * 40], ids=["modes", "nothing", "one"])
def test_a_result_that_rests_is_equal_to_itself(texts):
    completions = [make_completion(sample_index=at, text=text) for at, text in enumerate(texts)]
    (result,) = judge([(make_cell(samples=max(len(texts), 1)), completions)], lambda _: Rules())
    again = RestingResults().lay_down(result)
    assert again == result
    assert dict(again.metrics) == dict(result.metrics)
    assert list(again.metrics) == list(result.metrics)
    assert tuple(again.modes) == tuple(result.modes)
    assert again.mode_mass == result.mode_mass
