"""`collapse compare` and `--baseline` from the outside, on engines whose answers are known."""

from __future__ import annotations

import json

import pytest

from collapsecli.cli import main

SUITE = """
schema: 1
name: pair
sampling: {samples: 64, max_tokens: 16}
prompts:
- {id: number, text: "Pick a number.", answer: {integer: [1, 20]}, expect: uniform}
- {id: opinion, text: "Are they real?"}
- {id: capital, text: "Capital?", answer: {words: 1}, expect: concentrated}
"""
BASE = """
prompts:
  number: {%s}
  opinion: {%s}
  capital: {" Paris.": 1}
"""
TUNED = """
prompts:
  number: {" 7.": 9, " 8.": 1}
  opinion: {%s}
  capital: {" Paris.": 1}
"""
NUMBERS = ", ".join(f'" {number}.": 1' for number in range(1, 21))
TALES = ", ".join(f'" Zebra{n} quartz{n} violin{n}.": 1' for n in range(40))
BALANCED = ", ".join(f'" Experts disagree about zebra{n}.": 1' for n in range(40))


@pytest.fixture
def collapse(tmp_path, monkeypatch):
    """The command in a folder with a suite and two scripts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "pair.yaml").write_text(SUITE)
    (tmp_path / "base.yaml").write_text(BASE % (NUMBERS, TALES))
    (tmp_path / "tuned.yaml").write_text(TUNED % BALANCED)
    return lambda *words: main(list(words))


@pytest.fixture
def two_runs(collapse):
    """The suite asked of both, a run each."""
    for name in ("base", "tuned"):
        assert collapse("probe", "pair.yaml", "--engine", "scripted", "-m", f"{name}.yaml", "--run-id", name, "-q") == 0
    return collapse


@pytest.fixture
def one_run(collapse):
    """The suite asked of both in one run."""
    models = ("-m", "base.yaml", "-m", "tuned.yaml")
    assert collapse("probe", "pair.yaml", "--engine", "scripted", *models, "--run-id", "both", "-q") == 0
    return collapse


def test_two_runs_are_held_against_each_other(two_runs, capfd):
    capfd.readouterr()
    assert two_runs("compare", "base", "tuned") == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert "scripted:base.yaml → scripted:tuned.yaml" in out
    assert "2 of 3 cells narrower" in " ".join(out.split())
    assert "Experts disagree about" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_two_models_of_one_run_are_the_same_comparison(one_run, capfd):
    capfd.readouterr()
    assert one_run("compare", "both") == 0
    alone = capfd.readouterr().out
    assert one_run("compare", "both:base.yaml", "both:tuned.yaml") == 0
    assert capfd.readouterr().out == alone
    assert "2 of 3 cells narrower" in " ".join(alone.split())


def test_json_says_the_same_with_all_ends(two_runs, capfd):
    capfd.readouterr()
    assert two_runs("compare", "base", "tuned", "--json") == 0
    said = json.loads(capfd.readouterr().out)
    cells = {cell["cell_id"]: cell for cell in said["cells"]}
    assert {cell_id: cell["outcome"] for cell_id, cell in cells.items()} == {
        "number@t1.0": "narrower",
        "opinion@t1.0": "narrower",
        "capital@t1.0": "same",
    }
    number = cells["number@t1.0"]
    assert number["collision_change_low"] < 0.82 - 0.05 < number["collision_change_high"]
    assert number["q_value"] <= 0.05
    assert said["suite"]["overall"]["distinct_10_n"] == 3


def test_the_gate_trips_for_what_got_worse_and_names_it(two_runs, capfd):
    assert two_runs("compare", "base", "tuned", "--fail-on", "regressed") == 3
    assert "--fail-on regressed: number@t1.0, opinion@t1.0" in capfd.readouterr().err
    assert two_runs("compare", "tuned", "base", "--fail-on", "regressed") == 0
    assert two_runs("compare", "base", "tuned", "--fail-on", "regressed", "--margin", "0.99") == 0


def test_runs_that_were_not_asked_the_same_are_refused_with_the_list(two_runs, tmp_path, capfd):
    (tmp_path / "pair.yaml").write_text(SUITE.replace("max_tokens: 16", "max_tokens: 9").replace("Capital?", "Which?"))
    assert two_runs("probe", "pair.yaml", "--engine", "scripted", "-m", "base.yaml", "--run-id", "other", "-q") == 0
    capfd.readouterr()
    assert two_runs("compare", "base", "other") == 2
    err = capfd.readouterr().err
    assert "max_tokens 16 in the base, 9 in the run: number@t1.0, opinion@t1.0, capital@t1.0" in err
    assert "asks something else: capital@t1.0" in err
    assert "--force" in err
    assert two_runs("compare", "base", "other", "--force") == 0
    assert "max_tokens 16 in the base, 9 in the run" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["both"], None, id="two models"),
        pytest.param(["both", "both"], "say which: both:base.yaml, both:tuned.yaml", id="which of the two"),
        pytest.param(["both:third", "both"], "did not sample `third`", id="a model that is not there"),
        pytest.param(["nothing", "both"], "no run 'nothing'", id="a run that is not there"),
        pytest.param(["both", "both", "both"], "collapse trend", id="three runs"),
    ],
)
def test_it_is_clear_which_two_are_meant_or_it_is_asked(one_run, words, said, capfd):
    assert one_run("compare", *words) == (0 if said is None else 2)
    err = capfd.readouterr().err
    assert said is None or said in err


def test_one_run_of_one_model_has_nothing_to_be_held_against(two_runs, capfd):
    assert two_runs("compare", "base") == 2
    assert "base is one model of a run, and two are compared; name two runs" in capfd.readouterr().err


def test_completions_from_a_script_have_no_model_that_could_score_them(two_runs, capfd):
    capfd.readouterr()
    assert two_runs("compare", "base", "tuned", "--rescore") == 0
    out, err = capfd.readouterr()
    assert "drawn from a script" in " ".join(out.split())
    assert err.startswith("not rescored: ")


def test_runs_at_other_temperatures_have_nothing_in_common_and_the_reason_is_said(two_runs, tmp_path, capfd):
    (tmp_path / "pair.yaml").write_text(SUITE.replace("max_tokens: 16", "max_tokens: 16, temperature: 0.8"))
    assert probe(two_runs, "--run-id", "cool", "-q") == 0
    for words in ([], ["--force"]):
        assert two_runs("compare", "base", "cool", *words) == 2
        assert "no cell in common: temperature [1.0] and [0.8]" in capfd.readouterr().err


def test_a_run_against_itself_differs_in_nothing(two_runs, capfd):
    capfd.readouterr()
    assert two_runs("compare", "base", "base", "--json", "--fail-on", "regressed") == 0
    said = json.loads(capfd.readouterr().out)
    assert {cell["outcome"] for cell in said["cells"]} == {"same"}
    assert said["suite"]["overall"]["distinct_10_change"] == 0
    assert said["suite"]["overall"]["distinct_10_p_value"] == 1
    assert said["lifted"] == said["lost"] == []


def test_models_are_named_as_the_report_calls_them_too(one_run):
    assert one_run("compare", "both:scripted:base.yaml", "both:scripted:tuned.yaml") == 0


def test_an_incomplete_run_passes_no_gate_and_is_said_to_be_one(two_runs, tmp_path, capfd):
    state = tmp_path / "runs" / "tuned" / "state.json"
    state.write_text(state.read_text().replace('"complete"', '"incomplete"'))
    capfd.readouterr()
    assert two_runs("compare", "base", "tuned") == 0
    assert "the run is incomplete" in " ".join(capfd.readouterr().out.split())
    assert two_runs("compare", "base", "tuned", "--fail-on", "regressed") == 75
    assert "no gate can be passed" in capfd.readouterr().err


def test_a_model_whose_requests_nearly_all_fail_has_regressed(two_runs, tmp_path, capfd):
    script = (tmp_path / "base.yaml").read_text() + "failures: {share: 0.9, kind: refused, transient: false}\n"
    (tmp_path / "failing.yaml").write_text(script)
    assert probe(two_runs, "--run-id", "failing", "-q", model="failing.yaml") == 0
    assert two_runs("compare", "base", "failing", "--fail-on", "regressed") == 3
    assert "number@t1.0" in capfd.readouterr().err


BRANCH = (
    SUITE
    + """
