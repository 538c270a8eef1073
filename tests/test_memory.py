"""A run's memory does not follow the number of its completions."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

MOST_GROWTH = 1.3  # for ten times the completions; it was 1.6 while all of them were held
SAMPLES = 64


def peak_mb(tmp_path, prompts, samples):
    """The peak of a whole `collapse probe` in a process of its own."""
    folder = tmp_path / f"{prompts}x{samples}"
    folder.mkdir()
    names = [f"p{number}" for number in range(prompts)]
    rows = [json.dumps({"id": name, "text": f"Q: A number, for the {name[1:]}th time?\nA:"}) for name in names]
    (folder / "prompts.jsonl").write_text("\n".join(rows))
    (folder / "suite.yaml").write_text(
        f"schema: 1\nname: many\nmodel: x\nsampling: {{samples: {samples}, max_tokens: 8}}\nprompts:\n"
        "  - {file: prompts.jsonl, id: id, text: text, answer: {integer: [1, 100]}}\n"
    )
    answers = json.dumps({f" {number}.": 1.0 for number in range(1, 21)})
    script = [f"  {name}: *same" if at else f"  {name}: &same {answers}" for at, name in enumerate(names)]
    (folder / "script.yaml").write_text("\n".join(["prompts:", *script]))
    engine = ["--engine", "scripted", "-m", folder / "script.yaml", "--seed", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "collapsecli", "probe", folder / "suite.yaml", *engine, "-o", folder / "runs"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_maxrss / 1024


@pytest.mark.parametrize(
    ("few", "many"),
    [
        pytest.param((60, SAMPLES), (600, SAMPLES), id="ten times the cells"),
        pytest.param((1, 4000), (10, 4000), id="ten large cells instead of one"),
    ],
)
def test_ten_times_the_completions_take_hardly_more_memory(tmp_path, few, many):
    least, most = peak_mb(tmp_path, *few), peak_mb(tmp_path, *many)
    assert most < MOST_GROWTH * least
