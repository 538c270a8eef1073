"""Which step comes first: numbers where all names have them in one way, else time, else what is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trend_makers import make_side

from collapsecli.errors import UsageError
from collapsecli.trends import Place, ordered
from collapsecli.trends.order import read_numbers

SIZE = "number of parameters"


def models(*names, created_at=None):
    """Places of one run each, begun in the order given unless times are said."""
    times = created_at or [f"2026-01-{day:02d}T00:00:00+00:00" for day in range(1, len(names) + 1)]
    return [Place(make_side(f"run-{k}", name), time) for k, (name, time) in enumerate(zip(names, times, strict=True))]


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        pytest.param("out/checkpoint-500", {"checkpoint": 500}, id="a trainer's checkpoint"),
        pytest.param("step_1000", {"step": 1000}, id="an underscore"),
        pytest.param("verl/global_step200/actor", {"step": 200}, id="a global step, inside a path"),
        pytest.param("completions_00010", {"completions": 10}, id="rollouts, zeros in front"),
        pytest.param("trl-step000010", {"step": 10}, id="the run of an import"),
        pytest.param("EleutherAI/pythia-410m@step143000", {"step": 143000, SIZE: 410e6}, id="size and revision"),
        pytest.param(
            "TinyLlama-1.1B-intermediate-step-50k-105b", {"step": 50e3, SIZE: 1.1e9}, id="a step in thousands"
        ),
        pytest.param("Qwen/Qwen2.5-0.5B-Instruct", {SIZE: 0.5e9}, id="a version is no size"),
        pytest.param("meta-llama/Llama-2-70b-hf", {SIZE: 70e9}, id="a size in small letters"),
        pytest.param("mistralai/Mixtral-8x7B-v0.1", {SIZE: 56e9}, id="experts times their size"),
        pytest.param("phi-3-mini-4k-instruct-4bit", {}, id="a context and a quantisation are no sizes"),
        pytest.param("/data/7b-store/model-13b", {SIZE: 13e9}, id="the last part of a path"),
        pytest.param("step-1/checkpoint-2/step-3", {"step": 3, "checkpoint": 2}, id="the last of a word"),
        pytest.param("stage1-step1000-tokens3B", {"step": 1000}, id="tokens are no size"),
        pytest.param("20261123T020000Z-7q3f", {}, id="a run id made from the time"),
        pytest.param("footstep-9x", {}, id="a word inside another, a number inside another"),
        pytest.param("epoch-1.5", {"epoch": 1.5}, id="half an epoch"),
    ],
)
def test_a_number_is_read_from_a_name_as_people_write_it(name, numbers):
    assert read_numbers(name) == pytest.approx(numbers)


def test_checkpoints_are_ordered_by_number_and_called_by_it():
    order = ordered(models("o/checkpoint-1000", "o/checkpoint-90", "o/checkpoint-500"))
    assert [step.name for step in order.steps] == ["checkpoint 90", "checkpoint 500", "checkpoint 1000"]
    assert [step.at for step in order.steps] == [90, 500, 1000]
    assert order.places == (1, 2, 0)
    assert order.words == "order: by the checkpoint in the names of the models"


def test_sizes_are_ordered_by_parameters_and_called_as_written():
    order = ordered(models("q-7B", "q-410m", "q-0.5B"))
    assert [step.name for step in order.steps] == ["410m", "0.5B", "7B"]


def test_adapters_stand_before_models_and_models_before_run_ids():
    sides = [make_side("step-1", "m-7b", "step-20"), make_side("step-2", "m-1b", "step-10")]
    places = [Place(side, "2026") for side in sides]
    assert [step.at for step in ordered(places).steps] == [10, 20]


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("m-step-10", "m"), id="one name has none"),
        pytest.param(("m-step-10", "m-checkpoint-5"), id="two ways to count"),
        pytest.param(("m-step-10@a", "m-step-10@b"), id="the same number twice"),
        pytest.param(("70m@step1", "70m@step2", "410m@step1"), id="a grid of two numbers"),
    ],
)
def test_where_no_one_number_tells_all_apart_time_decides_and_the_note_says_so(names):
    places = models(*names, created_at=[f"2026-01-0{9 - k}" for k in range(len(names))])
    order = ordered(places)
    assert order.places == tuple(reversed(range(len(names))))
    assert all(step.at is None for step in order.steps)
    assert order.words.startswith("order: by the time at which the runs were begun, for no one kind")


def test_models_of_one_run_keep_their_order():
    places = [Place(make_side("r", name), "2026") for name in ("b", "a", "c")]
    assert [step.name for step in ordered(places).steps] == ["b", "a", "c"]


def test_time_and_name_can_be_asked_for():
    places = models("m-step-30", "m-step-10", "x-step-10")
    assert ordered(places, "time").places == (0, 1, 2)
    assert ordered(places, "name").places == (1, 2, 0)
    assert [step.name for step in ordered(places, "name").steps] == ["m-step-10", "x-step-10", "m-step-30"]
    with pytest.raises(UsageError, match="no one kind of number"):
        ordered(models("a", "b"), "name")


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param("run-2,run-0,run-1", id="ids of runs"),
        pytest.param("checkpoint-9,checkpoint-30,checkpoint-500", id="ends of models"),
        pytest.param("checkpoint 9, 30 ,500", id="numbers, spaces around"),
        pytest.param("runs/run-2,run-0,o/checkpoint-500", id="a path and a model"),
    ],
)
def test_steps_can_be_named_in_their_order(asked):
    places = models("o/checkpoint-30", "o/checkpoint-500", "o/checkpoint-9")
    assert ordered(places, asked).places == (2, 0, 1)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        pytest.param("run-0", "leaves out run-1", id="one is missing"),
        pytest.param("run-0,run-1,run-0", "says run-0 again", id="one twice"),
        pytest.param("run-0,nobody", "no step is called 'nobody'", id="one that is not there"),
        pytest.param("run,run-1", "could be any of run-0, run-1", id="one that could be two"),
    ],
)
def test_an_order_that_does_not_say_every_step_once_is_refused(asked, said):
    with pytest.raises(UsageError, match=said):
        ordered(models("a", "b"), asked)


def test_a_single_step_is_refused_with_a_way_on():
    with pytest.raises(UsageError, match="a trend needs two runs or more") as refused:
        ordered(models("a"))
    assert "a folder that holds them" in refused.value.hint


@given(st.lists(st.tuples(st.sampled_from(["a", "m-step-1", "m-step-2", "7b"]), st.sampled_from("xyz")), min_size=2))
def test_every_place_becomes_one_step_whose_name_no_other_has(sampled):
    places = [Place(make_side(run_id, model), "2026") for model, run_id in sampled]
    order = ordered(places)
    assert sorted(order.places) == list(range(len(places)))
    assert len({step.name for step in order.steps}) == len(places)
    assert [step.side for step in order.steps] == [places[k].side for k in order.places]


@given(st.permutations([1, 5, 30, 200, 143_000]))
def test_the_order_by_number_does_not_depend_on_the_order_of_the_command_line(numbers):
    assert [step.at for step in ordered(models(*(f"m@step{n}" for n in numbers))).steps] == sorted(numbers)
