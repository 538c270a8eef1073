"""The README is run: what it shows works as shown."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from collapsecli import demo
from collapsecli.cli import main
from collapsecli.records import Model, Rules
from collapsecli.suite import builtin, load, plan

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def _blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def _commands():
    for block in _blocks("sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["collapse"]:
                written = words[1 : words.index(">")] if ">" in words else words[1:]
                yield [name for word in written for name in _expanded(word)]


def _expanded(word):
    """A word as the shell would hand it on."""
    is_pattern = "*" in word
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(word)) if is_pattern else [word]


def _without_models(words):
    """The command without the models that it names."""
    named = {at + step for at, word in enumerate(words) if word in {"-m", "--model"} for step in (0, 1)}
    return [word for at, word in enumerate(words) if at not in named]


@pytest.fixture
def served():
    """Lets a command ask a server that is there, for the model that it has."""
    servers = []

    def serve(words):
        from engines.fake_server import MODEL, FakeServer

        servers.append(FakeServer())
        words[words.index("--endpoint") + 1] = servers[-1].endpoint
        words[words.index("-m") + 1] = MODEL

    yield serve
    for server in servers:
        server.die()


@pytest.mark.parametrize("words", list(_commands()), ids=" ".join)
def test_every_command_of_the_readme_works(words, tmp_path, monkeypatch, capfd, served):
    """Without vLLM where it only draws: on the scripted engine, which knows all prompts of the suites shown."""
    for name in ("examples", "prompts"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    if words[0] in {"compare", "trend"} or "--baseline" in words:
        for name in ("base", "tuned"):
            words_of = ["probe", "quickstart", "--engine", "scripted", "-m", f"demo-{name}", "--run-id", name, "-q"]
            main(words_of)
        capfd.readouterr()
    if words[0] == "report":
        main(["probe", "prompts/quickstart.yaml", "--engine", "scripted", "-q"])
    if words[0] == "merge":
        for number in (1, 2):
            shard = ["--run-id", words[1], "--shard", f"{number}/2"]
            main(["probe", "quickstart", "--engine", "scripted", "-m", "demo-base", "-q", *shard])
    if "--endpoint" in words:
        pytest.importorskip("aiohttp")
        served(words)
    elif words[0] == "probe" and "scripted" not in words:
        asked = plan(load(builtin.find(words[1]) or ROOT / words[1]), models=()).cells
        answers = {cell.cell_id.rpartition("@")[0]: {" a. b. c. d. e": 1} for cell in asked}
        (tmp_path / "script.yaml").write_text(yaml.safe_dump({"prompts": answers}))
        words = [*_without_models(words), "--engine", "scripted", "-m", "script.yaml"]
    assert main(words) == (3 if "--fail-on" in words else 0)
    assert capfd.readouterr().out


@pytest.mark.parametrize("text", _blocks("yaml"), ids=["the suite"])
def test_every_suite_of_the_readme_loads(text, tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    assert len(plan(load(path)).cells) == 4


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("prompts/*.yaml")) + sorted(ROOT.glob("examples/**/suite.yaml")), ids=str
)
def test_every_suite_that_is_shipped_loads(path):
    assert plan(load(path), models=[Model.at("any")]).cells


@pytest.mark.parametrize("model", demo.MODELS)
def test_the_reports_shown_list_every_cell_and_flag_what_the_truth_table_flags(model):
    shown = README.split(f"<!-- {model}: written by benchmarks/readme.py -->")[1].split("<!-- end -->")[0]
    rows = {line.split()[2]: line.split()[:2] for line in shown.splitlines() if line and line[0] in "✗✓?·!"}
    cells = plan(load(ROOT / "prompts" / "quickstart.yaml"), models=[Model.at(model)]).cells
    assert set(rows) == {cell.cell_id.removesuffix("@t1.0") for cell in cells}
    truth = json.loads(demo.truth_path().read_text("utf-8"))["prompts"]
    for cell in cells:
        name = cell.cell_id.removesuffix("@t1.0")
        mass = truth[name][model]["mode_mass"]
        threshold = 0.05 if name == "integer-1-100" else 0.25 if name == "integer-1-20" else Rules().collapsed
        collapsed = mass >= threshold and name != "coin"  # a fair coin has a half, and is judged against three quarters
        flagged = collapsed and cell.expect.kind != "concentrated"
        assert (rows[name][0] == "✗") == flagged, name


def test_every_column_and_key_that_the_readme_names_exists(capfd):
    main(["schema", "suite"])
    schema = capfd.readouterr().out
    table = README.split("| key | says |")[1].split("\n\n")[0]
    keys = [key for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)]
    assert {"text", "messages", "formats", "continuations"} <= set(keys)
    assert [key for key in keys if f'"{key}"' not in schema] == []
