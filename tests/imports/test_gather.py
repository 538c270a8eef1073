"""Which draws are of one cell, what the cells are called, and what is told of the rest."""

from __future__ import annotations

import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.errors import UsageError
from collapsecli.imports import (
    Asked,
    Gathering,
    answer_and_expectation,
    run_folders,
    sound_notes,
    write_runs,
)
from collapsecli.imports import gather as gather_module
from collapsecli.imports.layout import Draw, Notice
from collapsecli.imports.names import prompt_name
from collapsecli.imports.sources import Malformed
from collapsecli.records import Expect, IntegerAnswer, Message, TextAnswer
from collapsecli.runs import TRANSIENT
from collapsecli.runs import folder as folder_module
from collapsecli.suite import cell_id, model_names

ASKED = Asked("s", TextAnswer(), Expect("none"))


def gathering_of(*reads):
    gathering = Gathering(created_at=1_760_000_000.0)
    gathering.take(read if isinstance(read, Malformed | Notice) else (read,) for read in reads)
    return gathering


def cells_of(*draws, asked=ASKED):
    (run,) = gathering_of(*draws).runs(asked)
    return {cell.cell_id: cell.sampling.samples for cell in run.cells}


# ---------------------------------------------------------------------------------------------------------------- cells


def test_a_cell_is_a_prompt_at_a_temperature_of_a_model():
    draws = [
        Draw("x", prompt_id=prompt, temperature=heat, model=model)
        for prompt in ("a", "b") for heat in (0.5, 1.0) for model in ("one", "org/two") for _ in range(3)
    ]  # fmt: skip
    assert cells_of(*draws) == {
        f"{prompt}@t{heat}#{model}": 3 for prompt in "ab" for heat in ("0.5", "1.0") for model in ("one", "two")
    }


def test_a_model_is_part_of_the_id_only_where_there_are_several():
    assert list(cells_of(Draw("x", prompt_id="a", model="one"), Draw("x", prompt_id="b", model="one"))) == [
        "a@t1.0", "b@t1.0"
    ]  # fmt: skip


def test_what_the_file_leaves_out_is_taken_from_the_user_and_else_assumed_aloud():
    draw = Draw("x", prompt_id="a")
    gathering = gathering_of(draw)
    (run,) = gathering.runs(ASKED)
    assert (run.cells[0].temperature, run.cells[0].model) == (1.0, "unknown")
    assert any("1.0 was assumed" in note for note in gathering.notices)
    gathering = gathering_of(draw, Draw("y", prompt_id="a", temperature=0.2, model="own"))
    (run,) = gathering.runs(Asked("s", TextAnswer(), Expect("none"), temperature=0.7, model="said"))
    assert [(cell.temperature, cell.model) for cell in run.cells] == [(0.7, "said"), (0.2, "own")]
    assert [note.partition(",")[0] for note in gathering.notices] == ["no prompt has more than one completion"]


def test_a_failure_that_does_not_know_its_model_belongs_to_the_only_one_there_is():
    (run,) = gathering_of(
        Draw("x", prompt_id="a", model="one"), Draw("", prompt_id="a", error_kind="http_500", finish_reason="error")
    ).runs(ASKED)
    assert [(cell.model, cell.sampling.samples) for cell in run.cells] == [("one", 2)]


def test_a_failure_that_does_not_repeat_its_prompt_belongs_to_the_one_of_its_id():
    lost = Draw("", prompt_id="a", error_kind="http_500", finish_reason="error")
    assert cells_of(lost, Draw("x", prompt_id="a", prompt="p"), lost) == {"a@t1.0": 3}


def test_one_id_for_several_prompts_is_kept_apart_and_said():
    gathering = gathering_of(Draw("x", prompt_id="a", prompt="p"), Draw("x", prompt_id="a", prompt="q"))
    (run,) = gathering.runs(ASKED)
    assert len({cell.cell_id for cell in run.cells}) == 2
    assert all(cell.cell_id.startswith("a~") for cell in run.cells)
    assert any("stand for several prompts" in note for note in gathering.notices)


def test_a_label_names_a_prompt_only_if_it_is_its_own():
    draws = [Draw("x", prompt="p", label="r1"), Draw("x", prompt="q", label="r2"), Draw("x", prompt="q", label="r3")]
    first, second = cells_of(*draws)
    assert first == "r1@t1.0"
    assert second.startswith("q~")


