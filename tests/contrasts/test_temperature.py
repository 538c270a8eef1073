"""How a mode melts: every row of a sweep against what its distribution is known to do."""

import csv
import json
import math
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import make_cell, make_completion

from collapsecli.contrasts.drawn import Drawn
from collapsecli.contrasts.temperature import temperature
from collapsecli.engines import SampleRequest, ScoreRequest
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.judge import judge_cell
from collapsecli.metrics.categorical import clopper_pearson
from collapsecli.metrics.tempering import tempered_bounds
from collapsecli.records import (
    UNDEFINED,
    ChoiceAnswer,
    Estimate,
    Expect,
    IntegerAnswer,
    LabelsAnswer,
    Rules,
    Scored,
)

LLMRANDOM = Path(__file__).resolve().parents[3] / "shared" / "reference" / "llmrandom"
RULES = Rules()
TEN = IntegerAnswer(1, 10)
UNIFORM_TEN = Expect("uniform", weights=tuple((str(one), 0.1) for one in range(1, 11)))
GRID = (0.5, 0.7, 1.0, 1.3, 1.6, 2.0)


def drawn(at, texts, *, scored=(), each=None, cell=None, **changes):
    """A cell at a temperature that said these texts; None stands for a lost one. each: more fields of completions."""
    made = cell or make_cell(f"coin@t{at}", temperature=at, samples=len(texts), **changes)
    lost = {"text": "", "error_kind": "timeout", "finish_reason": "error", "logprob": None, "token_ids": ()}
    completions = [
        make_completion(made.cell_id, place, **(lost if text is None else {"text": text, **(each or {})}))
        for place, text in enumerate(texts)
    ]
    return Drawn.of(judge_cell(made, completions, RULES), completions, RULES.alpha, scored)


def integers(at, counts, **changes):
    """A cell that drew these integers so often, one after another in turn."""
    return drawn(at, turns(counts), **{"answer": TEN, "equivalence": "exact", **changes})


def turns(counts):
    """As many of each as is said, spread evenly."""
    places = [((place + 0.5) / count, text) for text, count in counts.items() for place in range(count)]
    return [f" {text}." for _, text in sorted(places)]


def exact(hits, n, alpha):
    """The ends of the interval of Clopper and Pearson."""
    return tuple(float(end) for end in clopper_pearson(hits, n, alpha))


def rows(sweep, metric):
    return [row for row in temperature(sweep) if row.metric == metric]


def at(sweep, metric):
    """The rows of one metric by their temperature."""
    return {row.at: row for row in rows(sweep, metric)}


def only(sweep, metric):
    (found,) = rows(sweep, metric)
    return found


MELTING = (
    integers(0.5, {7: 30, 3: 2}),
    integers(1.0, {7: 24, 3: 8}),
    integers(1.5, {7: 8, 3: 8, 5: 8, 9: 8}),
)


# ---------------------------------------------------------------------------------------------------------- reference


@pytest.mark.parametrize(
    ("temperatures", "expected"),
    [
        pytest.param((0.7, 1.0, 1.4), 1.0, id="temperature 1"),
        pytest.param((0.5, 0.9, 1.3), 0.9, id="the nearest to 1"),
        pytest.param((0.75, 1.25), 0.75, id="of two as near the colder"),
        pytest.param((0.0, 2.0), 2.0, id="never temperature 0"),
    ],
)
def test_all_is_held_against(temperatures, expected):
    found = list(temperature([integers(one, {7: 20, 3: 12}) for one in temperatures]))
    assert {row.other_cell_id for row in found} == {f"coin@t{expected}"}
    assert {(row.kind, row.suite, row.subject) for row in found} == {("temperature", "suite", "coin")}


def test_a_cell_with_too_few_readable_answers_is_no_reference():
    unread = drawn(1.0, [" no"] * 30 + [" 7."] * 2, answer=TEN, equivalence="exact")
    assert unread.result.verdict == "invalid"
    sweep = [unread, integers(1.4, {3: 20, 7: 12})]
    assert {row.other_cell_id for row in temperature(sweep)} == {"coin@t1.4"}
    assert at(sweep, "reference_mode")[1.0].estimate.value == 0


@pytest.mark.parametrize(
    "sweep",
    [
        pytest.param([], id="no cells"),
        pytest.param([integers(1.0, {7: 32})], id="one temperature"),
        pytest.param([integers(0.0, {7: 1}), drawn(1.0, [" no"] * 32, answer=TEN)], id="no verdict"),
        pytest.param([drawn(0.5, [None] * 8), drawn(1.0, [None] * 8)], id="nothing came back"),
    ],
)
def test_nothing_is_said_of(sweep):
    assert list(temperature(sweep)) == []


