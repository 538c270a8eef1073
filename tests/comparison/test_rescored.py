"""Divergences of two runs from kept completions and what both models give to them: what counts, and what does not."""

import math
from dataclasses import replace

import numpy as np
import pytest
from makers import make_cell, make_completion

from collapsecli.compared import Divergence
from collapsecli.comparison.rescored import (
    Rescored,
    RescoredCell,
    RescoredDraws,
    divergence_of,
    most_extinguished,
    overall,
    why_not,
)
from collapsecli.engines import SampleRequest, ScoreRequest
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.records import UNDEFINED

NAMES = ("total_variation", "jensen_shannon", "kl", "kl_per_token", "extinguished")


def scored(logprobs, n_tokens=4):
    return [Rescored(index, logprob, n_tokens) for index, logprob in enumerate(logprobs)]


def draws(by_base, by_run, lost=0, **changes):
    """Completions with these log-probabilities; as sampled, what their own side says unless told."""
    texts = changes.pop("texts", [f" Text {index}." for index in range(len(by_base))])
    completions = [make_completion(sample_index=index, text=text, **changes) for index, text in enumerate(texts)]
    return RescoredDraws(completions, scored(by_base), scored(by_run), lost)


def cell_of(base, run, question="coin@t1.0", prompt="coin"):
    return RescoredCell(question, prompt, base, run)


def shifted(d, lost=0, **changes):
    """A cell whose draws of both sides have these d."""
    return cell_of(
        draws([-1.0] * len(d), [-1.0 - one for one in d], lost),
        draws([-1.0 + one for one in d], [-1.0] * len(d), lost),
        **changes,
    )


# ------------------------------------------------------------------------------------------------------------ one cell


def test_the_sides_and_the_sign_are_those_of_the_base_against_the_run():
    base, run = draws([-1.0, -2.0], [-11.0, -2.0]), draws([-3.0, -3.0], [-3.0, -3.0])
    found = divergence_of(cell_of(base, run), 0.05)
    assert (found.n_base, found.n_run) == (2, 2)
    assert found.extinguished.value == 0.5
    assert found.kl.value == pytest.approx((10 - 1 + math.exp(-10)) / 2)
    assert found.kl_per_token.value == pytest.approx(found.kl.value / 4)


def test_models_that_give_the_same_to_every_draw_do_not_differ():
    found = divergence_of(shifted([0.0] * 32), 0.05)
    assert [getattr(found, name).value for name in NAMES] == [0.0] * 5


@pytest.mark.parametrize(
    ("base", "n_base"),
    [
        pytest.param(draws([-1.0] * 3, [-1.0] * 3), 3, id="all known"),
        pytest.param(draws([-1.0] * 3, [-1.0] * 2), 2, id="one not scored by the run's model"),
        pytest.param(draws([-1.0] * 2, [-1.0] * 3), 2, id="none without a completion is counted"),
        pytest.param(draws([-1.0, -1.0, -math.inf], [-1.0] * 3), 2, id="its own model calls one impossible"),
        pytest.param(draws([-1.0, -1.0, math.nan], [-1.0] * 3), 2, id="its own score is no number"),
        pytest.param(draws([-1.0] * 3, [-1.0, -1.0, math.nan]), 2, id="the other's score is no number"),
        pytest.param(draws([-1.0] * 3, [-1.0, -1.0, -math.inf]), 3, id="the other calls it impossible: a finding"),
        pytest.param(replace(draws([-1.0] * 3, [-1.0] * 3), by_run=scored([-1.0] * 3, 5)), 0, id="of other tokens"),
        pytest.param(draws([-1.0] * 3, [-1.0] * 3, error_kind="timeout"), 0, id="failed"),
    ],
)
def test_draws_that_both_models_scored_are_counted(base, n_base):
    assert divergence_of(cell_of(base, draws([-1.0], [-1.0])), 0.05).n_base == n_base


def test_a_draw_that_was_not_scored_counts_like_one_that_never_came_back():
    base = draws([-1.0] * 20, [-2.0] * 20)
    unscored = replace(draws([-1.0] * 22, [-2.0] * 22, lost=1), by_run=scored([-2.0] * 20))
    run = draws([-1.0] * 20, [-2.0] * 20)
    assert divergence_of(cell_of(unscored, run), 0.05) == replace(
        divergence_of(cell_of(replace(base, lost=3), run), 0.05), floor=divergence_of(cell_of(base, run), 0.05).floor
    )