@given(st.permutations([("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("c", 0)]))
def test_completions_are_numbered_in_the_order_of_the_file(order):
    (run,) = gathering_of(*(Draw(f"{prompt}{k}", prompt_id=prompt) for prompt, k in order)).runs(ASKED)
    expected = [(prompt, text) for prompt in dict.fromkeys(p for p, _ in order) for p, text in order if p == prompt]
    rows = list(run.completions())
    assert [row.text for row in rows] == [f"{prompt}{k}" for prompt, k in expected]
    for cell in run.cells:
        assert [row.sample_index for row in rows if row.cell_id == cell.cell_id] == list(range(cell.sampling.samples))


def test_a_large_file_waits_in_pieces_and_comes_out_whole(monkeypatch):
    monkeypatch.setattr(gather_module, "_ROWS_AT_ONCE", 7)
    rng = np.random.default_rng(1)
    draws = [Draw(f"t{k}", prompt_id=f"p{rng.integers(5)}", step=int(rng.integers(3))) for k in range(200)]
    runs = gathering_of(*draws).runs(ASKED)
    assert [run.step for run in runs] == [0, 1, 2]
    for run in runs:
        got = {}
        for row in run.completions():
            got.setdefault(row.cell_id, []).append(row.text)
        for cell in run.cells:
            assert got[cell.cell_id] == [d.text for d in draws if d.step == run.step and d.prompt_id == cell.prompt_id]


def test_thoughts_are_no_part_of_the_answer():
    (run,) = gathering_of(
        Draw("<think>hm</think>\n42", prompt_id="a"), Draw("hm</think>42", prompt_id="a", prompt="Q<think>\n")
    ).runs(ASKED)
    assert [(row.text, row.reasoning) for row in run.completions()] == [("42", "hm"), ("42", "hm")]


def test_no_imported_failure_is_one_that_may_pass():
    """Nothing can be drawn again here: a run that waits for it would never be complete."""
    draws = [Draw("", prompt_id="a", error_kind=kind, finish_reason="error") for kind in sorted(TRANSIENT)]
    (run,) = gathering_of(*draws).runs(ASKED)
    assert TRANSIENT.isdisjoint({row.error_kind for row in run.completions()})


# ---------------------------------------------------------------------------------------------------------------- names


SOME_TEXTS = st.lists(st.text(min_size=1, max_size=60), unique=True, max_size=20)


@given(SOME_TEXTS, SOME_TEXTS, SOME_TEXTS)
def test_names_are_readable_and_no_two_prompts_share_one(ids, prompts, shared):
    names = [prompt_name(one, None) for one in ids] + [prompt_name(None, one) for one in prompts]
    names += [prompt_name(one, two, alone=False) for one in shared for two in (*shared, "other")]
    assert len(set(names)) == len({*ids}) + len(prompts) + len({(a, b) for a in shared for b in (*shared, "other")})
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,64}(~[0-9a-f]{10}){0,2}", name) for name in names)


@pytest.mark.parametrize(
    ("prompt", "slug"),
    [
        pytest.param("Tell me a random integer between 1 and 9.", "Tell-me-a-random-integer-between", id="cut short"),
        pytest.param("さいころを振って", "prompt", id="no letters that are plain"),
        pytest.param((Message("system", "S"), Message("user", "Flip a coin.")), "Flip-a-coin", id="the user's words"),
        pytest.param("<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nFlip.<|im_end|>\n<|im_start|>assistant\n",
                     "Flip", id="a chat written out"),
        pytest.param("<|start_header_id|>user<|end_header_id|>\n\nFlip.<|eot_id|><|start_header_id|>assistant"
                     "<|end_header_id|>\n\n", "Flip", id="another template"),
        pytest.param("<s>[INST] Flip. [/INST]", "Flip", id="and another"),
        pytest.param("system\nS\nuser\nFlip.\nassistant\n", "Flip", id="without its special tokens"),
    ],
)  # fmt: skip
def test_a_prompt_without_an_id_is_named_by_what_it_asks(prompt, slug):
    assert prompt_name(None, prompt).rpartition("~")[0] == slug


def test_models_are_named_by_their_last_part_where_that_tells_them_apart():
    assert model_names(["org/a", "b"]) == {"org/a": "a", "b": "b"}
    names = model_names(["one/a", "two/a", "a@main"])
    assert len(set(names.values())) == 3
    assert all("@" not in name and "#" not in name for name in names.values())
    assert cell_id("p", {}, "", 0.7, "a") == "p@t0.7#a"


# --------------------------------------------------------------------------------------------------------- what is told


def test_malformed_rows_are_counted_and_the_first_are_kept():
    bad = [Malformed(f"f:{k}", "because", rows=2) for k in range(30)]
    gathering = gathering_of(Draw("x", prompt_id="a"), *bad, Notice("hear"))
    assert (gathering.malformed_rows, len(gathering.malformed), gathering.sound_rows) == (60, 20, 1)
    assert gathering.notices == ["hear"]
    with pytest.raises(UsageError, match="60 of 61 rows are malformed"):
        sound_notes(gathering, 0.5, "lexical")
    assert sound_notes(gathering, 0.99, "lexical") == [
        "60 of 61 rows are malformed and were left out (the first: f:0: because)"
    ]


def test_an_import_without_completions_or_without_the_classes_asked_for_is_refused():
    with pytest.raises(UsageError, match="no completion"):
        sound_notes(Gathering(0.0), 0.05, "lexical")
    with pytest.raises(UsageError, match="no completion"):
        sound_notes(gathering_of(Malformed("f:1", "because")), 1.0, "lexical")
    with pytest.raises(UsageError, match="there are none in it"):
        sound_notes(gathering_of(Draw("x", prompt_id="a")), 0.05, "given")
    (note,) = sound_notes(gathering_of(Draw("x", prompt_id="a", given="1"), Draw("x", prompt_id="a")), 0.05, "given")
    assert note.startswith("1 completions came without a class")


@pytest.mark.parametrize(
    ("answer", "expect", "said"),
    [
        pytest.param("{integer: [5, 1]}", None, "--answer: the low end 5 is above the high end 1", id="bounds"),
        pytest.param("{integr: [1, 5]}", None, "did you mean `integer`?", id="a misspelt form"),
        pytest.param("text", "uniform", "--expect: `uniform` needs answers that can be counted", id="no fit"),
        pytest.param("{", None, "--answer '{'", id="no YAML"),
        pytest.param("", None, "--answer ''", id="nothing"),
    ],
)
def test_what_is_no_form_of_a_suite_is_refused_in_its_words(answer, expect, said):
    with pytest.raises(UsageError) as caught:
        answer_and_expectation(answer, expect)
    assert said in f"{caught.value.message}; {caught.value.hint}"


def test_nothing_is_expected_of_an_import_unless_it_is_said():
    assert answer_and_expectation(None, None) == (TextAnswer(), Expect("none"))
    spec, expected = answer_and_expectation("{integer: [1, 2]}", "uniform")
    assert spec == IntegerAnswer(1, 2)
    assert expected.weights == (("1", 0.5), ("2", 0.5))


# ------------------------------------------------------------------------------------------------------- the run folder


def runs_of(*draws):
    return gathering_of(*draws).runs(ASKED)


def test_a_run_is_complete_at_once(tmp_path):
    runs = runs_of(*(Draw(f"t{k}", prompt_id="a", given=str(k)) for k in range(5)))
    (folder,) = folders = run_folders(tmp_path, "r", runs)
    write_runs(folders, runs, {"f.jsonl": "0" * 64}, "plain", ["hear"])
    assert folder.state()["state"] == "complete"
    manifest = folder.manifest()
    assert manifest.cells == runs[0].cells
    (engine,) = manifest.engine_infos
    assert (engine.name, engine.version, engine.notes) == ("imported", "plain", ("hear",))
    assert manifest.fingerprint
    ((_, rows),) = folder.completions(manifest.cells)
    assert [(row.text, row.given) for row in rows] == [(f"t{k}", str(k)) for k in range(5)]
    assert pq.read_schema(folder.samples_path).metadata[b"run_id"] == b"r"


def test_row_groups_hold_as_much_as_fits(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_module, "_ROW_GROUP_ROWS", 4)
    monkeypatch.setattr(folder_module, "_ROW_GROUP_CHARACTERS", 100)
    texts = ["x"] * 9 + ["y" * 200, "z"]
    runs = runs_of(*(Draw(text, prompt_id="a") for text in texts))
    folders = run_folders(tmp_path, "r", runs)
    write_runs(folders, runs, {"f": "0"}, "plain", [])
    file = pq.ParquetFile(folders[0].samples_path)
    assert [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)] == [4, 4, 2, 1]
    assert file.read(["text"])["text"].to_pylist() == texts


def test_a_run_that_is_there_is_refused_before_anything_is_written(tmp_path):
    first = runs_of(Draw("x", prompt_id="a", step=2))
    write_runs(run_folders(tmp_path, "r", first), first, {"f": "0"}, "trl", [])
    both = runs_of(Draw("x", prompt_id="a", step=1), Draw("x", prompt_id="a", step=2))
    with pytest.raises(UsageError, match="there is a run r-step000002 already"):
        run_folders(tmp_path, "r", both)
    assert [path.name for path in tmp_path.iterdir()] == ["r-step000002"]


@pytest.mark.parametrize("at", [1, 2])
def test_where_the_disk_fails_no_half_of_an_import_stays(tmp_path, monkeypatch, at):
    runs = runs_of(Draw("x", prompt_id="a", step=1), Draw("x", prompt_id="a", step=2))
    calls = []
    write = folder_module.RunFolder.write_samples

    def failing(*args):
        calls.append(args)
        write(*args)
        if len(calls) == at:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module.RunFolder, "write_samples", failing)
    with pytest.raises(OSError, match="No space left"):
        write_runs(run_folders(tmp_path, "r", runs), runs, {"f": "0"}, "trl", [])
    assert list(tmp_path.iterdir()) == []
