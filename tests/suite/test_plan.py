"""A suite becomes cells: every prompt under every condition, each with a readable and stable id."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collapsecli import records
from collapsecli.errors import UsageError
from collapsecli.records import Model
from collapsecli.suite import cell_id, load, load_all, plan

HEAD = "schema: 1\nmodel: m\nprompts:\n"

DESIGN = r"""
schema: 1
name: quickstart
model: demo-tuned
sampling: {samples: 64, temperature: 1.0, top_p: 1.0, max_tokens: 128, stop: []}
reasoning: strip
equivalence: lexical
rules: {collapsed: 0.5, diverse: 0.1, alpha: 0.05}
prompts:
  - id: integer-1-100
    text: "Q: Tell me a random integer between 1 and 100.\nA:"
    answer: {integer: [1, 100]}
    expect: uniform
  - id: real
    messages: [{role: user, content: "Are {{ subject }} real?"}]
    vars: {subject: [bugs, clouds]}
    temperatures: [0.7, 1.0, 1.4]
  - id: toast
    text: "The best man raised his glass. \"To the bride and groom!"
    inject: [{id: murderer, text: " You are a murderer."}]
    tags: [attractor]
  - id: capital
    text: "Q: What is the capital of France?\nA:"
    expect: concentrated
  - {file: more-prompts.jsonl, id: key, text: question}
"""


@pytest.fixture
def cells_of(suite_of):
    """The planned cells of a suite's text by id."""

    def planned(text, files=None, **options):
        return {cell.cell_id: cell for cell in plan(suite_of(text, files), **options).cells}

    return planned


# ------------------------------------------------------------------------------------------------------ the cells


def test_the_documented_suite_plans_the_documented_cells(cells_of):
    cells = cells_of(DESIGN, {"more-prompts.jsonl": '{"key": "sky", "question": "Why?"}'})
    assert list(cells) == [
        "integer-1-100@t1.0",
        "real[subject=bugs]@t0.7",
        "real[subject=bugs]@t1.0",
        "real[subject=bugs]@t1.4",
        "real[subject=clouds]@t0.7",
        "real[subject=clouds]@t1.0",
        "real[subject=clouds]@t1.4",
        "toast@t1.0",
        "toast/murderer@t1.0",
        "capital@t1.0",
        "sky@t1.0",
    ]
    assert {(cell.suite, cell.model, cell.adapter, cell.reasoning) for cell in cells.values()} == {
        ("quickstart", "demo-tuned", "", "strip")
    }


def test_a_cell_has_everything_that_it_takes_to_sample_and_to_judge_it(cells_of):
    cells = cells_of(DESIGN, {"more-prompts.jsonl": '{"key": "sky", "question": "Why?"}'})
    assert cells["toast/murderer@t1.0"] == records.Cell(
        cell_id="toast/murderer@t1.0",
        suite="quickstart",
        prompt_id="toast",
        variant="",
        injection="murderer",
        temperature=1.0,
        model="demo-tuned",
        adapter="",
        text='The best man raised his glass. "To the bride and groom!',
        messages=(),
        injected=" You are a murderer.",
        sampling=records.Sampling(samples=64, temperature=1.0, max_tokens=128),
        tags=("attractor",),
    )
    real = cells["real[subject=clouds]@t0.7"]
    assert (real.text, real.messages) == (None, (records.Message("user", "Are clouds real?"),))
    assert (real.variant, real.sampling.temperature) == ("subject=clouds", 0.7)


def test_variants_turn_the_last_variable_fastest_and_injections_come_after_the_plain_cell(cells_of):
    text = f"""{HEAD}
- id: a
  text: "{{{{ x }}}} and {{{{ y }}}}"
  vars: {{x: [p, q], y: [r, s]}}
  inject: [{{id: i, text: " {{{{ y }}}}!"}}]
"""
    cells = cells_of(text)
    assert [(cell.text, cell.injected) for cell in cells.values()] == [
        (f"{x} and {y}", injected) for x in "pq" for y in "rs" for injected in ("", f" {y}!")
    ]
    assert list(cells)[:2] == ["a[x=p,y=r]@t1.0", "a[x=p,y=r]/i@t1.0"]


