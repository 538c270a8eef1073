"""One run that samples several models: one engine after the other, one folder, each model judged by itself."""

import json

import pandas as pd
import pytest

from collapsecli import verdict
from collapsecli.conclusions import conclude
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.errors import EngineStartError, UsageError
from collapsecli.pipeline import RunPlan, sample_run
from collapsecli.records import Model
from collapsecli.report.terminal import report_blocks
from collapsecli.runs import RunFolder, SuiteSource
from collapsecli.suite import load, plan

SUITE = """
schema: 1
name: small
sampling: {samples: 32, max_tokens: 8}
prompts:
- {id: coin, text: "Flip a coin.", answer: {choice: [heads, tails]}, expect: uniform}
- {id: word, text: "Say a word.", temperatures: [0.5, 1.0]}
- {id: toast, text: "To the bride!", inject: [{id: odd, at: {sentences: 1}}], continuations: [" I met"]}
"""
TOAST = " I met him. To the groom!"
WIDE = {
    "coin": {" Heads.": 0.5, " Tails.": 0.5},
    "word": {f" w{n}.": 1 for n in range(40)},
    "toast": {TOAST: 1},
    "toast/odd@s1": {" To the groom!": 1},
}
NARROW = {**WIDE, "coin": {" Heads.": 0.99, " Tails.": 0.01}, "word": {" yes.": 1}}
BOTH = (Model.at("wide"), Model.at("narrow"))


class Silent:
    """Nobody looks on; sampling can be ended after so many completions."""

    def __init__(self, most=10**9):
        self.left, self.started = most, []

    @property
    def stopped(self):
        return self.left <= 0

    def sampling(self, engine, _schedule):
        self.engine = engine
        if self.stopped:
            engine.stop()

    def advanced(self, _completion, _saved):
        self.left -= 1
        if self.stopped:
            self.engine.stop()

    def noticed(self, what):
        pass


class Closing(ScriptedEngine):
    """Writes down that it was closed."""

    def __init__(self, script, diary):
        super().__init__(script)
        self.diary = diary
        diary.append(f"{script.name} begins")

    def close(self):
        super().close()
        self.diary.append(f"{self._script.name} ends")


@pytest.fixture
def suite(tmp_path):
    (tmp_path / "s.yaml").write_text(SUITE)
    return load(tmp_path / "s.yaml")


@pytest.fixture
def sampled(suite, tmp_path):
    """Sample the suite of some models; gives the run, whether it is complete, and the diary of the engines."""

    def sample(run_id="r", models=BOTH, watch=None, seed=5, refuse=(), engines=None):
        cells = plan(suite, models=models).cells
        source = SuiteSource(suite.name, "s.yaml", suite.source.sha256, suite.text, {}, suite.rules)
        run, diary = RunFolder(tmp_path / run_id), []

        def start(model):
            if model in refuse:
                raise EngineStartError("no memory")
            return (engines or {}).get(model, Closing)(Script(model, {"wide": WIDE, "narrow": NARROW}[model]), diary)

        return run, sample_run(run, RunPlan((source,), cells, seed), start, watch or Silent()), diary

    return sample


def rows_of(run):
    table = pd.read_parquet(run.samples_path)
    return table[["cell_id", "sample_index", "seed", "model", "text"]]


def test_a_cell_bears_its_model_only_where_there_are_several(suite):
    alone = {cell.cell_id for cell in plan(suite, models=BOTH[:1]).cells}
    both = plan(suite, models=BOTH).cells
    assert all("#" not in cell_id for cell_id in alone)
    assert {cell.cell_id for cell in both} == {f"{cell_id}#{name}" for cell_id in alone for name in ("wide", "narrow")}
    assert {cell.question for cell in both} == alone


@pytest.mark.parametrize(
    ("models", "names"),
    [
        pytest.param((Model.at("org/a"), Model.at("org/b")), ["a", "b"], id="by the last part"),
        pytest.param(
            (Model.at("base", {"dpo": "./x", "sft": "./y"}),), ["base", "base+dpo", "base+sft"], id="adapters"
        ),
        pytest.param(
            (Model.at("a", {"x": "p"}), Model.at("b", {"x": "q"})), ["a", "a+x", "b", "b+x"], id="of each its own"
        ),
    ],
)
def test_models_and_adapters_are_told_apart_by_short_names(suite, models, names):
    cells = plan(suite, models=models, only=["coin"]).cells
    assert [cell.cell_id for cell in cells] == [f"coin@t1.0#{name}" for name in names]
    assert [cell.adapter for cell in cells] == [name.partition("+")[2] for name in names]


