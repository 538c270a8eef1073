"""A comparison as it is on a screen. The golden files are the review of its design."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from comparison_strategies import some_comparisons
from comparisons import (
    EQUAL,
    IMPORTED,
    MANY,
    STRANGE,
    TUNED,
    TUNED_OVERALL,
    make_comparison,
    make_difference,
    make_side,
    screen_of,
)
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from collapsecli.records import Estimate
from collapsecli.report.compare_numbers import NOTHING, TIMES, change_number, direction

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_comparison_looks_as_it_was_designed(width):
    screen = f"{'=' * width}\n".join(screen_of(comparison, width) for comparison in (TUNED, EQUAL, STRANGE))
    golden = GOLDEN / f"compare-{width}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(screen, encoding="utf-8")
    assert screen == golden.read_text("utf-8")


# ------------------------------------------------------------------------------------------------------------- laws


@given(some_comparisons(), st.integers(60, 160))
def test_no_line_is_wider_than_the_screen_whatever_is_compared(comparison, width):
    assert all(cell_len(line) <= width for line in screen_of(comparison, width).splitlines())


@pytest.mark.parametrize("width", [60, 72, 76, 80, 100, 120, 160])
@pytest.mark.parametrize(
    "comparison", [TUNED, EQUAL, MANY, IMPORTED, STRANGE], ids=["tuned", "equal", "many", "imported", "strange"]
)
def test_no_line_of_an_example_is_wider_than_the_screen(comparison, width):
    assert all(cell_len(line) <= width for line in screen_of(comparison, width).splitlines())


@given(some_comparisons())
def test_what_is_undefined_is_never_printed_as_a_number_or_a_name_of_none(comparison):
    assert not re.search(r"\b(None|nan|inf)\b", screen_of(comparison, 100))


@given(some_comparisons())
def test_no_character_that_steers_a_terminal_reaches_the_screen_of_a_comparison(comparison):
    assert all(char.isprintable() or char == "\n" for char in screen_of(comparison, 80))


@given(st.permutations(range(len(TUNED.cells))))
def test_the_order_in_which_cells_come_changes_nothing(places):
    assert screen_of(replace(TUNED, cells=tuple(TUNED.cells[place] for place in places)), 100) == screen_of(TUNED, 100)


@pytest.mark.parametrize("width", [60, 72, 76, 80, 160])
def test_every_number_over_all_prompts_has_its_interval_at_every_width(width):
    screen = screen_of(TUNED, width)
    told = ("5.5–7.3", "2.9–4.8", "-3.6 to -1.6", "0.19–0.64", "4–38", "-27.0 to -0.4", "15.2–31.7", "4.1–20.3")
    assert [ends for ends in told if ends not in screen] == []


# --------------------------------------------------------------------------------------------------------- headline


def _headline(comparison):
    return " ".join(screen_of(comparison, 160).split("\ndifferent answers")[0].split())


LESS, MORE = TUNED_OVERALL["distinct_10"], make_difference((3.9,), (6.4,), (2.5, 1.6, 3.6), 0.008, 8)
LEVEL = EQUAL.overall["distinct_10"]
CELLS = {cell.outcome: cell for cell in TUNED.cells}
NARROWER, WIDER, MOVED, SAME = (CELLS[outcome] for outcome in ("narrower", "wider", "moved", "same"))


@pytest.mark.parametrize(
    ("cells", "distinct", "said"),
    [
        pytest.param((NARROWER, SAME), LESS, "narrower over all prompts: 1 of 2 cells narrower", id="narrower"),
        pytest.param((WIDER, MOVED), MORE, "wider over all prompts: 1 of 2 cells wider, 1 moved", id="wider"),
        pytest.param((SAME,), LESS, "narrower over all prompts: shown in none of 1 cell alone", id="in no cell alone"),
        pytest.param((NARROWER, MOVED), NOTHING, "narrower in part: 1 of 2 cells narrower, 1 moved", id="in part"),
        pytest.param((WIDER, SAME), NOTHING, "wider in part: 1 of 2 cells wider", id="wider in part"),
        pytest.param((MOVED, SAME), LEVEL, "about as wide, but other answers: 1 of 2 cells moved", id="moved"),
        pytest.param((MOVED, SAME), NOTHING, "other answers: 1 of 2 cells moved", id="nobody knows how wide"),
        pytest.param(
            (NARROWER, WIDER, SAME),
            NOTHING,
            "narrower in some cells, wider in others: 1 of 3 cells narrower, 1 wider",
            id="narrower here and wider there",
        ),
        pytest.param((SAME, SAME), NOTHING, "no difference shown in 2 cells", id="no difference"),
        pytest.param((), NOTHING, "no difference shown in 0 cells", id="no cell"),
    ],
)
def test_the_headline_says_what_happened_in_one_sentence(cells, distinct, said):
    told = tuple(replace(cell, question=f"prompt-{k}@t1.0") for k, cell in enumerate(cells))
    comparison = make_comparison(told, {"distinct_10": distinct})
    assert _headline(comparison) == f"quickstart: demo-base → demo-tuned, {said}"


def test_the_number_of_the_headline_stands_below_it_with_its_interval_and_draws():
    assert screen_of(TUNED, 160).splitlines()[1] == (
        "different answers among ten draws: 6.4 → 3.9, -2.5 (-3.6 to -1.6), p = .008, 8 prompts; 64 draws a cell"
    )


def test_a_number_without_an_interval_says_so():
    assert "10.0 → 3.0, -7.0 without interval, p = .062, 5 prompts; 10 draws a cell" in screen_of(IMPORTED, 160)


def test_both_runs_are_named_with_engine_and_seed_and_an_import_has_no_seed():
    assert screen_of(EQUAL, 160).splitlines()[3] == "run:  20261124T020000Z-demo-base · vllm 0.32.0 · seed 8"
    assert screen_of(IMPORTED, 160).splitlines()[3] == "run:  20261123T020000Z-claude-3-opus · imported noveltybench"


def test_a_name_that_hides_its_model_or_adapter_has_them_beside_it():
    adapted = make_side("step 500", model="demo-base", adapter="poet")
    assert "run:  demo-base + poet · 2026" in screen_of(replace(EQUAL, run=adapted))


def test_two_sides_of_one_name_are_told_apart_by_their_roles():
    assert _headline(EQUAL).startswith("quickstart: demo-base (base) → demo-base (run), no difference")


def test_eight_differences_of_the_settings_are_told_and_the_rest_is_counted():
    lines = [line for line in screen_of(STRANGE, 160).splitlines() if line.startswith("unlike:")]
    assert len(lines) == 9
    assert lines[-1] == "unlike: and 3 more"


@pytest.mark.parametrize(
    ("name", "change", "p", "expected"),
    [
        pytest.param("distinct_10", (-2.0, -3.0, -1.0), 0.01, -1, id="surely less"),
        pytest.param("distinct_10", (2.0, 1.0, 3.0), 0.01, 1, id="surely more"),
        pytest.param("distinct_10", (-2.0, -3.0, -1.0), 0.2, 0, id="the p-value does not allow it"),
        pytest.param("distinct_10", (-2.0, -4.1, 0.1), 0.01, 0, id="the interval does not allow it"),
        pytest.param("distinct_10", (-2.0,), 0.01, -1, id="without interval by the p-value alone"),
        pytest.param("distinct_10", (-2.0, -3.0, -1.0), None, 0, id="without p-value nothing is sure"),
        pytest.param("distinct_10", (None, -3.0, -1.0), 0.01, 0, id="undefined"),
        pytest.param("distinct_10", (-2.0, -3.0, None), 0.01, 0, id="half an interval that reaches further"),
        pytest.param("effective_modes_ratio", (0.5, 0.3, 0.9), 0.01, -1, id="a ratio below one is less"),
        pytest.param("effective_modes_ratio", (0.9, 0.7, 1.1), 0.01, 0, id="a ratio around one is neither"),
    ],
)
def test_a_change_is_sure_only_where_p_value_and_interval_say_so(name, change, p, expected):
    assert direction(name, make_difference((1.0,), (1.0,), change, p, 8), 0.05) == expected


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        pytest.param("collision", (0.283, 0.201, 0.362), ("+28", "20–37"), id="points of a share"),
        pytest.param("effective_modes_ratio", (0.414, 0.3, 0.56), (f"{TIMES}0.41", "0.30–0.56"), id="a factor"),
        pytest.param(
            "effective_modes_ratio", (0.0041, 0.001, 0.02), (f"{TIMES}0.004", "0.001–0.020"), id="a small factor"
        ),
        pytest.param(
            "effective_modes_ratio", (0.98, 0.9, 0.998), (f"{TIMES}0.98", "0.900–0.998"), id="surely below one"
        ),
        pytest.param(
            "effective_modes_ratio", (0.98, 0.9, 1.002), (f"{TIMES}0.98", "0.90–1.01"), id="perhaps above one"
        ),
        pytest.param("tokens", (1234.5, 1100.2, 1300.9), ("+1,234", "1,100–1,301"), id="a large number"),
        pytest.param("tokens", (-0.04, -0.2, 0.1), ("0.0", "-0.2 to 0.1"), id="zero has no sign"),
        pytest.param("tokens", (None, None, None), ("–", ""), id="undefined"),
        pytest.param("tokens", (float("inf"), 1.0, None), ("–", ""), id="no number is infinite"),
        pytest.param("tokens", (2.0, float("-inf"), None), ("+2.0", ""), id="an interval of everything is none"),
        pytest.param("tokens", (2.0, 1.0, float("inf")), ("+2.0", "≥1.0"), id="an open interval is a bound"),
    ],
)
def test_a_change_is_written_in_its_unit_with_its_interval_rounded_outwards(name, change, expected):
    assert change_number(name, Estimate(*change)) == expected


# ---------------------------------------------------------------------------------------- what else may be the cause


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({}, f"9 points fewer readable answers and {TIMES}2.10 the length: part of", id="both"),
        pytest.param({"tokens": NOTHING}, "9 points fewer readable answers: part of", id="readable answers"),
        pytest.param({"valid_rate": NOTHING}, f"{TIMES}2.10 the length: part of the change may be that", id="length"),
        pytest.param(
            {"tokens": make_difference((0.0,), (5.0,), (5.0, 4.0, 6.0), 0.001, 8)}, "another length", id="from none"
        ),
    ],
)
def test_what_confounds_a_change_is_said_in_words(changes, said):
    assert said in screen_of(replace(TUNED, overall={**TUNED_OVERALL, **changes}), 160)


def test_nothing_is_blamed_where_nothing_else_changed():
    shaky = {name: replace(TUNED_OVERALL[name], p_value=0.3) for name in ("valid_rate", "tokens")}
    assert "may be that" not in screen_of(replace(TUNED, overall={**TUNED_OVERALL, **shaky}), 160)


def test_an_imported_length_is_not_called_tokens():
    overall = {"tokens": TUNED_OVERALL["tokens"]}
    assert "length, tokens" in screen_of(replace(TUNED, overall=overall))
    assert "length, tokens" not in screen_of(replace(IMPORTED, overall=overall))


# ---------------------------------------------------------------------------------------------------------- verdicts

LABELS = ("collapsed", "narrow", "not_diverse", "undecided", "not_collapsed", "diverse", "invalid")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_seven_verdicts_stand_side_by_side_on_every_screen(width):
    counts = {(before, after): 10 * k + j for k, before in enumerate(LABELS, 1) for j, after in enumerate(LABELS)}
    table = screen_of(replace(EQUAL, transitions=counts), width).split("the run's across\n")[1].splitlines()[:8]
    assert [line.split()[0] for line in table[1:]] == list(LABELS)
    assert [[int(count) for count in line.split()[1:]] for line in table[1:]] == [
        [10 * k + j for j in range(7)] for k in range(1, 8)
    ]


def test_only_verdicts_that_occur_stand_in_the_table():
    screen = screen_of(replace(EQUAL, transitions={("diverse", "narrow"): 2, ("narrow", "diverse"): 0}), 120)
    table = screen.split("the run's across\n")[1].splitlines()[:3]
    assert [line.split() for line in table] == [["base", "↓", "run", "→", "narrow"], ["diverse", "2"], []]


def test_verdicts_that_nowhere_changed_are_one_line():
    assert "verdicts: none changed (2 collapsed, 2 not_diverse, 3 not_collapsed, 1 diverse)" in screen_of(EQUAL)


# -------------------------------------------------------------------------------------------------------- small print


def test_cells_that_got_worse_are_named_in_one_line():
    assert (
        "Regressed (2 cells; against what the suite expects, by over 5 points of agreement or unreadable): "
        "integer-1-100, opinion[subject=bugs]\n"
    ) in screen_of(TUNED, 160)
    assert "Regressed" not in screen_of(EQUAL)


def test_lost_and_unreadable_draws_are_told_for_both_sides():
    said = "run 512 draws, 44 unreadable, 0 cut off, 1 failed"
    assert f"Data: base 512 draws, 0 unreadable, 0 cut off, 0 failed; {said}" in screen_of(TUNED, 160)


def test_the_legend_takes_three_lines_at_most():
    legend = screen_of(TUNED, 80).split("\nRun minus base")[1].split("\n\n")[0]
    assert legend.count("\n") < 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({}, ["runs/a runs/b --rescore"], id="two runs of engines"),
        pytest.param({"unscored": "the tokenizers differ"}, [], id="it was tried"),
        pytest.param({"divergence": TUNED.divergence}, [], id="it was done"),
        pytest.param({"run": make_side("b", engine="imported trl")}, [], id="imports have no tokens"),
        pytest.param({"run": make_side("b", path="runs/a")}, ["runs/a --rescore"], id="two models of one run"),
    ],
)
def test_rescoring_is_offered_where_it_can_be_had(changes, said):
    sides = {"base": make_side("a", path="runs/a"), "run": make_side("b", path="runs/b")}
    lines = screen_of(replace(EQUAL, **{**sides, **changes}), 160).splitlines()
    assert [line.split("collapse compare ")[-1].split(": ")[-1] for line in lines if "--rescore" in line] == said


def test_each_run_can_be_reported_alone_with_its_path_as_a_shell_takes_it():
    screen = screen_of(replace(EQUAL, base=make_side("a", path="my runs/a")), 160)
    assert "Each alone: collapse report 'my runs/a'\n" in screen


def test_notes_stand_in_the_small_print():
    assert "Note: temperature 1.0 in both runs; the base's" in screen_of(TUNED)
    assert "\nNote: ␛[31m[/INST] the\\u202e end ⏎ of it\n" in screen_of(STRANGE)


def test_what_the_headline_is_about_may_not_be_known():
    assert "\ndifferent answers among ten draws: not known; 4–16 draws a cell\n" in screen_of(STRANGE)


def test_how_much_a_temperature_explains_stands_between_phrases_and_probabilities():
    titles = ("what was lost", "more than temperature", "by the models' own probabilities")
    places = [screen_of(TUNED).index(f"\n{title}") for title in titles]
    assert places == sorted(places)
    assert "1.9 of 3.1 nats" in screen_of(TUNED)
    assert "more than temperature" not in screen_of(EQUAL)
