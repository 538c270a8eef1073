"""Slices joined: together they are what one run of the same seed would have been, whatever happened on the way."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from collapsecli.conclusions import conclude
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.errors import IncompleteError, UsageError
from collapsecli.merging import merge
from collapsecli.modes import canonical
from collapsecli.pipeline import RunPlan, sample_run
from collapsecli.records import EncoderInfo, Model
from collapsecli.runs import RunFolder, SuiteSource
from collapsecli.runs.embeddings import EmbeddingsFolder, digests_of
from collapsecli.scoring import asks_for_scores
from collapsecli.slices import first_looks
from collapsecli.slices import sliced as places
from collapsecli.suite import load, plan

WARM, COLD = " I met him. We laughed. To the groom!", " It rained. That is all. Good night."
TOASTS = """
schema: 1
name: toasts
sampling: {samples: 32, max_tokens: 40}
prompts:
- id: toast
  text: "To the bride!"
  inject:
  - {id: cut, at: {sentences: [1, 2]}}
  - {id: odd, at: {sentences: 1}, text: " You are a murderer.", continuations: [" Nobody laughed."]}
  - {id: far, at: {sentences: 9}}
  continuations: [" I met", " Never"]
- {id: coin, text: "Flip a coin.", answer: {choice: [heads, tails]}, expect: uniform, temperatures: [0.7, 1.0]}
- {id: die, text: "Roll a die.", answer: {integer: [1, 6]}, expect: uniform}
"""
ADAPTIVE = """
schema: 1
name: many
sampling: {max_samples: 256, max_tokens: 8}
rules: {fdr: 0.000001}
prompts:
- {file: prompts.csv, id: id, text: text, answer: {words: 1}}
"""
ANSWERS = {
    "toast": {WARM: 0.8, COLD: 0.2},
    "toast/cut@s1": {" We laughed. To the groom!": 1.0},
    "toast/cut@s2": {" To the groom!": 1.0},
    "toast/cut@s9": {" No.": 1.0},
    "toast/far@s9": {" No.": 1.0},
    "toast/odd@s1": {" Nobody laughed.": 0.1, " To the groom!": 0.9},
    "coin": {" Heads.": 0.5, " Tails.": 0.5},
    "die": {f" {face}": 1 / 6 for face in range(1, 7)},
}


class Silent:
    """Nobody looks on."""

    stopped = False

    def sampling(self, engine, schedule):
        pass

    def advanced(self, completion, saved):
        pass

    def noticed(self, what):
        pass


class Dying(ScriptedEngine):
    """Dies after some completions."""

    left = 0

    def sample(self, requests):
        for completion in super().sample(requests):
            if not self.left:
                raise RuntimeError("the device is gone")
            self.left -= 1
            yield completion


def engine_of(model, answers=ANSWERS):
    return ScriptedEngine(Script(model.removeprefix("scripted:"), answers))


def planned(folder, text=TOASTS, models=("scripted:s",), seed=5, **options):
    (folder / "s.yaml").write_text(text)
    suite = load(folder / "s.yaml")
    cells = plan(suite, models=[Model.at(model) for model in models], **options).cells
    source = SuiteSource(suite.name, "s.yaml", suite.source.sha256, suite.text, {}, suite.rules)
    return RunPlan((source,), cells, seed)


def sample(run, asked, number=None, of=None, start=engine_of):
    """Sample a run, or one slice of it; gives back the folder sampled and whether it is complete."""
    folder = run if number is None else run.slice_folder(number, of)
    asked = asked if number is None else replace(asked, slice=(number, of))
    return folder, sample_run(folder, asked, start, Silent())


def sliced(run, asked, of, start=engine_of):
    return [sample(run, asked, number, of, start)[0] for number in range(1, of + 1)]


def rows_of(run):
    table = pd.read_parquet(run.samples_path)
    return table.drop(columns=["run_id", "created_at"]).reset_index(drop=True)


def assert_same_samples(joined, whole):
    """In every row and every column but the id of the run and the time."""
    pd.testing.assert_frame_equal(rows_of(joined), rows_of(whole))
    assert set(pd.read_parquet(joined.samples_path).run_id) <= {joined.run_id}
    assert joined.state()["state"] == "complete"


def assert_same_run(joined, whole):
    """The same completions; in every plan, every scored text, and all that follows from it."""
    assert_same_samples(joined, whole)
    ours, theirs = joined.manifest(), whole.manifest()
    for name in ("seed", "suites", "cells", "engines", "fingerprint", "given_up", "slice"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert joined.scored_by == whole.scored_by
    assert {cell: sorted(texts, key=str) for cell, texts in joined.scores().items()} == {
        cell: sorted(texts, key=str) for cell, texts in whole.scores().items()
    }
    first, second = conclude(joined), conclude(whole)
    assert first.complete
    assert first.results == second.results
    assert list(first.contrasts) == list(second.contrasts)
    assert first.notes == second.notes


def shards(run):
    return {path.name: path.read_bytes() for path in run.parts_path.glob("*.parquet")}


# ---------------------------------------------------------------------------------------------------- the promise


@pytest.mark.parametrize("of", [1, 2, 3, 8])
def test_slices_together_are_the_whole_run_with_its_second_wave_and_its_scores(tmp_path, of):
    asked = planned(tmp_path)
    whole, _ = sample(RunFolder(tmp_path / "whole"), asked)
    run = RunFolder(tmp_path / "night")
    merged = merge(run, sliced(run, asked, of))
    assert merged.complete
    assert merged.of == of
    assert not merged.missing
    assert not merged.unfinished
    assert_same_run(run, whole)
    assert run.state()["state"] == "complete"


def test_two_models_in_one_run_are_sliced_and_joined(tmp_path):
    asked = planned(tmp_path, models=("scripted:s", "scripted:t"))
    whole, _ = sample(RunFolder(tmp_path / "whole"), asked)
    run = RunFolder(tmp_path / "night")
    slices = sliced(run, asked, 4)
    assert max(len(one.manifest().models) for one in slices) <= 2
    assert merge(run, reversed(slices)).complete
    assert_same_run(run, whole)


def adaptive_plan(tmp_path, **options):
    (tmp_path / "prompts.csv").write_text("id,text\n" + "".join(f"p{at},Say one of {at}.\n" for at in range(12)))
    return planned(tmp_path, ADAPTIVE, **options)


def lean(model):
    """Three cells with a favourite that is soon proved, though not to the family's rate, and nine without.

    Every answer is said in forty ways, or probabilities would prove it at once.
    """
    favourites = [0.97, 0.95, 0.9] + [1 / 30] * 9
    answers = {}
    for at, favourite in enumerate(favourites):
        shares = {"a": favourite, **{f"b{other}": (1 - favourite) / 29 for other in range(29)}}
        answers[f"p{at}"] = {f" {word} {way}": share for word, share in shares.items() for way in range(40)}
    return engine_of(model, answers)


def test_adaptive_slices_owe_what_only_the_family_of_all_cells_asks_for(tmp_path):
    """Whether a flag is withheld depends on the cells of all slices: no slice draws for that, the joined run does."""
    asked = adaptive_plan(tmp_path)
    whole, _ = sample(RunFolder(tmp_path / "whole"), asked, start=lean)
    run = RunFolder(tmp_path / "night")
    slices = sliced(run, asked, 3, lean)
    assert all(conclude(one).complete for one in slices)
    assert sum(len(rows_of(one)) for one in slices) < len(rows_of(whole))
    merged = merge(run, slices)
    assert not merged.complete
    assert not merged.missing
    assert not merged.unfinished
    assert run.state()["state"] == "incomplete"
    assert not conclude(run).complete
    sample(run, replace(asked, seed=None), start=lean)
    assert_same_run(run, whole)
    assert merge(run, slices).complete  # and stays what it is
    assert_same_run(run, whole)


# ------------------------------------------------------------------------------------------------- on the way there


def test_a_slice_that_died_leaves_the_run_incomplete_until_it_is_resumed(tmp_path):
    asked = planned(tmp_path)
    whole, _ = sample(RunFolder(tmp_path / "whole"), asked)
    run = RunFolder(tmp_path / "night")
    slices = [run.slice_folder(number, 2) for number in (1, 2)]
    largest = max(
        (1, 2), key=lambda number: len(sample(RunFolder(tmp_path / "try"), asked, number, 2)[0].manifest().cells)
    )
    dying = Dying(Script("s", ANSWERS))
    dying.left = 40
    sample(run, asked, 3 - largest, 2)
    with pytest.raises(IncompleteError):
        sample(run, asked, largest, 2, lambda _model: dying)
    merged = merge(run, slices)
    assert not merged.complete
    assert merged.unfinished == (largest,)
    assert run.state()["state"] == "incomplete"
    assert not conclude(run).complete
    assert not run.samples_path.exists()
    sample(run, asked, largest, 2)
    assert merge(run, slices).complete
    assert_same_run(run, whole)


def test_what_is_missing_is_drawn_by_the_ordinary_command_too(tmp_path):
    asked = planned(tmp_path)
    whole, _ = sample(RunFolder(tmp_path / "whole"), asked)
    run = RunFolder(tmp_path / "night")
    slices = [sample(run, asked, number, 3)[0] for number in (1, 3)]
    merged = merge(run, slices)
    assert merged.missing == (2,)
    conclusions = conclude(run)
    lacking = first_looks(asked.cells[place] for place in places(asked.cells, 2, 3))
    assert conclusions.planned - conclusions.saved == lacking > 0
    assert "not all of 3 slices are here: 2 missing" in conclusions.notes
    with pytest.raises(UsageError, match="was begun with something else"):
        sample(run, planned(tmp_path, TOASTS.replace("a die", "one die")))
    sample(run, asked)
    assert_same_run(run, whole)
    slices.append(sample(run, asked, 2, 3)[0])
    assert merge(run, slices).complete
    assert_same_run(run, whole)


def test_slices_that_come_one_after_the_other_are_joined_as_they_come_and_owe_no_scores(tmp_path):
    asked = planned(tmp_path)
    whole, _ = sample(RunFolder(tmp_path / "whole"), asked)
    run = RunFolder(tmp_path / "night")
    slices = sliced(run, asked, 3)
    assert merge(run, slices[2:]).missing == (1, 2)
    assert merge(run, slices[:1]).missing == (2,)
    assert not run.scored_by
    assert merge(run, slices[1:2]).complete
    assert_same_run(run, whole)


@pytest.mark.parametrize("lost", ["of the run", "of a slice"])
def test_scores_that_were_lost_before_all_slices_came_are_owed(tmp_path, lost):
    asked = planned(tmp_path)
    run = RunFolder(tmp_path / "night")
    slices = sliced(run, asked, 2)
    assert all(asks(one) for one in slices)
    merge(run, slices[:1])
    (run if lost == "of the run" else slices[1]).path.joinpath("scores.parquet").unlink()
    assert not merge(run, slices[1:]).complete
    assert not run.scored_by
    if lost == "of the run":
        assert merge(run, slices).complete
    else:
        assert sample(run, asked)[1]


def asks(run):
    return any(asks_for_scores(cell) for cell in run.manifest().cells)


def test_joining_twice_changes_nothing(tmp_path):
    asked = planned(tmp_path)
    run = RunFolder(tmp_path / "night")
    slices = sliced(run, asked, 3)
    merge(run, slices)
    before, manifest, rows = shards(run), run.manifest(), rows_of(run)
    merge(run, slices)
    assert shards(run) == before
    assert run.manifest() == manifest
    pd.testing.assert_frame_equal(rows_of(run), rows)


def test_nothing_of_the_slices_is_changed(tmp_path):
    asked = planned(tmp_path)
    run = RunFolder(tmp_path / "night")
    slices = sliced(run, asked, 3)

    def files():
        return {path: path.read_bytes() for one in slices for path in one.path.rglob("*") if path.is_file()}

    before = files()
    merge(run, slices)
    assert files() == before


def test_shards_are_linked_on_one_disk_and_copied_from_another(tmp_path):
    asked = planned(tmp_path)
    run = RunFolder(tmp_path / "night")
    slices = sliced(run, asked, 2)
    merge(run, slices)
    assert all(path.stat().st_nlink == 2 for path in run.parts_path.glob("*.parquet"))
    other = Path("/dev/shm")  # noqa: S108 - another file system is what is needed
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is only one file system")
    elsewhere = other / f"collapse-{os.getpid()}-{tmp_path.name}" / "night"
    try:
        joined = RunFolder(elsewhere)
        assert merge(joined, slices).complete
        assert shards(joined) == shards(run)
        assert not list(joined.path.rglob("*.tmp"))
        pd.testing.assert_frame_equal(rows_of(joined), rows_of(run))
    finally:
        shutil.rmtree(elsewhere.parent)


def test_another_shard_of_the_same_name_is_kept_beside_the_first(tmp_path):
    """A slice was lost with its disk after it had been joined, and was sampled again."""
    asked = planned(tmp_path)
    whole, _ = sample(RunFolder(tmp_path / "whole"), asked)
    run = RunFolder(tmp_path / "night")
    dying = Dying(Script("s", ANSWERS))
    dying.left = 40
    with pytest.raises(IncompleteError):
        sample(run, asked, 1, 1, lambda _model: dying)
    merge(run, run.slice_folders())
    shutil.rmtree(run.slice_folder(1, 1).path)
    sample(run, asked, 1, 1)
    assert merge(run, run.slice_folders()).complete
    assert len(shards(run)) > len(shards(run.slice_folder(1, 1)))
    assert_same_run(run, whole)


def test_a_shard_that_cannot_be_read_is_told_and_what_was_compacted_comes_instead(tmp_path):
    asked = planned(tmp_path)
    whole, _ = sample(RunFolder(tmp_path / "whole"), asked)
    run, heard = RunFolder(tmp_path / "night"), []
    slices = sliced(run, asked, 2)
    broken = next(slices[1].parts_path.glob("*.parquet"))
    broken.write_bytes(broken.read_bytes()[:-9] + b"rotten...")
    assert merge(run, slices, heard.append).complete
    assert heard == [f"{broken} cannot be read and is left out"]
    assert_same_run(run, whole)


def test_a_shard_that_a_resume_set_aside_is_made_good_by_what_was_compacted(tmp_path):
    asked = planned(tmp_path)
    whole, _ = sample(RunFolder(tmp_path / "whole"), asked)
    run = RunFolder(tmp_path / "night")
    slices = sliced(run, asked, 2)
    broken = next(slices[1].parts_path.glob("*.parquet"))
    broken.write_bytes(b"rotten")
    assert sample(run, asked, 2, 2)[1]  # its own table is whole: nothing is drawn again
    assert not broken.exists()
    assert merge(run, slices).complete
    assert_same_run(run, whole)


SAYINGS = """
schema: 1
name: sayings
sampling: {samples: 32, max_tokens: 40}
equivalence: {embedding: somebody/encoder}
prompts:
- {id: toast, text: "To the bride!"}
- {id: other, text: "To the groom!"}
"""


def plant(run, texts, **identity):
    """Keep vectors of some answers beside a run, as if an encoder had given them."""
    folder = EmbeddingsFolder(run.path, EncoderInfo("somebody/encoder", {"dtype": "float32", **identity}))
    folder.begin()
    texts = [canonical(text) for text in texts]
    vectors = np.eye(2, dtype=np.float32)[[len(text) % 2 for text in texts]]
    folder.add(digests_of(texts), vectors, np.zeros(len(texts), np.bool_))
    return folder


def test_vectors_of_answers_come_along_so_that_no_encoder_is_started_again(tmp_path):
    """There is no somebody/encoder: whoever starts it fails."""
    asked = planned(tmp_path, SAYINGS)
    run, heard = RunFolder(tmp_path / "night"), []
    warm, cold = WARM.strip(), COLD.strip()
    answers = {"toast": {WARM: 1.0}, "other": {WARM: 0.5, COLD: 0.5}}
    slices = sliced(run, asked, 2, lambda model: engine_of(model, answers))
    first, second = sorted(slices, key=lambda one: one.manifest().cells[0].prompt_id == "other")
    plant(first, [warm])
    plant(second, [warm])
    broken = plant(second, [cold]).files[1]
    newer = plant(second, [cold], revision="2")
    assert merge(run, [first]).missing
    assert merge(run, slices).complete
    (folder,) = [one for one in EmbeddingsFolder.of(run.path) if one.path.name != newer.path.name]
    assert len(folder.files) == 3
    assert len(folder.read().digests) == 2
    assert len(EmbeddingsFolder.of(run.path)) == 2  # what another revision made is kept apart
    assert {result.cell.prompt_id: result.mode_mass.value for result in conclude(run).results}["toast"] == 1.0
    broken.write_bytes(b"rotten")
    assert merge(RunFolder(tmp_path / "again" / "night"), slices, heard.append).complete
    assert heard == [f"{broken} cannot be read and is left out"]


JOIN = """
import sys
from pathlib import Path
from collapsecli.merging import merge
from collapsecli.runs import RunFolder
run = RunFolder(Path(sys.argv[1]))
merge(run, run.slice_folders())
"""


@pytest.mark.parametrize("at", [1, 45])  # of 50 shards; then the run is still to be compacted
def test_joining_that_was_killed_halfway_is_done_by_joining_again(tmp_path, at):
    (tmp_path / "prompts.csv").write_text("id,text\n" + "".join(f"p{at},Say one of {at}.\n" for at in range(100)))
    asked = planned(tmp_path, ADAPTIVE.replace("max_samples: 256", "samples: 64"))
    whole, _ = sample(RunFolder(tmp_path / "whole"), asked, start=even)
    run = RunFolder(tmp_path / "night")
    slices = sliced(run, asked, 2, even)
    joining = subprocess.Popen([sys.executable, "-c", JOIN, str(run.path)])
    while joining.poll() is None and len(list(run.parts_path.glob("*.parquet"))) < at:
        time.sleep(0.0005)
    joining.send_signal(signal.SIGKILL)
    assert joining.wait() == -signal.SIGKILL
    assert run.state().get("state") != "complete"
    assert merge(run, slices).complete
    assert len(shards(run)) == sum(len(shards(one)) for one in slices)
    assert_same_samples(run, whole)


def even(model):
    return engine_of(model, {f"p{at}": {f" {letter}": 0.25 for letter in "abcd"} for at in range(100)})


# ------------------------------------------------------------------------------------------------------ refused


def other_seed(_folder, asked, run):
    return [sample(run, asked, 1, 2)[0], sample(run, replace(asked, seed=6), 2, 2)[0]]


def other_plan(folder, asked, run):
    more = planned(folder, TOASTS.replace("a die", "one die"))
    return [sample(run, asked, 1, 2)[0], sample(run, more, 2, 2)[0]]


def other_division(_folder, asked, run):
    return [sample(run, asked, 1, 2)[0], sample(run, asked, 2, 3)[0]]


def other_suite(folder, asked, run):
    read_otherwise = planned(folder, TOASTS.replace("[heads, tails]", "[tails, heads]"))
    return [sample(run, asked, 1, 2)[0], sample(run, read_otherwise, 2, 2)[0]]


def other_engine(_folder, asked, run):
    def bent(model):
        return engine_of(model, {**ANSWERS, "coin": {" Heads.": 0.9, " Tails.": 0.1}})

    return [sample(run, asked, 1, 2)[0], sample(run, asked, 2, 2, bent)[0]]


def other_run(folder, asked, run):
    return [sample(run, asked, 1, 2)[0], sample(RunFolder(folder / "day"), asked, 2, 2)[0]]


def the_same_twice(folder, asked, run):
    one = sample(run, asked, 1, 2)[0]
    copy = shutil.copytree(one.path, folder / "copy")
    return [one, RunFolder(copy)]


def no_slice(folder, asked, run):
    return [sample(run, asked, 1, 2)[0], sample(RunFolder(folder / "whole"), asked)[0]]


def none_at_all(_folder, _asked, _run):
    return []


@pytest.mark.parametrize(
    ("strangers", "words"),
    [
        pytest.param(other_seed, "seed: 5 in slice 1; 6 in slice 2", id="two seeds"),
        pytest.param(other_plan, r"plan: \w+ in slice 1; \w+ in slice 2", id="two plans"),
        pytest.param(other_division, "slices: 2 in slice 1; 3 in slice 2", id="two divisions"),
        pytest.param(other_suite, r"suite toasts: \w+ in slice 1; \w+ in slice 2", id="two suites that read otherwise"),
        pytest.param(
            other_engine, r"scripted:s's answers: \w+ in slice 1; \w+ in slice 2", id="two models of one name"
        ),
        pytest.param(other_run, "run id: night in slice 1, .*night; day in slice 2", id="two runs"),
        pytest.param(the_same_twice, "slice 1 is given more than once", id="one slice from two folders"),
        pytest.param(no_slice, "whole is no slice of a run", id="a run that is no slice"),
        pytest.param(none_at_all, "there are no slices", id="nothing"),
    ],
)
def test_what_is_not_of_one_run_is_refused_with_words_and_nothing_is_written(tmp_path, strangers, words):
    run = RunFolder(tmp_path / "night")
    slices = strangers(tmp_path, planned(tmp_path), run)
    with pytest.raises(UsageError, match=words):
        merge(run, slices)
    assert not run.started
    assert not run.parts_path.exists()


def test_slices_are_not_joined_into_a_run_that_was_sampled_as_a_whole(tmp_path):
    asked = planned(tmp_path)
    run, _ = sample(RunFolder(tmp_path / "night"), asked)
    before = rows_of(run)
    with pytest.raises(UsageError, match="was sampled as a whole"):
        merge(run, sliced(run, asked, 2))
    pd.testing.assert_frame_equal(rows_of(run), before)


def test_slices_of_another_seed_are_not_joined_into_what_was_joined_before(tmp_path):
    asked = planned(tmp_path)
    run = RunFolder(tmp_path / "night")
    merge(run, [sample(run, asked, 1, 2)[0]])
    with pytest.raises(UsageError, match=r"seed: 6 in slice 2; 5 in .*night"):
        merge(run, [sample(run, replace(asked, seed=6), 2, 2)[0]])


def test_a_run_is_not_begun_as_a_whole_while_its_slices_are_not_joined(tmp_path):
    asked = planned(tmp_path)
    run = RunFolder(tmp_path / "night")
    sample(run, asked, 1, 2)
    with pytest.raises(UsageError, match="not joined") as refused:
        sample(run, asked)
    assert refused.value.hint == f"collapse merge {run.path}"
    assert not run.started


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"slice": (1, 3)}, "slice: was 1 of 2, is 1 of 3", id="another division"),
        pytest.param({"slice": None}, "slice: was 1 of 2, is None", id="the whole plan"),
        pytest.param({"seed": 6}, "seed: was 5, is 6", id="another seed"),
    ],
)
def test_a_slice_is_resumed_only_as_itself(tmp_path, change, words):
    asked = planned(tmp_path)
    folder, _ = sample(RunFolder(tmp_path / "night"), asked, 1, 2)
    with pytest.raises(UsageError, match=words):
        sample_run(folder, replace(asked, **{"slice": (1, 2), **change}), engine_of, Silent())


def test_a_slice_is_refused_when_cells_of_other_slices_were_changed(tmp_path):
    """Its seeds depend on the whole plan, and it could not be joined."""
    asked = planned(tmp_path)
    more = planned(tmp_path, TOASTS + "- {id: more, text: More?, answer: {integer: [1, 6]}}\n")
    for number in (1, 2):
        folder, _ = sample(RunFolder(tmp_path / "night"), asked, number, 2)
        with pytest.raises(UsageError, match="whole plan: was"):
            sample_run(folder, replace(more, slice=(number, 2)), engine_of, Silent())


def test_a_slice_without_a_seed_is_no_part_of_anything(tmp_path):
    asked = replace(planned(tmp_path), seed=None)
    with pytest.raises(ValueError, match="no parts of one run"):
        sample(RunFolder(tmp_path / "night"), asked, 1, 2)


# --------------------------------------------------------------------------------------------------- a slice alone


def test_a_slice_is_a_run_that_can_be_judged_and_says_what_it_is(tmp_path):
    asked = planned(tmp_path)
    folder, complete = sample(RunFolder(tmp_path / "night"), asked, 1, 2)
    assert complete
    conclusions = conclude(folder)
    assert conclusions.complete
    assert conclusions.run_id == "night"
    assert "slice 1 of 2 of run night: no flag is withheld before all are joined" in conclusions.notes


def test_a_slice_without_cells_is_complete_at_once_and_starts_no_engine(tmp_path):
    asked, started = planned(tmp_path), []

    def start(model):
        started.append(model)
        return engine_of(model)

    run = RunFolder(tmp_path / "night")
    slices = sliced(run, asked, 8, start)
    assert all(one.state()["state"] == "complete" for one in slices)
    assert sum(bool(one.manifest().cells) for one in slices) == 4 == len(started)  # a group each


# ------------------------------------------------------------------------------------------------------ real models


class Lasting:
    """A real engine that stays open over several runs."""

    def __init__(self, engine):
        self._engine = engine

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def close(self):
        pass


@pytest.mark.vllm
def test_slices_of_a_real_model_are_the_whole_run_token_by_token(tmp_path):
    pytest.importorskip("vllm")
    from collapsecli.engines import EngineOptions, start_engine

    text = Path("prompts/quickstart.yaml").read_text("utf-8")
    asked = planned(tmp_path, text, models=("demo-tuned",), samples=16, only=["bugs", "coin", "toast"])
    engine = start_engine("vllm", EngineOptions("demo-tuned"))
    try:
        whole, _ = sample(RunFolder(tmp_path / "whole"), asked, start=lambda _model: Lasting(engine))
        run = RunFolder(tmp_path / "night")
        slices = sliced(run, asked, 2, lambda _model: Lasting(engine))
    finally:
        engine.close()
    assert all(one.manifest().cells for one in slices)
    assert merge(run, slices).complete
    ours, theirs = rows_of(run), rows_of(whole)
    columns = ["cell_id", "sample_index", "seed", "prompt", "text", "token_ids", "finish_reason"]
    pd.testing.assert_frame_equal(ours[columns], theirs[columns])
