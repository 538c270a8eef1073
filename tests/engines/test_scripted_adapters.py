"""The scripted engine's adapters are scripts; and what one script has drawn, another can score."""

from __future__ import annotations

import json
import math

import pytest
from engines.contract import draw
from makers import make_cell

from collapsecli.engines import EngineOptions, ScoreRequest, start_engine
from collapsecli.errors import UsageError

COIN = make_cell()
TUNED = make_cell("coin@t1.0#dpo", adapter="dpo")
FAIR, LOADED = {" Heads.": 0.5, " Tails.": 0.5}, {" Heads.": 0.9, " Never mind.": 0.1}


@pytest.fixture
def engine(tmp_path):
    for name, answers in (("base", FAIR), ("dpo", LOADED)):
        (tmp_path / f"{name}.yaml").write_text(json.dumps({"prompts": {"coin": answers}}), "utf-8")

    def start(**adapters):
        places = {name: str(tmp_path / f"{place}.yaml") for name, place in adapters.items()}
        return start_engine("scripted", EngineOptions(str(tmp_path / "base.yaml"), adapters=places))

    return start


def test_cells_are_drawn_from_the_script_of_their_adapter(engine):
    one = engine(dpo="dpo")
    one.check([COIN, TUNED])
    assert {completion.text for completion in draw(one, COIN, range(64))} == set(FAIR)
    assert {completion.text for completion in draw(one, TUNED, range(64))} == set(LOADED)


def test_the_bases_draws_are_the_same_with_an_adapter_and_without(engine):
    tokens = [[one.token_ids for one in draw(started, COIN, range(64))] for started in (engine(), engine(dpo="dpo"))]
    assert tokens[0] == tokens[1]


def test_texts_are_scored_by_the_script_of_their_cell(engine):
    one = engine(dpo="dpo")
    tokens = (*one.tokens(COIN, " Heads."), 0)
    found = [
        sum(score.token_logprobs) for score in one.score([ScoreRequest("s", cell, tokens) for cell in (COIN, TUNED)])
    ]
    assert found == pytest.approx([math.log(0.5), math.log(0.9)])


def test_what_one_script_has_drawn_another_can_score(engine, tmp_path):
    other = start_engine("scripted", EngineOptions(str(tmp_path / "dpo.yaml")))
    assert other.info.identity["tokenizer"] == engine().info.identity["tokenizer"]
    drawn = {one.text: one.token_ids for one in draw(engine(), COIN, range(64))}
    heads, tails = other.score([ScoreRequest(text, COIN, drawn[text]) for text in (" Heads.", " Tails.")])
    assert sum(heads.token_logprobs) == pytest.approx(math.log(0.9))
    assert sum(tails.token_logprobs) == -math.inf


def test_an_adapter_that_was_not_given_is_refused(engine):
    with pytest.raises(UsageError, match="no script of the adapter `dpo` is given"):
        engine().check([COIN, TUNED])


def test_adapters_belong_to_what_the_engine_is(engine):
    as_dpo, as_base = engine(dpo="dpo").info.identity, engine(dpo="base").info.identity
    assert as_dpo["adapter dpo"] != as_base["adapter dpo"] == as_base["answers"]
    assert "adapter dpo" not in engine().info.identity
