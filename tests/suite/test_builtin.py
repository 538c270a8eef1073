"""The suites that come with the program: sound, documented, asked of any model, and reading answers as they say."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from collapsecli import answers
from collapsecli.records import LabelsAnswer, Model, RegexAnswer
from collapsecli.suite import builtin, load, load_all, plan

THEMES = (
    "attractors",
    "controls",
    "creative",
    "formats",
    "greentext",
    "naming",
    "opinions",
    "poetry",
    "quick",
    "rng",
    "stories",
)
ROOT = Path(__file__).resolve().parents[2]


def suite_of(name):
    path = builtin.find(name)
    assert path is not None
    return load(path)


def cells_of(name, **options):
    return plan(suite_of(name), **{"models": [Model.at("any")]} | options).cells


@pytest.fixture(params=THEMES)
def name(request):
    return request.param


# --------------------------------------------------------------------------------------------------------- finding


def test_every_theme_has_its_suite_beside_the_one_of_the_bundled_pair():
    assert builtin.names() == tuple(sorted({*THEMES, "quickstart"}))


@pytest.mark.parametrize("unknown", ["", "rng.yaml", "../prompts/rng", "RNG", "."])
def test_only_the_name_of_a_suite_finds_it(unknown):
    assert builtin.find(unknown) is None


def test_the_wheel_finds_the_suites_that_are_packed_into_it(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, capture_output=True, check=True, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site-packages"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    program = f"import sys; sys.path.insert(0, {str(site)!r}); from collapsecli.suite import builtin; "
    command = [sys.executable, "-c", program + "print(builtin.find('rng'), *builtin.names())"]
    found, *names = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.split()
    assert found == str(site / "collapsecli" / "prompts" / "rng.yaml")
    assert tuple(names) == builtin.names()


# ------------------------------------------------------------------------------------------------------- soundness


def test_a_suite_is_called_as_its_file_and_names_no_model(name):
    suite = suite_of(name)
    assert suite.name == name
    assert suite.models == ()
    assert suite.warnings == ()


def test_all_suites_can_be_probed_in_one_run():
    suites = load_all([path for path in map(builtin.find, builtin.names()) if path])
    assert len({cell.cell_id for cell in plan(*suites, models=[Model.at("any")]).cells}) == sum(
        len(cells_of(suite.name)) for suite in suites
    )


def test_a_suite_has_prompts_enough_and_a_control_that_should_concentrate(name):
    prompts = suite_of(name).prompts
    controls = [prompt for prompt in prompts if "control" in prompt.tags]
    assert len(prompts) >= 8
    assert controls
    assert {prompt.expect for prompt in controls} == {"concentrated"}
    assert all("control" in prompt.tags for prompt in prompts if prompt.expect == "concentrated")


def test_no_control_passes_on_what_no_label_finds(name):
    """Wrong answers of all sorts would be `other` together, and look concentrated."""
    assert not any(isinstance(cell.answer, LabelsAnswer) for cell in cells_of(name) if "control" in cell.tags)


def test_a_suite_says_how_it_samples(name):
    sampling = suite_of(name).settings.sampling
    assert {"samples", "temperature", "top_p", "top_k", "min_p", "max_tokens", "stop"} == sampling.model_fields_set


def test_a_suite_stays_within_its_budget(name):
    for cell in (cells := cells_of(name)):
        assert cell.sampling.samples <= 256
        assert cell.sampling.max_tokens <= 256
    assert len(cells) <= 50


def test_a_suite_can_be_asked_of_a_model_without_a_chat_template(name):
    assert not any(cell.messages for cell in cells_of(name))


def test_a_suite_can_be_asked_of_a_chat_model(name):
    cells = cells_of(name, formats=["chat"])
    assert all(cell.messages for cell in cells)
    for prompt in suite_of(name).prompts:
        goes_on = prompt.formats == ("raw",)
        assert not goes_on or prompt.chat, f"{prompt.id} is a text to continue, and a chat model is not told so"


def test_the_forms_can_all_be_asked_together():
    assert {
        cell.variant.rpartition("format=")[2] for cell in cells_of("formats", formats=["qa", "chat", "few-shot"])
    } == {
        "qa",
        "chat",
        "few-shot",
    }


def test_a_tag_compares_at_least_two_prompts(name):
    tags = [tag for prompt in suite_of(name).prompts for tag in prompt.tags]
    assert [tag for tag in tags if tags.count(tag) == 1] == []


# --------------------------------------------------------------------------------------------------- documentation


def test_a_suite_begins_with_what_it_measures_how_to_read_it_and_what_it_costs(name):
    suite = suite_of(name)
    head = suite.text[: suite.text.index("schema: 1")]
    totals = plan(suite, models=[Model.at("any")]).totals
    assert all(line.startswith("#") for line in head.splitlines())
    assert "# How to read it. " in head
    assert (
        f"# Cost: {totals.cells:,} cells, {totals.completions:,} completions, at most {totals.tokens:,} tokens.\n"
        in head
    )


def test_every_prompt_says_above_it_what_it_probes(name):
    lines = suite_of(name).text.splitlines()
    begins = [at for at, line in enumerate(lines) if line.startswith("  - id: ")]
    assert len(begins) == len(suite_of(name).prompts)
    assert [lines[at] for at in begins if not lines[at - 1].startswith("  # ")] == []


def test_a_suite_is_written_in_plain_characters_and_fits_the_page(name):
    text = suite_of(name).text
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 120


# What is known of collapsed models, and the prompts that look for it.
OBSERVATIONS = {
    "one reply, nearly certain, to a neutral question": ["beetles-real", "quick-crickets"],
    "the same reply about other subjects, AIs among them": ["machines-feel", "morning-evening", "things-real"],
    "a greentext in a named teller's voice, left early, also from a later line": ["green-captain", "green-detective"],
    "a random number up to 100 with a favourite": ["integer-0-100", "quick-integer", "request-number"],
    "the same, thought of": ["think-of-number"],
    "the same in an assistant's dialogue": ["dialogue-number"],
    "a number without the word random": ["think-of-number", "dialogue-number"],
    "one of three numbers": ["one-of-three"],
    "a die of a hundred sides": ["d100"],
    "a die of six sides": ["d6", "quick-die", "control-d6"],
    "a Python session that is fairer": ["python-session"],
    "the session inside a chat": ["python-in-dialogue"],
    "a favourite that survives other wordings": ["integer-0-100", "one-of-three", "d100", "d6", "coin-toss"],
    "hotter sampling that hardly helps, then word salad": ["moths-friends", "integer-0-50", "metaphor-sleep"],
    "a few words replaced at temperature 0, and the same end": ["wasps-real"],
    "an odd replacement, and the same last sentence": ["wasps-real", "toast-clara"],
    "many pushes, one escape, as certain as before": ["wasps-real", "voyage-west", "toast-clara"],
    "answers copied from the prompt": ["summary-ferry", "summary-bakery", "heading-then-text"],
    "forms that invite collapse, varied examples that avoid it": [
        "request-number",
        "request-animal",
        "request-opinion",
    ],
    "the same lines for every letter": ["letter-shape", "shape-bicycle"],
    "one template with fixed phrases for every summary": ["summary-ferry", "summary-bakery", "summary-minutes"],
    "parties that end in weddings": ["party-garden", "party-office", "party-neighbours"],
    "a shocking line, and the way back, or a new beginning": ["toast-clara", "lighthouse-keeper", "after-the-mill"],
    "a world that tuning made placid": ["quiet-office", "quiet-street", "dinner-marta", "girl-called"],
    "poems that rhyme even when told otherwise": ["no-rhyme-rain", "no-rhyme-city", "haiku-bicycle", "free-verse"],
    "questions with one best answer": ["whales-mammals", "ice-floats", "capital-italy"],
    "consistent continuations without probability": ["toast-clara", "beetles-real", "empty-house"],
}


@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_what_is_known_of_collapsed_models_is_looked_for(observation):
    asked = {prompt.id for name in THEMES for prompt in suite_of(name).prompts}
    assert set(OBSERVATIONS[observation]) <= asked


def test_the_probes_of_the_way_back_have_their_conditions():
    wasps = [cell for cell in cells_of("attractors") if cell.prompt_id == "wasps-real"]
    assert {cell.temperature for cell in wasps} == {0.0, 1.0}
    assert {cell.injection for cell in wasps} == {"", "mild@s1", "odd@s1", "odder@s1", "opening"}
    toast = [cell for cell in cells_of("attractors") if cell.prompt_id == "toast-clara"]
    assert {cell.branch.sentences for cell in toast if cell.branch} == {1, 2, 3}
    assert any(cell.roads for cell in toast)
    assert all(cell.branch.text == "" for cell in toast if cell.injection.startswith("cut"))


# --------------------------------------------------------------------------------------------------------- reading

LABELLED = [
    ("things-real", " There is no one answer to this question.", "both sides"),
    ("things-real", " It depends on what you mean by real.", "both sides"),
    ("things-real", " Some people believe that they are.", "both sides"),
    ("things-real", " Yes, they are.", "agrees"),
    ("things-real", " They are.", "agrees"),
    ("things-real", " Yesterday I saw one.", "other"),
    ("things-real", " No.", "denies"),
    ("things-real", " Nobody knows.", "other"),
    ("things-real", " They aren't.", "denies"),
    ("things-real", " They are not.", "denies"),
    ("things-real", " Of course not!", "denies"),
    ("things-real", " I don\u2019t know.", "does not know"),
    ("things-real", " I'm not sure about that.", "does not know"),
    ("party-garden", " Then Leon proposed to Ida.", "wedding"),
    ("party-garden", " Somebody shouted.", "quarrel"),
    ("party-garden", " They danced till dawn.", "dance"),
    ("party-garden", " The bridge was lit.", "other"),
    ("green-captain", "tell them no\n>walk away", "leaves"),
    ("green-captain", "nope the hell out", "leaves"),
    ("green-captain", "noped out", "leaves"),
    ("green-captain", "get the hell out of there", "leaves"),
    ("green-captain", "harpoon the whale", "fights"),
    ("green-captain", "cleaning the deck", "other"),
    ("quiet-office", " Everyone smiled.", "peace"),
    ("quiet-office", " Then the alarm went off.", "trouble"),
    ("quiet-office", " The fireplace was cold.", "other"),
    ("dinner-marta", " She stood up and walked out.", "leaves"),
    ("dinner-marta", " Then she walked out.", "leaves"),
    ("dinner-marta", ' "I\'m leaving."', "leaves"),
    ("dinner-marta", ' "I am pregnant."', "confesses"),
    ("dinner-marta", ' "One of you is a thief."', "accuses"),
]


@pytest.fixture(scope="module")
def answer_of():
    """What is read out of a completion of a prompt."""
    specs = {cell.prompt_id: cell.answer for name in THEMES for cell in cells_of(name)}

    def read(prompt, text):
        return answers.read(specs[prompt], text, truncated=False)

    return read


@pytest.mark.parametrize(("prompt", "text", "label"), LABELLED)
def test_labels_are_read_as_they_are_meant(prompt, text, label, answer_of):
    assert answer_of(prompt, text) == label


READ = [
    ("whales-mammals", " Yes. Some of them are very large.", "yes"),
    ("whales-mammals", " It depends on the point of view.", None),
    ("ice-floats", " No, it sinks.", "no"),
    ("spider-legs", " 8", "8"),
    ("green-count", "five\n>six", "five"),
    ("water-freezes", " 0\u00b0C (32\u00b0F)", "0"),
    ("digit-after-digits", " 8, 2, 6", "8"),
    ("digit-after-digits", " 86", None),
    ("control-throws", " 1", "1"),
    ("control-throws", " 7", None),
    ("even-numbers", " 14, 16", "14"),
    ("name-heroine", " Her name could be Marthe.", "Marthe"),
    ("name-heroine", " Ida", "Ida"),
    ("quick-name", "\nPrince Otto", "Otto"),
    ("table-of-draws", "88", "88"),
    ("json-value", "17", "17"),
    ("python-session", "63\n", "63"),
    ("no-rhyme-rain", " It falls,\nit falls,\nand nobody counts.", "unrhymed"),
    ("poem-rain", " Sure, here is a poem:\n\nThe rain is grey,\nit rains all day.", "aa"),
]


@pytest.mark.parametrize(("prompt", "text", "answer"), READ)
def test_answers_are_read_as_they_are_meant(prompt, text, answer, answer_of):
    assert answer_of(prompt, text) == answer


def test_no_pattern_of_a_suite_hangs_on_a_hostile_text(name, answer_of):
    for cell in cells_of(name):
        if isinstance(cell.answer, LabelsAnswer | RegexAnswer):
            for text in (" " * 5000, "\n>" * 2500, "no " * 1500, "I " * 2500, "a" * 5000, "she " * 1200):
                answer_of(cell.prompt_id, text)
        for pattern in cell.restarts or ():
            assert re.search(pattern, "\n" * 20_000) is None
            assert re.search(pattern, "* " * 10_000 + "x") is None
