"""Cells that branch off another one: planned when it has been judged, kept in the manifest, the same after any stop."""

from dataclasses import replace

import pandas as pd
import pytest

from collapsecli import verdict
from collapsecli.conclusions import conclude
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.errors import IncompleteError, UsageError
from collapsecli.pipeline import RunPlan, sample_run
from collapsecli.records import Model
from collapsecli.report.terminal import report_blocks
from collapsecli.runs import RunFolder, SuiteSource
from collapsecli.suite import load, plan

WARM, COLD = " I met him. We laughed. To the groom!", " It rained. That is all. Good night."
SUITE = """
schema: 1
name: toasts
sampling: {samples: 32, max_tokens: 40}
prompts:
- id: toast
  text: "To the bride!"
  inject:
  - {id: cut, at: {sentences: [1, 2]}}
  - {id: odd, at: {sentences: 1}, text: " You are a murderer.", continuations: [" Nobody laughed."]}
  continuations: [" I met", " Never"]
- {id: coin, text: "Flip a coin.", answer: {choice: [heads, tails]}}
"""
ANSWERS = {
    "toast": {WARM: 0.8, COLD: 0.2},
    "toast/cut@s1": {" We laughed. To the groom!": 1.0},
    "toast/cut@s2": {" To the groom!": 1.0},
    "toast/odd@s1": {" Nobody laughed.": 0.1, " To the groom!": 0.9},
    "coin": {" Heads.": 0.5, " Tails.": 0.5},
}


class Silent:
    """Nobody looks on."""

    stopped = False

    def __init__(self):
        self.heard = []

    def sampling(self, engine, schedule):
        pass

    def advanced(self, completion, saved):
        pass

    def noticed(self, what):
        self.heard.append(what)


class Dying(ScriptedEngine):
    """Dies after some completions."""

    def __init__(self, script, after):
        super().__init__(script)
        self.left = after

    def sample(self, requests):
        for completion in super().sample(requests):
            if not self.left:
                raise RuntimeError("the device is gone")
            self.left -= 1
            yield completion


class Narrow(ScriptedEngine):
    """Serves no prompt that speaks of laughter."""

    def check(self, cells):
        super().check(cells)
        if any("laughed" in cell.injected for cell in cells):
            raise UsageError("the prompt is too long")


def begun(tmp_path, engine, text=SUITE, run_id="r", seed=5, **options):
    (tmp_path / "s.yaml").write_text(text)
    suite = load(tmp_path / "s.yaml")
    cells = plan(suite, models=[Model.at("scripted:s")], **options).cells
    source = SuiteSource(suite.name, "s.yaml", suite.source.sha256, suite.text, {}, suite.rules)
    run, watch = RunFolder(tmp_path / run_id), Silent()
    complete = sample_run(run, RunPlan((source,), cells, seed), lambda _model: engine, watch)
    return run, complete, watch


def rows_of(run):
    table = pd.read_parquet(run.samples_path)
    return table[["cell_id", "sample_index", "seed", "prompt", "text"]]


def test_branches_are_sampled_after_what_their_plain_cell_says_most_often(tmp_path):
    run, complete, _ = begun(tmp_path, ScriptedEngine(Script("s", ANSWERS)))
    assert complete
    prompts = rows_of(run).groupby("cell_id").prompt.unique().map(list).to_dict()
    assert prompts["toast/cut@s1@t1.0"] == ["To the bride! I met him."]
    assert prompts["toast/cut@s2@t1.0"] == ["To the bride! I met him. We laughed."]
    assert prompts["toast/odd@s1@t1.0"] == ["To the bride! I met him. You are a murderer."]
    assert len(rows_of(run)) == 5 * 32
    injected = {cell.cell_id: cell.injected for cell in run.manifest().cells}
    assert injected["toast/cut@s2@t1.0"] == " I met him. We laughed."


