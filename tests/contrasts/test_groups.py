"""Which cells are held against which; and rows of a kind pay for each other."""

from collections import defaultdict

import pytest

from collapsecli.contrasts import groups
from collapsecli.engines import SampleRequest
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.judge import judge
from collapsecli.records import Model, Rules
from collapsecli.scoring import score
from collapsecli.suite import load, plan

SUITE = """
schema: 1
name: s
sampling: {samples: 24, max_tokens: 40}
equivalence: exact
prompts:
- id: toast
  text: "To the bride and groom of today!"
  temperatures: [1, 0.5]
  inject: [{id: dark, text: " A knife."}]
  tags: [party]
- {id: dance, text: "They danced all night and then", tags: [party]}
- id: bugs
  text: "Q: Are {{ x }} real?"
  vars: {x: [bugs, dreams]}
  paraphrases: ["Q: Do {{ x }} exist?"]
  continuations: [" Yes, they are.", " No."]
- {id: coin, text: "Flip a coin.", answer: {choice: [heads, tails]}}
"""
HOME, DARK = "Then we went home to sleep.", "It was over by then."
ANSWERS = {
    "toast": {f" We laughed a lot. {HOME}": 0.7, " It rained all day. Nobody came to the hall.": 0.3},
    "toast/dark": {f" Somebody screamed. {HOME}": 0.5, f" The police came in. {DARK}": 0.5},
    "dance": {f" the band went home. {HOME}": 0.6, f" the lights went out. {DARK}": 0.4},
    "bugs": {" Yes, they are.": 0.2, " There is no one answer to this question.": 0.8},
    "coin": {" Heads.": 0.5, " Tails.": 0.5},
}


@pytest.fixture
def run(tmp_path):
    """The judged cells of the suite, how their completions are read, and the scores of its roads."""
    (tmp_path / "s.yaml").write_text(SUITE)
    cells = plan(load(tmp_path / "s.yaml"), models=[Model.at("m")]).cells
    engine = ScriptedEngine(Script("s", ANSWERS))
    requests = [SampleRequest(cell, at << 20, tuple(range(24))) for at, cell in enumerate(cells, start=1)]
    drawn = defaultdict(list)
    for completion in engine.sample(requests):
        drawn[completion.cell_id].append(completion)
    scores = defaultdict(list)
    for one in score(engine, [(cell, drawn[cell.cell_id]) for cell in cells]):
        scores[one.cell_id].append(one)

    def read(wanted):
        return [(cell, drawn[cell.cell_id]) for cell in wanted]

    return judge(read(cells), lambda _: Rules()), read, lambda _: Rules(), scores


@pytest.fixture
def found(run):
    """Every contrast of the suite."""
    return groups.contrasts_of(*run)


def subjects(rows, kind):
    return {row.subject for row in rows if row.kind == kind}


def test_cells_that_differ_in_one_thing_alone_are_held_against_each_other(found):
    assert subjects(found, "temperature") == {"toast", "toast/dark"}
    pairs = {(row.cell_id, row.other_cell_id) for row in found if row.kind == "injection"}
    assert pairs == {("toast/dark@t1.0", "toast@t1.0"), ("toast/dark@t0.5", "toast@t0.5")}
    variants = {row.cell_id for row in found if row.metric == "others_mode"}
    assert len(variants) == 4
    assert all(name.startswith("bugs[") for name in variants)
    assert {row.cell_id for row in found if row.kind == "roads"} == variants


def test_forms_of_one_question_are_pooled_and_values_only_in_one_form(found):
    """Another value asks something else: that bugs and dreams are answered otherwise is no escape from a wording."""
    pooled = {row.subject for row in found if row.metric == "pooled_verdict"}
    assert pooled == {"bugs[x=bugs]", "bugs[x=dreams]", "bugs[wording=1]"}
    held = {row.cell_id for row in found if row.metric == "others_mode" and row.subject == "bugs[wording=1]"}
    assert held == {"bugs[x=bugs,wording=1]@t1.0", "bugs[x=dreams,wording=1]@t1.0"}


def test_the_floor_is_of_the_prompt_with_the_fewest_tags_in_common(found):
    floors = {row.label for row in found if row.metric == "floor"}
    assert floors == {"bugs"}  # the dance has the toast's own tag


def test_prompts_are_compared_within_their_tags_and_all_together_by_their_plain_cell_alone(found):
    rows = [row for row in found if row.metric == "same_ending_between"]
    assert {row.subject for row in rows} == {"party", "all prompts"}
    copied = {row.subject for row in found if row.metric == "copied"}
    assert not any("/" in name or "@t0.5" in name for name in copied)


def test_rows_of_a_kind_pay_for_each_other(found):
    tested = [row for row in found if row.p_value is not None]
    assert tested
    for row in tested:
        family = [one for one in tested if one.kind == row.kind]
        assert row.p_value <= row.q_value <= min(1.0, len(family) * row.p_value + 1e-12)
    assert all(row.q_value is None for row in found if row.p_value is None)


def test_a_long_suite_holds_few_texts_of_each_prompt_at_once(run, found, monkeypatch):
    monkeypatch.setattr(groups, "_MOST_TEXTS", 20)  # five of each of four prompts
    rows = groups.contrasts_of(*run)
    pairs = {
        name: next(one.n for one in several if (one.subject, one.metric) == ("all prompts", "same_text_within"))
        for name, several in (("few", rows), ("all", found))
    }
    assert 0 < pairs["few"] < pairs["all"]
