"""The JSON Schema for editors agrees with the loader, and documents every key."""

import dataclasses

import jsonschema
import pytest
import yaml

from collapsecli import records
from collapsecli.suite import json_schema, schema

HEAD = "schema: 1\nprompts:\n"

GOOD = [
    pytest.param(HEAD + "- {id: a, text: x}", id="the smallest suite"),
    pytest.param(HEAD + "- {id: a, messages: [{role: user, content: x}]}", id="a chat"),
    pytest.param(HEAD + "- {file: more.jsonl, id: key, text: question}", id="a file of prompts"),
    pytest.param(HEAD + "- {id: a, text: x, answer: {integer: [1, 6]}, expect: uniform}", id="a die"),
    pytest.param(HEAD + "- {id: a, text: x, answer: {json: a.b.0}, expect: {min_modes: 3}}", id="a floor of modes"),
    pytest.param(
        HEAD + "- {id: a, text: x, answer: {labels: {h: H, t: T}}, expect: {weights: {h: 1, t: 1}}}", id="a coin"
    ),
    pytest.param("equivalence: {embedding: m}\n" + HEAD + "- {id: a, text: x}", id="answers that are embedded"),
    pytest.param(
        HEAD + "- {id: a, text: x, equivalence: {embedding: ./m, threshold: 0.7}}", id="an encoder for one prompt"
    ),
    pytest.param(
        "sampling: {samples: 2, stop: ['\\n']}\nrules: {alpha: 0.01}\n" + HEAD + "- {id: a, text: x}", id="settings"
    ),
]

BAD = [
    pytest.param("- {id: a, text: x}", id="a list"),
    pytest.param("schema: 2\nprompts: [{id: a, text: x}]", id="another version"),
    pytest.param("schema: 1\nprompts: []", id="no prompts"),
    pytest.param(HEAD + "- {id: a}", id="nothing asked"),
    pytest.param(HEAD + "- {id: a, text: x, messages: [{role: user, content: x}]}", id="asked twice"),
    pytest.param(HEAD + "- {id: a b, text: x}", id="an unreadable id"),
    pytest.param(HEAD + "- {id: a, text: x, txt: y}", id="an unknown key"),
    pytest.param(HEAD + "- {id: a, text: 1}", id="a number as text"),
    pytest.param(HEAD + "- {id: a, text: x, answer: integer}", id="a form without its value"),
    pytest.param(HEAD + "- {id: a, text: x, answer: {integer: [1]}}", id="half a range"),
    pytest.param(HEAD + "- {id: a, text: x, answer: {regex: x, json: y}}", id="two forms at once"),
    pytest.param(HEAD + "- {id: a, text: x, expect: unifrom}", id="a misspelt word"),
    pytest.param(HEAD + "- {id: a, text: x, expect: null}", id="a key without a value"),
    pytest.param(HEAD + "- {id: a, text: x, sampling: {top_p: 0}}", id="a bound"),
    pytest.param("equivalence: {threshold: 0.8}\n" + HEAD + "- {id: a, text: x}", id="a threshold of no encoder"),
]


@pytest.mark.parametrize("text", GOOD)
def test_a_good_suite_passes_both_the_json_schema_and_the_loader(text, suite_of):
    jsonschema.validate(yaml.safe_load(text), json_schema())
    suite_of(text, {"more.jsonl": '{"key": "a", "question": "x"}'})


@pytest.mark.parametrize("text", BAD)
def test_a_bad_suite_passes_neither(text, faults_of):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), json_schema())
    assert faults_of(text)


def test_the_json_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_every_key_is_documented():
    whole = json_schema()
    for mapping in (whole, *whole["$defs"].values()):
        assert mapping["description"]
        undocumented = [key for key, value in mapping["properties"].items() if not value.get("description")]
        assert not undocumented


def test_no_key_takes_null():
    assert '"null"' not in repr(json_schema()).replace("'", '"')


@pytest.mark.parametrize(("keys", "record"), [(schema.Sampling, records.Sampling), (schema.Rules, records.Rules)])
def test_the_documented_defaults_are_those_of_the_records(keys, record):
    documented, given = keys().model_dump(), dataclasses.asdict(record())
    assert documented.pop("max_samples", None) is None
    assert not given.pop("adaptive", False)  # in a record `samples` may be the cap, and this says that it is
    assert documented == given
