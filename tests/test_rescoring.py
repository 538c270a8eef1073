"""Another model scores what a run drew: each completion once, token by token, and only where that means something."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from makers import make_cell, make_completion

from collapsecli.engines import EngineOptions, SampleRequest, Score, start_engine
from collapsecli.engines.scripted import Failures, Script, ScriptedEngine
from collapsecli.errors import IncompleteError, UsageError
from collapsecli.records import EngineInfo, Message
from collapsecli.rescoring import owed, refusals, rescore
from collapsecli.runs import Manifest, RunFolder, SuiteSource
from collapsecli.runs.rescored import RescoredFolder, rescored, unscored

COIN = make_cell("coin@t1.0", samples=32)
DIE = make_cell("die@t1.0", text="Q: Roll a die.\nA:", samples=32)
CELLS = (COIN, DIE)
SIDES = {f" {pips}.": 1.0 for pips in range(1, 7)}
BASE = Script("base", {"coin": {" Heads.": 0.5, " Tails.": 0.5}, "die": SIDES})
TUNED = Script("tuned", {"coin": {" Heads.": 0.9, " Tails.": 0.1}, "die": SIDES})


class Watching:
    """Looks on, and asks to stop after so many completions."""

    def __init__(self, stop_after: float = math.inf) -> None:
        self.announced, self.seen, self.saved, self.notices, self._stop_after = [], 0, 0, [], stop_after

    @property
    def stopped(self) -> bool:
        return self.seen >= self._stop_after

    def noticed(self, what: str) -> None:
        self.notices.append(what)

    def scoring(self, engine, owed: int) -> None:
        self.announced.append((engine.info.model, owed))

    def scored(self, saved: int) -> None:
        self.seen, self.saved = self.seen + 1, saved


class Counting:
    """An engine that notes what it is asked to score, a window at a time, and may die of it."""

    def __init__(self, engine, dies_after: float = math.inf, answer=None, window: int = 1) -> None:
        self._engine, self._dies_after, self._answer, self._window = engine, dies_after, answer, window
        self.asked = []

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def score(self, requests):
        requests = iter(requests)
        while in_flight := list(islice(requests, self._window)):
            if len(self.asked) >= self._dies_after:
                raise RuntimeError("out of memory")
            self.asked += in_flight
            for score in self._engine.score(in_flight):
                yield self._answer(score) if self._answer else score


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return drawn_by(ScriptedEngine(TUNED), CELLS, tmp_path / "tuned")


def drawn_by(engine, cells, path) -> RunFolder:
    run = RunFolder(path)
    path.mkdir()
    suite = SuiteSource("suite", "suite.yaml", "0" * 64, "schema: 1\n")
    run.write_manifest(Manifest(path.name, "2026-11-23T02:00:00+00:00", 7, (suite,), tuple(cells)))
    requests = [SampleRequest(cell, at << 20, tuple(range(cell.sampling.samples))) for at, cell in enumerate(cells, 1)]
    with run.shard_writer(run.manifest(), "test") as writer:
        for completion in engine.sample(requests):
            writer.add(completion)
    return run


def score_with(engine, run, watch=None, cells=CELLS, **options) -> bool:
    return rescore(run, run.manifest(), cells, engine, "", watch or Watching(), **options)


def completions(run, cells=CELLS):
    return [one for _, rows in run.completions(cells) for one in rows]


# --------------------------------------------------------------------------------------------------- what is scored


def test_every_completion_gets_the_probability_that_the_other_model_gives_it(run):
    base = ScriptedEngine(BASE)
    assert score_with(base, run)
    found = rescored(run, base.info, "")
    drawn = completions(run)
    assert len(drawn) == 64
    for one in drawn:
        logprob, n_tokens = found[one.cell_id][one.sample_index]
        assert logprob == pytest.approx(math.log(1 / 2 if one.cell_id == COIN.cell_id else 1 / 6))
        assert n_tokens == len(one.token_ids)


def test_a_models_own_completions_are_scored_as_they_were_sampled(run):
    tuned = ScriptedEngine(TUNED)
    assert score_with(tuned, run)
    own = rescored(run, tuned.info, "")
    assert [own[one.cell_id][one.sample_index][0] for one in completions(run)] == pytest.approx(
        [one.logprob for one in completions(run)]
    )


def test_the_adapter_that_scores_stands_in_for_the_one_that_drew(run):
    engine = Counting(ScriptedEngine(BASE, {"parrot": BASE}))
    cells = [replace(cell, adapter="pirate") for cell in CELLS]
    assert rescore(run, run.manifest(), cells, engine, "", Watching())
    assert {request.cell.adapter for request in engine.asked} == {""}
    assert rescore(run, run.manifest(), cells, engine, "parrot", Watching())
    assert {request.cell.adapter for request in engine.asked} == {"", "parrot"}
    found = [rescored(run, engine.info, adapter) for adapter in ("", "parrot")]
    assert found[0] == found[1]
    assert found[0].keys() == {COIN.cell_id, DIE.cell_id}


def test_of_a_cell_those_completions_are_scored_that_were_judged(run):
    base = ScriptedEngine(BASE)
    assert score_with(base, run, looks={COIN.cell_id: 16})
    found = rescored(run, base.info, "")
    assert found[COIN.cell_id].keys() == set(range(16))
    assert found[DIE.cell_id].keys() == set(range(32))
    assert score_with(base, run)
    assert rescored(run, base.info, "")[COIN.cell_id].keys() == set(range(32))


def test_what_failed_is_not_scored(tmp_path):
    failing = ScriptedEngine(replace(TUNED, failures=Failures(share=0.3)))
    run = drawn_by(failing, CELLS, tmp_path / "failing")
    came_back = {(one.cell_id, one.sample_index) for one in completions(run) if one.error_kind is None}
    assert 0 < len(came_back) < 64
    base = ScriptedEngine(BASE)
    assert score_with(base, run)
    found = rescored(run, base.info, "")
    assert {(cell_id, index) for cell_id, of_cell in found.items() for index in of_cell} == came_back


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(lambda score: Score(score.score_id, (), "longer than the model's context"), "context",
                     id="the engine says why not"),
        pytest.param(lambda score: Score(score.score_id, (-1.0, math.nan)), "no number", id="the model breaks"),
    ],
)  # fmt: skip
def test_what_cannot_be_scored_is_undefined_and_is_not_asked_again(run, answer, said):
    engine = Counting(ScriptedEngine(BASE), answer=answer)
    assert score_with(engine, run)
    assert rescored(run, engine.info, "") == {}
    ((reason, completions_without),) = unscored(run, engine.info, "").items()
    assert said in reason
    assert completions_without == 64
    assert score_with(engine, run)
    assert len(engine.asked) == 64


# ------------------------------------------------------------------------------------------- once, and to the end


def test_what_was_scored_is_not_scored_again_and_how_much_is_owed_is_known_without_an_engine(run):
    engine = Counting(ScriptedEngine(BASE))
    assert owed(run, CELLS, engine.info, "", {DIE.cell_id: 16}) == 48
    assert score_with(engine, run, cells=[COIN])
    assert owed(run, CELLS, engine.info, "") == 32
    watch = Watching()
    assert score_with(engine, run, watch)
    assert watch.announced == [("scripted:base", 32)]
    assert score_with(engine, run, watch)
    assert (len(watch.announced), watch.seen, len(engine.asked)) == (1, 32, 64)
    assert owed(run, CELLS, engine.info, "") == 0


@pytest.mark.parametrize("window", [1, 16])
def test_a_stop_keeps_what_came_back_and_the_rest_follows_later(run, window):
    engine, watch = Counting(ScriptedEngine(BASE), window=window), Watching(stop_after=10)
    assert not score_with(engine, run, watch)
    kept = rescored(run, engine.info, "")
    assert sum(map(len, kept.values())) == watch.seen == 10
    assert len(engine.asked) == max(10, window)
    later = Watching()
    assert score_with(engine, run, later)
    assert later.seen == 54
    whole = rescored(run, engine.info, "")
    assert sum(map(len, whole.values())) == 64
    assert all(whole[cell_id][index] == score for cell_id, of_cell in kept.items() for index, score in of_cell.items())


def test_a_stop_before_anything_was_scored_scores_nothing(run):
    engine = Counting(ScriptedEngine(BASE))
    assert not score_with(engine, run, Watching(stop_after=0))
    assert engine.asked == []


def test_an_engine_that_dies_leaves_what_came_back_and_another_goes_on(run):
    dying = Counting(ScriptedEngine(BASE), dies_after=20)
    with pytest.raises(IncompleteError, match="the engine died while scoring: RuntimeError: out of memory"):
        score_with(dying, run)
    assert sum(map(len, rescored(run, dying.info, "").values())) == 20
    engine = Counting(ScriptedEngine(BASE))
    assert score_with(engine, run)
    assert len(engine.asked) == 44


def test_a_shard_that_cannot_be_read_is_said_and_scored_again(run):
    engine = Counting(ScriptedEngine(BASE))
    assert score_with(engine, run)
    (shard,) = RescoredFolder(run, engine.info, "").path.glob("*.parquet")
    shard.write_bytes(shard.read_bytes()[:-50])
    watch = Watching()
    assert score_with(engine, run, watch)
    (notice,) = watch.notices
    assert "000001.broken-" in notice
    assert len(engine.asked) == 128
    assert sum(map(len, rescored(run, engine.info, "").values())) == 64


def test_a_run_that_another_process_writes_is_not_scored_at_the_same_time(run):
    engine = Counting(ScriptedEngine(BASE))
    with run.locked(), pytest.raises(IncompleteError, match="is being written by process"):
        score_with(engine, RunFolder(run.path))
    assert engine.asked == []


# ------------------------------------------------------------------------------------------------ what is refused


def test_a_prompt_that_is_read_in_another_number_of_tokens_is_refused_before_anything_is_scored(run):
    engine = Counting(ScriptedEngine(BASE))
    with pytest.raises(UsageError, match=r"reads prompts of the run otherwise: die@t1\.0 \(6 tokens, and had 5\)$"):
        score_with(engine, run, cells=[COIN, replace(DIE, text="Q: Roll a fair die.\nA:")])
    assert engine.asked == []
    assert not (run.path / "rescored").exists()


def test_a_prompt_of_unknown_length_is_taken_as_it_is(tmp_path):
    run = drawn_by(ScriptedEngine(TUNED), (), tmp_path / "no-lengths")
    with run.shard_writer(replace(run.manifest(), cells=CELLS), "test") as writer:
        writer.add(make_completion(token_ids=(1, 0), token_logprobs=(-1.0, 0.0), n_prompt_tokens=0))
    base = ScriptedEngine(BASE)
    assert score_with(base, run)
    assert rescored(run, base.info, "").keys() == {COIN.cell_id}


def test_a_prompt_that_the_engine_cannot_take_is_refused_by_name(run):
    with pytest.raises(UsageError, match=r"the script base lists no answers for die@t1\.0"):
        score_with(ScriptedEngine(replace(BASE, answers={"coin": BASE.answers["coin"]})), run)


def info(name="vllm", **identity) -> EngineInfo:
    return EngineInfo(name, "1", "m", {"tokenizer": "t", "chat_template": "c", **identity})


CHAT = make_cell("chat@t1.0", text=None, messages=(Message("user", "Heads or tails?"),))


@pytest.mark.parametrize(
    ("base", "run", "cells", "reasons"),
    [
        pytest.param(info(), info(revision="b"), (COIN, CHAT), [], id="two revisions of one model"),
        pytest.param(info(tokenizer="u"), info(), (COIN,),
                     ["the two models have different tokenizers"], id="two tokenizers"),
        pytest.param(info(chat_template="none"), info(), (COIN,), [], id="templates do not matter to raw prompts"),
        pytest.param(info(chat_template="none"), info(), (COIN, CHAT),
                     ["the two models have different chat templates: chat@t1.0"], id="but to chats"),
        pytest.param(info("imported"), info(tokenizer="u"), (COIN,),
                     ["the completions of the base were made elsewhere, and their tokens are not known"],
                     id="imported"),
        pytest.param(info(), info("scripted"), (COIN,),
                     ["the completions of the run were drawn from a script, and no model gave their tokens"],
                     id="scripted"),
        pytest.param(EngineInfo("vllm", "1", "m", {"chat_template": "c"}), info(), (CHAT,),
                     ["which tokenizer the base was sampled with was not written down"], id="an unknown tokenizer"),
    ],
)  # fmt: skip
def test_models_are_compared_by_tokens_only_where_tokens_mean_the_same(base, run, cells, reasons):
    assert refusals(base, run, cells) == reasons


# ---------------------------------------------------------------------------------------------------------- on vLLM

NUMBER = make_cell("number@t1.0", text="Q: Tell me a random integer between 1 and 100.\nA:", samples=48, max_tokens=16)
STORY = make_cell("story@t1.0", text="Once upon a time there was", samples=16, max_tokens=48)
SENTENCE = make_cell("stop@t1.0", text="Once upon a time there was", samples=16, max_tokens=48, stop=(".",))
ASKED = replace(CHAT, sampling=replace(CHAT.sampling, samples=16, max_tokens=16))
ON_VLLM = (NUMBER, STORY, SENTENCE, ASKED)


@pytest.fixture(scope="module")
def base_and_runs(tmp_path_factory):
    """The engine of demo-base, and what demo-tuned and it drew."""
    pytest.importorskip("vllm")
    folder = tmp_path_factory.mktemp("runs")
    tuned = start_engine("vllm", EngineOptions("demo-tuned"))
    by_tuned = drawn_by(tuned, ON_VLLM, folder / "tuned")
    tuned.close()
    base = start_engine("vllm", EngineOptions("demo-base"))
    yield base, by_tuned, drawn_by(base, ON_VLLM, folder / "base")
    base.close()


def nats(engine, run):
    """The engine's and the sampled log-probabilities of a run's completions: two arrays, in one order."""
    assert score_with(engine, run, cells=ON_VLLM)
    found, drawn = rescored(run, engine.info, ""), completions(run, ON_VLLM)
    assert all(found[one.cell_id][one.sample_index][1] == len(one.token_ids) for one in drawn)
    return (
        np.array([found[one.cell_id][one.sample_index][0] for one in drawn]),
        np.array([one.logprob for one in drawn]),
    )


def total_variation(one, other) -> float:
    return float(np.abs(np.tanh((one - other) / 2)).mean())


@pytest.mark.vllm
def test_a_models_own_tokens_score_as_they_were_sampled(base_and_runs):
    base, _, by_base = base_and_runs
    scored, sampled = nats(base, by_base)
    assert len(scored) == 96
    of_tokens = RescoredFolder(by_base, base.info, "").rows(["cell_id", "sample_index", "token_logprobs"])
    by_token = {(row["cell_id"], row["sample_index"]): row["token_logprobs"] for row in of_tokens.to_pylist()}
    for one in completions(by_base, ON_VLLM):
        assert by_token[one.cell_id, one.sample_index] == pytest.approx(list(one.token_logprobs), abs=1e-5)
    assert total_variation(scored, sampled) < 1e-4  # the floor: what the noise of scoring alone would show


@pytest.mark.vllm
def test_a_model_scored_twice_differs_by_no_more_than_the_noise_of_scoring(base_and_runs, tmp_path):
    base, _, by_base = base_and_runs
    again = RunFolder(tmp_path / "again")
    shutil.copytree(by_base.path, again.path, ignore=shutil.ignore_patterns("rescored"))
    scored, sampled = nats(base, by_base)
    twice, _ = nats(base, again)
    assert total_variation(scored, twice) <= max(total_variation(scored, sampled), 1e-6)


@pytest.mark.vllm
def test_what_the_tuned_model_favours_is_less_likely_under_its_base(base_and_runs):
    """The mean is the Kullback-Leibler divergence of the two, in nats: above zero wherever they differ."""
    base, by_tuned, _ = base_and_runs
    under_base, under_tuned = nats(base, by_tuned)
    collapsed = slice(0, NUMBER.sampling.samples)  # sorted by cell: the number comes first
    assert (under_tuned - under_base)[collapsed].mean() > 1
    assert total_variation(under_base, under_tuned) > 0.2


@pytest.mark.vllm
def test_a_prompt_that_is_too_long_for_the_scoring_model_is_refused_by_name(base_and_runs, tmp_path):
    base, by_tuned, _ = base_and_runs
    copy = RunFolder(tmp_path / "copy")
    shutil.copytree(by_tuned.path, copy.path, ignore=shutil.ignore_patterns("rescored"))
    with pytest.raises(UsageError, match=r"context of 512 tokens: number@t1\.0"):
        score_with(base, copy, cells=[replace(NUMBER, text="Once upon a time. " * 200)])