- {id: toast, text: "To the bride!", inject: [{id: odd, at: {sentences: 2}}]}
"""
)
TOASTS = """  toast: {" %s": 1}
  toast/odd@s2: {" Yes.": 1}
"""


def test_a_branch_that_one_side_never_reached_is_no_other_question(two_runs, tmp_path, capfd):
    (tmp_path / "pair.yaml").write_text(BRANCH)
    for name, said in (("base", "One. Two. Three."), ("tuned", "One.")):
        script = tmp_path / f"{name}.yaml"
        script.write_text(script.read_text() + TOASTS % said)
        assert probe(two_runs, "--run-id", f"{name}2", "-q", model=f"{name}.yaml") == 0
    capfd.readouterr()
    assert two_runs("compare", "base2", "tuned2") == 0
    assert "not sampled in the run, so not compared: toast/odd@s2@t1.0" in " ".join(capfd.readouterr().out.split())
    assert probe(two_runs, "--baseline", "base2", "-q") == 0


@pytest.mark.parametrize("adapter", [[], ["--adapter", "dpo=nosuch.yaml"]], ids=["a model", "an adapter"])
def test_a_later_model_that_is_not_there_is_told_before_anything_is_sampled(collapse, tmp_path, adapter, capfd):
    models = ["-m", "base.yaml", *(adapter or ["-m", "nosuch.yaml"])]
    assert collapse("probe", "pair.yaml", "--engine", "scripted", *models) == 2
    out, err = capfd.readouterr()
    assert (out, "nosuch.yaml" in err) == ("", True)
    assert not (tmp_path / "runs").exists()


# -------------------------------------------------------------------------------------------------------- baseline


def probe(collapse, *words, model="tuned.yaml"):
    return collapse("probe", "pair.yaml", "--engine", "scripted", "-m", model, *words)


def test_a_probe_against_its_baseline_reports_and_gates_in_one_go(two_runs, capfd):
    capfd.readouterr()
    assert probe(two_runs, "--baseline", "base", "--fail-on", "regressed") == 3
    out, err = capfd.readouterr()
    assert "pair on scripted:tuned.yaml" in out
    assert "scripted:base.yaml → scripted:tuned.yaml" in out
    assert "--fail-on regressed: number@t1.0, opinion@t1.0" in err
    assert probe(two_runs, "--baseline", "base", "--fail-on", "regressed", model="base.yaml") == 0


def test_quiet_with_a_baseline_prints_the_path_alone(two_runs, capfd):
    capfd.readouterr()
    assert probe(two_runs, "--baseline", "base", "--fail-on", "regressed", "--run-id", "x", "-q") == 3
    out, _ = capfd.readouterr()
    assert out.splitlines() == ["runs/x"]


def test_every_model_of_a_run_is_held_against_the_baseline(two_runs, capfd):
    capfd.readouterr()
    assert probe(two_runs, "-m", "base.yaml", "--baseline", "base") == 0
    out = " ".join(capfd.readouterr().out.split())
    assert "scripted:base.yaml → scripted:tuned.yaml" in out
    assert out.count("readable answers") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--baseline", "nothing"], "no run 'nothing'", id="not there"),
        pytest.param(["--baseline", "base", "--only", "number"], "only in the base: opinion", id="asked less"),
        pytest.param(["--fail-on", "regressed"], "--baseline RUN", id="no baseline"),
        pytest.param(["--baseline", "base", "--run-id", "base"], "is this run itself", id="itself"),
    ],
)
def test_a_baseline_that_cannot_serve_is_refused_before_anything_is_sampled(two_runs, words, said, tmp_path, capfd):
    before = set((tmp_path / "runs").iterdir())
    assert probe(two_runs, *words) == 2
    assert said in capfd.readouterr().err
    assert set((tmp_path / "runs").iterdir()) == before


def test_imported_completions_can_be_the_baseline(two_runs, tmp_path):
    rows = [f"{name},{text},{reply}" for name, text, reply in (
        ("number", "Pick a number.", "7"), ("opinion", "Are they real?", "Yes."), ("capital", "Capital?", "Paris"),
    ) for _ in range(12)]  # fmt: skip
    (tmp_path / "old.csv").write_text("\n".join(["id,prompt,text", *rows]))
    words = ["--map", "prompt_id=id,prompt=prompt,text=text", "--run-id", "old", "-q"]
    assert two_runs("import", "old.csv", *words) == 0
    assert probe(two_runs, "--baseline", "old", "--force", "-q") == 0


@pytest.mark.parametrize("option", ["--endpoint", "--key-file"])
def test_a_server_that_would_be_asked_for_nothing_is_refused(two_runs, option, capfd):
    assert two_runs("compare", "base", "tuned", option, "http://localhost:1") == 2
    assert "add --rescore" in capfd.readouterr().err


@pytest.mark.parametrize("command", ["report", "import"])
def test_a_gate_that_needs_two_runs_is_refused_where_there_is_one(two_runs, command, tmp_path, capfd):
    (tmp_path / "answers.csv").write_text("id,text\na,x\na,y\n")
    words = {"report": ["base"], "import": ["answers.csv", "--map", "prompt_id=id,text=text", "--expect", "diverse"]}
    assert two_runs(command, *words[command], "--fail-on", "regressed") == 2
    assert "collapse compare BASE RUN --fail-on regressed" in capfd.readouterr().err
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"base", "tuned"}
