"""`collapse suites`: the list, and a suite as it is."""

from __future__ import annotations

import os

import pytest

from collapsecli.cli import main
from collapsecli.cli.suites import headline as headline_of
from collapsecli.suite import builtin


@pytest.fixture(autouse=True)
def _narrow_screen(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_the_list_has_a_line_for_every_suite_with_what_it_costs(capfd):
    assert main(["suites"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line and not line.startswith(" ")}
    assert set(builtin.names()) <= set(lines)
    assert lines["quickstart"][1:5] == ["13", "14", "1,152", "\u226463,488"]
    assert max(map(len, out.splitlines())) <= 80


def test_the_list_says_what_each_suite_asks(capfd):
    assert main(["suites"]) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "Draws that ought to" in said
    assert "collapse probe NAME -m MODEL" in said


@pytest.mark.parametrize("name", builtin.names())
def test_a_suite_is_printed_as_it_is(name, capfdbinary):
    assert main(["suites", name]) == 0
    path = builtin.find(name)
    assert path is not None
    assert capfdbinary.readouterr() == (path.read_bytes(), b"")


def test_what_is_printed_can_be_changed_and_checked(tmp_path, capfd):
    main(["suites", "rng"])
    mine = tmp_path / "mine.yaml"
    mine.write_text(capfd.readouterr().out.replace("name: rng", "name: mine"), "utf-8")
    assert main(["check", str(mine)]) == 0
    assert "integer-0-100[wording=1]@t1.0" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("unknown", "hint"),
    [
        pytest.param("rgn", "did you mean rng?", id="nearly one"),
        pytest.param("nothing-like-it", "there are: attractors, controls", id="nothing near"),
        pytest.param("../prompts/rng", "", id="a path"),
        pytest.param(os.devnull, "", id="a file"),
    ],
)
def test_a_suite_that_is_not_built_in_exits_2(unknown, hint, capfd):
    assert main(["suites", unknown]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert f"there is no built-in suite {unknown!r}" in err
    assert hint in err


HEADS = [
    pytest.param("# Numbers: are they fair?\n# More.\n\nschema: 1\n", "Numbers", id="up to a colon"),
    pytest.param("# Are numbers fair? It says.\nschema: 1\n", "Are numbers fair?", id="a question"),
    pytest.param("# Fair 1.5 numbers\n# of all kinds. More.\n", "Fair 1.5 numbers of all kinds", id="over two lines"),
    pytest.param("schema: 1\n# later\n", "", id="no comment at the head"),
    pytest.param("", "", id="nothing"),
]


@pytest.mark.parametrize(("text", "headline"), HEADS)
def test_the_headline_is_the_first_thing_that_a_suite_says(text, headline):
    assert headline_of(text) == headline
