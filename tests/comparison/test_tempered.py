"""Is a change a change of temperature: by known probabilities, and by sweeps of distributions that are known."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import make_cell, make_completion

from collapsecli.comparison.tempered import (
    A_CHANGE,
    EVEN,
    NO_CHANGE,
    NOT_A_CHANGE,
    PARTLY,
    TOO_FEW,
    tempered,
)
from collapsecli.contrasts.drawn import Drawn
from collapsecli.declared import declared_answers
from collapsecli.engines import SampleRequest, ScoreRequest
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.judge import judge_cell
from collapsecli.records import UNDEFINED, ChoiceAnswer, Estimate, Expect, IntegerAnswer, Rules, Scored

RULES = Rules()
TEN = {
    "answer": IntegerAnswer(1, 10),
    "expect": Expect("uniform", weights=tuple((str(one), 0.1) for one in range(1, 11))),
    "equivalence": "exact",
}


def of(base, run):
    return tempered(base, run, np.random.default_rng(0))


# --------------------------------------------------------------------------------------------- known probabilities


def scored_cell(probabilities, *, at=1.0, ids=None, **changes):
    """A cell of one temperature with some draws and the probabilities of its answers, each of one token and an end."""
    cell = make_cell(f"number@t{at}", temperature=at, samples=16, **{**TEN, **changes})
    completions = [make_completion(cell.cell_id, place, f" {place % 3 + 1}.") for place in range(16)]
    scored = [
        Scored(
            cell.cell_id,
            answer,
            f" {answer}.",
            (ids or {}).get(answer, (place, 0)),
            (math.log(p) if p else -math.inf, *[0.0] * (len((ids or {}).get(answer, "ab")) - 1)),
        )
        for place, (answer, p) in enumerate(probabilities.items(), 1)
    ]
    return Drawn.of(judge_cell(cell, completions, RULES), completions, RULES.alpha, scored)


def numbered(weights):
    return {str(place): weight / math.fsum(weights) for place, weight in enumerate(weights, 1)}


def sharpened(probabilities, temperature):
    powers = {answer: p**temperature for answer, p in probabilities.items()}
    total = math.fsum(powers.values())
    return {answer: power / total for answer, power in powers.items()}


WEIGHTS = st.lists(st.floats(0.01, 1), min_size=3, max_size=10).filter(lambda one: max(one) > 3 * min(one))
BASE = numbered([1, 2, 3, 4, 6, 8, 12, 16, 20, 28])


@settings(max_examples=30)
@given(weights=WEIGHTS, temperature=st.floats(1.5, 32))
def test_a_run_that_is_the_base_made_sharper_gives_that_temperature_and_leaves_nothing(weights, temperature):
    base = numbered(weights)
    run = sharpened(base, temperature)
    found = of([scored_cell(base)], [scored_cell(run)])
    assert found.t_eff.value == pytest.approx(temperature, rel=1e-3)
    assert found.t_eff.low == found.t_eff.value == found.t_eff.high
    assert found.remains.value == pytest.approx(0, abs=1e-9)
    assert found.at_1.value == pytest.approx(math.fsum(p * math.log(p / run[one]) for one, p in base.items()))
    assert (found.question, found.n, found.source, found.p_value) == ("number", len(weights), "scored", None)
    assert found.label == (A_CHANGE if found.at_1.value > 0.05 else NO_CHANGE)


@settings(max_examples=30)
@given(weights=WEIGHTS)
def test_a_run_that_says_most_what_the_base_says_least_is_no_temperature_change(weights):
    base = numbered(weights)
    turned = dict(zip(sorted(base, key=base.get), sorted(base.values(), reverse=True), strict=True))
    found = of([scored_cell(base)], [scored_cell(turned)])
    even = math.log(len(base)) + math.fsum(p * math.log(p) for p in base.values())
    assert found.t_eff == Estimate(64.0, 64.0, None)
    assert found.remains.value == pytest.approx(even, abs=0.1)
    assert A_CHANGE not in {found.label, found.label.split(";")[0]} or found.remains.value <= 0.05


def mixed(run, base, share):
    """The run's probabilities with so much of the base's own."""
    return {answer: (1 - share) * p + share * base[answer] for answer, p in run.items()}


MOVED = dict(zip(BASE, [BASE[str(11 - place)] for place in range(1, 11)], strict=True))


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        pytest.param(BASE, NO_CHANGE, id="the same"),
        pytest.param(sharpened(BASE, 1.1), NO_CHANGE, id="hardly sharper"),
        pytest.param(sharpened(BASE, 4), A_CHANGE, id="sharper"),
        pytest.param(sharpened(BASE, 0.3), A_CHANGE, id="flatter"),
        pytest.param(sharpened(mixed(MOVED, BASE, 0.7), 5), PARTLY, id="a little moved and then sharper"),
        pytest.param(mixed(MOVED, BASE, 0.6), NOT_A_CHANGE, id="moved"),
        pytest.param(sharpened(mixed(MOVED, BASE, 0.6), 3), NOT_A_CHANGE, id="moved and then sharper"),
        pytest.param(sharpened(MOVED, 2), f"{NOT_A_CHANGE}; above 64", id="turned round and then sharper"),
        pytest.param(
            sharpened(MOVED, 8), f"{EVEN}; above 64", id="turned round, and so sharp that even answers are near"
        ),
    ],
)
def test_the_label_of_a_run_that_is(run, expected):
    assert of([scored_cell(BASE)], [scored_cell(run)]).label == expected


def test_the_temperature_of_a_flatter_run_is_below_one():
    found = of([scored_cell(BASE)], [scored_cell(sharpened(BASE, 0.25))])
    assert found.t_eff.value == pytest.approx(0.25, rel=1e-3)


def test_a_certain_base_is_colder_than_any_temperature():
    base = dict.fromkeys(BASE, 0.0) | {"10": 1.0}
    found = of([scored_cell(base)], [scored_cell(BASE)])
    assert found.t_eff == Estimate(1 / 16, None, 1 / 16)
    assert found.label == f"{A_CHANGE}; below 0.0625"


@pytest.mark.parametrize(
    ("zeros", "words"),
    [
        pytest.param(["1"], "1 answer of the base is impossible", id="one"),
        pytest.param(["1", "2", "3"], "3 answers of the base are impossible", id="several"),
    ],
)
def test_no_temperature_brings_back_what_the_run_cannot_say(zeros, words):
    run = {answer: 0.0 if answer in zeros else p for answer, p in sharpened(BASE, 2).items()}
    found = of([scored_cell(BASE)], [scored_cell(run)])
    assert found.label == f"{NOT_A_CHANGE}; {words}"
    assert found.t_eff.value == pytest.approx(2, rel=1e-3)
    assert (found.remains.value, found.remains.low, found.remains.high) == (None, pytest.approx(0, abs=1e-9), None)


def test_what_the_base_cannot_say_breaks_nothing():
    base = {answer: 0.0 if answer == "1" else p for answer, p in BASE.items()}
    found = of([scored_cell(base)], [scored_cell(sharpened(BASE, 3))])
    assert found.label == A_CHANGE
    assert math.isfinite(found.remains.value)


def test_a_base_without_any_possible_answer_is_not_scored():
    assert of([scored_cell(dict.fromkeys(BASE, 0.0))], [scored_cell(BASE)]) is None


def test_two_with_no_answer_in_common_have_no_temperature():
    low, high = (
        dict.fromkeys("12", 0.5) | dict.fromkeys("34", 0.0),
        dict.fromkeys("12", 0.0) | dict.fromkeys("34", 0.5),
    )
    found = of([scored_cell(low)], [scored_cell(high)])
    assert (found.t_eff, found.at_1, found.remains) == (UNDEFINED, UNDEFINED, UNDEFINED)
    assert found.label == f"{NOT_A_CHANGE}; 2 answers of the base are impossible"


def test_an_even_run_is_the_same_at_every_temperature():
    found = of([scored_cell(BASE)], [scored_cell(dict.fromkeys(BASE, 0.1))])
    assert found.t_eff == UNDEFINED
    assert found.at_1 == found.remains
    assert found.label == NOT_A_CHANGE


def test_answers_of_several_tokens_are_said_to_be_so():
    ids = {str(one): (50, 1, 0) if one == 10 else (50, 0) if one == 5 else (one, 0) for one in range(1, 11)}
    found = of([scored_cell(BASE)], [scored_cell(sharpened(BASE, 2), ids=ids)])
    assert found.source == "scored, several tokens"


def test_each_side_says_its_answers_in_its_own_form_and_order():
    other = {str(one): (7, 7, 100 - one, 0) for one in range(1, 11)}
    logs = sharpened(BASE, 5)
    run = scored_cell({answer: logs[answer] for answer in reversed(logs)}, ids=other)
    rearranged = replace(
        run,
        scored=tuple(replace(one, token_logprobs=(-0.4, -0.2, math.log(logs[one.answer]), -0.1)) for one in run.scored),
    )
    found = of([scored_cell(BASE)], [rearranged])
    assert found.t_eff.value == pytest.approx(5, rel=1e-3)
    assert found.source == "scored"


def without(cell, answer):
    return replace(cell, scored=tuple(one for one in cell.scored if one.answer != answer))


def failed(cell):
    return replace(cell, scored=(replace(cell.scored[0], error="out of memory", token_logprobs=()), *cell.scored[1:]))


def thought(cell):
    return replace(cell, completions=tuple(replace(one, reasoning="Hm.") for one in cell.completions))


def roads(cell):
    return replace(cell, scored=tuple(replace(one, kind="road", answer=None) for one in cell.scored))


@pytest.mark.parametrize(
    ("base", "run"),
    [
        pytest.param([], [scored_cell(BASE)], id="no base"),
        pytest.param([scored_cell(BASE)], [], id="no run"),
        pytest.param([scored_cell(BASE)], [without(scored_cell(BASE), "3")], id="other answers"),
        pytest.param([scored_cell({"1": 1.0})], [scored_cell({"1": 1.0})], id="one answer alone"),
        pytest.param([scored_cell(BASE)], [failed(scored_cell(BASE))], id="one not scored"),
        pytest.param([scored_cell(BASE)], [thought(scored_cell(BASE))], id="a thought before it"),
        pytest.param([roads(scored_cell(BASE))], [roads(scored_cell(BASE))], id="roads"),
        pytest.param([scored_cell(BASE, at=0.7)], [scored_cell(BASE, at=0.7)], id="another temperature"),
    ],
)
def test_nothing_is_known_of(base, run):
    assert of(base, run) is None


# --------------------------------------------------------------------------------------------- sampled temperatures


GRID = (0.5, 1.0, 1.5, 2.0)
ANIMALS = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen")
EVENLY = dict(zip(ANIMALS, (28, 20, 16, 12, 9, 7, 5, 3), strict=True))


def scripted(weights, temperatures, samples=128, seed=1, *, score=False, **changes):
    """A sweep drawn from a known distribution; `score` has the declared answers scored at temperature 1."""
    engine = ScriptedEngine(Script("known", {"pet": {f" {text}.": weight for text, weight in weights.items()}}))
    cells = {"answer": ChoiceAnswer(ANIMALS), "equivalence": "exact", **changes}
    return [
        scripted_cell(engine, make_cell(f"pet@t{at}", temperature=at, samples=samples, **cells), seed + at, score=score)
        for at in temperatures
    ]


def scripted_cell(engine, cell, seed, *, score):
    request = SampleRequest(cell, int(1e6 * seed), tuple(range(cell.sampling.samples)))
    completions = list(engine.sample([request]))
    declared = list(declared_answers(engine, cell, completions)) if score and cell.temperature == 1 else []
    found = engine.score([ScoreRequest(one.answer, cell, one.token_ids) for one in declared])
    known = [replace(one, token_logprobs=score.token_logprobs) for one, score in zip(declared, found, strict=True)]
    return Drawn.of(judge_cell(cell, completions, RULES), completions, RULES.alpha, known)


def powered(weights, temperature):
    return {text: weight**temperature for text, weight in weights.items()}


def test_scores_of_an_engine_with_a_known_distribution_give_its_temperature():
    weights = Expect("weights", weights=tuple((one, 1 / 8) for one in ANIMALS))
    base = scripted(EVENLY, [1.0], 32, score=True, expect=weights)
    run = scripted(powered(EVENLY, 3), [1.0], 32, 2, score=True, expect=weights)
    found = of(base, run)
    assert (found.source, found.n, found.question) == ("scored", 8, "pet")
    assert found.t_eff.value == pytest.approx(3, rel=1e-3)
    assert found.label == A_CHANGE


def test_a_sweep_of_the_sharpened_base_is_closest_at_the_temperature_that_undoes_it():
    found = of(scripted(EVENLY, [1.0], 256), scripted(powered(EVENLY, 4), (1.0, 2.0, 4.0), 256, seed=2))
    assert found.t_eff == Estimate(4.0, 4.0, None)
    assert (found.source, found.n, found.question) == ("sweep", 512, "pet")
    assert found.label.split("; ")[0] == A_CHANGE
    assert found.p_value > 0.05
    assert found.remains.low == 0
    assert found.at_1.low > 0


def test_a_sweep_of_other_answers_is_no_temperature_change():
    found = of(scripted(EVENLY, [1.0]), scripted({**dict.fromkeys(ANIMALS, 1), "hen": 1e4}, GRID))
    assert found.label.split("; ")[0] == NOT_A_CHANGE
    assert found.p_value <= 0.01
    assert found.remains.low > 0


def test_a_sweep_of_the_same_model_has_no_change_to_explain():
    found = of(scripted(EVENLY, [1.0]), scripted(EVENLY, GRID, seed=5))
    assert found.label == NO_CHANGE
    assert found.at_1.low == 0


def test_few_draws_of_a_moved_mode_are_too_few_to_tell():
    base = [drawn(1.0, ["ant"] * 12 + ["bee"] * 20)]
    run = [drawn(1.0, ["bee"] * 32), drawn(1.5, ["ant"] * 3)]
    found = of(base, run)
    assert found.label.split("; ")[0] == TOO_FEW
    assert found.p_value > 0.05


def drawn(at, texts, **changes):
    """A cell that said these texts; None stands for a lost one."""
    cell = make_cell(f"pet@t{at}", temperature=at, samples=len(texts), **{"answer": ChoiceAnswer(ANIMALS), **changes})
    lost = {"error_kind": "timeout", "finish_reason": "error", "logprob": None, "token_ids": ()}
    completions = [
        make_completion(cell.cell_id, place, text or "", **({} if text else lost)) for place, text in enumerate(texts)
    ]
    return Drawn.of(judge_cell(cell, completions, RULES), completions, RULES.alpha)


def drawn_from(at, weights, n=64, seed=0, **changes):
    return drawn(at, random.Random(seed).choices(list(weights), list(weights.values()), k=n), **changes)


def test_what_cannot_be_told_apart_is_said_with_the_ends_that_are_open():
    base = [drawn_from(1.0, EVENLY)]
    run = [drawn_from(1.0, {"ant": 30, "bee": 1}, seed=1), *(drawn_from(at, EVENLY, seed=at) for at in (1.5, 1.6, 1.7))]
    found = of(base, run)
    assert found.t_eff.low == 1.5
    assert found.t_eff.high is None
    assert found.label == f"{A_CHANGE}; from T 1.5 on"


def test_the_temperatures_between_two_ends_are_named():
    narrow = {"ant": 30, "bee": 1}
    base = [drawn_from(1.0, EVENLY)]
    run = [
        drawn_from(1.0, narrow, seed=1),
        drawn_from(1.3, EVENLY, seed=2),
        drawn_from(1.6, EVENLY, seed=3),
        drawn_from(2.0, {"gnu": 30, "hen": 9}, seed=4),
    ]
    found = of(base, run)
    assert (found.t_eff.low, found.t_eff.high) == (1.3, 1.6)
    assert found.label == f"{A_CHANGE}; from T 1.3 to 1.6"


def test_the_base_at_another_temperature_is_said():
    base = [drawn_from(0.7, EVENLY), drawn_from(1.0, EVENLY, seed=8)]
    run = [drawn_from(0.7, {"ant": 30, "bee": 1}, seed=1), drawn_from(1.4, EVENLY, seed=2)]
    assert of(base, run).label.endswith("base at T 0.7")


def test_the_base_nearest_to_temperature_one_is_taken():
    same = [drawn_from(at, EVENLY, seed=at) for at in GRID]
    hot = [drawn_from(2.0, {"ant": 1}), drawn_from(1.0, EVENLY, seed=9)]
    assert of(hot, same).label == NO_CHANGE


@pytest.mark.parametrize(
    ("base", "run"),
    [
        pytest.param([drawn_from(1.0, EVENLY)], [drawn_from(1.0, EVENLY)], id="one temperature"),
        pytest.param([drawn_from(1.0, EVENLY)], [drawn_from(0.0, EVENLY), drawn_from(1.0, EVENLY)], id="T 0 is none"),
        pytest.param(
            [drawn_from(0.9, EVENLY)], [drawn_from(1.0, EVENLY), drawn_from(2.0, EVENLY)], id="none in common"
        ),
        pytest.param(
            [drawn_from(1.0, {"?": 1})], [drawn_from(1.0, EVENLY), drawn_from(2.0, EVENLY)], id="nothing read"
        ),
        pytest.param(
            [drawn(1.0, [None] * 16)], [drawn_from(1.0, EVENLY), drawn_from(2.0, EVENLY)], id="nothing came back"
        ),
    ],
)
def test_no_sweep_is_told_of(base, run):
    assert of(base, run) is None


def test_classes_that_came_with_imported_answers_are_not_those_of_another_run():
    text = {"answer": replace(make_cell().answer), "equivalence": "given"}
    base, run = [drawn_from(1.0, EVENLY, **text)], [drawn_from(at, EVENLY, **text) for at in GRID]
    assert of(base, run) is None


def test_lost_draws_speak_for_no_difference():
    texts = ["ant"] * 10
    moved = [drawn(at, ["bee"] * 40) for at in (1.0, 2.0)]
    assert of([drawn(1.0, texts)], moved).label.startswith(NOT_A_CHANGE)
    assert of([drawn(1.0, texts + [None] * 400)], moved).label == NO_CHANGE


def test_the_order_of_the_cells_does_not_matter():
    base, run = scripted(EVENLY, [1.0, 2.0]), scripted(powered(EVENLY, 2), GRID, seed=2)
    assert of(base[::-1], run[::-1]) == of(base, run)


def test_a_free_text_is_compared_as_its_cell_compares_it():
    said = {f"{one.capitalize()} it is!": weight for one, weight in EVENLY.items()}
    changes = {"answer": make_cell().answer, "equivalence": "lexical"}
    base, run = [drawn_from(1.0, EVENLY, **changes)], [drawn_from(at, said, seed=at, **changes) for at in (1.0, 2.0)]
    shouted = {one.upper(): weight for one, weight in EVENLY.items()}
    same = [drawn_from(at, shouted, seed=at, **changes) for at in (1.0, 2.0)]
    assert of(base, same).label == NO_CHANGE
    assert of(base, run).question == "pet"


def test_an_adaptive_cell_pays_for_its_looks():
    base, run = [drawn_from(1.0, EVENLY)], [drawn_from(at, EVENLY, seed=at) for at in (1.0, 2.0)]
    adaptive = [drawn_from(at, EVENLY, seed=at, adaptive=True) for at in (1.0, 2.0)]
    plain, paid = of(base, run), of(base, adaptive)
    assert paid.p_value == pytest.approx(min(1.0, 3 * plain.p_value))


def test_one_temperature_that_explains_all_is_denied_in_few_of_many_sweeps():
    """The base is the run at 1.5: P(more than 10 of 100 denied | 5 %) is below .012."""
    run_of = {1.0: powered(EVENLY, 1.5), 1.5: EVENLY, 2.0: powered(EVENLY, 0.75)}
    denied = 0
    for seed in range(100):
        base = [drawn_from(1.0, EVENLY, 32, seed)]
        run = [drawn_from(at, weights, 32, 1000 * at + seed) for at, weights in run_of.items()]
        denied += of(base, run).p_value <= 0.05
    assert denied <= 10
