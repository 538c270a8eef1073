"""A trend on a screen: what collapsed first stands on top, and nothing that a model said steers the terminal."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from makers import make_cell, make_completion
from rich.cells import cell_len
from rich.console import Console
from trend_makers import collapsing, make_result, make_step, make_trend

from collapsecli.compared import TrendCell
from collapsecli.judge import judge_cell
from collapsecli.records import Expect, Rules
from collapsecli.report.trend import trend_blocks
from collapsecli.report.trend_words import certain_words, collapse_words, mass_change, names_of, ranked
from collapsecli.trends import trend_of

GOLDEN = Path(__file__).parent / "golden"
HOSTILE = "\x1b[31m[/INST] </svg><script>alert(1)</script> \u202eblood"


def _designed():
    """A tuning run of four checkpoints: what collapses, what returns, what never does, a control, what is not asked."""
    shares = {
        "opinion": (0.1, 0.4, 0.9, 1.0),
        "a-toast-with-a-very-long-name-that-does-not-fit": (0.1, 0.9, 0.9, 0.95),
        "story": (0.05, 0.9, 0.2, 0.2),
        "animal": (0.05, 0.1, 0.05, 0.05),
        "number": (0.1, 0.3, 0.5, 0.6),
        "late": (None, None, 0.3, 0.3),
        "weather": (0.2, 0.25, 0.3, 0.3),
    }
    steps = []
    for k, number in enumerate((100, 200, 500, 1000)):
        results = [
            make_result(collapsing(of_cell[k]), f"{name}@t1.0")
            for name, of_cell in shares.items()
            if of_cell[k] is not None
        ]
        control = make_result([" Paris."] * 64, "capital@t1.0", expect=Expect("concentrated"))
        hostile = make_result([HOSTILE] * (16 * (k + 1)) + [f" {j}" for j in range(48 - 16 * k)], "hostile@t1.0")
        steps.append((make_step(f"checkpoint {number}", float(number)), [*results, control, hostile]))
    return trend_of(steps, 0.05, ["order: by the checkpoint in the names of the models"])


DESIGNED = _designed()


def screen_of(trend, width):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for block in trend_blocks(trend, width):
        console.print(block)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_trend_looks_as_it_was_designed(width):
    screen = screen_of(DESIGNED, width)
    golden = GOLDEN / f"trend-{width}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(screen, encoding="utf-8")
    assert screen == golden.read_text("utf-8")


@pytest.mark.parametrize("width", [60, 75, 76, 80, 99, 100, 119, 120, 160])
@pytest.mark.parametrize("steps", [2, 9, 30])
def test_no_line_is_wider_than_the_screen_however_many_steps_there_are(width, steps):
    trend = make_trend(tuple((k % 10) / 10 for k in range(steps)), **{f"q{'x' * 40}{k}": (1.0,) * steps for k in "ab"})
    lines = screen_of(trend, width).splitlines()
    assert all(cell_len(line) <= width for line in lines)
    assert any("100% 94–100 → 100% 94–100" in line for line in lines)
    curves = 8 if width < 100 else 16 if width < 120 else 24
    assert any("█" * min(steps, curves) in line for line in lines)
    assert ("Curves show" in " ".join(lines)) == (steps > curves)


def test_nothing_that_a_model_said_steers_the_terminal():
    screen = screen_of(DESIGNED, 160)
    assert "\x1b" not in screen
    assert "\u202e" not in screen
    assert "␛[31m[/INST]" in screen


def test_what_collapsed_first_stands_on_top_and_controls_that_should_after_it():
    told = [cell.question.partition("@")[0] for cell in ranked(DESIGNED.cells)]
    assert told == [
        "a-toast-with-a-very-long-name-that-does-not-fit",
        "story",
        "opinion",
        "hostile",
        "capital",
        "number",
        "weather",
        "animal",
        "late",
    ]


def verdicts(*of_steps):
    """A cell with these verdicts, None where it is not asked."""
    known = make_result([" a"] * 20)
    results = [verdict and replace(known, verdict=verdict) for verdict in of_steps]
    collapsed = [k for k, verdict in enumerate(of_steps) if verdict == "collapsed"]
    first = collapsed[0] if collapsed else None
    stays = first is not None and all(verdict in {"collapsed", None} for verdict in of_steps[first:])
    return TrendCell("coin@t1.0", tuple(results), first, stays)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        pytest.param(verdicts("narrow", "collapsed", "collapsed"), "from B on", id="since"),
        pytest.param(verdicts("narrow", "narrow", "collapsed"), "at C", id="at the last step"),
        pytest.param(verdicts("collapsed", "undecided", "not_collapsed"), "at A, later not", id="surely less later"),
        pytest.param(verdicts("collapsed", "undecided", "collapsed"), "at A, later open", id="open later"),
        pytest.param(verdicts("collapsed", None, "invalid"), "at A, later open", id="unreadable later"),
        pytest.param(verdicts("collapsed", None, "collapsed"), "from A on", id="once not asked"),
        pytest.param(verdicts("narrow", "diverse", "not_collapsed"), "never", id="surely never"),
        pytest.param(verdicts("narrow", "not_diverse", "diverse"), "never surely", id="once open"),
        pytest.param(verdicts(None, "invalid", "diverse"), "never surely", id="once unreadable"),
    ],
)
def test_it_is_said_since_when_a_cell_is_collapsed_and_an_open_verdict_proves_neither(cell, words):
    assert collapse_words(cell, ["A", "B", "C"]) == words


def test_a_cell_without_any_verdict_says_so():
    greedy = make_result([" a"], "greedy@t0.0", temperature=0.0, samples=1)
    assert collapse_words(TrendCell("greedy@t0.0", (greedy, greedy)), ["A", "B"]) == "no verdict"


def test_of_many_cells_those_that_collapse_or_change_most_are_told_and_the_rest_counted():
    trend = make_trend((0.1, 0.9), **{f"q{k:02d}": (0.3, 0.3 + k / 200) for k in range(45)})
    screen = screen_of(trend, 120)
    assert "and 6 more (6 do not surely)" in screen
    table = screen.split("\n\n")[2].splitlines()
    assert len(table) == 1 + 40 + 1
    assert table[1].startswith("✗ cell")
    changes = {cell.question.partition("@")[0]: abs(mass_change(cell)) for cell in trend.cells}
    told = {line.split()[1] for line in table[2:-1]}
    assert min(changes[name] for name in told) >= max(changes[name] for name in changes.keys() - told - {"cell"})


def test_cells_that_differ_in_temperature_alone_keep_it_in_their_names():
    hot = make_result([" a"] * 20, "coin@t2.0", temperature=2.0, prompt_id="coin")
    cells = [TrendCell(result.cell.question, (result,)) for result in (make_result([" a"] * 20), hot)]
    assert list(names_of(cells).values()) == ["coin@t1.0", "coin@t2.0"]
    assert names_of(cells[:1]) == {"coin@t1.0": "coin"}
    assert make_cell().question == "coin@t1.0"


def test_every_step_is_listed_with_its_run_or_the_first_and_the_last_of_many():
    assert "Steps: checkpoint 100   runs/checkpoint-100" in screen_of(DESIGNED, 80)
    screen = screen_of(make_trend((0.5,) * 30), 80)
    assert "… and 18 more" in screen
    assert "step 2900  runs/step-2900" in screen


def test_where_probabilities_decide_too_the_legend_says_that_a_verdict_can_be_surer():
    surer = "Verdicts use the draws' probabilities too"
    assert surer not in " ".join(screen_of(DESIGNED, 80).split())
    cell = make_cell(samples=20, equivalence="exact")
    rows = [
        make_completion(sample_index=k, text=" Heads.", token_logprobs=(-0.1,) * 7, logprob=-0.7) for k in range(20)
    ]
    results = [judge_cell(cell, rows, Rules())]
    trend = trend_of([(make_step("x"), results), (make_step("y"), results)], 0.05)
    assert surer in " ".join(screen_of(trend, 80).split())
    assert certain_words(results[0]) == "49–100%"