@pytest.mark.parametrize("after", [5, 31, 32, 33, 64, 100, 159])
def test_a_run_that_died_anywhere_ends_as_if_it_had_not(tmp_path, after):
    whole, _, _ = begun(tmp_path, ScriptedEngine(Script("s", ANSWERS)), run_id="whole")
    with pytest.raises(IncompleteError):
        begun(tmp_path, Dying(Script("s", ANSWERS), after))
    resumed, complete, _ = begun(tmp_path, ScriptedEngine(Script("s", ANSWERS)))
    assert complete
    pd.testing.assert_frame_equal(rows_of(resumed), rows_of(whole))
    assert [cell.injected for cell in resumed.manifest().cells] == [cell.injected for cell in whole.manifest().cells]


def test_what_was_planned_is_kept_whatever_the_texts_would_say_now(tmp_path):
    """Completions may be drawn for it already: a cell is one distribution."""
    with pytest.raises(IncompleteError):
        begun(tmp_path, Dying(Script("s", ANSWERS), 70))
    run = RunFolder(tmp_path / "r")
    before = run.manifest()
    assert (run.path / "branches.jsonl").is_file()  # one line a branch: run.json is not written again for each
    assert sum(bool(cell.injected) for cell in before.cells) == 3
    cells = tuple(replace(one, injected=" Kept.") if one.injection == "cut@s2" else one for one in before.cells)
    run.write_manifest(replace(before, cells=cells))
    assert not (run.path / "branches.jsonl").exists()
    resumed, complete, _ = begun(tmp_path, ScriptedEngine(Script("s", ANSWERS)))
    assert complete
    assert rows_of(resumed).query("cell_id == 'toast/cut@s2@t1.0'").prompt.iloc[-1] == "To the bride! Kept."


def test_half_a_line_that_a_kill_left_is_planned_again(tmp_path):
    with pytest.raises(IncompleteError):
        begun(tmp_path, Dying(Script("s", ANSWERS), 40))
    notes = tmp_path / "r" / "branches.jsonl"
    notes.write_text(notes.read_text()[:-7])
    assert begun(tmp_path, ScriptedEngine(Script("s", ANSWERS)))[1]


def test_a_branch_leaves_what_is_said_most_often_at_the_look_that_decides_and_at_no_other(tmp_path):
    """Two texts that are nearly as frequent: at the first look the other one may lead."""
    rare = {f" Rare {k}. And so on. The end.": 0.15 / 200 for k in range(200)}  # or probabilities would decide at once
    script = Script("s", {**ANSWERS, "toast": {WARM: 0.44, COLD: 0.41, **rare}})
    led_by_other = 0
    for seed in range(8):
        run, _, _ = begun(
            tmp_path, ScriptedEngine(script), run_id=f"r{seed}", seed=seed, max_samples=128, only=["toast*"]
        )
        (result,) = [one for one in conclude(run).results if one.cell.cell_id == "toast@t1.0"]
        texts = rows_of(run).query("cell_id == 'toast@t1.0'").sort_values("sample_index").text
        mode = texts[: result.look].mode()[0]
        led_by_other += texts[:16].mode()[0] != mode
        injected = next(cell.injected for cell in run.manifest().cells if cell.injection == "cut@s1")
        assert mode.startswith(injected)
    assert led_by_other


def test_broken_text_that_a_model_said_does_not_break_the_run(tmp_path):
    """UTF-8 cannot hold half of a pair of surrogates: in a prompt it is what it is in the rows."""
    script = Script("s", {**ANSWERS, "toast": {" A \ud800 line. Another one. Good night.": 1.0}})
    run, complete, _ = begun(tmp_path, ScriptedEngine(script))
    assert complete
    assert next(cell.injected for cell in run.manifest().cells if cell.injection == "cut@s1") == " A \ufffd line."
    assert conclude(run).complete


def test_a_run_that_needs_no_more_draws_is_complete_without_an_engine(tmp_path):
    text = SUITE.replace("[1, 2]", "[1, 9]").replace('  continuations: [" I met", " Never"]\n', "")
    text = text.replace(', continuations: [" Nobody laughed."]', "")
    run, _, _ = begun(tmp_path, ScriptedEngine(Script("s", {**ANSWERS, "toast/cut@s9": {" No.": 1.0}})), text)
    run.write_manifest(replace(run.manifest(), given_up={}))  # as if a kill had come before it was written
    run.samples_path.unlink()
    run.write_state("incomplete")
    _, complete, _ = begun(tmp_path, None, text)
    assert complete
    assert "toast/cut@s9@t1.0" in run.manifest().given_up
    assert conclude(run).complete