def test_the_floor_is_of_the_same_model_as_sampled_and_as_scored():
    base = draws([-1.0, -1.0], [-9.0, -9.0], texts=["a", "b"])  # as sampled -1: one token each
    run = draws([-9.0, -9.0], [-1.0 - math.log(3)] * 2, texts=["a", "b"])
    assert divergence_of(cell_of(base, run), 0.05).floor == pytest.approx(0.5 / 2)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"logprob_kind": None, "logprob": None}, id="none were kept"),
        pytest.param({"logprob_kind": None, "logprob": -1.0}, id="nobody knows of what they are"),
        pytest.param({"logprob": math.nan}, id="no numbers"),
    ],
)
def test_without_sampled_log_probabilities_there_is_no_floor(changes):
    base, run = (draws([-1.0, -1.0], [-9.0, -9.0], **changes) for _ in range(2))
    assert divergence_of(cell_of(base, run), 0.05).floor is None


def test_of_one_side_alone_the_floor_is_that_of_this_side():
    base = draws([-1.0, -1.0], [-9.0, -9.0], logprob_kind=None, logprob=None)
    run = draws([-9.0, -9.0], [-1.0 - math.log(3)] * 2, texts=["a", "b"])
    assert divergence_of(cell_of(base, run), 0.05).floor == pytest.approx(0.5)


def test_scripts_with_known_distributions_lie_as_far_apart_as_they_do():
    """Drawn and scored by the scripted engine, both scripts as two prompts of one."""
    laws = {"base": {" Yes I do.": 0.6, " No.": 0.3, " Maybe I do.": 0.1}, "run": {" Yes I do.": 0.9, " No.": 0.1}}
    laws["run"][" Maybe I do."] = 1e-5
    engine = ScriptedEngine(Script("two", laws))
    sides = {name: make_cell(f"{name}@t1.0", samples=2000) for name in laws}
    rescored = {}
    for place, (name, cell) in enumerate(sides.items()):
        completions = list(engine.sample([SampleRequest(cell, 10_000 * (place + 1), tuple(range(2000)))]))
        by = {}
        for model, asked in sides.items():
            found = engine.score([ScoreRequest(str(one.sample_index), asked, one.token_ids) for one in completions])
            by[model] = [
                Rescored(int(one.score_id), math.fsum(one.token_logprobs), len(one.token_logprobs)) for one in found
            ]
        rescored[name] = RescoredDraws(completions, by["base"], by["run"])
    found = divergence_of(cell_of(rescored["base"], rescored["run"]), 0.001)
    p, q = (np.array(list(law.values())) / sum(law.values()) for law in laws.values())
    total_variation, kl = float(np.abs(p - q).sum()) / 2, float(p @ np.log(p / q))
    assert found.total_variation.low < total_variation < found.total_variation.high < 0.36
    assert found.kl.low < kl < found.kl.high
    assert found.extinguished.low < 0.1 < found.extinguished.high
    assert found.floor == pytest.approx(0.0, abs=1e-12)
    assert {one.text for one in most_extinguished([cell_of(rescored["base"], rescored["run"])])} == {" Maybe I do."}


# ------------------------------------------------------------------------------------------------------- which cells


@pytest.mark.parametrize(
    ("base", "run", "reason"),
    [
        pytest.param({}, {}, "", id="the untouched model on both sides"),
        pytest.param({"temperature": 0.7}, {}, "the base sampled at temperature 0.7, not at 1", id="cooler"),
        pytest.param({}, {"top_p": 0.9}, "the run sampled with top_p", id="top_p"),
        pytest.param({}, {"top_k": 20}, "the run sampled with top_p, top_k", id="top_k"),
        pytest.param({"min_p": 0.1}, {}, "the base sampled with top_p, top_k or min_p", id="min_p"),
        pytest.param({"max_tokens": 16}, {"max_tokens": 32}, "different max_tokens", id="cut elsewhere"),
        pytest.param({"stop": ("\n",)}, {}, "max_tokens or stop", id="stopped elsewhere"),
        pytest.param({"samples": 16}, {"samples": 512}, "", id="the number of draws is no matter"),
    ],
)
def test_only_draws_of_the_untouched_models_say_how_far_these_lie_apart(base, run, reason):
    found = why_not(make_cell(**base), make_cell(**run))
    assert reason in found
    assert bool(found) == bool(reason)


# -------------------------------------------------------------------------------------------------------- extinguished


