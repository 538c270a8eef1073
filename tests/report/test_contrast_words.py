"""What the blocks of contrasts say in words, kind by kind."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from contrast_rows import (
    CUT,
    MURDERER,
    SURE,
    TOAST,
    by_sentence,
    make_curve,
    make_restart_difference,
    make_restarts,
    make_row,
    make_surprisal,
    make_sweep,
    screen_of,
)


def test_temperatures_that_do_not_fit_are_left_out_but_neither_the_ends_nor_the_reference():
    places = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 2.0]
    rows = make_sweep("number", dict.fromkeys(places, (0.5, 0.37, 0.63)), "37")
    heading = screen_of(rows, 60).splitlines()[1].split("=")[1].split()
    assert heading[0] == "0.1"
    assert "1.0" in heading
    assert heading[-2:] == ["2.0", "n"]
    assert f"{len(places) - len(heading) + 1} temperatures are not shown" in " ".join(screen_of(rows, 60).split())
    assert "not shown" not in screen_of(rows, 160)


def test_a_sweep_of_one_temperature_is_shown():
    assert "50%" in screen_of(make_sweep("number", {1.0: (0.5, 0.37, 0.63)}, "37"))


def test_a_single_draw_is_the_same_or_another_and_no_share():
    rows = make_sweep("number", {0.0: (0.0, 0.0, 0.975), 1.0: (0.5, 0.37, 0.63)}, "37")
    screen = screen_of([replace(rows[0], n=1), rows[1]])
    assert "other" in screen
    assert "97" not in screen


@pytest.mark.parametrize(
    ("estimate", "label", "said"),
    [
        pytest.param(
            (1.534, 1.4, 1.9), "", "down to half at T 1.53 (surely from T 1.4 to 1.9)", id="within the temperatures"
        ),
        pytest.param((1.534, None, 1.9), "", "down to half at T 1.53 (surely below T 1.9)", id="without a lower end"),
        pytest.param((1.534, None, None), "", "down to half at T 1.53\n", id="without an interval"),
        pytest.param(
            (None, 1.9, None), "above 1.9", "down to half only above T 1.9 (surely)", id="never crossed, surely"
        ),
        pytest.param(
            (None, 1.0, None), "above 1.9", "down to half only above T 1.9 (surely above T 1.0)", id="never crossed"
        ),
        pytest.param(
            (None, None, 0.5), "below 0.5", "down to half already below T 0.5 (surely)", id="below the lowest"
        ),
        pytest.param((), "never a half", "never a half\n", id="below half everywhere"),
    ],
)
def test_the_temperature_at_which_half_is_left_is_said_in_words(estimate, label, said):
    rows = [
        *make_sweep("number", {1.0: (0.5, 0.37, 0.63), 1.9: (0.3, 0.2, 0.4)}, "37"),
        make_row("temperature", "number", "t_half", estimate, label=label),
    ]
    assert said in screen_of(rows, 120)


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        pytest.param((0.25, 0.119, 0.381), "it holds 25 points (11–39) more than a softmax", id="more"),
        pytest.param((None, 0.119, 0.381), "it holds 11–39 points more than a softmax", id="more, by bounds"),
        pytest.param((-0.25, -0.381, -0.119), "it holds 25 points (11–39) fewer than a softmax", id="fewer"),
        pytest.param((0.25, -0.01, 0.5), None, id="not surely either"),
    ],
)
def test_persistence_is_said_only_where_it_is_sure(estimate, said):
    rows = [
        *make_sweep("number", {1.0: (0.5, 0.37, 0.63), 1.9: (0.3, 0.2, 0.4)}, "37"),
        make_row("temperature", "number", "persistence", estimate, at=1.9, label="scored"),
    ]
    screen = screen_of(rows, 120)
    assert (said in screen) if said else ("softmax" not in screen)


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        pytest.param((1.2, 0.98, 1.52), "half-life 1.2 sentences (0.9–1.6)", id="with both ends"),
        pytest.param((9.6, 5.1, None), "half-life 9.6 sentences (≥5.1, or never)", id="may never be"),
        pytest.param((None, 5.1, None), "half-life ≥5.1 sentences", id="nothing returned"),
    ],
)
def test_a_half_life_says_when_it_may_never_be(estimate, said):
    assert said in screen_of([make_row("injection", "toast/x@t1.0", "half_life", estimate)])


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        pytest.param(
            (0.42, 0.12, 0.71), "less sure than plain: +0.42 nats a token on average (0.12–0.71)", id="less sure"
        ),
        pytest.param(
            (-0.42, -0.71, -0.12), "surer than plain: -0.42 nats a token on average (-0.71 to -0.12)", id="surer"
        ),
        pytest.param((0.1, -0.1, 0.3), "not surely different from plain: +0.10 nats a token", id="neither"),
        pytest.param(
            (0.1,), "against plain: +0.10 nats a token on average, without interval", id="no claim without an interval"
        ),
    ],
)
def test_a_difference_in_certainty_says_what_it_proves(estimate, said):
    rows = [
        *make_surprisal(MURDERER, SURE, SURE),
        make_row("certainty", MURDERER, "surprisal_difference", estimate, cell_id=MURDERER),
    ]
    assert said in " ".join(screen_of(rows).split())


def test_curves_of_an_injected_cell_and_its_plain_one_stand_one_below_the_other_on_one_scale():
    lines = screen_of(
        make_surprisal(MURDERER, {0.0: (2.0, 1.0, 3.0), 8.0: (1.0, 0.5, 2.0)}, {8.0: (1.0, 0.5, 2.0)})
    ).splitlines()
    after, plain = lines[2], lines[3]
    assert "█▅" in after
    assert "·▅" in plain
    assert after.index("█▅") == plain.index("·▅")


@pytest.mark.parametrize(
    ("count", "line"),
    [
        pytest.param(1, "  none in c0@t1.0 (n 64; surely ≤5%)", id="one is named"),
        pytest.param(3, "  none in c0@t1.0, c1@t1.0, c2@t1.0 (n 64–66; surely ≤5% of each)", id="a few are named"),
        pytest.param(9, "  none in 9 cells (n 64–72; surely ≤5% of each)", id="many are counted"),
    ],
)
def test_where_no_text_begins_anew_one_line_says_so_of_all_cells(count, line):
    cells = [make_restarts(f"c{k}@t1.0", (0.0, 0.0, 0.0431), n=64 + k) for k in range(count)]
    assert screen_of(cells).splitlines()[1:3] == ["begins anew", line]


def test_a_plain_cell_that_begins_anew_is_seen_beside_an_injected_one_that_does_not():
    rows = [
        make_restarts(TOAST, (0.5, 0.37, 0.63)),
        make_restarts(CUT, (0.0, 0.0, 0.057)),
        make_restart_difference(CUT, (-0.5, -0.63, -0.37), 1e-9),
    ]
    assert "toast/cut         0% 0–6  50% 37–63  -50 -63 to -37  < .001  64" in screen_of(rows)


def test_a_variant_without_which_the_mode_is_another_is_named():
    rows = [
        make_row("variants", "number", "pooled_mode_mass", (0.6, 0.5, 0.7), label="37"),
        make_row(
            "variants", "number", "others_mode", (0.1, 0.0, 0.2), cell_id="number[format=qa]@t1.0", label="format=qa"
        ),
        make_row("variants", "number", "others_say", cell_id="number[format=qa]@t1.0", label="72"),
    ]
    assert "without format=qa the mode is “72”" in screen_of(rows)


def test_of_many_roads_the_least_probable_are_shown():
    rows = [make_row("roads", "story", "road_logprob", (-5.0 - k,) * 3, 1, label=f"road {k}") for k in range(9)]
    screen = screen_of(rows)
    assert [int(k) for k in re.findall(r"“road (\d)”", screen)] == [8, 7, 6, 5, 4, 3]
    assert "and 3 more" in screen


def test_names_that_would_look_alike_when_cut_stand_whole_on_lines_of_their_own():
    """Of two long ids of one prompt the middle is cut, which is where they differ."""
    names = [f"a-prompt-with-a-long-name/injection-number-{k}-of-many@t0.0" for k in (1, 2)]
    rows = [one for name in names for one in make_curve("injection", name, "returned", by_sentence([(0.5, 0.4, 0.6)]))]
    lines = [line.strip() for line in screen_of(rows).splitlines()]
    assert all(name in lines for name in names)
    assert not any("…" in line for line in lines)


def test_what_a_single_draw_did_is_said_in_words():
    rows = [
        *make_curve("injection", TOAST, "returned", by_sentence([(1.0, 0.02, 1.0)]), n=1),
        make_row("injection", TOAST, "same_ending", (0.0, 0.0, 0.98), n=1, label="The end."),
    ]
    screen = " ".join(screen_of(rows).split())
    assert "1 draw: yes" in screen
    assert "its one draw ends otherwise than the plain one: “The end.”" in screen
    assert "98" not in screen