@settings(max_examples=20)
@given(st.permutations(MELTING))
def test_the_order_of_the_cells_does_not_matter(sweep):
    assert list(temperature(sweep)) == list(temperature(MELTING))


# ---------------------------------------------------------------------------------------------------------- the mode


def test_the_share_of_the_reference_mode_is_followed_through_all_temperatures():
    found = at(MELTING, "reference_mode")
    assert {one: (row.estimate.value, row.n, row.label) for one, row in found.items()} == {
        0.5: (30 / 32, 32, "7"),
        1.0: (24 / 32, 32, "7"),
        1.5: (8 / 32, 32, "7"),
    }
    assert found[1.0].estimate == MELTING[1].result.mode_mass  # pays for the choice of the mode
    assert (found[1.5].estimate.low, found[1.5].estimate.high) == pytest.approx(exact(8, 32, 0.05))


def test_a_share_is_of_the_readable_answers_and_lost_ones_count_against_every_claim():
    hot = drawn(1.5, [" 7."] * 10 + [" 3."] * 10 + ["mu"] * 10 + [None] * 2, answer=TEN, equivalence="exact")
    found = at([*MELTING[:2], hot], "reference_mode")[1.5]
    assert (found.estimate.value, found.n) == (0.5, 20)
    assert found.estimate.low == pytest.approx(exact(10, 22, 0.05)[0])
    assert found.estimate.high == pytest.approx(exact(12, 22, 0.05)[1])


def test_a_cell_that_may_end_at_any_look_has_the_wider_interval_of_a_look():
    cell = make_cell("coin@t1.5", temperature=1.5, samples=64, adaptive=True, answer=TEN, equivalence="exact")
    hot = drawn(1.5, turns({7: 4, 3: 4, 5: 4, 9: 4}), cell=cell)
    assert hot.result.look == 16
    found = at([*MELTING[:2], hot], "reference_mode")[1.5].estimate
    assert (found.low, found.high) == pytest.approx(exact(4, 16, 0.05 / 3))


def test_greedy_sampling_is_one_draw_and_has_nothing_but_its_share():
    greedy = integers(0.0, {7: 1})
    found = [row for row in temperature([greedy, *MELTING]) if row.at == 0]
    assert [(row.metric, row.n, row.estimate.value) for row in found] == [("reference_mode", 1, 1.0)]
    assert found[0].estimate.low < 0.03
    assert rows([greedy, *MELTING], "t_half") == rows(MELTING, "t_half")


def test_free_texts_are_of_the_mode_if_they_say_the_same():
    warm = drawn(1.0, ["The old wizard waited."] * 9 + ["Rain fell on the harbour."] * 7, equivalence="lexical")
    hot = drawn(1.5, ["the old WIZARD waited"] * 3 + ["Two cats argued about philosophy."] * 13, equivalence="lexical")
    assert at([warm, hot], "reference_mode")[1.5].estimate.value == 3 / 16


PARTS = ("qavrel", "tozwim", "bruxol", "fendak", "gipvon", "hulmet")
ENDS = ("jarkos", "kelbin", "lomfut", "mizpar", "norgek", "pawlun")


def test_a_mode_of_similar_texts_is_those_around_its_densest_one():
    """The middle text is like all others, which are not like each other; the mode is shown by the first of them."""
    others = [f"{part} {end}" for part, end in zip(PARTS, ENDS, strict=True)]
    middle = " ".join(PARTS)
    texts = [*others, middle, *["ruvdol sintap"] * 3]
    cells = [drawn(one, texts, equivalence="lexical", threshold=0.15, text="Q:") for one in (1.0, 1.5)]
    assert cells[0].result.modes[0].count == 7
    assert cells[0].result.modes[0].text == others[0]
    found = at(cells, "reference_mode")
    assert found[1.5].estimate.value == found[1.0].estimate.value == 0.7


@pytest.mark.parametrize("equivalence", ["exact", "lexical", "given"])
def test_the_same_draws_at_another_temperature_hold_as_much(equivalence):
    texts = [
        "One fine day.",
        "one fine day",
        "A storm came up.",
        "One fine night.",
        "Storms came.",
        "One fine day.",
    ] * 3
    cells = [
        drawn(one, texts, equivalence=equivalence, each={"given": "weather" if equivalence == "given" else None})
        for one in (1.0, 1.5)
    ]
    found = at(cells, "reference_mode")
    assert found[1.5].estimate.value == found[1.0].estimate.value == cells[0].result.modes[0].count / 18