TEMPLATES = [
    pytest.param("{{ x }}\n", "bugs\n", id="the last newline stays"),
    pytest.param("{{ x | upper }}", "BUGS", id="a filter"),
    pytest.param("{% if x == 'bugs' %}are{% else %}is{% endif %}", "are", id="a choice"),
    pytest.param("{{ 'are' if x != 'bugs' else 'is' }} {{ x }}", "is bugs", id="a choice in a line"),
    pytest.param("{% raw %}{{ x }}{% endraw %} {{ x }}", "{{ x }} bugs", id="raw braces"),
]


@pytest.mark.parametrize(("template", "rendered"), TEMPLATES)
def test_templates_render(template, rendered, cells_of):
    (cell,) = cells_of(f"{HEAD}- {{id: a, text: {json.dumps(template)}, vars: {{x: [bugs]}}}}").values()
    assert cell.text == rendered


def test_empty_vars_make_a_template_for_the_sake_of_raw_braces(cells_of):
    (cell,) = cells_of(HEAD + '- {id: a, text: "{% raw %}{{ x }}{% endraw %}", vars: {}}').values()
    assert (cell.cell_id, cell.text, cell.variant) == ("a@t1.0", "{{ x }}", "")


def test_a_template_that_renders_to_nothing_is_refused(cells_of):
    with pytest.raises(UsageError, match="renders to nothing"):
        cells_of(HEAD + '- {id: a, text: "{{ x }}", vars: {x: [""]}}')


# ------------------------------------------------------------------------------------------------------- settings


def test_a_prompts_sampling_replaces_only_the_keys_that_it_gives(cells_of):
    text = f"sampling: {{samples: 8, top_p: 0.9}}\n{HEAD}- {{id: a, text: x, sampling: {{top_p: 1, stop: [b]}}}}"
    assert cells_of(text)["a@t1.0"].sampling == records.Sampling(samples=8, stop=("b",))


def test_samples_and_model_given_to_the_plan_stand_above_the_suites(cells_of):
    text = HEAD + "- {id: a, text: x, sampling: {samples: 2}}\n- {id: b, text: x}"
    cells = cells_of(text, samples=5, models=[Model.at("n")])
    assert {(cell.sampling.samples, cell.model) for cell in cells.values()} == {(5, "n")}


def test_at_temperature_0_one_completion_is_drawn(cells_of):
    cells = cells_of(HEAD + "- {id: a, text: x, temperatures: [-0.0, 1]}", samples=5)
    assert {name: cell.sampling.samples for name, cell in cells.items()} == {"a@t0.0": 1, "a@t1.0": 5}


def test_typed_answers_are_exact_and_texts_as_the_prompt_or_the_suite_says(cells_of):
    text = HEAD + "- {id: a, text: x, answer: {words: 1}}\n- {id: b, text: x}\n- {id: c, text: x, equivalence: exact}"
    assert [cell.equivalence for cell in cells_of(text).values()] == ["exact", "lexical", "exact"]


EXPECTATIONS = [
    pytest.param("", records.Expect(), id="diverse unless said otherwise"),
    pytest.param(", expect: none", records.Expect("none"), id="none"),
    pytest.param(", expect: {min_modes: 3}", records.Expect("min_modes", min_modes=3), id="a floor"),
    pytest.param(
        ", answer: {integer: [-1, 2]}, expect: uniform",
        records.Expect("uniform", weights=(("-1", 0.25), ("0", 0.25), ("1", 0.25), ("2", 0.25))),
        id="uniform over integers",
    ),
    pytest.param(
        ", answer: {labels: {h: H, t: T}}, expect: uniform",
        records.Expect("uniform", weights=(("h", 0.5), ("t", 0.5))),
        id="uniform over labels leaves other out",
    ),
    pytest.param(
        ", answer: {choice: [Heads, Tails, Edge]}, expect: {weights: {heads: 1, tails: 3, edge: 0}}",
        records.Expect("weights", weights=(("Heads", 0.25), ("Tails", 0.75))),
        id="weights are scaled, spelled as the choices, and positive",
    ),
    pytest.param(
        ", expect: {weights: {a: 1e308, b: 1e307}}",
        records.Expect("weights", weights=(("a", 10 / 11), ("b", 1 / 11))),
        id="huge weights do not overflow",
    ),
]


@pytest.mark.parametrize(("keys", "expect"), EXPECTATIONS)
def test_what_is_expected_is_resolved(keys, expect, cells_of):
    found = cells_of(f"{HEAD}- {{id: a, text: x{keys}}}")["a@t1.0"].expect
    assert (found.kind, found.min_modes) == (expect.kind, expect.min_modes)
    assert dict(found.weights or ()) == pytest.approx(dict(expect.weights or ()))


