"""Wordings, formats, injections, branch points and roads: what the suite says, and the cells that it makes."""

import pytest

from collapsecli.errors import UsageError
from collapsecli.records import Branch, Message, Model, Road
from collapsecli.suite import plan

HEAD = "schema: 1\nname: s\nprompts:\n"


@pytest.fixture
def cells_of(suite_of):
    """The planned cells of a suite, by id."""

    def planned(text, **options):
        return {cell.cell_id: cell for cell in plan(suite_of(text), models=[Model.at("m")], **options).cells}

    return planned


# ------------------------------------------------------------------------------------------------------------ formats


def test_each_format_is_a_variant_that_asks_in_its_own_form(cells_of):
    cells = cells_of(
        HEAD + "- {id: n, text: Name a number., formats: [raw, qa, chat, few-shot], "
        'shots: [{ask: Name a tree., answer: Elm.}], chat: "Please: {{ prompt }}"}'
    )
    assert cells["n[format=raw]@t1.0"].text == "Name a number."
    assert cells["n[format=qa]@t1.0"].text == "Q: Name a number.\nA:"
    assert cells["n[format=few-shot]@t1.0"].text == "Q: Name a tree.\nA: Elm.\n\nQ: Name a number.\nA:"
    assert cells["n[format=chat]@t1.0"].messages == (Message("user", "Please: Name a number."),)
    assert cells["n[format=chat]@t1.0"].text is None


def test_a_single_format_is_no_variant_so_that_ids_stay_whatever_form_is_asked(cells_of):
    prompts = "- {id: n, text: Name a number.}\n- {id: m, text: x, formats: [raw]}"
    suite = f"schema: 1\nname: s\nformats: [qa]\nprompts:\n{prompts}"
    assert {name: cell.text for name, cell in cells_of(suite).items()} == {
        "n@t1.0": "Q: Name a number.\nA:",
        "m@t1.0": "x",
    }


def test_the_command_line_stands_above_every_format_but_leaves_chats_as_they_are(cells_of):
    suite = (
        HEAD + "- {id: n, text: Name a number., formats: [qa, raw]}\n- {id: c, messages: [{role: user, content: hi}]}"
    )
    cells = cells_of(suite, formats=["chat"])
    assert set(cells) == {"n@t1.0", "c@t1.0"}
    assert cells["n@t1.0"].messages == (Message("user", "Name a number."),)


def test_few_shot_from_the_command_line_names_the_selected_prompts_without_shots(suite_of):
    suite = suite_of(HEAD + "- {id: n, text: Name a number.}\n- {id: m, text: x, shots: [{ask: y, answer: z}]}")
    with pytest.raises(UsageError, match="few-shot needs `shots`, and n has none"):
        plan(suite, models=[Model.at("m")], formats=["few-shot"])
    assert len(plan(suite, models=[Model.at("m")], formats=["few-shot"], only=["m"]).cells) == 1


# ------------------------------------------------------------------------------------------------------------ wordings


def test_wordings_cross_values_and_formats_and_are_numbered_from_the_text_itself(cells_of):
    cells = cells_of(
        HEAD + "- {id: n, text: 'Are {{ x }} real?', paraphrases: ['Do {{ x }} exist?'], vars: {x: [bugs, dreams]}, "
        "formats: [raw, qa]}"
    )
    assert len(cells) == 8
    assert cells["n[x=bugs,wording=1,format=raw]@t1.0"].text == "Are bugs real?"
    assert cells["n[x=dreams,wording=2,format=qa]@t1.0"].text == "Q: Do dreams exist?\nA:"
    assert cells["n[x=dreams,wording=2,format=qa]@t1.0"].variant == "x=dreams,wording=2,format=qa"


def test_a_wording_of_a_chat_stands_for_its_last_message(cells_of):
    cells = cells_of(
        HEAD
        + "- {id: n, messages: [{role: system, content: Be brief.}, {role: user, content: Hi}], paraphrases: [Hello]}"
    )
    assert cells["n[wording=2]@t1.0"].messages == (Message("system", "Be brief."), Message("user", "Hello"))


def test_a_variable_of_an_earlier_message_need_not_be_in_a_wording_of_the_last(cells_of):
    cells = cells_of(
        HEAD + "- {id: c, vars: {who: [cat, dog]}, messages: [{role: system, content: 'You are a {{ who }}.'}, "
        "{role: user, content: A joke.}], paraphrases: [Please tell a joke.]}"
    )
    assert len(cells) == 4


# ---------------------------------------------------------------------------------------------------------- injections


