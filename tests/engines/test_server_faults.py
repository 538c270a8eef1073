"""A server misbehaves in every way that we know of: no traceback, no duplicate, no secret told, no answer made up."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import math
import shutil
import signal
import ssl
import subprocess
import threading
import time
import traceback
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from engines.contract import draw
from engines.fake_server import (
    MODEL,
    FakeServer,
    changed,
    cut,
    hang,
    numbered,
    said,
    slow,
    status,
    text_of,
    truncated,
)
from hypothesis import given
from hypothesis import strategies as st
from makers import make_cell

pytest.importorskip("aiohttp")

from collapsecli.cli import main
from collapsecli.engines import EngineOptions, SampleRequest, ScoreRequest
from collapsecli.engines.groups import Group
from collapsecli.engines.server import ServerEngine
from collapsecli.engines.server.answers import PromptRead, completions_of, score_of
from collapsecli.engines.server.dialects import dialect_of, mode_of
from collapsecli.engines.server.faults import longest_pause_s, seconds_to_wait
from collapsecli.engines.server.settings import arguments_of, endpoint_of, key_of
from collapsecli.engines.server.starting import Served, choose
from collapsecli.errors import CollapseError, EngineStartError, IncompleteError, UsageError
from collapsecli.pipeline import RunPlan, sample_run
from collapsecli.records import Completion, Message
from collapsecli.runs import RunFolder, SuiteSource

COIN = make_cell("coin@t1.0", text="Q: Flip a coin.\nA:", max_tokens=16)
CHAT = replace(COIN, cell_id="chat@t1.0", text=None, messages=(Message("user", "Flip a coin."),))
QUICK = {"tries": 3, "backoff_s": 0.01, "patience_s": 1.0}
SEED = 1 << 20


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def opened():
    """Servers and their engines, all closed in the end."""
    servers, engines = [], []

    def open_both(behave=lambda _: None, *, arguments=(), server=(), **options):
        servers.append(FakeServer(behave, **dict(server)))
        given = {"endpoint": servers[-1].endpoint, "arguments": QUICK | dict(arguments), **options}
        engines.append(ServerEngine(EngineOptions(given.pop("model", MODEL), **given)))
        return engines[-1], servers[-1]

    yield open_both
    for engine in engines:
        engine.close()
    for server in servers:
        server.die()


def only(index: int, behaviour):
    """Misbehave for one draw, every time it is asked for."""
    return lambda ask: behaviour if ask.seed == SEED + index else None


def first(times: int, behaviour):
    """Misbehave for the first requests, whatever they ask."""
    return lambda ask: behaviour if ask.number < times else None


def taken(engine, indices):
    """What comes back before the run ends, and what it ends with."""
    rows, came_back = engine.sample([SampleRequest(COIN, SEED, tuple(indices))]), []
    with pytest.raises(IncompleteError) as raised:
        came_back.extend(rows)
    return came_back, raised.value


# --------------------------------------------------------------------------------------------- one draw that fails

REFUSAL = {"message": {"role": "assistant", "content": None, "refusal": "I will not."}}
FAILURES = [
    pytest.param(status(500), "server", 3, id="a server error is tried again, then a row"),
    pytest.param(status(503, "busy"), "server", 3, id="an overloaded server"),
    pytest.param(status(429, "slow down"), "rate_limit", 3, id="too many requests"),
    pytest.param(status(408), "timeout", 3, id="the server's own timeout"),
    pytest.param(hang, "timeout", 3, id="no answer within the time for one"),
    pytest.param(cut, "connection", 3, id="a connection cut in the middle of the body"),
    pytest.param(truncated, "protocol", 3, id="half of a JSON document"),
    pytest.param(said(b"[" * 200_000), "protocol", 3, id="JSON nested to break its reader"),
    pytest.param(said(b'"yes"'), "protocol", 3, id="JSON that is no object"),
    pytest.param(said(b"\xff\xfe"), "protocol", 3, id="bytes that are no text"),
    pytest.param(said(gzip.compress(b"{}"), Content_Encoding="gzip"), "protocol", 3, id="packed unasked"),
    pytest.param(status(400, "bad prompt"), "refused", 1, id="a request refused"),
    pytest.param(status(501), "refused", 1, id="something that is not built"),
    pytest.param(said(b'{"error": {"code": []}}', 400), "refused", 1, id="a refusal whose code is no word"),
    pytest.param(said(b'{"error": {"code": "content_filter"}}', 400), "content_filter", 1, id="a prompt filtered"),
    pytest.param(changed(finish_reason="content_filter"), "content_filter", 1, id="a text filtered"),
    pytest.param(changed(finish_reason="tool_calls"), "protocol", 1, id="a tool called that nobody gave"),
    pytest.param(changed(finish_reason=None), "protocol", 1, id="an end that is not said"),
    pytest.param(changed(text=None), "protocol", 1, id="a choice without text"),
    pytest.param(changed(**REFUSAL), "refused", 1, id="a refusal of the server's own"),
    pytest.param(said(b'{"choices": []}'), "protocol", 1, id="no choices"),
    pytest.param(said(b'{"choices": [7, null]}'), "protocol", 1, id="choices that are none"),
    pytest.param(said(b" " * (1 << 22)), "protocol", 1, id="a body far larger than was asked for"),
]


@pytest.mark.parametrize(("behaviour", "kind", "requests"), FAILURES)
def test_a_draw_that_fails_is_one_row_of_its_kind_and_the_others_are_answers(opened, behaviour, kind, requests):
    engine, server = opened(only(2, behaviour), arguments={"timeout_s": 0.3})
    drawn = draw(engine, COIN, range(6), seed=SEED)
    assert [one.sample_index for one in drawn] == list(range(6))
    assert [one.error_kind for one in drawn] == [None, None, kind, None, None, None]
    bad = drawn[2]
    assert (bad.text, bad.token_ids, bad.logprob, bad.finish_reason) == ("", (), None, "error")
    assert bad.error
    assert bad.seed == SEED + 2
    assert [one.text for one in drawn if not one.error_kind] == [text_of(SEED + at) for at in (0, 1, 3, 4, 5)]
    assert sum(ask.seed == SEED + 2 for ask in server.asked) == requests


@pytest.mark.parametrize("behaviour", [status(500), status(429), status(409), cut, truncated], ids=range(5))
def test_a_draw_that_fails_once_is_an_ordinary_answer_in_the_end(opened, behaviour):
    engine, _ = opened(first(2, behaviour))
    drawn = draw(engine, COIN, range(5), seed=SEED)
    assert [one.text for one in drawn] == [text_of(SEED + at) for at in range(5)]


NUMBERS = [
    pytest.param({"token_ids": [1 << 31] * 7}, "no tokens", id="a token that no vocabulary holds"),
    pytest.param({"token_ids": [-1] * 7}, "no tokens", id="a token below the first"),
    pytest.param({"logprobs": {"token_logprobs": [0.5] * 7}}, "no log-probabilities", id="likelier than certain"),
    pytest.param({"logprobs": {"token_logprobs": [10**400] * 7}}, "no log-probabilities", id="more than a float holds"),
]


@pytest.mark.parametrize(("fields", "why"), NUMBERS)
def test_numbers_that_cannot_be_are_rows_of_errors_and_end_no_run(opened, fields, why):
    engine, _ = opened(only(0, changed(**fields)), server={"owned_by": "vllm"}, arguments={"choices": 1})
    bad, good = draw(engine, COIN, range(2), seed=SEED)
    assert (bad.error_kind, good.error_kind) == ("protocol", None)
    assert why in bad.error


def test_a_server_that_asks_for_a_pause_gets_it(opened):
    engine, server = opened(first(1, status(429, Retry_After="1")))
    began = time.monotonic()
    (drawn,) = draw(engine, COIN, [0], seed=SEED)
    assert drawn.text == text_of(SEED)
    assert time.monotonic() - began >= 1.0
    assert len(server.asked) == 2


def test_a_pause_of_a_day_is_not_waited_for(opened):
    engine, server = opened(only(0, status(429, Retry_After="86400")))
    bad, good = draw(engine, COIN, range(2), seed=SEED)
    assert (bad.error_kind, good.error_kind) == ("rate_limit", None)
    assert len(server.asked) == 2


def test_the_words_of_a_server_are_made_harmless_and_short(opened):
    engine, _ = opened(only(0, status(400, "\x1b[31mred\n" + "x" * 10_000)))
    (bad,) = draw(engine, COIN, [0], seed=SEED)
    assert "\x1b" not in bad.error
    assert len(bad.error) < 400


# ----------------------------------------------------------------------------------------- the number of choices


@pytest.mark.parametrize("count", [0, 1, 3, 9], ids=lambda count: f"{count} of 4")
def test_a_wrong_number_of_choices_leaves_no_draw_out_and_none_twice(opened, count):
    wrong = lambda ask: numbered(count) if ask.body["n"] == 4 else None  # noqa: E731 - a line of the table
    engine, server = opened(wrong, arguments={"choices": 4})
    drawn = draw(engine, COIN, range(10), seed=SEED)
    assert [one.sample_index for one in drawn] == list(range(10))
    assert all(one.error_kind is None for one in drawn)
    extra = sum(ask.body["n"] == 1 for ask in server.asked)
    assert extra == 2 * max(0, 4 - count)


def test_choices_with_one_number_are_taken_in_the_order_in_which_they_stand(opened):
    engine, _ = opened(lambda _: changed(index=0), arguments={"choices": 4})
    assert len({one.sample_index for one in draw(engine, COIN, range(4), seed=SEED)}) == 4


def test_a_server_of_unknown_kind_is_asked_for_one_completion_with_one_seed_each(opened):
    """It may use one seed for all choices of a request, and equal noise looks like collapse."""
    engine, server = opened()
    draw(engine, COIN, range(8), seed=SEED)
    assert Counter((ask.body["n"], ask.seed) for ask in server.asked) == Counter((1, SEED + at) for at in range(8))


def test_where_several_are_asked_for_at_once_no_seed_is_sent_and_that_is_said(opened):
    engine, server = opened(arguments={"choices": 4})
    draw(engine, COIN, range(8), seed=SEED)
    assert all("seed" not in ask.body for ask in server.asked)
    assert any("no seeds were sent" in note for note in engine.info.notes)


# ------------------------------------------------------------------------------------------- a server that is gone


def test_a_server_that_dies_ends_the_run_and_leaves_no_rows_of_errors(opened):
    engine, server = opened(arguments={"concurrency": 8})
    came_back = []

    def drawn():
        for completion in engine.sample([SampleRequest(COIN, SEED, tuple(range(100_000)))]):
            came_back.append(completion)
            if len(came_back) == 50:
                threading.Thread(target=server.die).start()

    began = time.monotonic()
    with pytest.raises(IncompleteError, match="has answered nothing for"):
        drawn()
    assert time.monotonic() - began < 20
    assert len(came_back) >= 50
    assert all(one.error_kind is None for one in came_back)


def test_a_server_that_comes_back_in_time_costs_nothing(opened):
    engine, server = opened(arguments={"patience_s": 20, "concurrency": 4})
    port, came_back, reborn = server.port, [], []
    revival = threading.Timer(0.5, lambda: reborn.append(FakeServer(port=port)))
    for completion in engine.sample([SampleRequest(COIN, SEED, tuple(range(60)))]):
        came_back.append(completion)
        if len(came_back) == 20:
            server.die()
            revival.start()
    reborn[0].die()
    assert sorted(one.sample_index for one in came_back) == list(range(60))
    assert all(one.error_kind is None for one in came_back)


def test_a_server_that_falls_silent_ends_the_run(opened):
    """It takes connections and answers none: only a question beside the others tells it from a slow one."""
    engine, server = opened(lambda ask: hang if ask.number >= 5 else None)
    rows = engine.sample([SampleRequest(COIN, SEED, tuple(range(100)))])
    for _ in range(5):
        next(rows)
    server.is_silent = True
    with pytest.raises(IncompleteError, match="has answered nothing for"):
        next(rows)


def test_silence_before_anything_was_asked_is_none(opened):
    """A run may judge for minutes between two questions: a server that is then gone gets its time all the same."""
    engine, server = opened(server={"owned_by": "vllm"}, arguments={"patience_s": 0.8})
    server.die()
    time.sleep(1.0)
    began = time.monotonic()
    with pytest.raises(IncompleteError, match="has answered nothing for"):
        engine.tokens(COIN, " Heads.")
    assert time.monotonic() - began >= 0.8


def test_a_slow_server_is_not_taken_for_a_dead_one(opened):
    engine, _ = opened(lambda _: slow(3.0))
    assert {one.error_kind for one in draw(engine, COIN, range(4), seed=SEED)} == {None}


@pytest.mark.parametrize("behaviour", [status(429), status(500)], ids=["out of credit", "a broken engine"])
def test_a_server_that_answers_nobody_ends_the_run_after_a_few_rows(opened, behaviour):
    engine, server = opened(lambda ask: behaviour if ask.number > 40 else None)
    came_back, raised = taken(engine, range(100_000))
    assert "16 requests in a row failed" in raised.message
    assert sum(one.error_kind is not None for one in came_back) < 16
    assert len(server.asked) < 41 + 16 * 3 * 16


@pytest.mark.parametrize("code", [401, 403, 404, 302])
def test_what_every_other_request_would_meet_ends_the_run(opened, code):
    engine, _ = opened(lambda ask: status(code, Location="http://127.0.0.1:1/") if ask.number > 3 else None)
    came_back, raised = taken(engine, range(100_000))
    assert raised.hint
    assert all(one.error_kind is None for one in came_back)


# ------------------------------------------------------------------------------------------------ how a run begins


def started(server: FakeServer, **options) -> None:
    ServerEngine(EngineOptions(options.pop("model", MODEL), endpoint=server.endpoint, arguments=QUICK, **options))


def test_a_server_that_is_not_there_is_said_with_its_address():
    with FakeServer() as server:
        endpoint = server.endpoint
    with pytest.raises(EngineStartError, match="no server answers at " + endpoint) as raised:
        ServerEngine(EngineOptions(MODEL, endpoint=endpoint, arguments=QUICK))
    assert raised.value.hint


def test_a_wrong_key_is_said_before_anything_is_drawn(tmp_path):
    key_file = tmp_path / "key"
    key_file.write_text("sk-wrong\n", "utf-8")
    with FakeServer(key="sk-right") as server, pytest.raises(EngineStartError, match="does not take the key") as raised:
        started(server, key_file=str(key_file))
    assert "--key-file" in raised.value.hint


MODELS = [Served("base"), Served("poet", parent="base"), Served("other", root="/models/other")]
CHOICES = [
    pytest.param(MODELS[:2], "", "base", id="the only one, whose adapter does not count"),
    pytest.param(MODELS, "other", "other", id="by its name"),
    pytest.param(MODELS, "/models/other", "other", id="by the place of its files"),
    pytest.param(MODELS, "poet", "poet", id="an adapter by its name"),
    pytest.param([], "any", "any", id="a server without a list is believed"),
]
NO_CHOICES = [
    pytest.param(MODELS, "", "serves 2 models: `base`, `other`", id="several, and none named"),
    pytest.param([], "", "lists no models", id="no list, and none named"),
    pytest.param(MODELS, "ohter", "does not serve `ohter`", id="a name misspelt"),
]


@pytest.mark.parametrize(("served", "asked", "chosen"), CHOICES)
def test_the_model_is_the_one_that_is_meant(served, asked, chosen):
    assert choose(served, asked).name == chosen


@pytest.mark.parametrize(("served", "asked", "why"), NO_CHOICES)
def test_a_model_that_nobody_can_mean_is_refused_with_those_that_there_are(served, asked, why):
    with pytest.raises(UsageError, match=why) as raised:
        choose(served, asked)
    assert raised.value.hint


def test_an_unnamed_model_is_the_servers_own(opened):
    engine, _ = opened(model="")
    assert engine.info.model == MODEL
    assert engine.info.identity["served_model"] == MODEL


def test_a_server_that_lists_no_models_is_asked_for_the_one_that_is_named(opened):
    engine, _ = opened(server={"lists": False})
    assert draw(engine, COIN, [0], seed=SEED)[0].text == text_of(SEED)


def test_an_adapter_that_the_server_does_not_have_is_refused(opened):
    engine, _ = opened()
    with pytest.raises(UsageError, match="no adapter `poet`"):
        engine.check([replace(COIN, adapter="poet")])
    with FakeServer() as server, pytest.raises(UsageError, match="no adapter `poet`"):
        started(server, adapters={"poet": "unused"})


def test_an_adapter_is_asked_for_as_a_model_of_its_own(opened):
    models = [{"id": MODEL, "owned_by": "x"}, {"id": "poet", "owned_by": "x", "parent": MODEL}]
    engine, server = opened(server={"models": models})
    poet = replace(COIN, adapter="poet")
    engine.check([poet])
    draw(engine, poet, [0])
    assert {ask.body["model"] for ask in server.asked} == {"poet"}


REFUSED_CELLS = [
    pytest.param({"top_k": 5}, {}, "has top_k or min_p", id="top_k of a server that may not know it"),
    pytest.param({"min_p": 0.1}, {}, "has top_k or min_p", id="min_p of a server that may not know it"),
    pytest.param({}, {"injected": "The"}, "begins the model's own turn", id="a prefill in a chat"),
    pytest.param({}, {"reasoning": "off"}, "turns reasoning off", id="reasoning switched off in the template"),
]


@pytest.mark.parametrize(("sampling", "changes", "why"), REFUSED_CELLS)
def test_what_a_server_cannot_be_asked_for_is_refused_before_anything_is_drawn(opened, sampling, changes, why):
    engine, server = opened()
    cell = replace(CHAT, sampling=replace(CHAT.sampling, **sampling), **changes)
    with pytest.raises(UsageError, match=rf"chat@t1\.0 {why}"):
        engine.check([cell])
    assert server.asked == []


def test_sampling_that_the_server_refuses_is_refused_before_anything_is_drawn(opened):
    hot = lambda ask: status(400, "temperature too high") if ask.body["temperature"] > 2 else None  # noqa: E731
    engine, server = opened(hot)
    cells = [replace(COIN, sampling=replace(COIN.sampling, temperature=at)) for at in (1.0, 2.5)]
    with pytest.raises(UsageError, match=r"refuses what coin@t1\.0 asks for: HTTP 400: temperature too high"):
        engine.check(cells)
    asked = len(server.asked)
    engine.check(cells[:1] * 50)
    assert len(server.asked) == asked  # tried once


def test_a_server_that_wants_max_tokens_by_another_name_gets_it(opened):
    old = lambda ask: status(400, "use 'max_completion_tokens' instead") if "max_tokens" in ask.body else None  # noqa: E731
    engine, server = opened(old)
    engine.check([CHAT])
    (drawn,) = draw(engine, CHAT, [0], seed=SEED)
    assert drawn.text == text_of(SEED)
    assert server.asked[-1].body["max_completion_tokens"] == 16


# ----------------------------------------------------------------------------------------------------- what is sent

OPENAI = {
    "model": MODEL, "n": 1, "seed": SEED, "stream": False, "temperature": 0.7, "top_p": 0.9, "max_tokens": 16,
    "stop": ["."], "presence_penalty": 0.0, "frequency_penalty": 0.0,
}  # fmt: skip
BEYOND = {
    "someone": {},
    "sglang": {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "min_tokens": 0},
    "llamacpp": {
        "top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0, "typical_p": 1.0, "xtc_probability": 0.0,
        "dry_multiplier": 0.0, "dynatemp_range": 0.0, "mirostat": 0,
    },
    "vllm": {
        "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "min_tokens": 0, "logprobs": 0,
        "return_token_ids": True, "return_tokens_as_token_ids": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("owned_by", BEYOND)
def test_everything_that_shapes_a_draw_is_sent_and_nothing_that_the_server_does_not_know(opened, owned_by):
    engine, server = opened(server={"owned_by": owned_by})
    cell = replace(COIN, sampling=replace(COIN.sampling, temperature=0.7, top_p=0.9, stop=(".",)))
    draw(engine, cell, [0], seed=SEED)
    prompt = [ord(char) for char in COIN.text] if owned_by == "vllm" else COIN.text
    assert server.asked[-1].body == {**OPENAI, "prompt": prompt, **BEYOND[owned_by]}


def test_a_chat_is_sent_as_a_chat(opened):
    engine, server = opened()
    (drawn,) = draw(engine, CHAT, [0], seed=SEED)
    assert drawn.text == text_of(SEED)
    assert drawn.n_prompt_tokens == 7
    assert drawn.prompt == "user: Flip a coin.\n"
    assert server.asked[-1].path == "/v1/chat/completions"
    assert server.asked[-1].body["messages"] == [{"role": "user", "content": "Flip a coin."}]


def test_what_a_reasoning_server_keeps_apart_is_kept_apart(opened):
    message = {"role": "assistant", "content": "Heads.", "reasoning_content": "It is a coin."}
    engine, _ = opened(lambda _: changed(message=message))
    (drawn,) = draw(engine, CHAT, [0], seed=SEED)
    assert (drawn.text, drawn.reasoning) == ("Heads.", "It is a coin.")


def test_fields_of_ones_own_are_sent_as_they_are(opened):
    engine, server = opened(arguments={"fields": {"safe_prompt": False}})
    draw(engine, COIN, [0])
    assert server.asked[-1].body["safe_prompt"] is False
    assert engine.info.identity["fields"] == '{"safe_prompt": false}'


def test_without_log_probabilities_nothing_is_claimed_of_them(opened):
    engine, _ = opened()
    (drawn,) = draw(engine, COIN, [0], seed=SEED)
    assert (drawn.token_ids, drawn.token_logprobs, drawn.logprob, drawn.logprob_kind) == ((), (), None, None)
    assert any("rests on counts alone" in note for note in engine.info.notes)
    assert engine.tokens(COIN, " Heads") == ()
    (score,) = engine.score([ScoreRequest("s", COIN, (1, 2))])
    assert "cannot score" in score.error


def test_a_text_that_the_server_cut_at_a_limit_of_its_own_is_no_answer(opened):
    """A model's generation_config may hold one: the suite asked for 16 tokens, and these are 7."""
    engine, _ = opened(only(0, changed(finish_reason="length")), server={"owned_by": "vllm"}, arguments={"choices": 1})
    bad, good = draw(engine, COIN, range(2), seed=SEED)
    assert bad.error == "the server cut the text after 7 tokens, and 16 were asked for"
    assert (bad.error_kind, good.error_kind) == ("protocol", None)


