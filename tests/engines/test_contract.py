"""One contract, every engine; and the contract itself is put to the test with planted faults."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

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
from collapsecli.engines import EngineOptions, SampleRequest, ScoreRequest, start_engine
from collapsecli.errors import SuiteError, UsageError
from collapsecli.records import Branch, Message, Road

COIN = make_cell("coin@t1.0", text="Q: Flip a coin.\nA:", samples=64, max_tokens=16)
NUMBER = make_cell("number@t1.0", text="Q: Tell me a random integer between 1 and 100.\nA:", max_tokens=16)
STORY = make_cell("story@t1.0", text="Once upon a time there was", max_tokens=64)


WORDS = ("a girl", "a boy", "an old fox", "a king")
KNOWN = {
    "coin": {" Heads.": 0.6, " Tails.": 0.4},
    "number": {f" {k}.": 1.0 for k in range(1, 101)},
    "story": {f" {a} who met {b} by the sea in the rain. The end.": 1.0 for a in WORDS for b in WORDS},
}


def scripted_subject(folder, own_process) -> Subject:
    script = folder / "known.yaml"
    script.write_text(json.dumps({"prompts": KNOWN}), "utf-8")
    engine = start_engine("scripted", EngineOptions(str(script)), own_process=own_process)
    return Subject(engine, COIN, NUMBER, STORY, KNOWN["coin"])


def vllm_subject(_, own_process) -> Subject:
    pytest.importorskip("vllm")
    truth = json.loads(demo.truth_path().read_text("utf-8"))["prompts"]["coin"]
    coin = replace(COIN, text=truth["text"])
    engine = start_engine("vllm", EngineOptions("demo-base"), own_process=own_process)
    return Subject(engine, coin, NUMBER, STORY, truth["demo-base"]["answers"])


SUBJECTS = {
    "scripted": partial(scripted_subject, own_process=False),
    "scripted process": partial(scripted_subject, own_process=True),
    "vllm": partial(vllm_subject, own_process=False),
    "vllm process": partial(vllm_subject, own_process=True),
}
ENGINES = [
    "scripted",
    "scripted process",
    pytest.param("vllm", marks=pytest.mark.vllm),
    pytest.param("vllm process", marks=pytest.mark.vllm),
]


@pytest.fixture(scope="module")
def subjects(tmp_path_factory):
    """Each engine starts once, when it is first asked for: vLLM takes its time."""
    started = {}

    def subject_of(name):
        if name not in started:
            started[name] = SUBJECTS[name](tmp_path_factory.mktemp("engine"))
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


# ------------------------------------------------------------------------------------------------- said beforehand

ANIMAL = replace(COIN, cell_id="animal@t1.0", text="Q: Name an animal.\nA:")


@pytest.mark.vllm
@pytest.mark.parametrize("injected", [" The", " The ", "The", " A cat. "])
def test_in_a_chat_the_injected_text_stands_where_the_model_would_have_said_it(subjects, injected):
    """Space and all, though the template strips and pads what is said in a turn."""
    engine = subjects("vllm").engine
    plain = replace(ANIMAL, text=None, messages=(Message("user", "Name an animal."),))
    chat = replace(plain, cell_id="animal/i@t1.0", injection="i", injected=injected)
    (before,), (after,) = draw(engine, plain, [0]), draw(engine, chat, [0])
    assert after.prompt == before.prompt + injected
    assert after.n_prompt_tokens > before.n_prompt_tokens


OPENS_PAST_A_THOUGHT = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}Q: {{ m.content }}\n{% else %}A: <think></think>"
    "{{ m.content | trim }}\n{% endif %}{% endfor %}{% if add_generation_prompt %}A:{% endif %}"
)


@pytest.mark.vllm
def test_a_template_that_opens_a_turn_past_a_thought_is_followed(subjects, monkeypatch):
    engine = subjects("vllm").engine
    chat = replace(
        ANIMAL, cell_id="animal/i@t1.0", text=None, messages=(Message("user", "Dog?"),), injection="i", injected=" The "
    )
    rendered = partial(engine._tokenizer.apply_chat_template, chat_template=OPENS_PAST_A_THOUGHT)
    monkeypatch.setattr(engine._tokenizer, "apply_chat_template", rendered)
    (drawn,) = draw(engine, chat, [0])
    assert drawn.prompt == "<s>Q: Dog?\nA: <think></think>The "


ENDS_ITS_LINE = (
    "{{ bos_token }}{% for m in messages %}{{ m.role }}:\n{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:\n{% endif %}"
)


@pytest.mark.vllm
def test_behind_a_template_that_ends_its_line_the_space_of_a_raw_prompt_is_left_out(subjects, monkeypatch):
    engine = subjects("vllm").engine
    chat = replace(
        ANIMAL, cell_id="animal/i@t1.0", text=None, messages=(Message("user", "Cat?"),), injection="i", injected=" The"
    )
    rendered = partial(engine._tokenizer.apply_chat_template, chat_template=ENDS_ITS_LINE)
    monkeypatch.setattr(engine._tokenizer, "apply_chat_template", rendered)
    (drawn,) = draw(engine, chat, [0])
    assert drawn.prompt == "<s>user:\nCat?\nassistant:\nThe"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_road_is_scored_as_it_is_drawn(subjects, engine):
    subject = subjects(engine)
    (drawn,) = draw(subject.engine, subject.story, [3])
    text = " ".join(drawn.text.split(" ")[:4])
    tokens = subject.engine.tokens(subject.story, text)
    assert drawn.token_ids[: len(tokens)] == tokens
    (score,) = subject.engine.score([ScoreRequest("s", subject.story, tokens)])
    assert score.token_logprobs == pytest.approx(tuple(drawn.token_logprobs[: len(tokens)]), abs=2e-3)


BROKEN_ROADS = [
    pytest.param("Q: Flip a coin.\nA: ", "Heads", "melts into the prompt's last one", id="a space"),
    pytest.param("Q: Flip a coin.\nA:", "</s>", "say ''", id="a mark of the tokenizer's"),
]


@pytest.mark.vllm
@pytest.mark.parametrize("engine", ["vllm", "vllm process"])
@pytest.mark.parametrize(("prompt", "road", "why"), BROKEN_ROADS)
def test_a_road_that_is_not_its_own_tokens_is_refused_with_its_line(subjects, engine, prompt, road, why):
    cell = replace(COIN, text=prompt, roads=(Road(road, ("suite.yaml", 7, 12)),))
    with pytest.raises(SuiteError) as raised:
        subjects(engine).engine.check(
            [COIN, cell, replace(cell, cell_id="again@t1.0"), replace(cell, branch=Branch("x", 1))]
        )
    (fault,) = raised.value.faults  # once, though several cells have it
    assert str(fault).startswith("suite.yaml:7:12: the ")
    assert why in str(fault)


@pytest.mark.vllm
def test_a_road_of_the_models_own_tokens_is_accepted(subjects):
    subjects("vllm").engine.check([replace(COIN, roads=(Road(" Heads"), Road(" Tails.")))])


@pytest.mark.parametrize("engine", ENGINES)
def test_after_a_stop_the_iterator_ends_and_nothing_comes_twice(subjects, engine):
    after_a_stop_the_iterator_ends_and_nothing_comes_twice(subjects(engine))