def test_a_suite_that_reads_otherwise_gets_the_branches_that_the_last_one_could_not_have(tmp_path):
    text = SUITE.replace('  text: "To the bride!"', '  text: "To the bride!"\n  answer: {regex: NEVER}')
    run, complete, _ = begun(tmp_path, ScriptedEngine(Script("s", ANSWERS)), text)
    assert complete
    assert len(run.manifest().given_up) == 3
    run, complete, _ = begun(tmp_path, ScriptedEngine(Script("s", ANSWERS)), text.replace("NEVER", "groom|night"))
    assert complete
    assert run.manifest().given_up == {}
    assert set(rows_of(run).cell_id) >= {"toast/cut@s1@t1.0", "toast/cut@s2@t1.0", "toast/odd@s1@t1.0"}


def test_branches_off_an_adaptive_cell_wait_for_the_look_that_decides_it(tmp_path):
    options = {"max_samples": 128}
    whole, _, _ = begun(tmp_path, ScriptedEngine(Script("s", ANSWERS)), run_id="whole", **options)
    with pytest.raises(IncompleteError):
        begun(tmp_path, Dying(Script("s", ANSWERS), 40), **options)
    resumed, complete, _ = begun(tmp_path, ScriptedEngine(Script("s", ANSWERS)), **options)
    assert complete
    pd.testing.assert_frame_equal(rows_of(resumed), rows_of(whole))


def test_a_branch_that_cannot_be_planned_is_given_up_with_its_reason_and_the_run_is_complete(tmp_path):
    text = SUITE.replace("[1, 2]", "[1, 9]")
    script = Script("s", {**ANSWERS, "toast/cut@s9": {" No.": 1.0}})
    run, complete, watch = begun(tmp_path, ScriptedEngine(script), text)
    assert complete
    why = "what toast@t1.0 says most often has 3 sentences at most"
    assert watch.heard == [f"toast/cut@s9@t1.0 is not sampled: {why}"]
    conclusions = conclude(run)
    assert "toast/cut@s9@t1.0" not in {result.cell.cell_id for result in conclusions.results}
    assert f"not sampled: toast/cut@s9@t1.0: {why}" in conclusions.notes
    assert conclusions.complete
    assert begun(tmp_path, ScriptedEngine(script), text)[1]  # and stays complete


def test_a_branch_that_the_engine_cannot_serve_is_given_up_alone(tmp_path):
    run, complete, watch = begun(tmp_path, Narrow(Script("s", ANSWERS)))
    assert complete
    assert watch.heard == ["toast/cut@s2@t1.0 is not sampled: the prompt is too long"]
    assert set(rows_of(run).cell_id) == {"toast@t1.0", "toast/cut@s1@t1.0", "toast/odd@s1@t1.0", "coin@t1.0"}


def test_an_engine_that_cannot_serve_a_branch_planned_by_another_gives_it_up(tmp_path):
    """The sitting that planned it died before it drew anything for it."""
    with pytest.raises(IncompleteError):
        begun(tmp_path, Dying(Script("s", ANSWERS), 33))
    run, complete, watch = begun(tmp_path, Narrow(Script("s", ANSWERS)))
    assert complete
    assert "toast/cut@s2@t1.0 is not sampled: the prompt is too long" in watch.heard
    assert "toast/cut@s2@t1.0" in run.manifest().given_up
    assert "toast/cut@s2@t1.0" not in set(rows_of(run).cell_id)


def test_another_branch_point_is_another_question_and_refused_on_resume(tmp_path):
    begun(tmp_path, ScriptedEngine(Script("s", ANSWERS)))
    with pytest.raises(UsageError, match=r"toast/odd@s1@t1\.0 asks something else"):
        begun(tmp_path, ScriptedEngine(Script("s", ANSWERS)), SUITE.replace("a murderer", "a thief"))


# --------------------------------------------------------------------------------------------------------------- roads