# ----------------------------------------------------------------------------------------------------------- secrets

SECRET = "sk-planted-4f1d"  # noqa: S105 - what must be found nowhere


def test_the_key_is_sent_in_one_header_and_told_nowhere(opened, tmp_path, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    key_file = tmp_path / "key"
    key_file.write_text(f"{SECRET}\nmore\n", "utf-8")
    # Long words are cut, and must not be cut in the middle of the key.
    words = f"{'x' * 280} {SECRET} is bad"
    echo = lambda ask: status(400, words) if ask.number < 2 else status(401, f"no {SECRET}")  # noqa: E731
    engine, server = opened(echo, key_file=str(key_file), server={"key": SECRET})
    told: list[object] = [engine.info, engine, engine._settings, engine._asking, vars(engine)]
    told.extend(engine._draws([SampleRequest(COIN, SEED, (0,))]))
    came_back, raised = taken(engine, range(50))
    told += [*came_back, raised, raised.hint, *traceback.format_exception(raised)]
    assert any(isinstance(row, Completion) and "[key]" in row.error for row in told)
    out, err = capfd.readouterr()
    assert SECRET[:8] not in "\n".join([*map(repr, told), *map(str, told), out, err, caplog.text])
    assert all(headers["Authorization"] == f"Bearer {SECRET}" for _, headers in server.requests)
    assert SECRET not in json.dumps([ask.body for ask in server.asked])


def test_a_redirect_is_not_followed_and_takes_no_key_along(opened, tmp_path):
    key_file = tmp_path / "key"
    key_file.write_text(SECRET, "utf-8")
    with FakeServer() as other:
        away = status(307, Location=f"http://localhost:{other.port}/v1/completions")
        engine, _ = opened(lambda _: away, key_file=str(key_file))
        with pytest.raises(IncompleteError, match="redirects"):
            draw(engine, COIN, [0])
        assert other.requests == []


@pytest.mark.parametrize("key", ["text", "Heads", "1"])
def test_a_placeholder_for_a_key_changes_no_answer(opened, monkeypatch, key):
    """Servers without keys are often given some word, which an answer, or its JSON, may well hold."""
    monkeypatch.setenv("OPENAI_API_KEY", key)
    engine, _ = opened()
    assert [one.text for one in draw(engine, COIN, range(8), seed=SEED)] == [text_of(SEED + at) for at in range(8)]


def test_a_key_that_comes_back_in_an_answer_or_with_its_slashes_escaped_is_told_nowhere(opened, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{SECRET}/{SECRET}")
    escaped = f"{SECRET}\\/{SECRET}"
    refused = said(b'{"error": {"message": "%s is bad"}}' % escaped.encode(), 400)
    engine, _ = opened(lambda ask: refused if ask.seed == SEED else changed(text=f"{SECRET}/{SECRET}"))
    assert [one.error or one.text for one in draw(engine, COIN, range(2), seed=SEED)] == [
        "HTTP 400: [key] is bad",
        "[key]",
    ]


def test_the_key_of_the_environment_is_used_where_no_file_is_named(opened, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    _, server = opened()
    assert all(headers["Authorization"] == f"Bearer {SECRET}" for _, headers in server.requests)


KEYS = [
    pytest.param(b"", "is empty", id="an empty file"),
    pytest.param(b"sk one\n", "holds no key", id="several words"),
    pytest.param(b"\xff\xfe\n", "is no text", id="bytes"),
    pytest.param("sk-\u200bhidden\n".encode(), "holds no key", id="signs that hide"),
]


@pytest.mark.parametrize(("content", "why"), KEYS)
def test_a_file_that_holds_no_key_is_refused_without_repeating_it(tmp_path, content, why):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(UsageError, match=why) as raised:
        key_of(str(tmp_path / "key"))
    assert "sk" not in str(raised.value) + raised.value.hint


def test_a_key_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        key_of(str(tmp_path / "none"))


ENDPOINTS = [
    ("http://h:8000", "http://h:8000/v1", "http://h:8000"),
    ("http://h:8000/", "http://h:8000/v1", "http://h:8000"),
    ("http://h:8000/v1", "http://h:8000/v1", "http://h:8000"),
    ("http://h:8000/v1/", "http://h:8000/v1", "http://h:8000"),
    ("https://openrouter.ai/api", "https://openrouter.ai/api/v1", "https://openrouter.ai/api"),
    ("https://h/v1beta/openai/", "https://h/v1beta/openai", "https://h/v1beta"),
    ("http://[::1]:8000", "http://[::1]:8000/v1", "http://[::1]:8000"),
]


@pytest.mark.parametrize(("url", "base", "root"), ENDPOINTS)
def test_an_address_is_read_with_or_without_its_version(url, base, root):
    found = endpoint_of(url)
    assert (found.base, found.root) == (base, root)


@pytest.mark.parametrize(
    "url",
    ["", "h:8000", "ftp://h/v1", "http://", "http://h:port/v1", "http://h/v1?key=x", "http://h/v1#x", "http:///v1",
     "http://[h/v1", "http://h\x1b/v1", "http://h i/v1"],
)  # fmt: skip
def test_what_is_no_address_of_a_server_is_refused(url):
    with pytest.raises(UsageError):
        endpoint_of(url)


@pytest.mark.parametrize(("host", "why"), [("h", "user name or password"), ("[h", "no address")])
def test_an_address_with_a_password_is_refused_without_repeating_it(host, why):
    with pytest.raises(UsageError, match=why) as raised:
        endpoint_of(f"http://user:{SECRET}@{host}/v1")
    assert SECRET not in raised.value.hint + "".join(traceback.format_exception(raised.value))


@pytest.fixture
def certified(tmp_path):
    """A server with a certificate that it signed itself, and the file of that."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with FakeServer(tls=context) as server:
        yield server, certificate


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
def test_a_certificate_that_nobody_signed_is_refused_unless_it_is_named(certified):
    server, certificate = certified
    with pytest.raises(EngineStartError, match="its certificate is not trusted"):
        ServerEngine(EngineOptions(MODEL, QUICK, endpoint=server.endpoint))
    assert server.requests == []
    for verify in (str(certificate), False):
        engine = ServerEngine(EngineOptions(MODEL, QUICK | {"verify": verify}, endpoint=server.endpoint))
        drawn = draw(engine, COIN, [0], seed=SEED)
        engine.close()
        assert drawn[0].text == text_of(SEED)
        assert any("certificate is not checked" in note for note in engine.info.notes) == (verify is False)


def test_a_file_that_holds_no_certificates_is_refused(tmp_path):
    (tmp_path / "none.pem").write_text("nothing", "utf-8")
    threads = threading.active_count()
    with pytest.raises(UsageError, match="holds no certificates"):
        ServerEngine(EngineOptions(MODEL, {"verify": str(tmp_path / "none.pem")}, endpoint="https://localhost:1"))
    assert threading.active_count() == threads


@pytest.mark.parametrize(
    ("url", "guarded"),
    [("http://h", False), ("https://h", True), ("http://127.0.0.1:1", True), ("http://[::1]:1", True),
     ("http://localhost", True), ("http://10.0.0.1", False)],
)  # fmt: skip
def test_a_key_that_would_travel_unencrypted_is_noticed(url, guarded):
    assert endpoint_of(url).is_guarded == guarded


BAD_ARGUMENTS = [
    pytest.param({"concurency": 8}, "did you mean `concurrency`", id="a name misspelt"),
    pytest.param({"concurrency": 0}, "", id="no room at all"),
    pytest.param({"concurrency": True}, "", id="no number"),
    pytest.param({"choices": 33}, "", id="more choices than are drawn together"),
    pytest.param({"timeout_s": -1}, "", id="a time before now"),
    pytest.param({"timeout_s": math.nan}, "", id="no time"),
    pytest.param({"verify": "/nowhere"}, "", id="certificates that are not there"),
    pytest.param({"fields": {"seed": 1}}, "", id="a field that is ours"),
    pytest.param({"fields": {"x": math.nan}}, "", id="a field that is no JSON"),
    pytest.param({"fields": 3}, "", id="fields that are none"),
]


@pytest.mark.parametrize(("given_arguments", "hint"), BAD_ARGUMENTS)
def test_an_argument_that_cannot_be_is_refused(given_arguments, hint):
    with pytest.raises(UsageError) as raised:
        arguments_of(given_arguments)
    assert hint in raised.value.hint


# --------------------------------------------------------------------------------------------------------- whole runs


class Onlooker:
    """Nobody looks on."""

    stopped = False

    def sampling(self, engine, schedule):
        pass

    def advanced(self, completion, saved):
        pass

    def noticed(self, what):
        pass


def test_a_run_whose_server_died_goes_on_with_another_and_keeps_no_secret(tmp_path):
    """At another address: where a server stands is no part of what was drawn."""
    key_file, run = tmp_path / "key", RunFolder(tmp_path / "run")
    key_file.write_text(SECRET, "utf-8")
    cells = tuple(replace(COIN, cell_id=f"coin-{at}@t1.0", prompt_id=f"coin-{at}", model=MODEL) for at in range(4))
    run_plan = RunPlan((SuiteSource("suite", "", "", ""),), cells, seed=1)

    def sampled(server) -> bool:
        arguments = QUICK | {"concurrency": 8}
        options = EngineOptions(MODEL, arguments, endpoint=server.endpoint, key_file=str(key_file))
        return sample_run(run, run_plan, lambda _: ServerEngine(options), Onlooker())

    with FakeServer(key=SECRET) as dying:

        def dies(ask):
            if ask.number == 100:
                threading.Thread(target=dying.die).start()
            return only(3, status(500, f"the key {SECRET}"))(ask)

        dying.behave = dies
        with pytest.raises(IncompleteError, match="has answered nothing for"):
            sampled(dying)
    assert run.state()["state"] == "incomplete"
    assert 0 < run.state()["saved"] < 256
    with FakeServer(key=SECRET) as other:
        assert sampled(other)
    drawn = [one for _, completions in run.completions(cells) for one in completions]
    assert Counter((one.cell_id, one.sample_index) for one in drawn) == Counter(
        (cell.cell_id, index) for cell in cells for index in range(64)
    )
    assert all(one.text == text_of(one.seed % (1 << 32)) for one in drawn)
    kept = [path.read_bytes() for path in run.path.rglob("*") if path.is_file()]
    assert kept
    assert not any(SECRET.encode() in content for content in kept)


def test_a_command_whose_key_is_withdrawn_says_what_helps_and_how_to_go_on(suite_file, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with FakeServer(lambda ask: status(401) if ask.number > 20 else None) as server:
        asked = ["probe", str(suite_file), "--endpoint", server.endpoint, "-m", MODEL, "-n", "16"]
        assert main([*asked, "--run-id", "a"]) == 75
        (said,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
        assert "give the right one with --key-file FILE; to go on: collapse probe" in said
        assert "--run-id a" in said
        server.behave = lambda _: None
        assert main([*asked, "--run-id", "a", "-q"]) == 0


# ------------------------------------------------------------------------------------------------ stopping, closing


def test_a_signal_stops_it_soon_and_nothing_comes_after(opened):
    engine, _ = opened(lambda ask: hang if ask.number > 20 else None)
    before = signal.signal(signal.SIGALRM, lambda *_: engine.stop())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        began = time.monotonic()
        came_back = list(engine.sample([SampleRequest(COIN, SEED, tuple(range(1000)))]))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < 3
    assert 0 < len(came_back) < 1000
    assert list(engine.sample([SampleRequest(COIN, SEED, (0,))])) == []


def test_after_a_stop_nothing_is_asked_any_more(opened):
    engine, server = opened(server={"owned_by": "vllm"})
    engine.stop()
    requests = len(server.requests)
    engine.check([COIN])
    assert engine.tokens(COIN, "x") == ()
    assert list(engine.score([ScoreRequest("s", COIN, (1,))])) == []
    assert len(server.requests) == requests


class Illiterate(FakeServer):
    """Reads no prompt with the word `refused` in it, and thinks long about any other."""

    async def _tokenize(self, request):
        prompt = (await request.json()).get("prompt", "")
        if "refused" in prompt:
            return await status(400)(None, None, None)
        if "read" in prompt:
            await asyncio.sleep(60)
        return await super()._tokenize(request)


def test_a_prompt_that_is_not_read_leaves_no_other_being_read():
    with Illiterate(owned_by="vllm") as server:
        engine = ServerEngine(EngineOptions(MODEL, endpoint=server.endpoint, arguments=QUICK))
        cells = [replace(COIN, cell_id=f"{at}@t1.0", text=f"{at} read") for at in range(5)]
        with pytest.raises(UsageError, match="does not read a prompt"):
            engine.check([*cells, replace(COIN, text="refused")])
        deadline = time.monotonic() + 5
        while (left := asyncio.all_tasks(engine._talk._wire._loop)) and time.monotonic() < deadline:
            time.sleep(0.01)
        engine.close()
    assert left == set()


def test_an_iterator_that_nobody_wants_any_more_leaves_nothing_under_way(opened):
    engine, server = opened(arguments={"concurrency": 4})
    rows = engine.sample([SampleRequest(COIN, SEED, tuple(range(1000)))])
    next(rows)
    rows.close()
    time.sleep(0.2)
    asked = len(server.asked)
    time.sleep(0.2)
    assert len(server.asked) == asked < 50
    assert len(draw(engine, COIN, range(5), seed=SEED)) == 5


def test_closing_leaves_no_thread_and_no_socket():
    def sockets() -> int:
        links = Path("/proc/self/fd").iterdir()
        return sum(link.is_symlink() and str(link.readlink()).startswith("socket:") for link in links)

    with FakeServer() as server:
        threads, before = threading.active_count(), sockets()
        for _ in range(3):
            engine = ServerEngine(EngineOptions(MODEL, endpoint=server.endpoint, arguments=QUICK))
            draw(engine, COIN, range(20))
            engine.close()
            engine.close()
        deadline = time.monotonic() + 5
        while sockets() > before and time.monotonic() < deadline:  # the server's ends close in their own time
            time.sleep(0.05)
        assert sockets() == before
        assert threading.active_count() == threads


def test_a_start_that_fails_leaves_no_thread():
    threads = threading.active_count()
    with pytest.raises(EngineStartError):
        ServerEngine(EngineOptions(MODEL, endpoint="http://127.0.0.1:1"))
    assert threading.active_count() == threads


# --------------------------------------------------------------------------------------------------------------- laws

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("", 0), ("7", 7), ("1.5", 1.5), ("soon", 0), ("-3", 0), ("Thu, 01 Jan 2026 12:00:30 GMT", 30),
     ("Thu, 01 Jan 2026 11:00:00 GMT", 0)],
)  # fmt: skip
def test_the_pause_that_a_server_asks_for_is_read_as_number_or_date(header, seconds):
    assert seconds_to_wait(header, NOW) == seconds


@given(st.text() | st.integers().map(str))
def test_no_header_breaks_the_reading_of_it(header):
    assert seconds_to_wait(header, NOW) >= 0


@given(st.integers(1, 10_000), st.floats(0.01, 10))
def test_pauses_grow_and_stay_bounded(tries, first_s):
    assert 0 < longest_pause_s(tries, first_s) <= longest_pause_s(tries + 1, first_s) <= 30.0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "index": st.integers(-2, 9) | JSON,
        "finish_reason": st.sampled_from(["stop", "length", "content_filter", None]) | JSON,
        "text": st.text(max_size=5) | JSON,
        "message": st.fixed_dictionaries({}, optional={"content": JSON, "refusal": JSON, "reasoning": JSON}) | JSON,
        "token_ids": st.lists(st.integers(0, 9) | st.integers(), max_size=3) | JSON,
        "logprobs": st.fixed_dictionaries(
            {}, optional={"token_logprobs": st.lists(st.floats(max_value=0) | st.floats(), max_size=3)}
        )
        | JSON,
    },
)
USAGE = st.fixed_dictionaries({"prompt_tokens": st.integers()}) | JSON
ANSWER = st.fixed_dictionaries({}, optional={"choices": st.lists(CHOICE | JSON, max_size=6) | JSON, "usage": USAGE})


@given(ANSWER, st.booleans(), st.integers(1, 5))
def test_whatever_a_server_says_every_row_is_an_answer_or_an_error_of_an_index_that_was_asked_for(answer, tokens, size):
    dialect = dialect_of("vllm", has_tokens=tokens)
    dialect = dialect.taking("processed") if tokens else dialect
    group = Group(SampleRequest(COIN, SEED, tuple(range(10, 10 + size))), 10, size)
    rows = completions_of(group, answer, PromptRead("p", 0), dialect)
    assert set(rows) <= set(range(10, 10 + size))
    for index, row in rows.items():
        assert row.sample_index == index
        assert row.seed == SEED + index
        assert isinstance(row.text, str)
        assert all(0 <= number < 1 << 31 for number in (row.n_prompt_tokens, *row.token_ids))  # as columns hold them
        if row.error_kind is None:
            assert len(row.token_ids) == len(row.token_logprobs)
            assert all(value < 0.01 for value in row.token_logprobs)
            assert (row.logprob_kind == "sampling") == tokens
        else:
            assert (row.text, row.token_ids, row.logprob_kind) == ("", (), None)


@given(JSON)
def test_whatever_a_server_says_of_a_scored_text_it_is_a_score_or_an_error(found):
    score = score_of(ScoreRequest("s", COIN, (1, 2)), {"choices": [{"prompt_logprobs": found}]})
    assert (score.error is None) == (len(score.token_logprobs) == 2)


def logprobs(values, tops=None):
    return {"choices": [{"logprobs": {"token_logprobs": values, "top_logprobs": tops or [{"a": v} for v in values]}}]}


MODES = [
    pytest.param(logprobs([-0.7, -1.2]), logprobs([0.0, 0.0]), "processed", id="the one token left is certain"),
    pytest.param(logprobs([-0.7, -1.2]), logprobs([-0.6, -0.1]), "raw", id="it is as likely as it was"),
    pytest.param(logprobs([-0.0, -0.0]), logprobs([0.0, 0.0]), "raw", id="a model that is certain tells nothing"),
    pytest.param(logprobs([12.5, 3.0]), logprobs([14.0, 2.0]), "none", id="logits above zero"),
    pytest.param(logprobs([-0.1], [{"a": -0.1, "b": -0.1}]), logprobs([-0.1]), "none", id="logits that sum to more"),
    pytest.param({}, {}, "none", id="nothing came back"),
]


@pytest.mark.parametrize(("untouched", "cut_to_one", "mode"), MODES)
def test_which_log_probabilities_a_server_gives_is_found_out(untouched, cut_to_one, mode):
    assert mode_of(untouched, cut_to_one) == mode


@given(JSON, JSON)
def test_whatever_a_server_says_when_it_is_tried_its_log_probabilities_are_of_some_kind_or_none(found, tops):
    tried = {"choices": [{"logprobs": {"token_logprobs": found, "top_logprobs": [tops, {"a": found, "b": tops}]}}]}
    assert mode_of(tried, logprobs([0.0])) in {"processed", "raw", "none"}


def test_what_a_raw_server_says_of_a_tempered_cell_is_called_the_models(opened):
    engine, _ = opened(server={"owned_by": "vllm"})
    assert engine.info.identity["logprobs"] == "raw"
    (plain,) = draw(engine, COIN, [0], seed=SEED)
    (tempered,) = draw(engine, replace(COIN, sampling=replace(COIN.sampling, temperature=0.5)), [0], seed=SEED)
    assert (plain.logprob_kind, tempered.logprob_kind) == ("sampling", "model")


def test_every_error_says_what_to_do_next(opened):
    engine, _ = opened(lambda _: status(401))
    with pytest.raises(CollapseError) as raised:
        draw(engine, COIN, [0])
    assert raised.value.hint
