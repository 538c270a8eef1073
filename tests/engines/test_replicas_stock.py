"""How work is shared between engines, as laws: no thread and no process here."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers import make_cell, make_completion

from collapsecli.engines import SampleRequest, Score, ScoreRequest
from collapsecli.engines.stock import Stock

COIN = make_cell()


def request(*indices, cell=COIN):
    return SampleRequest(cell, 1 << 20, tuple(indices))


def stock_of(*sizes, replicas=2):
    """A stock in which requests of so many draws wait, all of one cell."""
    stock, first = Stock(range(replicas)), 0
    for size in sizes:
        stock.add(request(*range(first, first + size)))
        first += size
    return stock


def row(index):
    return make_completion(sample_index=index)


# --------------------------------------------------------------------------------------------------- who gets what


def test_a_request_goes_whole_to_one_replica_where_there_are_enough_for_all():
    stock = stock_of(32, 32)
    assert stock.take(0).indices == tuple(range(32))
    assert stock.take(1).indices == tuple(range(32, 64))
    assert stock.n_waiting == 0


def test_a_request_is_cut_where_it_is_all_there_is_for_several_that_idle():
    stock = stock_of(32, replicas=3)
    assert [len(stock.take(replica).indices) for replica in (0, 1, 2)] == [11, 11, 10]


def test_a_request_is_not_cut_for_replicas_that_are_busy():
    stock = stock_of(32, 32, 32)
    stock.take(0), stock.take(1)
    stock.came_back(0, row(0))
    assert len(stock.take(0).indices) == 32


def test_a_replica_that_would_take_what_another_soon_needs_is_ahead():
    stock = stock_of(32, 32)
    stock.take(0)
    assert stock.is_ahead(0)
    assert not stock.is_ahead(1)
    stock.take(1)
    stock.add(request(*range(100, 132)))
    stock.came_back(1, row(32))  # the faster one
    assert stock.is_ahead(0)
    assert not stock.is_ahead(1)


def test_where_much_waits_none_is_held_up():
    stock = stock_of(*[32] * 20)
    for _ in range(5):
        assert not stock.is_ahead(0)
        stock.take(0)


def test_a_replica_alone_is_never_ahead():
    stock = stock_of(*[32] * 3, replicas=1)
    while stock.n_waiting:
        assert not stock.is_ahead(0)
        stock.take(0)


# -------------------------------------------------------------------------------------------------- what dies, what not


def test_what_a_dead_replica_had_in_flight_waits_in_front_and_what_came_back_does_not():
    stock = stock_of(4, 4)
    stock.take(0)
    stock.came_back(0, row(1))
    stock.lose(0)
    assert stock.take(1).indices == (0, 2, 3)
    assert stock.take(1).indices == (4, 5, 6, 7)


def test_what_was_in_flight_at_two_deaths_is_given_up_and_only_that():
    stock = stock_of(1, 1, replicas=3)
    assert stock.take(0).indices == (0,)
    stock.lose(0)
    assert [stock.take(1).indices, stock.take(1).indices] == [(0,), (1,)]
    stock.lose(1)
    assert stock.n_given_up == 1
    assert stock.take(2).indices == (1,)
    assert not stock.n_waiting


def test_a_draw_that_came_back_after_a_death_has_a_clean_record():
    stock = stock_of(1, replicas=3)
    stock.take(0)
    stock.lose(0)
    stock.take(1)
    stock.came_back(1, row(0))
    stock.add(request(0))  # its row said that it should be tried again
    stock.take(1)
    stock.lose(1)
    assert stock.n_given_up == 0
    assert stock.take(2).indices == (0,)


def test_texts_to_be_scored_are_shared_and_lost_alike():
    stock = Stock(range(2))
    asked = [ScoreRequest(str(at), COIN, (1, 2)) for at in range(3)]
    for one in asked:
        stock.add(one)
    assert [stock.take(0), stock.take(0), stock.take(1)] == asked
    stock.came_back(0, Score("1", (-1.0, -1.0)))
    stock.lose(0)
    assert stock.take(1) is asked[0]
    assert not stock.n_waiting


@given(st.data())
def test_every_draw_is_in_one_place_at_a_time_and_comes_to_one_end(data):
    """Any order of requests, rows and deaths: waiting, in flight, come back and given up add up to what was asked."""
    n = data.draw(st.integers(1, 4), label="replicas")
    stock, in_flight = Stock(range(n)), {replica: set() for replica in range(n)}
    asked, came_back, deaths = 0, Counter(), Counter()
    for _ in range(data.draw(st.integers(1, 60), label="steps")):
        step = data.draw(st.sampled_from(["add", "take", "take", "row", "row", "die"]))
        living = sorted(in_flight)
        if not living:
            break
        replica = data.draw(st.sampled_from(living))
        if step == "add":
            size = data.draw(st.integers(1, 32))
            stock.add(request(*range(asked, asked + size)))
            asked += size
        elif step == "take" and stock.n_waiting:
            least = min(living, key=lambda one: len(in_flight[one]))
            assert not stock.is_ahead(least)  # whoever has least in flight may always go on
            taken = stock.take(replica).indices
            assert taken
            assert not any(set(taken) & one for one in in_flight.values())
            assert not set(taken) & set(came_back)
            in_flight[replica] |= set(taken)
        elif step == "row" and in_flight[replica]:
            index = in_flight[replica].pop()
            stock.came_back(replica, row(index))
            came_back[index] += 1
        elif step == "die":
            deaths.update(in_flight.pop(replica))
            stock.lose(replica)
        assert stock.n_given_up == sum(deaths[index] == 2 for index in deaths)
        assert asked == stock.n_waiting + sum(map(len, in_flight.values())) + len(came_back) + stock.n_given_up
    assert max(deaths.values(), default=0) <= 2
    assert set(came_back.values()) <= {1}


@pytest.mark.parametrize(
    ("slow_s", "fast_s"), [pytest.param(0.1, 0.01, id="ten times"), pytest.param(0.03, 0.02, id="half as fast again")]
)
def test_a_faster_replica_gets_more_and_neither_idles_while_anything_waits(slow_s, fast_s):
    """Played through: each takes a request when it has drawn the last; one idles for a request at most, at the end."""
    stock = stock_of(*[8] * 100)
    cost_s, free_at_s, drawn = {0: slow_s, 1: fast_s}, {0: 0.0, 1: 0.0}, Counter()
    while stock.n_waiting:
        replica = min(free_at_s, key=free_at_s.get)
        assert not stock.is_ahead(replica)
        taken = stock.take(replica).indices
        for index in taken:
            stock.came_back(replica, row(index))
        drawn[replica] += len(taken)
        free_at_s[replica] += len(taken) * cost_s[replica]
    assert drawn[1] / drawn[0] == pytest.approx(slow_s / fast_s, rel=0.1)
    assert abs(free_at_s[0] - free_at_s[1]) <= 8 * slow_s