def test_models_of_the_same_last_name_are_told_apart(suite):
    cells = plan(suite, models=[Model.at("one/model"), Model.at("two/model")]).cells
    assert len({cell.cell_id for cell in cells}) == len(cells) == 2 * len({cell.question for cell in cells})


def test_one_engine_at_a_time_serves_the_cells_of_its_model(sampled):
    run, complete, diary = sampled()
    assert complete
    assert diary == ["wide begins", "wide ends", "narrow begins", "narrow ends"]
    rows = rows_of(run)
    assert not rows.duplicated(["cell_id", "sample_index"]).any()
    assert rows.groupby("model").size().to_dict() == {"wide": 5 * 32, "narrow": 5 * 32}
    assert set(rows[rows.cell_id == "word@t1.0#narrow"].text) == {" yes."}
    assert rows.seed.is_unique  # the models' draws are independent
    assert run.scored_by == {"wide", "narrow"}


def test_flags_pay_for_the_cells_of_their_own_model_alone(sampled):
    run, _, _ = sampled()
    results = conclude(run).results
    for model in ("wide", "narrow"):
        of_model = [result for result in results if result.cell.model == model]
        adjusted = verdict.q_values([result.p_value for result in of_model])
        assert [result.q_value for result in of_model] == pytest.approx(adjusted)
    flags = {result.cell.cell_id: result.flag for result in results}
    assert flags["word@t1.0#narrow"] == "flagged"
    assert flags["word@t1.0#wide"] != "flagged"


def test_contrasts_hold_cells_of_one_model_against_each_other(sampled):
    run, _, _ = sampled()
    rows = conclude(run).contrasts
    assert {row.model for row in rows} == {"wide", "narrow"}
    for row in rows:
        for cell_id in filter(None, (row.cell_id, row.other_cell_id)):
            assert cell_id.endswith(f"#{row.model}")
    table = pd.read_parquet(run.path / "contrasts.parquet")
    assert set(table.model) == {"wide", "narrow"}


def test_a_branch_follows_the_plain_cell_of_its_own_model(sampled):
    run, _, _ = sampled()
    branches = [cell for cell in run.manifest().cells if cell.branch]
    assert {(cell.branch.plain, cell.injected) for cell in branches} == {
        ("toast@t1.0#wide", " I met him."),
        ("toast@t1.0#narrow", " I met him."),
    }


@pytest.mark.parametrize("after", [1, 40, 150, 170, 300])
def test_a_run_stopped_anywhere_goes_on_where_it_was(sampled, after):
    whole, _, _ = sampled("whole")
    run, complete, _ = sampled(watch=Silent(after))
    assert not complete
    run, complete, diary = sampled()
    assert complete
    pd.testing.assert_frame_equal(rows_of(run), rows_of(whole))
    if after > 160:
        assert diary == ["narrow begins", "narrow ends"]  # what the first model drew is not drawn again


def test_a_second_model_that_cannot_start_costs_nothing_of_the_first(sampled):
    with pytest.raises(EngineStartError):
        sampled(refuse=("narrow",))
    _, complete, diary = sampled()
    assert complete
    assert diary == ["narrow begins", "narrow ends"]


def test_a_second_model_that_is_refused_is_not_said_to_be_running(sampled, tmp_path):
    class Refusing(Closing):
        def check(self, _cells):
            raise UsageError("the prompts are too long")

    with pytest.raises(UsageError):
        sampled(engines={"narrow": Refusing})
    run = RunFolder(tmp_path / "r")
    state = run.state()
    assert (state["state"], state["saved"], state["planned"]) == ("incomplete", 160, 320)
    screen = "\n".join(str(getattr(block, "renderable", block)) for block in report_blocks(conclude(run), 80))
    assert "narrow: not sampled yet" in screen
    assert screen.count("completions are missing") == 1


def test_a_run_folder_of_one_engine_is_read_with_that_engine(sampled):
    run, _, _ = sampled(models=BOTH[:1])
    path = run.path / "run.json"
    content = json.loads(path.read_text("utf-8"))
    content["engine"] = content.pop("engines")["wide"]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert run.manifest().engines["wide"].name == "scripted"


def test_a_run_begun_with_other_models_is_refused(sampled):
    sampled()
    with pytest.raises(UsageError, match="was begun with something else"):
        sampled(models=(*BOTH, Model.at("third")))


def test_the_report_has_a_part_for_each_model(sampled):
    run, _, _ = sampled()
    screen = "\n".join(str(getattr(block, "renderable", block)) for block in report_blocks(conclude(run), 80))
    assert "2 models, one after the other" in screen
    assert "small on wide: " in screen
    assert "small on narrow: " in screen
    assert "#narrow" not in screen  # the heading says it
    assert f"collapse compare {run.path}" in screen