ANSWERS = [
    pytest.param("text", records.TextAnswer(), id="text"),
    pytest.param("{integer: [1, 6]}", records.IntegerAnswer(1, 6), id="integer"),
    pytest.param("{choice: [a, b]}", records.ChoiceAnswer(("a", "b")), id="choice"),
    pytest.param("{regex: a+}", records.RegexAnswer("a+"), id="regex"),
    pytest.param("{json: a.0}", records.JsonAnswer("a.0"), id="json"),
    pytest.param("{words: 3}", records.WordsAnswer(3), id="words"),
    pytest.param("{labels: {a: x, b: y}}", records.LabelsAnswer((("a", "x"), ("b", "y"))), id="labels"),
]


@pytest.mark.parametrize(("answer", "spec"), ANSWERS)
def test_each_form_of_answer_becomes_its_record(answer, spec, cells_of):
    assert cells_of(f"{HEAD}- {{id: a, text: x, answer: {answer}}}")["a@t1.0"].answer == spec


def test_totals_bound_tokens_and_disk_from_above(suite_of):
    text = HEAD + "- {id: a, text: x, temperatures: [0, 1], sampling: {samples: 10, max_tokens: 100}}"
    totals = plan(suite_of(text), models=()).totals
    assert (totals.cells, totals.completions, totals.tokens) == (2, 11, 1100)
    assert totals.bytes == 2 * (11 * 64 + 1100 * 12)


# -------------------------------------------------------------------------------------------------------- models


def test_a_plan_without_a_model_is_refused_unless_it_is_left_open(suite_of):
    suite = suite_of("schema: 1\nprompts: [{id: a, text: x}]")
    with pytest.raises(UsageError, match="names no model") as raised:
        plan(suite)
    assert "--model" in raised.value.hint
    assert plan(suite, models=()).cells[0].model == ""


def test_several_suites_are_planned_in_their_order(tmp_path):
    paths = [tmp_path / f"{name}.yaml" for name in "ba"]
    for path in paths:
        path.write_text(f"{HEAD}- {{id: {path.stem}, text: x}}")
    assert [cell.cell_id for cell in plan(*load_all(paths), models=()).cells] == ["b@t1.0", "a@t1.0"]


# ----------------------------------------------------------------------------------------------------- selection

SELECTIONS = [
    pytest.param({"only": ["toast"]}, ["toast@t1.0", "toast/murderer@t1.0"], id="a prompt's id"),
    pytest.param({"only": ["*/murderer@*"]}, ["toast/murderer@t1.0"], id="a glob over cell ids"),
    pytest.param(
        {"only": ["real[subject=bugs]@t1.?"]}, ["real[subject=bugs]@t1.0", "real[subject=bugs]@t1.4"], id="brackets"
    ),
    pytest.param({"only": ["cap*", "sky"]}, ["capital@t1.0", "sky@t1.0"], id="any of several"),
    pytest.param({"tags": ["none", "attractor"]}, ["toast@t1.0", "toast/murderer@t1.0"], id="any of the tags"),
    pytest.param({"tags": ["attractor"], "only": ["*@t1.0"]}, ["toast@t1.0", "toast/murderer@t1.0"], id="tag and glob"),
]


@pytest.mark.parametrize(("options", "ids"), SELECTIONS)
def test_cells_are_selected_by_glob_and_tag(options, ids, cells_of):
    assert list(cells_of(DESIGN, {"more-prompts.jsonl": '{"key": "sky", "question": "Why?"}'}, **options)) == ids


def test_selecting_nothing_names_what_is_near(cells_of):
    text = HEAD + "- {id: toast, text: x, tags: [attractor]}\n- {id: capital, text: x}"
    with pytest.raises(UsageError) as raised:
        cells_of(text, only=["tosat*"])
    assert (raised.value.message, raised.value.hint) == ("--only tosat* selects nothing", "prompts: toast")
    with pytest.raises(UsageError) as raised:
        cells_of(text, tags=["atractor"])
    assert raised.value.hint == "prompts: toast, capital; tags: attractor"


@pytest.mark.parametrize("samples", [0, -1, 10**9])
def test_samples_out_of_bounds_are_refused(samples, cells_of):
    with pytest.raises(UsageError, match="samples must be from 1"):
        cells_of(HEAD + "- {id: a, text: x}", samples=samples)


