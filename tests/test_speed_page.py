"""The page on speed says what was measured, and the benchmarks' own parts do what they say."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    """The modules of the benchmarks, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module


def test_the_page_shows_the_stored_figures(bench):
    speed = bench("speed")
    figures = json.loads((BENCHMARKS / "figures" / "speed.json").read_text("utf-8"))
    text = speed.PAGE.read_text("utf-8")
    assert speed.page_with(text, figures) == text


def test_the_ratio_that_is_quoted_elsewhere_is_that_of_free_text_against_the_plain_call(bench):
    figures = json.loads((BENCHMARKS / "figures" / "speed.json").read_text("utf-8"))
    work = figures["works"][bench("speed").STORIES]
    assert [figures[name] for name in ("ratio", "ratio_low", "ratio_high")] == work["ratios"]["generate"]["wall"]
    assert figures["pairs"] == work["rounds"] == len(work["arms"]["ours"]["wall_s"])


def test_a_ratio_pairs_the_rounds_and_keeps_both_clocks(bench):
    arms = bench("arms")
    ours = [arms.Timed(1.0, 3.0, 10), arms.Timed(2.0, 6.0, 10), arms.Timed(4.0, 12.0, 10)]
    theirs = [arms.Timed(2.0, 3.0, 10), arms.Timed(4.0, 6.0, 10), arms.Timed(8.0, 12.0, 10)]
    found = arms.ratios({"ours": ours, "generate": theirs}, "ours", "generate")
    assert found == {"wall": [0.5, 0.5, 0.5], "cpu": [1.0, 1.0, 1.0]}


def test_the_stories_are_a_hundred_different_prompts(bench):
    cells = bench("speed").story_cells()
    assert len({cell.text for cell in cells}) == len({cell.cell_id for cell in cells}) == 100
    assert {(cell.sampling.samples, cell.sampling.max_tokens) for cell in cells} == {(32, 45)}


def test_without_a_gpu_its_benchmark_says_so_and_measures_nothing():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    command = [sys.executable, "-W", "ignore", str(BENCHMARKS / "gpu.py")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "no GPU is here" in ended.stderr


@pytest.mark.vllm
@pytest.mark.parametrize("vocabulary", [2048, 20_000])
def test_the_made_up_tokenizer_has_as_many_entries_as_the_model_and_reads_back_what_it_wrote(
    bench, tmp_path, vocabulary
):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("vllm")
    bench("gpu").write_tokenizer(tmp_path, vocabulary)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) == vocabulary
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (vocabulary - 2, vocabulary - 1)
    text = "Tell a story with the number 7 in it."
    assert tokenizer.decode(tokenizer.encode(text)) == text
