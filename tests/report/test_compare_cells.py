"""The cells of a comparison, what both sides keep saying, phrases and probabilities, part by part."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from comparisons import (
    ANYTHING,
    EQUAL,
    EXTINGUISHED,
    FAR,
    HOSTILE_CELL,
    LIFTED,
    MANY,
    NEAR,
    TUNED,
    make_compared,
    make_comparison,
    make_result,
    screen_of,
)

from collapsecli.compared import Extinguished
from collapsecli.records import UNDEFINED, Estimate


def _lines(screen, start):
    """The lines from the one that begins so to the next empty one."""
    found = screen.split(f"\n{start}", maxsplit=1)[1].split("\n\n")[0]
    return f"{start}{found}".splitlines()


def _named(cells):
    return tuple(replace(cell, question=f"prompt-{k:02}@t1.0") for k, cell in enumerate(cells))


# ------------------------------------------------------------------------------------------------------------- table


def test_narrower_cells_stand_first_then_wider_moved_and_unchanged_ones_the_largest_change_first():
    lines = _lines(screen_of(TUNED, 120), "cells ")[1:]
    assert [line[0] for line in lines] == list("▼▼▼▼▲◆··")
    changes = [float(re.search(r"% +\+?(-?\d+)", line)[1]) for line in lines if line[0] == "▼"]
    assert changes == sorted(changes, reverse=True)


def test_every_cell_of_twenty_has_its_line():
    lines = _lines(screen_of(make_comparison(_named(TUNED.cells * 2 + EQUAL.cells[:4])), 120), "cells ")
    assert len(lines) == 1 + 20


def test_of_more_than_twenty_cells_only_the_changed_have_one_and_the_rest_is_counted():
    lines = _lines(screen_of(MANY, 120), "cells ")[1:]
    assert [line[0] for line in lines[:-1]] == ["▼"] * 21 + ["▲"] * 4 + ["◆"] * 5
    assert lines[-1] == "  and 30 more: 30 without a shown difference"


def test_at_most_forty_changed_cells_have_a_line():
    cells = [*[TUNED.cells[0]] * 38, *[TUNED.cells[6]] * 5, *[EQUAL.cells[0]] * 2]
    lines = _lines(screen_of(make_comparison(_named(cells)), 120), "cells ")[1:]
    assert len(lines) == 41
    assert lines[-1] == "  and 5 more: 3 wider, 2 without a shown difference"


def test_of_many_cells_without_any_change_there_is_only_the_count():
    screen = screen_of(make_comparison(_named(EQUAL.cells * 3)), 120)
    assert "\n  24 without a shown difference; no line each\n" in screen
    assert "\n·" not in screen


@pytest.mark.parametrize("width", [60, 80])
def test_where_verdicts_have_no_column_a_changed_one_stands_below_its_cell(width):
    lines = _lines(screen_of(TUNED, width), "cells ")
    place = next(k for k, line in enumerate(lines) if line.startswith("▲ story"))
    assert lines[place + 1] == "    collapsed → narrow"
    assert lines[-1].startswith("· capital")  # whose verdict is the same in both


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        pytest.param(60, "agree points moved q", id="the narrowest screen"),
        pytest.param(100, "agree points verdict moved q", id="a usual screen"),
        pytest.param(120, "agree points distinct@10 verdict moved q", id="a wide screen"),
        pytest.param(160, "agree points distinct@10 modes verdict moved q", id="the widest screen"),
    ],
)
def test_a_wider_screen_shows_more_of_each_cell(width, shown):
    assert _lines(screen_of(TUNED, width), "cells ")[0].split() == ["cells", *shown.split()]


def test_a_cell_is_called_without_its_temperature_where_that_tells_no_other_apart():
    cells = [replace(TUNED.cells[5], question=question) for question in ("a@t1.0", "b@t0.7", "b@t1.4")]
    lines = _lines(screen_of(make_comparison(cells), 120), "cells ")[1:]
    assert [line.split()[1] for line in lines] == ["a", "b@t0.7", "b@t1.4"]


def test_the_q_value_is_that_of_what_the_outcome_tells_of():
    cell = TUNED.cells[5]
    apart = replace(
        cell,
        numbers={**cell.numbers, "collision": replace(cell.numbers["collision"], q_value=0.71)},
        moved=replace(cell.moved, q_value=0.013),
    )
    for outcome, q_value in (("moved", ".013"), ("same", ".710")):
        line = _lines(screen_of(make_comparison([replace(apart, outcome=outcome)]), 120), "cells ")[1]
        assert line.split()[-1] == q_value


@pytest.mark.parametrize(
    ("low", "shown"),
    [
        pytest.param(0.719, "≥71%", id="rounded down, since it is at least so much"),
        pytest.param(0.004, "·", id="under a hundredth it says nothing"),
        pytest.param(None, "–", id="not known"),
    ],
)
def test_what_lies_elsewhere_is_told_by_what_is_sure(low, shown):
    cell = TUNED.cells[5]
    shifted = replace(cell, moved=replace(cell.moved, change=Estimate(0.9, low, 1.0)))
    assert _lines(screen_of(make_comparison([shifted]), 120), "cells ")[1].split()[-3] == shown


@pytest.mark.parametrize(
    ("rate", "words", "marks"),
    [
        pytest.param(-0.101, (10.0, 10.0), "R", id="more than ten points of the readable answers"),
        pytest.param(0.101, (10.0, 10.0), "R", id="more of them as well"),
        pytest.param(-0.1, (10.0, 15.0), "", id="ten points and half as long again are not yet marked"),
        pytest.param(0.0, (10.0, 15.1), "L", id="longer by over half"),
        pytest.param(0.0, (15.1, 10.0), "L", id="shorter by as much"),
        pytest.param(0.0, (0.0, 3.0), "L", id="from nothing"),
        pytest.param(-0.4, (10.0, 30.0), "RL", id="both"),
    ],
)
def test_a_cell_is_marked_where_something_else_differs_much(rate, words, marks):
    result = make_result("coin@t1.0", [" Heads."] * 8, **ANYTHING)
    cell = make_compared("coin@t1.0", result, result, q=0.5, words=words)
    rated = replace(cell.numbers["valid_rate"], change=Estimate(rate))
    screen = screen_of(make_comparison([replace(cell, numbers={**cell.numbers, "valid_rate": rated})]), 120)
    found = _lines(screen, "cells ")[1].split()[-1]
    assert found == (marks or ".500")
    assert ("R readable answers" in screen, "L length" in screen) == ("R" in marks, "L" in marks)


# --------------------------------------------------------------------------------------------------- what both say


def test_both_sides_say_their_mode_with_its_share_in_the_cells_that_changed_most():
    lines = _lines(screen_of(TUNED, 80), "what they keep saying")
    assert len([line for line in lines if line[0] in "▼▲◆"]) == 6
    place = lines.index("▼ opinion[subject=bugs]")
    assert lines[place + 1] == "    base  12% 4–24  “Yes.”"
    assert lines[place + 2] == "    run  94% 84–99  “There is no single answer to this question, and it depend…”"


def test_where_nothing_changed_nothing_is_quoted():
    assert "what they keep saying" not in screen_of(EQUAL)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        pytest.param([" 7"] * 16, "“7”", id="a mode"),
        pytest.param([f" {k}" for k in range(16)], "(nothing twice)", id="no mode"),
        pytest.param([" I cannot help with that."] * 16, "refuses: “I cannot help with that.”", id="a refusal"),
        pytest.param([""] * 16, "(empty)", id="empty answers"),
        pytest.param([None] * 16, "no readable answer", id="every request failed"),
        pytest.param([], "(not sampled)", id="no draw"),
    ],
)
def test_what_a_side_says_is_told_for_what_it_is(texts, said):
    other = make_result("coin@t1.0", [" Heads."] * 16, **ANYTHING)
    cell = make_compared("coin@t1.0", other, make_result("coin@t1.0", texts, **ANYTHING), "moved", 0.01)
    assert _lines(screen_of(make_comparison([cell])), "what they keep saying")[3].endswith(said)


def test_what_cannot_be_read_is_quoted_as_unreadable():
    number = TUNED.cells[4]
    lines = _lines(screen_of(make_comparison([replace(number, outcome="moved")])), "what they keep saying")
    assert lines[3].endswith("–  no readable answer: “I cannot.”")


# ----------------------------------------------------------------------------------------------------------- phrases


def test_a_phrase_is_told_in_a_sentence_that_names_both_sides():
    screen = " ".join(screen_of(TUNED, 160).split())
    assert (
        "what became common said in 61% (54–68) of the demo-tuned and 2% (0–7) of the demo-base completions, in 14 of "
        "20 prompts: “There is no single answer to this question”"
    ) in screen
    assert (
        "what was lost said in 44% (37–51) of the demo-base and 3% (0–7) of the demo-tuned completions, in 9 of 20 "
        "prompts: “Raise your glass to”"
    ) in screen


def test_five_phrases_are_told_each_way_and_the_rest_is_counted():
    screen = screen_of(replace(TUNED, lifted=LIFTED * 6, lost=()), 160)
    assert screen.count("  said in ") == 5
    assert "\n  and 7 more\n" in screen
    assert "what was lost" not in screen


# ----------------------------------------------------------------------------------------------------- probabilities


def test_the_cells_that_lie_farthest_apart_stand_first_and_those_within_the_noise_are_only_named():
    cells = list(_named(TUNED.cells[:4]))
    divergences = (NEAR, FAR, replace(FAR, total_variation=Estimate(0.95, 0.9, 0.99)), None)
    told = [replace(cell, divergence=one) for cell, one in zip(cells, divergences, strict=True)]
    screen = screen_of(replace(TUNED, cells=tuple(told)), 100)
    lines = [line.split()[0] for line in _lines(screen, "  worst cells")]
    assert lines[1:3] == ["prompt-02", "prompt-01"]
    assert "  within the noise of scoring: prompt-00\n" in screen


def test_a_cell_without_a_floor_of_its_own_has_that_of_all_and_without_any_nothing_is_noise():
    cell = replace(TUNED.cells[0], divergence=replace(NEAR, floor=None))
    alone = replace(TUNED, cells=(cell,))
    assert "within the noise of scoring: integer-1-100" in screen_of(alone)
    assert "within the noise" not in screen_of(replace(alone, divergence=None))


def test_what_the_noise_of_scoring_would_show_stands_beside_the_divergence():
    assert "noise of scoring alone: total variation 0.0004" in " ".join(screen_of(TUNED).split())
    none = replace(TUNED, divergence=replace(TUNED.divergence, floor=None))
    assert "noise of scoring alone: not known" in " ".join(screen_of(none).split())
    tiny = replace(TUNED, divergence=replace(NEAR, floor=0.00031))
    assert re.search(r"total variation +0\.00 0\.00–0\.06 +within the noise", screen_of(tiny))


def test_twelve_cells_have_their_divergence_and_the_rest_is_counted():
    cells = _named([replace(cell, divergence=FAR) for cell in TUNED.cells * 2])
    lines = _lines(screen_of(replace(TUNED, cells=cells, extinguished=())), "  worst cells")
    assert len([line for line in lines if line.startswith("  prompt-")]) == 12
    assert "  and 4 more" in lines


@pytest.mark.parametrize(
    ("nats", "said"),
    [
        pytest.param(34.5, "1 in 10^15", id="a power of ten"),
        pytest.param(7.1, "1 in 1,200", id="a number that can be imagined"),
        pytest.param(float("inf"), "0", id="impossible"),
    ],
)
def test_what_is_left_of_a_probability_is_written_as_a_person_reads_it(nats, said):
    gone = Extinguished("gone@t1.0", 3, " Never again.", nats, 31)
    lines = _lines(screen_of(replace(TUNED, extinguished=(gone,)), 100), "  most extinguished")
    assert re.split(r"  +", lines[1].strip()) == ["gone@t1.0 #3", said, "31"]
    assert lines[2] == "    “Never again.”"


def test_five_extinguished_completions_are_told_and_the_rest_is_counted():
    lines = _lines(screen_of(replace(TUNED, extinguished=EXTINGUISHED * 4), 100), "  most extinguished")
    assert len([line for line in lines if "#" in line]) == 5
    assert "  and 3 more" in lines


def test_why_nothing_was_rescored_is_said_in_words():
    screen = screen_of(replace(EQUAL, unscored="the tokenizers differ"))
    assert "\nNot rescored: the tokenizers differ\n" in screen
    assert "by the models' own probabilities" not in screen


def test_a_divergence_with_no_known_number_is_shown_as_unknown():
    cell = replace(HOSTILE_CELL, divergence=replace(FAR, total_variation=UNDEFINED, extinguished=UNDEFINED))
    line = _lines(screen_of(make_comparison([cell]), 100), "  worst cells")[1]
    assert re.split(r"  +", line.strip())[1:] == ["–", "0.58 0.51–0.64", "–", "64+64"]