def test_a_branch_point_makes_a_cell_that_waits_for_its_plain_cell(cells_of):
    cells = cells_of(
        HEAD
        + "- {id: toast, text: To the groom!, temperatures: [1, 0.5], inject: [{id: cut, at: {sentences: [2, 4]}}, "
        "{id: odd, at: {sentences: 3}, text: ' You are a murderer.'}]}"
    )
    assert cells["toast/cut@s2@t1.0"].branch == Branch("toast@t1.0", 2, "")
    assert cells["toast/cut@s4@t0.5"].branch == Branch("toast@t0.5", 4, "")
    odd = cells["toast/odd@s3@t1.0"]
    assert (odd.injection, odd.injected, odd.branch) == ("odd@s3", "", Branch("toast@t1.0", 3, " You are a murderer."))


def test_selecting_a_branch_selects_the_cell_that_it_leaves(cells_of):
    suite = HEAD + "- {id: toast, text: To the groom!, inject: [{id: cut, at: {sentences: 2}}]}\n- {id: other, text: x}"
    assert list(cells_of(suite, only=["toast/cut@*"])) == ["toast@t1.0", "toast/cut@s2@t1.0"]


def test_a_cell_is_selected_by_the_name_that_a_report_gives_it(cells_of):
    suite = HEAD + "- {id: toast, text: To the groom!, temperatures: [1, 0.5], inject: [{id: dark, text: x}]}"
    assert list(cells_of(suite, only=["toast/dark"])) == ["toast/dark@t1.0", "toast/dark@t0.5"]


def test_a_chat_is_injected_too(cells_of):
    cells = cells_of(HEAD + "- {id: c, messages: [{role: user, content: A toast}], inject: [{id: i, text: 'You are'}]}")
    assert cells["c/i@t1.0"].injected == "You are"
    assert cells["c/i@t1.0"].messages == (Message("user", "A toast"),)


SHARED = "schema: 1\nname: s\ninject:\n- {id: i, text: ' No!', into: [a, b]}\nprompts:\n"


def test_one_injection_goes_into_several_prompts(cells_of):
    cells = cells_of(
        SHARED + "- {id: a, text: x, inject: [{id: own, text: y}]}\n- {id: b, text: z}\n- {id: c, text: w}"
    )
    assert [name for name in cells if "/" in name] == ["a/own@t1.0", "a/i@t1.0", "b/i@t1.0"]
    assert cells["b/i@t1.0"].injected == " No!"


# --------------------------------------------------------------------------------------------------------------- roads


def test_roads_stand_once_at_the_temperature_nearest_to_one_with_the_place_they_are_written_at(cells_of, tmp_path):
    cells = cells_of(
        HEAD + "- id: r\n  text: Are {{ x }} real?\n  vars: {x: [bugs]}\n  temperatures: [0, 1.5, 0.7]\n"
        '  continuations: [" Yes, {{ x }} are."]\n  inject: [{id: i, text: " No", continuations: [" way"]}]'
    )
    file = f"{tmp_path}/suite.yaml"
    assert cells["r[x=bugs]@t0.7"].roads == (Road(" Yes, bugs are.", (file, 8, 19)),)
    assert cells["r[x=bugs]/i@t0.7"].roads == (Road(" way", (file, 9, 49)),)
    assert not any(cell.roads for name, cell in cells.items() if "@t0.7" not in name)


def test_the_same_warning_is_given_once_whatever_prompts_it_is_for(suite_of):
    shared = 'inject: [{id: i, text: x, continuations: [" Yes", " Yes, sir"], into: [a, b]}]'
    suite = suite_of(f"schema: 1\nname: s\n{shared}\nprompts:\n- {{id: a, text: x}}\n- {{id: b, text: y}}")
    assert len(suite.warnings) == 1


def test_a_road_that_begins_with_another_is_worth_a_warning_at_its_place(suite_of, tmp_path):
    suite = suite_of(HEAD + '- {id: r, text: x, continuations: [" Yes", " Yes, of course"]}')
    assert [str(one) for one in suite.warnings] == [
        f"{tmp_path}/suite.yaml:4:44: the continuation `Yes, of course` begins with `Yes` (its mass counts once)"
    ]


def test_restarts_of_the_suite_stand_in_every_prompt_that_has_none(cells_of):
    cells = cells_of(
        "schema: 1\nname: s\nrestarts: [Anew]\nprompts:\n- {id: a, text: x}\n"
        "- {id: b, text: x, restarts: [Again, Once]}"
    )
    assert [cell.restarts for cell in cells.values()] == [("Anew",), ("Again", "Once")]


# -------------------------------------------------------------------------------------------------------------- faults

