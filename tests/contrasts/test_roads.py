"""Roads: known answers, what covers what, what their sum may claim, and a model whose probabilities are known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers import make_cell, make_completion

from collapsecli.contrasts.drawn import Drawn
from collapsecli.contrasts.roads import roads
from collapsecli.engines import SampleRequest, ScoreRequest
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.judge import judge_cell
from collapsecli.metrics.shares import share
from collapsecli.records import UNDEFINED, Estimate, Rules, Scored

CELL = "real@t1.0"


def road(text, *logprobs, tokens=None, **changes):
    """A road whose tokens are its characters, unless they are given."""
    ids = tuple(map(ord, text)) if tokens is None else tokens
    logprobs = logprobs or (-1.0,) * len(ids)
    return Scored(CELL, None, text, ids, **{"token_logprobs": logprobs, "kind": "road", **changes})


def drawn(scored, texts=(" No.",) * 4, cell=None, lost=0, **changes):
    cell = cell or make_cell(CELL, samples=len(texts) + lost)
    completions = [
        replace(one, sample_index=place) if not isinstance(one, str) else make_completion(CELL, place, one, **changes)
        for place, one in enumerate(texts)
    ]
    return Drawn.of(judge_cell(cell, completions, Rules()), completions, 0.05, scored)


def of(rows, metric):
    return [(row.estimate.value, row.n, row.label) for row in rows if row.metric == metric]


def exactly(value):
    return Estimate(value, value, value)


# ------------------------------------------------------------------------------------------------------ known answers


def test_a_road_has_its_probability_and_its_nats_per_token():
    rows = list(roads(drawn([road(" Yes", -2.0, -4.0, tokens=(1, 2))])))
    assert [(row.metric, row.estimate, row.n, row.label) for row in rows] == [
        ("road_logprob", exactly(-6.0), 2, " Yes"),
        ("road_nats_per_token", exactly(3.0), 2, " Yes"),
        ("roads_logprob", exactly(-6.0), 1, ""),
        ("roads_mass", exactly(math.exp(-6)), 1, ""),
        ("roads_drawn", share(0, 4, 0.05), 4, ""),
    ]
    assert {(row.kind, row.suite, row.subject, row.cell_id) for row in rows} == {("roads", "suite", CELL, CELL)}


def test_roads_that_part_add_up():
    rows = list(roads(drawn([road("Yes", math.log(0.2), tokens=(1,)), road("Well", math.log(0.3), tokens=(2,))])))
    assert of(rows, "roads_mass") == [(pytest.approx(0.5), 2, "")]
    assert of(rows, "roads_logprob") == [(pytest.approx(math.log(0.5)), 2, "")]
    assert not of(rows, "road_covered")


def test_a_mass_that_is_too_small_for_a_number_is_still_known_as_a_logarithm():
    rows = list(roads(drawn([road("Yes", -5000.0, tokens=(1,)), road("Well", -5000.0, tokens=(2,))])))
    assert of(rows, "roads_logprob") == [(pytest.approx(-5000 + math.log(2)), 2, "")]
    assert of(rows, "roads_mass") == [(0, 2, "")]


def test_what_is_impossible_adds_nothing():
    rows = list(roads(drawn([road("Yes", -math.inf, tokens=(1,)), road("Well", -1.0, tokens=(2,))])))
    assert of(rows, "road_logprob") == [(-math.inf, 1, "Yes"), (-1, 1, "Well")]
    assert of(rows, "roads_logprob") == [(-1, 2, "")]
    nothing = list(roads(drawn([road("Yes", -math.inf, tokens=(1,))])))
    assert of(nothing, "roads_mass") == [(0, 1, "")]


def test_all_that_is_certain_is_no_more_than_certain():
    """Noise of the scores may make the sum a little more than one."""
    rows = list(roads(drawn([road("Yes", math.log(0.6), tokens=(1,)), road("No", math.log(0.4001), tokens=(2,))])))
    assert of(rows, "roads_mass") == [(1, 2, "")]


@pytest.mark.parametrize(
    ("scored", "label"),
    [
        pytest.param(road("Yes", error="too long"), "Yes: not scored, too long", id="an error of the engine"),
        pytest.param(road("Yes", tokens=()), "Yes: not scored, its tokens are not known", id="no tokens"),
        pytest.param(
            road("Yes", -1.0, tokens=(1, 2)), "Yes: not scored, its tokens are not known", id="a token without a score"
        ),
        pytest.param(
            road("Yes", math.nan, tokens=(1,)), "Yes: not scored, a log-probability is not a number", id="no number"
        ),
    ],
)
def test_a_road_that_was_not_scored_says_why(scored, label):
    rows = list(roads(drawn([scored, road("Well", -1.0, tokens=(2,))])))
    assert [(row.estimate, row.n) for row in rows if row.label == label] == [(UNDEFINED, 0)]
    assert of(rows, "roads_logprob") == [(-1, 1, "")]


def test_of_roads_none_of_which_was_scored_there_is_no_sum():
    rows = list(roads(drawn([road("Yes", error="too long")])))
    assert [row.metric for row in rows] == ["road_logprob", "roads_drawn"]


def test_declared_answers_are_no_roads():
    assert not list(roads(drawn([Scored(CELL, "yes", "Yes", (1,), (-1.0,))])))


# ------------------------------------------------------------------------------------------------------------- covered


@pytest.mark.parametrize(
    ("given_roads", "covered", "mass"),
    [
        pytest.param(
            [road("Yes", math.log(0.2), tokens=(1,)), road("Yes, they", math.log(0.2), math.log(0.5), tokens=(1, 2))],
            ["Yes, they begins with Yes"], 0.2, id="one that goes on from another",
        ),
        pytest.param(
            [road("Yes, they", math.log(0.2), math.log(0.5), tokens=(1, 2)), road("Yes", math.log(0.2), tokens=(1,))],
            ["Yes, they begins with Yes"], 0.2, id="in whatever order",
        ),
        pytest.param(
            [road("Yes", math.log(0.2), tokens=(1,))] * 2, ["Yes begins with Yes"], 0.2, id="the same one twice",
        ),
        pytest.param(
            [road(text, *[math.log(0.5)] * len(text)) for text in ("abc", "a", "ab")],
            ["abc begins with a", "ab begins with a"], 0.5, id="the shortest is named",
        ),
        pytest.param(
            [road("Yes", math.log(0.2), tokens=(1,)), road("Yes,", math.log(0.3), tokens=(7,))],
            ["Yes, begins with Yes"], 0.5, id="another spelling of the same beginning is mass that it has besides",
        ),
        pytest.param(
            [road("Yes", math.log(0.2), tokens=(1,)), road("Yet", math.log(0.3), tokens=(2,))], [], 0.5,
            id="letters in common are not enough",
        ),
    ],
)  # fmt: skip
def test_what_begins_with_another_road_is_counted_once(given_roads, covered, mass):
    rows = list(roads(drawn(given_roads)))
    assert [row.label for row in rows if row.metric == "road_covered"] == covered
    assert all(row.estimate == UNDEFINED for row in rows if row.metric == "road_covered")
    assert of(rows, "roads_mass")[0][0] == pytest.approx(mass)


CHOICES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4).map(tuple), min_size=1, max_size=8)


@given(CHOICES)
def test_the_sum_is_the_probability_that_a_text_begins_with_any_of_them(paths):
    """Tokens are three fair choices: of all texts of four tokens those are counted that begin with a road."""
    rows = list(roads(drawn([road("abc"[tokens[0]] + str(tokens), *[-math.log(3)] * len(tokens), tokens=tokens)
                             for tokens in paths])))  # fmt: skip
    texts = [tuple(map(int, np.base_repr(place, 3).zfill(4))) for place in range(81)]
    begin = sum(any(text[: len(path)] == path for path in paths) for text in texts)
    assert of(rows, "roads_mass")[0][0] == pytest.approx(begin / 81)
    assert of(rows, "roads_logprob")[0][0] >= max(row.estimate.value for row in rows if row.metric == "road_logprob")


@given(CHOICES, st.randoms(use_true_random=False))
def test_the_order_of_the_roads_changes_no_number(paths, random):
    scored = [road(str(tokens), *[-math.log(3)] * len(tokens), tokens=tokens) for tokens in paths]
    shuffled = random.sample(scored, len(scored))
    rows, others = (sorted(of(roads(drawn(some)), "road_logprob")) for some in (scored, shuffled))
    assert rows == others
    assert of(roads(drawn(scored)), "roads_logprob") == of(roads(drawn(shuffled)), "roads_logprob")


# --------------------------------------------------------------------------------------------------------------- drawn


def test_completions_that_begin_with_any_road_went_there():
    scored = [road(" Yes"), road(" Of course", error="too long")]
    rows = list(roads(drawn(scored, [" Yes.", " Yes, they are.", " Of course.", " No.", "Yes", " yes"], lost=2)))
    row = rows[-1]
    assert (row.metric, row.estimate, row.n, row.label) == ("roads_drawn", share(3, 6, 0.05, 2), 6, "")


@pytest.mark.parametrize(
    ("text", "finish_reason", "expected"),
    [
        pytest.param(" Yes, th", "length", share(1, 2, 0.05, 1), id="cut off by the limit on its way"),
        pytest.param(" Yes, th", "stop", share(1, 3, 0.05), id="ended on its way"),
        pytest.param(" Yes, the", "length", share(1, 3, 0.05), id="cut off elsewhere"),
        pytest.param(" Yes", "stop", share(1, 2, 0.05, 1), id="cut off by a stop string that the road holds"),
        pytest.param(" No", "stop", share(1, 3, 0.05), id="cut off by a stop string elsewhere"),
        pytest.param(" Yes, this, and", "length", share(2, 3, 0.05), id="there, and cut off later"),
    ],
)
def test_what_was_cut_off_on_a_road_might_have_gone_either_way(text, finish_reason, expected):
    cell = make_cell(CELL, samples=3, stop=(",",))
    texts = [" Yes, this", " No.", make_completion(CELL, 0, text, finish_reason=finish_reason)]
    row = list(roads(drawn([road(" Yes, this")], texts, cell)))[-1]
    assert row.estimate == expected


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"temperature": 0.7}, id="another temperature"),
        pytest.param({"top_p": 0.9}, id="top_p"),
        pytest.param({"top_k": 5}, id="top_k"),
        pytest.param({"min_p": 0.1}, id="min_p"),
    ],
)
def test_draws_of_another_distribution_are_not_held_against_the_scores(changes):
    rows = list(roads(drawn([road(" Yes")], cell=make_cell(CELL, samples=4, **changes))))
    assert "roads_drawn" not in {row.metric for row in rows}
    assert "roads_mass" in {row.metric for row in rows}


def test_what_is_said_after_a_thought_is_not_held_against_the_scores():
    rows = list(roads(drawn([road(" Yes")], [" No.", make_completion(CELL, 0, " Yes", reasoning="Hmm.")])))
    assert "roads_drawn" not in {row.metric for row in rows}


def test_without_any_completion_there_is_no_share():
    assert "roads_drawn" not in {row.metric for row in roads(drawn([road(" Yes")], [], lost=4))}


def test_a_scripted_model_gives_its_roads_what_its_script_says():
    answers = {" No, they are not.": 0.9, " Yes, they are.": 0.07, " Yes, of course.": 0.02, " Well.": 0.01}
    engine, cell = ScriptedEngine(Script("real", {"real": answers})), make_cell(CELL, samples=64)
    completions = list(engine.sample([SampleRequest(cell, 5 << 20, tuple(range(64)))]))
    scored = []
    for text in (" Yes,", " Yes, they", " Well."):
        tokens = engine.tokens(cell, text)
        score = next(engine.score([ScoreRequest(text, cell, tokens)]))
        scored.append(road(text, *score.token_logprobs, tokens=tokens))
    rows = list(roads(Drawn.of(judge_cell(cell, completions, Rules()), completions, 0.05, scored)))
    logprobs = {label: value for value, _, label in of(rows, "road_logprob")}
    assert {label: math.exp(value) for label, value in logprobs.items()} == pytest.approx(
        {" Yes,": 0.09, " Yes, they": 0.07, " Well.": 0.01}
    )
    assert of(rows, "roads_mass")[0][0] == pytest.approx(0.1)
    assert rows[-1].estimate.low < 0.1 < rows[-1].estimate.high
