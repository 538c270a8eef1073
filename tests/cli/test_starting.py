"""Which engine the command line means, and which options it can have."""

from __future__ import annotations

from pathlib import Path

import pytest

from collapsecli.cli.options import EngineChoice
from collapsecli.cli.starting import engine_chosen, engine_options
from collapsecli.engines import EngineOptions, require_options
from collapsecli.errors import UsageError

URL = "http://localhost:8000/v1"


@pytest.mark.parametrize(
    ("engine", "endpoint", "chosen"),
    [
        pytest.param(None, None, EngineChoice.vllm, id="vLLM unless told"),
        pytest.param(EngineChoice.scripted, None, EngineChoice.scripted, id="the one that is named"),
        pytest.param(None, URL, EngineChoice.server, id="an endpoint is a server's"),
        pytest.param(EngineChoice.server, URL, EngineChoice.server, id="which may be named, too"),
    ],
)
def test_the_engine_follows_from_what_is_said(engine, endpoint, chosen):
    assert engine_chosen(engine, endpoint) is chosen


@pytest.mark.parametrize(
    ("engine", "endpoint", "match"),
    [
        pytest.param(EngineChoice.vllm, URL, "--endpoint is for a server, and --engine says vllm", id="two engines"),
        pytest.param(EngineChoice.server, None, "needs to know where it is", id="a server nowhere"),
    ],
)
def test_an_engine_and_an_endpoint_that_differ_are_refused(engine, endpoint, match):
    with pytest.raises(UsageError, match=match):
        engine_chosen(engine, endpoint)


@pytest.mark.parametrize(
    ("engine", "options", "match"),
    [
        pytest.param(EngineChoice.server, {"replicas": 2}, "--replicas is the server's own", id="replicas of a server"),
        pytest.param(EngineChoice.server, {"tensor_parallel": 2}, "--tp is the server's own", id="devices of a server"),
        pytest.param(
            EngineChoice.server,
            {"trust_remote_code": True},
            "--trust-remote-code is the server's",
            id="code of a server",
        ),
        pytest.param(EngineChoice.vllm, {"key_file": Path("key")}, "--key-file is for a server", id="a key for nobody"),
        pytest.param(EngineChoice.scripted, {"tensor_parallel": 2}, "--tp divides a model", id="a script divided"),
        pytest.param(
            EngineChoice.scripted, {"pairs": ["a=1"]}, "-e sets arguments of vLLM", id="arguments of a script"
        ),
        pytest.param(EngineChoice.vllm, {"pairs": ["a"]}, "is no KEY=VALUE", id="no pair"),
        pytest.param(EngineChoice.vllm, {"pairs": ["a=["]}, "is no YAML value", id="no YAML"),
    ],
)
def test_an_option_that_an_engine_does_not_have_is_refused(engine, options, match):
    with pytest.raises(UsageError, match=match):
        engine_options(engine, **options)


@pytest.mark.parametrize(
    ("engine", "options", "match"),
    [
        pytest.param("vllm", {"replicas": 10_000}, "10000 replicas need 10000 ", id="more replicas than devices"),
        pytest.param("vllm", {"tensor_parallel": 10_000}, "an engine of 10000 ", id="a model in too many parts"),
        pytest.param("server", {"endpoint": "http://[h"}, "no address of a server", id="no address"),
        pytest.param("server", {"endpoint": URL, "key_file": "/no/key"}, "No such file", id="no key"),
        pytest.param("server", {"endpoint": URL, "arguments": {"x": 1}}, "no argument `x`", id="a strange argument"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_is_started(engine, options, match):
    if engine == "server":
        pytest.importorskip("aiohttp")
    with pytest.raises(UsageError, match=match):
        require_options(engine, EngineOptions("m", **options))


def test_what_is_enough_for_one_engine_is_asked_of_no_device():
    require_options("vllm", EngineOptions("m"))
    require_options("scripted", EngineOptions("m", replicas=50))


def test_arguments_are_read_as_yaml_and_named_as_python_names_them():
    options = engine_options(EngineChoice.vllm, ["max-model-len=4096", "enforce_eager=true", "dtype=float16"])
    assert options.arguments == {"max_model_len": 4096, "enforce_eager": True, "dtype": "float16"}