def test_imported_classes_are_the_same_by_their_names_and_without_one_by_their_text():
    def imported(at, *pairs):
        made = make_cell(f"coin@t{at}", temperature=at, samples=len(pairs), equivalence="given")
        completions = [
            make_completion(made.cell_id, place, text, given=name) for place, (text, name) in enumerate(pairs)
        ]
        return Drawn.of(judge_cell(made, completions, RULES), completions, RULES.alpha)

    hot = imported(1.5, ("bonjour", "greeting"), ("hello", "curse"), ("hello", None), ("hi", None))
    named = imported(1.0, ("hello", "greeting"), ("hi", "greeting"), ("bye", "parting"))
    unnamed = imported(1.0, ("hello", None), ("hello", None), ("bye", "parting"))
    assert at([named, hot], "reference_mode")[1.5].estimate.value == 1 / 4
    assert at([unnamed, hot], "reference_mode")[1.5].estimate.value == 1 / 4
    called_hello = imported(1.0, ("hi", "hello"), ("ho", "hello"), ("bye", "parting"))
    assert at([called_hello, hot], "reference_mode")[1.5].estimate.value == 0


# -------------------------------------------------------------------------------------------------------------- t_half


@pytest.mark.parametrize(
    ("sevens", "label", "low", "high"),
    [
        pytest.param((32, 31, 2, 1), "", 1.0, 1.5, id="it falls through half"),
        pytest.param((32, 31, 30, 18), "above 2.0", 1.5, None, id="it holds more than half throughout"),
        pytest.param((14, 6, 2, 1), "below 0.5", None, 1.0, id="it holds less than half throughout"),
        pytest.param((2, 12, 2, 1), "never a half", None, None, id="and another one leads when it is cold"),
    ],
)
def test_a_half_that_is_not_there_says_where_it_may_be(sevens, label, low, high):
    sweep = [
        integers(one, {7: count, **{other: max(0, (32 - count) // 5) for other in (1, 2, 3, 4, 5)}})
        for one, count in zip((0.5, 1.0, 1.5, 2.0), sevens, strict=True)
    ]
    if label == "never a half":
        sweep[0] = integers(0.5, {7: 2, 4: 30})
    found = only(sweep, "t_half")
    assert (found.label, found.estimate.low, found.estimate.high) == (label, low, high)
    assert (found.estimate.value is None) == bool(label)
    assert (found.cell_id, found.at) == (None, None)
    assert found.n == sum(len(one.completions) for one in sweep)


# --------------------------------------------------------------------------------------------------------- the text


def surprising(at, nats, tokens=5):
    """A cell each of whose completions has so many nats of surprisal a token."""
    cell = make_cell(f"coin@t{at}", temperature=at, samples=len(nats))
    completions = [
        make_completion(
            cell.cell_id,
            place,
            f"text {place}",
            token_ids=(place, *range(1000, 999 + tokens)),
            token_logprobs=(-one,) * tokens,
            logprob=-one * tokens,
        )
        for place, one in enumerate(nats)
    ]
    return Drawn.of(judge_cell(cell, completions, RULES), completions, RULES.alpha)


@pytest.mark.parametrize(
    ("warm", "hot", "share"),
    [
        pytest.param([1, 2, 2, 3], [3, 5, 9, 9], 3 / 4, id="word salad"),
        pytest.param([1, 1, 1, 1], [2, 3, 3.5, 3.9], 0, id="more surprising, and still no salad"),
        pytest.param([5, 6, 6, 6], [5, 6, 6, 6.5], 1 / 4, id="what was as wide at the reference already"),
    ],
)
def test_degenerate_is_what_is_wide_and_wider_than_all_at_the_reference(warm, hot, share):
    found = at([surprising(1.0, warm * 8), surprising(1.5, hot * 8)], "degenerate")
    assert found.keys() == {1.5}
    assert (found[1.5].estimate.value, found[1.5].n) == (share, 32)


def test_a_lost_completion_may_have_been_degenerate():
    warm, hot = surprising(1.0, [1, 2] * 16), surprising(1.5, [5, 2] * 16)
    one_lost = replace(hot, completions=hot.completions[:-1], lost=1)
    found = at([warm, one_lost], "degenerate")[1.5]
    assert (found.estimate.value, found.n) == (16 / 31, 31)
    assert found.estimate.low == pytest.approx(exact(16, 32, 0.05)[0])
    assert found.estimate.high == pytest.approx(exact(17, 32, 0.05)[1])


@pytest.mark.parametrize(
    "changes", [{"logprob_kind": "model"}, {"logprob": None, "logprob_kind": None}, {"token_ids": ()}]
)
def test_without_the_probabilities_sampled_from_nothing_is_said_of_tokens(changes):
    hot = drawn(1.5, [" Heads.", " Tails."] * 8, each=changes)
    found = list(temperature([drawn(1.0, [" Heads.", " Heads."] * 8), hot]))
    assert {row.metric for row in found if row.at == 1.5} == {"reference_mode", "effective_modes"}


def test_the_numbers_of_a_cell_are_its_own():
    sweep = [surprising(1.0, [1, 2] * 16), surprising(1.5, [2, 5] * 16)]
    for metric in ("effective_modes", "token_rate"):
        found = at(sweep, metric)
        assert [found[one.cell.temperature].estimate for one in sweep] == [one.result.metric(metric) for one in sweep]


# --------------------------------------------------------------------------------------------------------- the softmax


def scripted(weights, temperatures=GRID, samples=256, answer=TEN, expect=UNIFORM_TEN):
    """A sweep drawn from a known distribution, with the declared answers scored at temperature 1."""
    engine = ScriptedEngine(Script("known", {"coin": {f" {text}.": weight for text, weight in weights.items()}}))
    sweep = []
    for place, one in enumerate(temperatures):
        cell = make_cell(
            f"coin@t{one}", temperature=one, samples=samples, answer=answer, expect=expect, equivalence="exact"
        )
        completions = list(engine.sample([SampleRequest(cell, 10_000 * place, tuple(range(samples)))]))
        known = scored_by(engine, cell, expect) if one == 1 else ()
        sweep.append(Drawn.of(judge_cell(cell, completions, RULES), completions, RULES.alpha, known))
    return sweep


def scored_by(engine, cell, expect):
    """The declared answers as the engine says them, each with its end."""
    texts = {answer: f" {answer}." for answer, _ in expect.weights}
    tokens = {answer: (*engine.tokens(cell, text), 0) for answer, text in texts.items()}
    found = engine.score([ScoreRequest(answer, cell, ids) for answer, ids in tokens.items()])
    return [
        Scored(cell.cell_id, one.score_id, texts[one.score_id], tokens[one.score_id], one.token_logprobs)
        for one in found
    ]


SKEWED = {str(one): weight for one, weight in zip(range(1, 11), (60, 20, 10, 3, 2, 1, 1, 1, 1, 1), strict=True)}


def true_share(weights, temperature):
    powers = {text: weight ** (1 / temperature) for text, weight in weights.items()}
    return max(powers.values()) / math.fsum(powers.values())


def test_a_known_softmax_is_predicted_exactly_and_followed():
    sweep = scripted(SKEWED)
    predicted, observed = at(sweep, "predicted_mode"), at(sweep, "reference_mode")
    assert predicted.keys() == set(GRID) - {1.0}
    for one, row in predicted.items():
        assert row.estimate.value == row.estimate.low == row.estimate.high == pytest.approx(true_share(SKEWED, one))
        assert (row.label, row.n) == ("scored", 10)
        assert observed[one].estimate.low < row.estimate.value < observed[one].estimate.high
    persistence = only(sweep, "persistence")
    assert (persistence.at, persistence.label) == (2.0, "scored")
    assert persistence.estimate.value == pytest.approx(observed[2.0].estimate.value - predicted[2.0].estimate.value)
    assert persistence.estimate.low == pytest.approx(observed[2.0].estimate.low - predicted[2.0].estimate.value)
    assert persistence.estimate.high == pytest.approx(observed[2.0].estimate.high - predicted[2.0].estimate.value)
    assert persistence.estimate.low < 0 < persistence.estimate.high
    half = only(sweep, "t_half").estimate
    assert true_share(SKEWED, half.low) > 0.5 > true_share(SKEWED, half.high)


def test_unscored_answers_are_predicted_within_bounds():
    sweep = [replace(one, scored=()) for one in scripted(SKEWED)]
    for one, row in at(sweep, "predicted_mode").items():
        assert (row.estimate.value, row.label, row.n) == (None, "bounds", 256)
        assert row.estimate == tempered_bounds(sweep[2].result.mode_mass, 1 / one, 10)
        assert row.estimate.low < true_share(SKEWED, one) < row.estimate.high
    persistence = only(sweep, "persistence")
    low, _ = exact(round(256 * at(sweep, "reference_mode")[2.0].estimate.value), 256, 0.025)
    _, mass = exact(sweep[2].result.modes[0].count, 256, 0.025)
    assert persistence.estimate.value is None
    assert persistence.estimate.low == pytest.approx(low - tempered_bounds(Estimate(high=mass), 0.5, 10).high)
    assert persistence.estimate.low < 0 < persistence.estimate.high


def test_a_mode_that_heat_does_not_melt_persists():
    stubborn = [integers(one, {7: 190, 3: 5, 5: 5}, expect=UNIFORM_TEN) for one in (1.0, 2.0)]
    assert only(stubborn, "persistence").estimate.low > 0


def test_lost_draws_count_against_every_claim_of_persistence():
    warm, hot = ([f" {text}." for text in (7, 3, 7, 7, 5, 7, 7, 7, 9, 7)] + [None] for _ in range(2))
    sweep = [
        drawn(one, texts, answer=TEN, equivalence="exact", expect=UNIFORM_TEN)
        for one, texts in ((1.0, warm), (2.0, hot))
    ]
    assert (sweep[0].result.hits, sweep[0].lost) == (6, 1)
    of_mass = Estimate(None, exact(6, 10, 0.025)[0], exact(8, 11, 0.025)[1])
    predicted = tempered_bounds(of_mass, 0.5, 10)
    found = only(sweep, "persistence").estimate
    assert found.low == pytest.approx(exact(7, 11, 0.025)[0] - predicted.high)
    assert found.high == pytest.approx(exact(8, 11, 0.025)[1] - predicted.low)


def test_bounds_start_from_a_reference_at_any_temperature():
    sweep = scripted(SKEWED, (0.7, 1.4))
    sweep[0] = replace(sweep[0], scored=tuple(scripted(SKEWED, (1.0,))[0].scored))  # of another temperature
    (row,) = rows(sweep, "predicted_mode")
    assert row.label == "bounds"
    assert row.estimate == tempered_bounds(sweep[0].result.mode_mass, 0.5, 10)


def scored(*answers, cell_id="coin@t1.0"):
    """Scored texts from triples of the answer, its tokens and their log-probabilities."""
    return [Scored(cell_id, answer, f" {answer}.", ids, logprobs) for answer, ids, logprobs in answers]


COIN = {"answer": ChoiceAnswer(("1", "2")), "expect": Expect("uniform", weights=(("1", 0.5), ("2", 0.5)))}
ONE, TWO = ("1", (1, 0), (math.log(0.6), 0.0)), ("2", (2, 0), (math.log(0.39), 0.0))


@pytest.mark.parametrize(
    ("texts", "label"),
    [
        pytest.param([ONE, TWO], "scored", id="all declared answers"),
        pytest.param(
            [ONE, ("2", (2, 3, 0), (math.log(0.39), 0.0, 0.0))], "scored, several tokens", id="longer answers"
        ),
        pytest.param(
            [ONE, ("2", (2, 3), (math.log(0.39), 0.0))], "scored, several tokens", id="answers that end differently"
        ),
        pytest.param([("1", (1, 0), (math.log(0.99), 0.0))], "bounds", id="one is missing"),
        pytest.param([ONE, ("2", (2, 0), (math.log(0.2), 0.0))], "bounds", id="much else is said"),
        pytest.param([ONE, ("3", (3, 0), (math.log(0.39), 0.0))], "bounds", id="one is not readable any more"),
    ],
)
def test_a_prediction_is_exact_only_if_all_is_known(texts, label):
    sweep = [integers(1.0, {1: 20, 2: 12}, **COIN, scored=scored(*texts)), integers(2.0, {1: 18, 2: 14}, **COIN)]
    assert only(sweep, "predicted_mode").label == label


def test_what_could_not_be_scored_and_roads_predict_nothing():
    one, two = scored(ONE, TWO)
    for other in (replace(two, error="too long", token_logprobs=()), replace(two, kind="road", answer=None)):
        sweep = [integers(1.0, {1: 20, 2: 12}, **COIN, scored=[one, other]), integers(2.0, {1: 18, 2: 14}, **COIN)]
        assert only(sweep, "predicted_mode").label == "bounds"


LABELS = {"answer": LabelsAnswer((("yes", "7"), ("no", "3"))), "expect": Expect("uniform", weights=(("yes", 1.0),))}


@pytest.mark.parametrize(
    ("changes", "each"),
    [
        pytest.param({"expect": Expect()}, {}, id="nothing is declared"),
        pytest.param({"top_p": 0.95}, {}, id="tokens were cut off"),
        pytest.param({"top_k": 50}, {}, id="all but some tokens were cut off"),
        pytest.param({"min_p": 0.05}, {}, id="unlikely tokens were cut off"),
        pytest.param({}, {"reasoning": "hm"}, id="a thought came before"),
        pytest.param(LABELS, {}, id="an answer is many texts"),
        pytest.param({"equivalence": "given"}, {"given": "number"}, id="classes were brought along"),
    ],
)
def test_no_softmax_is_predicted_where(changes, each):
    sweep = [integers(one, {7: 20, 3: 12}, **{"expect": UNIFORM_TEN, **changes}, each=each) for one in (1.0, 1.5)]
    assert at(sweep, "reference_mode")[1.5].estimate.value is not None
    assert not rows(sweep, "predicted_mode")
    assert not rows(sweep, "persistence")


def test_no_softmax_is_predicted_for_a_temperature_at_which_tokens_were_cut_off():
    changes = {1.0: {}, 1.3: {"top_p": 0.95}, 1.6: {}}
    sweep = [integers(one, {7: 20, 3: 12}, expect=UNIFORM_TEN, **more) for one, more in changes.items()]
    assert at(sweep, "predicted_mode").keys() == {1.6}


def test_nothing_persists_where_no_temperature_is_above_the_reference():
    sweep = [integers(one, {7: 20, 3: 12}, expect=UNIFORM_TEN) for one in (0.5, 1.0)]
    assert at(sweep, "predicted_mode").keys() == {0.5}
    assert not rows(sweep, "persistence")


def test_what_cannot_be_read_at_the_highest_temperature_does_not_persist():
    salad = drawn(2.0, [" salad"] * 32, answer=TEN, equivalence="exact", expect=UNIFORM_TEN)
    sweep = [integers(one, {7: 20, 3: 12}, expect=UNIFORM_TEN) for one in (1.0, 1.5)]
    assert at([*sweep, salad], "reference_mode").keys() == {1.0, 1.5}
    assert not rows([*sweep, salad], "persistence")


# -------------------------------------------------------------------------------------------------------- measured


@pytest.mark.skipif(not LLMRANDOM.is_dir(), reason="the reference data are not there")
@pytest.mark.parametrize(("model", "last_above", "first_below"), [("C", 0.2, 0.6), ("O", 0.3, 0.6)])
def test_random_numbers_of_real_models_melt_as_published(model, last_above, first_below):
    said = defaultdict(dict)
    for key, answer in json.loads((LLMRANDOM / "llmrandom.json").read_text("utf-8")).items():
        name, warmth, attempt = key.split(",")
        if name == model:
            said[float(warmth)][int(attempt)] = answer
    expect = Expect("uniform", weights=tuple((str(one), 0.01) for one in range(1, 101)))
    sweep = [
        drawn(one, [texts[place] for place in sorted(texts)], answer=IntegerAnswer(1, 100), expect=expect,
              equivalence="exact", each={"logprob": None, "logprob_kind": None, "token_ids": ()})
        for one, texts in said.items()
    ]  # fmt: skip
    with (LLMRANDOM / "reference.csv").open(newline="") as table:
        published = {float(row["temperature"]): row for row in csv.DictReader(table) if row["model_code"] == model}
    found = at(sweep, "reference_mode")
    mode = published[1.0]["mode"]
    assert found.keys() == published.keys()
    for one, row in found.items():
        assert (row.label, row.n) == (mode, int(published[one]["n"]))
        shared = Counter(said[one].values())[mode] / row.n
        assert row.estimate.value == pytest.approx(shared)
        assert shared <= float(published[one]["mode_share"]) + 1e-9
        if published[one]["mode"] == mode:
            assert row.estimate.value == pytest.approx(float(published[one]["mode_share"]))
    half = only(sweep, "t_half")
    assert (half.estimate.low, half.estimate.high) == (last_above, first_below)
    assert 0.4 < half.estimate.value < 0.5
    for one, row in at(sweep, "predicted_mode").items():
        assert row.estimate.low <= found[one].estimate.value <= row.estimate.high
    assert UNDEFINED not in [row.estimate for row in temperature(sweep)]