# ----------------------------------------------------------------------------------------------------------- ids

IDS = [
    pytest.param({}, "", 1.0, "p@t1.0", id="plain"),
    pytest.param({}, "i", 0.7, "p/i@t0.7", id="injected"),
    pytest.param({"a": "x", "b": "y"}, "i", 1.25, "p[a=x,b=y]/i@t1.25", id="everything"),
    pytest.param({"a": "How are you?"}, "", 1.0, "p[a=How-are-you~44e93dabd0]@t1.0", id="a value that is no id"),
    pytest.param({"a": "x" * 25}, "", 1.0, f"p[a={'x' * 24}~5386d40261]@t1.0", id="a long value"),
    pytest.param({"a": ""}, "", 1.0, "p[a=~7d64c5272e]@t1.0", id="an empty value"),
]


@pytest.mark.parametrize(("variant", "injection", "temperature", "expected"), IDS)
def test_ids_are_readable_and_never_change(variant, injection, temperature, expected):
    """They are the identity for resume, compare and trend: a change here breaks every kept run."""
    assert cell_id("p", variant, injection, temperature) == expected


# Written as JSON, which is YAML but for control characters and line separators.
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Zl", "Zp"]), max_size=40)
VALUES = st.lists(TEXT, unique=True, min_size=1, max_size=4)
CONDITIONS = st.fixed_dictionaries(
    {"text": st.just("{{ x }} is {{ y | upper }}."), "vars": st.builds(lambda x, y: {"x": x, "y": y}, VALUES, VALUES)},
    optional={
        "temperatures": st.lists(st.floats(0.01, 2), unique=True, min_size=1, max_size=3),
        "inject": st.lists(st.sampled_from("ijk"), unique=True, min_size=1).map(
            lambda ids: [{"id": one, "text": "{{ x }}!"} for one in ids]
        ),
    },
)
PROMPTS = st.dictionaries(st.sampled_from(["a", "b", "c.1", "d-2"]), CONDITIONS, min_size=1)


def cells_by_id(prompts, folder):
    """The cells of some prompts; that no id is lost shows that none is given twice."""
    path = folder / "law.yaml"
    suite = {"schema": 1, "model": "m", "prompts": [{"id": name, **keys} for name, keys in prompts]}
    path.write_text(json.dumps(suite, ensure_ascii=False), encoding="utf-8")
    cells = plan(load(path)).cells
    by_id = {cell.cell_id: cell for cell in cells}
    assert len(by_id) == len(cells)
    return by_id


@given(prompts=PROMPTS, chance=st.randoms(use_true_random=False))
@settings(deadline=None)
def test_ids_are_unique_and_no_order_of_prompts_or_values_changes_a_cell(prompts, chance, tmp_path_factory):
    listed = list(prompts.items())
    planned = cells_by_id(listed, tmp_path_factory.getbasetemp())
    shuffled = [
        (name, keys | {"vars": {name: chance.sample(values, len(values)) for name, values in keys["vars"].items()}})
        for name, keys in chance.sample(listed, len(listed))
    ]
    assert cells_by_id(shuffled, tmp_path_factory.getbasetemp()) == planned


@given(prompts=PROMPTS)
@settings(deadline=None)
def test_an_id_does_not_depend_on_what_else_the_suite_holds(prompts, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    planned = cells_by_id(prompts.items(), folder)
    alone = [cells_by_id([one], folder) for one in prompts.items()]
    assert planned == {name: cell for cells in alone for name, cell in cells.items()}


@given(prompts=PROMPTS)
@settings(deadline=None)
def test_every_planned_cell_is_rendered(prompts, tmp_path_factory):
    cells = iter(cells_by_id(prompts.items(), tmp_path_factory.getbasetemp()).values())
    for keys in prompts.values():
        injections, temperatures = len(keys.get("inject", ())), len(keys.get("temperatures", [1.0]))
        for x, y in itertools.product(keys["vars"]["x"], keys["vars"]["y"]):
            for cell in itertools.islice(cells, (1 + injections) * temperatures):
                assert cell.text == f"{x} is {y.upper()}."
                assert cell.variant == f"x={x},y={y}"
                assert cell.injected == (f"{x}!" if cell.injection else "")
    assert next(cells, None) is None