def test_the_most_extinguished_come_first_and_each_text_of_a_cell_once():
    texts = [" One.", " Two.", " One.", " Three.", " Four."]
    base = draws([-1.0] * 5, [-11.0, -31.0, -12.0, -2.0, -math.inf], texts=texts)
    other = draws([-1.0], [-21.0], texts=[" One."])
    cells = [cell_of(base, draws([], [])), cell_of(other, draws([], []), question="toast@t1.0")]
    found = most_extinguished(cells)
    assert [(one.question, one.sample_index, one.text, one.nats) for one in found] == [
        ("coin@t1.0", 4, " Four.", math.inf),
        ("coin@t1.0", 1, " Two.", 30.0),
        ("toast@t1.0", 0, " One.", 20.0),
        ("coin@t1.0", 2, " One.", 11.0),
    ]
    assert {one.n_tokens for one in found} == {4}
    assert most_extinguished(cells, most=2) == found[:2]


def test_a_hundredth_of_the_probability_is_not_yet_extinguished():
    base = draws([0.0, 0.0], [-math.log(100), -math.log(100) - 1e-9])
    found = most_extinguished([cell_of(base, draws([], []))])
    assert [one.sample_index for one in found] == [1]


def test_what_the_run_says_more_often_is_not_extinguished():
    assert most_extinguished([cell_of(draws([-30.0], [-1.0]), draws([-30.0], [-1.0]))]) == []


# --------------------------------------------------------------------------------------------------------- all prompts


def over(cells):
    return overall([(cell, divergence_of(cell, 0.05)) for cell in cells], 0.05, np.random.default_rng(1))


def test_a_prompt_counts_once_however_many_cells_it_has():
    many = [shifted([2.0] * 8, prompt="toast", question=f"toast[{place}]@t1.0") for place in range(3)]
    found = over([*many, shifted([0.0] * 8)])
    assert found.total_variation.value == pytest.approx(math.tanh(1) / 2)
    assert (found.n_base, found.n_run) == (32, 32)


def test_the_interval_is_over_prompts():
    cells = [shifted([size] * 8, prompt=f"p{place}") for place, size in enumerate(np.linspace(0.5, 2, 12))]
    found = over(cells)
    for name in NAMES[:4]:
        estimate = getattr(found, name)
        each = [getattr(divergence_of(cell, 0.05), name).value for cell in cells]
        assert estimate.value == pytest.approx(np.mean(each))
        assert min(each) < estimate.low < estimate.value < estimate.high < max(each)


def test_one_infinite_kl_leaves_none_in_all():
    found = over([shifted([1.0] * 4), cell_of(draws([-1.0], [-math.inf]), draws([-1.0], [-1.0]), prompt="other")])
    assert (found.kl, found.kl_per_token) == (UNDEFINED, UNDEFINED)
    assert found.total_variation.value == pytest.approx((math.tanh(0.5) + 0.5) / 2)


def test_a_cell_without_draws_of_both_sides_is_left_out():
    empty = cell_of(draws([-1.0] * 4, [-1.0] * 4), draws([], []), prompt="other")
    assert over([shifted([1.0] * 4), empty]) == over([shifted([1.0] * 4)])


def test_of_no_cells_nothing_is_known():
    assert over([]) == Divergence(0, 0)


def test_the_floor_is_the_mean_over_the_cells_that_have_one():
    cell = shifted([1.0] * 4)
    generator = np.random.default_rng(1)
    floors = (0.2, 0.4, None)
    found = overall([(cell, replace(divergence_of(cell, 0.05), floor=one)) for one in floors], 0.05, generator)
    assert found.floor == pytest.approx(0.3)


def test_what_is_said_of_all_prompts_stays_within_the_bounds():
    for sizes in (np.linspace(0, 0.2, 8) ** 2, np.linspace(10, 12, 8)):
        found = over([shifted([size] * 8, 1, prompt=f"p{place}") for place, size in enumerate(sizes)])
        for name, bound in (("total_variation", 1.0), ("jensen_shannon", math.log(2)), ("kl", math.inf)):
            estimate = getattr(found, name)
            assert 0 <= estimate.low <= estimate.value <= (estimate.high or bound) <= bound


def test_what_was_lost_counts_against_both_ends():
    sizes = np.linspace(0.5, 2, 12)
    whole, lossy = (
        over([shifted([size] * 8, lost, prompt=f"p{place}") for place, size in enumerate(sizes)]) for lost in (0, 2)
    )
    for name in NAMES[:2]:
        one, other = getattr(whole, name), getattr(lossy, name)
        assert (other.value, other.low < one.low, other.high > one.high) == (one.value, True, True)
    assert lossy.kl.high is None
    assert lossy.kl.low < whole.kl.low
