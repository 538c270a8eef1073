"""Both models score the draws of both sides, once; what follows is what the scripts say, and what failed is told."""

import math

import pytest

from collapsecli.cli import main
from collapsecli.comparing import hold_against, rescore_both, with_divergences
from collapsecli.conclusions import judged
from collapsecli.engines import EngineOptions, start_engine
from collapsecli.errors import UsageError
from collapsecli.runs import RunFolder
from collapsecli.runs.rescored import RescoredCompletion, RescoredFolder

SUITE = """
schema: 1
name: coins
sampling: {samples: 128, max_tokens: 4}
prompts:
- {id: coin, text: "Flip a coin.", answer: {choice: [heads, tails]}}
- {id: hot, text: "Flip another.", temperatures: [1.0, 1.4]}
"""
BASE = {"coin": {" Heads.": 0.5, " Tails.": 0.5}, "hot": {" Heads.": 0.3, " Edge.": 0.7}}
RUN = {"coin": {" Heads.": 0.999, " Tails.": 0.001}, "hot": {" Heads.": 0.3, " Edge.": 0.7}}


class Watch:
    """Nobody looks on, but somebody counts."""

    stopped = False

    def __init__(self):
        self.owed = []

    def noticed(self, what):
        raise AssertionError(what)

    def scoring(self, _engine, owed):
        self.owed.append(owed)

    def scored(self, _saved):
        pass


@pytest.fixture
def sides(tmp_path, monkeypatch):
    """Two sampled sides, and how engines are started for them; the scripts can be changed in between."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coins.yaml").write_text(SUITE)
    found = []
    for name, answers in (("base", BASE), ("run", RUN)):
        (tmp_path / f"{name}.yaml").write_text(f"prompts: {answers}")
        assert main(["probe", "coins.yaml", "--engine", "scripted", "-m", f"{name}.yaml", "--run-id", name, "-q"]) == 0
        found += judged(RunFolder(tmp_path / "runs" / name)).sides()
    return found


def start(model):
    return start_engine("scripted", EngineOptions(model.name.removeprefix("scripted:")))


def compared(base, run):
    return with_divergences(hold_against(base, run, 0.1, force=False), base, run)


def of(comparison, question):
    return next(cell.divergence for cell in comparison.cells if cell.question == question)


def test_divergences_hold_what_the_two_scripts_say_and_equal_answers_differ_in_nothing(sides):
    assert rescore_both(*sides, start, Watch())
    comparison = compared(*sides)
    coin, hot = of(comparison, "coin@t1.0"), of(comparison, "hot@t1.0")
    assert coin.total_variation.low < 0.499 < coin.total_variation.high
    assert coin.extinguished.low < 0.5 < coin.extinguished.high
    assert coin.n_base == coin.n_run == 128
    assert (hot.total_variation.value, hot.jensen_shannon.value, hot.extinguished.value) == (0, 0, 0)
    assert {one.text for one in comparison.extinguished} == {" Tails."}
    assert comparison.extinguished[0].nats == pytest.approx(math.log(0.5 / 0.001))


def test_only_draws_of_the_untouched_model_are_scored_and_the_others_are_named(sides):
    assert rescore_both(*sides, start, Watch())
    comparison = compared(*sides)
    assert of(comparison, "hot@t1.4") is None
    assert "cells that were not scored: 1: the base sampled at temperature 1.4, not at 1" in comparison.notes


def test_what_was_scored_is_not_scored_again_and_no_engine_is_started_for_it(sides):
    first = Watch()
    assert rescore_both(*sides, start, first)
    assert first.owed == [256] * 4  # two models, two sides, two cells each
    again = Watch()

    def never(_model):
        raise AssertionError("nothing is owed")

    assert rescore_both(*sides, never, again)
    assert again.owed == []


def test_a_model_that_has_changed_since_it_sampled_is_refused_with_the_difference(sides, tmp_path):
    (tmp_path / "run.yaml").write_text(f"prompts: {BASE}")
    with pytest.raises(UsageError, match="is not what sampled the run any more") as raised:
        rescore_both(*sides, start, Watch())
    assert "answers: was" in raised.value.message


def test_completions_that_a_model_could_not_score_count_as_lost_and_the_reason_is_told(sides):
    base, run = sides
    info = run.manifest.engines[run.side.model]
    folder = RescoredFolder(base.run, info, "")
    folder.begin()
    with folder.writer("base") as rows:
        for index in range(128):
            rows.add(RescoredCompletion("coin@t1.0", index, (), "longer than the model's context"))
    assert rescore_both(*sides, start, Watch())
    comparison = compared(*sides)
    of_base = "128 completions of scripted:base.yaml could not be scored by scripted:run.yaml"
    assert f"{of_base}: longer than the model's context" in comparison.notes
    assert of(comparison, "coin@t1.0").n_base == 0
    assert of(comparison, "coin@t1.0").extinguished.value is None