# `§` stands where the fault is.
FAULTS = [
    pytest.param("inject: [§{id: i}]", "the injection has neither `text` nor `at`", id="an injection of nothing"),
    pytest.param("inject: [{id: i, at: {sentences: §0}}]", "`sentences`", id="a branch before the first sentence"),
    pytest.param("inject: [{id: i, at: {§words: 3}}]", "unknown key `words`", id="a branch point of another kind"),
    pytest.param("formats: [§poem]", "`formats`: `poem` is not one of raw, qa, chat, few-shot", id="no format"),
    pytest.param("formats: §[few-shot]", "the format `few-shot` needs `shots`", id="no shots"),
    pytest.param("chat: §'Go on.'", "the wording of a chat holds `{{ prompt }}`", id="a chat without the prompt"),
    pytest.param("vars: §{format: [a]}", "`format` is what the variants of `formats` are called", id="a taken name"),
    pytest.param("paraphrases: §[x]", "the text stands among its `paraphrases` too", id="no other wording"),
    pytest.param("paraphrases: [§'{{ y }}']", "undeclared template variable `y`", id="a variable in a wording"),
    pytest.param("paraphrases: [§'{{ y.a }}']", "undeclared template variable `y.a`", id="a look inside, without vars"),
    pytest.param(
        "paraphrases: [§'{% for x in y %}a{% endfor %}']",
        "undeclared template tag `for x …`",
        id="a loop, without vars",
    ),
    pytest.param(
        "vars: {}, paraphrases: [§'{% for x in y %}a{% endfor %}']",
        "a template of a suite names variables and chooses by them; this one loops",
        id="a loop in a wording",
    ),
    pytest.param("continuations: [§'{{ y }}']", "undeclared template variable `y`", id="a variable in a road"),
    pytest.param(
        "vars: {}, continuations: [§'{% for x in y %}a{% endfor %}']", "a template of a suite names", id="a loop"
    ),
    pytest.param("vars: {}, continuations: [§'{{ x.__class__ }}']", "a template of a suite names", id="an attribute"),
    pytest.param("temperatures: [1, §-0.5]", "`temperatures`: `-0.5` must be at least 0", id="a negative temperature"),
    pytest.param("restarts: [§'(']", "not a regular expression", id="a broken pattern"),
    pytest.param("restarts: [§'x*']", "the pattern finds something in an empty text", id="a pattern of nothing"),
    pytest.param(
        "chat: §\"{{ 'a' if prompt == 'b' else 'c' }}\"", "the wording of a chat holds", id="a chat that leaves it out"
    ),
    pytest.param("shots: [{ask: a, §reply: b}]", "unknown key `reply`", id="an unknown key of a shot"),
]


@pytest.mark.parametrize(("keys", "fault"), FAULTS)
def test_one_fault_is_one_line_at_its_place(keys, fault, faults_of):
    line = "- {id: a, text: x, " + keys + "}"
    found = faults_of(HEAD + line.replace("§", ""))
    assert any(one.startswith(f"4:{line.index('§') + 1}: {fault}") for one in found), found


def test_a_wording_without_a_variable_would_ask_the_same_twice(faults_of):
    line = "- {id: a, text: 'Are {{ x }} real?', vars: {x: [bugs, dreams]}, paraphrases: [Are they?]}"
    found = faults_of(HEAD + line)
    place = f"4:{line.index('Are they') + 1}"
    assert found == [f"{place}: this wording does not use the variable `x`: its values would ask the same"]


SHARED_FAULTS = [
    pytest.param("[a, §bb]", "there is no prompt `bb` to inject into (did you mean `b`?)", id="a missing prompt"),
    pytest.param("[§own]", "`own`: it has an injection `i` already", id="an id that is taken"),
    pytest.param("§[]", "`into`: it is empty", id="into nothing"),
]


@pytest.mark.parametrize(("into", "fault"), SHARED_FAULTS)
def test_an_injection_of_the_suite_has_its_own_faults(into, fault, faults_of):
    line = f"- {{id: i, text: ' No!', into: {into}}}"
    prompts = "prompts:\n- {id: a, text: x}\n- {id: b, text: x}\n- {id: own, text: x, inject: [{id: i, text: y}]}"
    found = faults_of("schema: 1\ninject:\n" + line.replace("§", "") + "\n" + prompts)
    assert found[0].startswith(f"3:{line.index('§') + 1}: {fault}"), found


def test_the_suites_format_few_shot_needs_shots_in_every_prompt(faults_of):
    found = faults_of("schema: 1\nformats: [few-shot]\nprompts:\n- {id: a, text: x}")
    assert found[0].startswith("2:10: the format `few-shot` needs `shots`, and the prompt `a` has none")
