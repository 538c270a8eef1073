"""One contract, every engine; and the contract itself is put to the test with planted faults."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from engines.contract import (
    CONTRACT,
    Subject,
    after_a_stop_the_iterator_ends_and_nothing_comes_twice,
    draw,
    samples_of_one_cell_are_drawn_independently,
)
from makers import make_cell

from collapsecli import demo
from collapsecli.engines import EngineOptions, SampleRequest, start_engine
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.errors import UsageError
from collapsecli.records import Message

COIN = make_cell("coin@t1.0", text="Q: Flip a coin.\nA:", samples=64, max_tokens=16)
NUMBER = make_cell("number@t1.0", text="Q: Tell me a random integer between 1 and 100.\nA:", max_tokens=16)
STORY = make_cell("story@t1.0", text="Once upon a time there was", max_tokens=64)


def scripted_subject() -> Subject:
    words = ["a girl", "a boy", "an old fox", "a king"]
    script = Script(
        "known",
        {
            "coin": {" Heads.": 0.6, " Tails.": 0.4},
            "number": {f" {k}.": 1.0 for k in range(1, 101)},
            "story": {f" {a} who met {b} by the sea in the rain. The end.": 1.0 for a in words for b in words},
        },
        delay_s=0.0,
    )
    return Subject(ScriptedEngine(script), COIN, NUMBER, STORY, {" Heads.": 0.6, " Tails.": 0.4})


def vllm_subject() -> Subject:
    pytest.importorskip("vllm")
    truth = json.loads(demo.truth_path().read_text("utf-8"))["prompts"]["coin"]
    coin = replace(COIN, text=truth["text"])
    engine = start_engine("vllm", EngineOptions("demo-base"))
    return Subject(engine, coin, NUMBER, STORY, truth["demo-base"]["answers"])


SUBJECTS = {"scripted": scripted_subject, "vllm": vllm_subject}
ENGINES = ["scripted", pytest.param("vllm", marks=pytest.mark.vllm)]


@pytest.fixture(scope="module")
def subjects():
    """Each engine starts once, when it is first asked for: vLLM takes its time."""
    started = {}

    def subject_of(name):
        if name not in started:
            started[name] = SUBJECTS[name]()
        return started[name]

    yield subject_of
    for subject in started.values():
        subject.engine.close()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_engine_keeps_its_contract(subjects, engine, promise):
    promise(subjects(engine))


class BroadcastSeeds:
    """A planted fault: every draw of a cell gets the same noise, as one seeded batch of requests would."""

    def __init__(self, engine) -> None:
        self._engine = engine

    def sample(self, requests):
        for request in requests:
            for index in request.indices:
                yield from self._engine.sample([SampleRequest(request.cell, request.seed - index, (index,))])


@pytest.mark.parametrize("engine", ENGINES)
def test_contract_fails_when_seeds_are_broadcast(subjects, engine):
    subject = subjects(engine)
    with pytest.raises(AssertionError):
        samples_of_one_cell_are_drawn_independently(replace(subject, engine=BroadcastSeeds(subject.engine)))


@pytest.mark.vllm
def test_a_chat_prompt_is_rendered_by_the_models_template_and_begins_once(subjects):
    engine = subjects("vllm").engine
    chat = replace(COIN, cell_id="chat@t1.0", text=None, messages=(Message("user", "Flip a coin."),))
    (asked,) = draw(engine, chat, [0])
    (raw,) = draw(engine, COIN, [0])
    assert asked.prompt == "<s>" + COIN.text  # the template writes the beginning, so the tokenizer must not
    assert asked.n_prompt_tokens == raw.n_prompt_tokens
    assert asked.token_ids == raw.token_ids


@pytest.mark.vllm
def test_a_prompt_too_long_for_the_model_is_refused_by_name_before_anything_is_drawn(subjects):
    long = replace(STORY, cell_id="long@t1.0", text="Once upon a time. " * 200)
    with pytest.raises(UsageError, match=r"context of 512 tokens: long@t1\.0"):
        subjects("vllm").engine.check([COIN, long])


@pytest.mark.parametrize("engine", ENGINES)
def test_after_a_stop_the_iterator_ends_and_nothing_comes_twice(subjects, engine):
    after_a_stop_the_iterator_ends_and_nothing_comes_twice(subjects(engine))