def test_roads_are_scored_and_kept_beside_the_run(tmp_path):
    run, _, _ = begun(tmp_path, ScriptedEngine(Script("s", {**ANSWERS, "coin": {" Never": 0.5, " Heads.": 0.5}})))
    scores = pd.read_parquet(run.path / "scores.parquet").set_index(["cell_id", "text"])
    assert scores.loc[("toast@t1.0", " I met"), "logprob"] == pytest.approx(-0.2231, abs=1e-3)  # ln .8
    assert scores.loc[("toast@t1.0", " Never"), "logprob"] == float("-inf")
    assert scores.loc[("toast/odd@s1@t1.0", " Nobody laughed."), "logprob"] == pytest.approx(-2.3026, abs=1e-3)
    assert set(scores.kind) == {"road"}
    assert scores.answer.isna().all()


def test_a_road_that_was_added_later_is_scored_when_the_run_is_resumed_and_nothing_is_drawn(tmp_path):
    first, _, _ = begun(tmp_path, ScriptedEngine(Script("s", ANSWERS)))
    before = rows_of(first)
    run, complete, _ = begun(tmp_path, Dying(Script("s", ANSWERS), 0), SUITE.replace('[" I met",', '[" It rained.",'))
    assert complete
    assert " It rained." in set(pd.read_parquet(run.path / "scores.parquet").text)
    pd.testing.assert_frame_equal(rows_of(run), before)


def test_a_road_that_the_suite_does_not_name_any_more_is_not_reported(tmp_path):
    begun(tmp_path, ScriptedEngine(Script("s", ANSWERS)))
    run, _, _ = begun(
        tmp_path, ScriptedEngine(Script("s", ANSWERS)), SUITE.replace('[" I met", " Never"]', '[" It rained."]')
    )
    rows = [row for row in conclude(run).contrasts if row.kind == "roads" and row.cell_id == "toast@t1.0"]
    assert {row.label for row in rows if row.metric == "road_logprob"} == {" It rained."}


def test_scores_of_an_older_version_are_read_as_answers(tmp_path):
    text = SUITE.replace("choice: [heads, tails]}", "choice: [heads, tails]}, expect: uniform")
    run, _, _ = begun(tmp_path, ScriptedEngine(Script("s", ANSWERS)), text)
    path = run.path / "scores.parquet"
    before = run.scores()["coin@t1.0"]
    pd.read_parquet(path).query("kind == 'answer'").drop(columns="kind").to_parquet(path, index=False)
    assert run.scores()["coin@t1.0"] == before
    assert run.scored_by == {"scripted:s"}
    path.write_bytes(b"not parquet")
    assert not run.scored_by


def test_a_cell_that_was_given_up_belongs_to_the_family_of_its_suite(tmp_path):
    """Or whether an unrelated flag stands would hang on the length of some text."""
    text = SUITE.replace("[1, 2]", "[1, 9]")
    rare = {f" Rare {k}. And so on. The end.": 0.55 / 200 for k in range(200)}
    script = Script("s", {**ANSWERS, "toast/cut@s9": {" No.": 1.0}, "toast": {WARM: 0.45, **rare}})
    run, _, _ = begun(tmp_path, ScriptedEngine(script), text)
    results = conclude(run).results
    p_values = [result.p_value for result in results]
    family = verdict.q_values([*p_values, 1.0])
    assert [result.q_value for result in results] == pytest.approx(family[:-1])
    assert family[:-1] != pytest.approx(verdict.q_values(p_values))


@pytest.mark.parametrize("after", [1, 20, 33, 100])
def test_a_run_that_lacks_most_of_its_cells_can_be_concluded_and_shown(tmp_path, after):
    """A cell may have no draws at all, or wait for the one that it branches off."""
    conditions = "  temperatures: [0, 0.5, 1.0]\n  paraphrases: ['To the groom, then!']\n  inject:"
    with pytest.raises(IncompleteError):
        begun(tmp_path, Dying(Script("s", ANSWERS), after), SUITE.replace("  inject:", conditions, 1))
    conclusions = conclude(RunFolder(tmp_path / "r"))
    assert (conclusions.saved, conclusions.complete) == (after, False)
    assert len(conclusions.results) == 25
    assert [*report_blocks(conclusions, 80)]
