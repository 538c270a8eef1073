"""The blocks of contrasts as they are on a screen. The golden files are the review of their design."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from contrast_rows import (
    CERTAINTY,
    HOSTILE,
    INJECTION,
    MURDERER,
    ROWS,
    SAMENESS,
    TEMPERATURE,
    TOAST,
    make_conclusions,
    make_restarts,
    make_row,
    screen_of,
)
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from collapsecli.records import UNDEFINED, Contrast, ContrastKind, Estimate
from collapsecli.report.contrast_layout import MOST_SUBJECTS
from collapsecli.report.contrasts import BLOCKS, contrast_blocks
from collapsecli.report.summary import summary_of
from collapsecli.runs.tables import CONTRASTS

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_blocks_look_as_they_were_designed(width):
    screen = screen_of(width=width)
    golden = GOLDEN / f"contrasts-{width}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(screen, encoding="utf-8")
    assert screen == golden.read_text("utf-8")


# ------------------------------------------------------------------------------------------------------------- laws

METRICS = {
    "temperature": "reference_mode effective_modes degenerate token_rate predicted_mode persistence t_half",
    "injection": "returned ceiling floor half_life same_ending same_ending_plain same_ending_difference",
    "certainty": "surprisal surprisal_difference",
    "restart": "restarts restart_difference",
    "variants": "pooled_mode_mass pooled_verdict others_mode others_say stability escapes agreement_within "
    "agreement_between",
    "sameness": "same_opening_between same_opening_within same_ending_between same_ending_within same_text_between "
    "same_text_within shared_phrase copied",
    "roads": "road_logprob road_nats_per_token roads_logprob roads_mass roads_drawn road_covered",
}
NUMBERS = st.floats(-40.0, 40.0) | st.floats(0.0, 1.0) | st.sampled_from([0.0, 1.0, 1234.5])
NAMES = (TOAST, MURDERER, "nowhere[" + "subject=bugs," * 12 + "]@t1.0", "猫" * 40, HOSTILE)


@st.composite
def _estimates(draw):
    ends = sorted(draw(st.tuples(NUMBERS, NUMBERS, NUMBERS)))
    kept = draw(st.tuples(*[st.booleans()] * 3))
    low, value, high = (end if keep else None for end, keep in zip(ends, kept, strict=True))
    return Estimate(value, low, high)


@st.composite
def _rows(draw):
    kind = draw(st.sampled_from(sorted(METRICS)))
    names = st.sampled_from(NAMES)
    return Contrast(
        kind,
        draw(st.sampled_from(("quickstart", "other"))),
        draw(names),
        draw(st.sampled_from(METRICS[kind].split())),
        draw(_estimates()),
        draw(st.integers(0, 100_000)),
        cell_id=draw(st.none() | names),
        other_cell_id=draw(st.none() | names),
        at=draw(st.none() | st.sampled_from([0.0, 0.5, 0.7, 1.0, 1.3, 1.4, 1.6, 1.9, 2.0, 5.0])),
        p_value=draw(st.none() | st.floats(0.0, 1.0)),
        q_value=draw(st.none() | st.floats(0.0, 1.0)),
        label=draw(st.sampled_from(("", "37", "above 2.0", HOSTILE, "猫 " * 70, "x" * 300))),
    )


@given(st.lists(_rows(), max_size=60), st.integers(60, 160))
def test_no_line_is_wider_than_the_screen_whatever_the_rows(rows, width):
    screen = screen_of(rows, width)
    assert all(cell_len(line) <= width for line in screen.splitlines())


@given(st.lists(_rows(), max_size=40))
def test_what_is_undefined_is_never_printed_as_a_number_or_a_name_of_none(rows):
    assert not re.search(r"\b(None|nan|inf)\b", screen_of(rows, 100))


@given(st.lists(_rows(), max_size=40))
def test_no_character_that_steers_a_terminal_reaches_thescreen_of(rows):
    assert all(char.isprintable() or char == "\n" for char in screen_of(rows, 80))


@given(st.permutations(ROWS))
def test_the_order_in_which_rows_come_changes_nothing(rows):
    assert screen_of(rows, 100) == screen_of(ROWS, 100)


@pytest.mark.parametrize("width", [60, 72, 76, 160])
def test_the_designed_rows_fit_every_screen_and_no_number_is_cut(width):
    screen = screen_of(width=width)
    assert all(cell_len(line) <= width for line in screen.splitlines())
    assert "98% 91–100" in screen
    assert "61% 50–73" in screen
    assert "1 in 10^9" in screen


# -------------------------------------------------------------------------------------------------------- what is shown

TITLES = {
    "temperature": "hotter sampling",
    "injection": "after an injection",
    "certainty": "sure after an injection?",
    "restart": "begins anew",
    "variants": "across variants",
    "sameness": "same across prompts",
    "roads": "roads not taken",
}


def test_every_kind_of_contrast_has_its_block():
    assert [kind for kind, _ in BLOCKS] == list(get_args(ContrastKind)) == list(TITLES)


@pytest.mark.parametrize("kind", TITLES)
def test_a_kind_without_rows_prints_nothing(kind):
    lines = screen_of([row for row in ROWS if row.kind != kind]).splitlines()
    shown = {other for other, title in TITLES.items() if any(line.startswith(title) for line in lines)}
    assert shown == {*TITLES} - {kind}


def test_a_run_without_contrasts_has_no_blocks():
    assert contrast_blocks(make_conclusions(()), 80) == []


@pytest.mark.parametrize(
    ("rows", "order"),
    [
        pytest.param(
            TEMPERATURE, ["opinion[", "integer-1-100", "d6"], id="what surely melts less than predicted first"
        ),
        pytest.param(INJECTION, ["toast/murderer", "toast/a-"], id="what surely returns first"),
        pytest.param(CERTAINTY, ["toast/a-", "toast/murderer"], id="what is surest against its plain cell first"),
        pytest.param(SAMENESS, ["all prompts", "toast"], id="what is copied stands below what is shared"),
        pytest.param(
            [
                make_row("variants", "calm", "pooled_mode_mass", (0.2, 0.1, 0.3)),
                make_row("variants", "stuck", "pooled_mode_mass", (0.9, 0.8, 1.0)),
            ],
            ["stuck", "calm"],
            id="the heaviest pooled mode first",
        ),
        pytest.param(
            [
                make_row("roads", "near", "roads_logprob", (-3.0, -3.0, -3.0)),
                make_row("roads", "far", "roads_logprob", (-30.0, -30.0, -30.0)),
            ],
            ["far", "near"],
            id="the least probable roads first",
        ),
        pytest.param(
            [
                make_restarts("once@t1.0", (0.02, 0.001, 0.08)),
                make_restarts("often@t1.0", (0.5, 0.37, 0.63)),
            ],
            ["often", "once"],
            id="where most texts surely begin anew first",
        ),
    ],
)
def test_the_worst_stands_first(rows, order):
    lines = screen_of(rows, 120).splitlines()
    places = [next(k for k, line in enumerate(lines) if line.startswith(name)) for name in order]
    assert places == sorted(places)


@pytest.mark.parametrize("kind", TITLES)
def test_only_so_many_subjects_are_told_of_and_the_rest_is_counted(kind):
    metric = {
        "temperature": "reference_mode",
        "certainty": "surprisal",
        "injection": "returned",
        "restart": "restarts",
        "variants": "pooled_mode_mass",
        "sameness": "same_text_between",
        "roads": "roads_logprob",
    }[kind]
    rows = [
        make_row(kind, f"prompt-{k:02}", metric, (0.5, 0.4, 0.6), cell_id=f"prompt-{k:02}", at=5.0)
        for k in range(MOST_SUBJECTS + 3)
    ]
    screen = screen_of(rows)
    assert len(re.findall(r"^prompt-\d\d", screen, re.MULTILINE)) == MOST_SUBJECTS
    assert "and 3 more; all of them are in contrasts.parquet" in screen


def test_subjects_of_two_suites_are_told_apart():
    rows = [
        make_row("sameness", "all prompts", "same_text_between", (0.5, 0.4, 0.6), suite=suite) for suite in ("a", "b")
    ]
    assert re.findall(r"^.*all prompts", screen_of(rows), re.MULTILINE) == ["a: all prompts", "b: all prompts"]


def test_a_number_that_is_missing_says_why_even_without_any_other():
    screen = screen_of([make_row("injection", "toast/x@t1.0", "returned", label=f"nothing to return to {HOSTILE}")])
    assert screen.splitlines()[1:3] == [
        "injection",
        "  returned unknown in 1: nothing to return to ␛[31m[/INST] the\\u202e end ⏎ of it",
    ]


def test_a_label_that_says_what_was_looked_for_is_not_taken_for_a_reason():
    rows = [
        make_row("variants", "number", "others_mode", label="format=qa"),
        make_row("variants", "number", "pooled_verdict", label="invalid"),
        make_row("injection", MURDERER, "same_ending_difference", label="Raise your glass!"),
    ]
    assert "unknown" not in screen_of(rows)


def test_the_summary_has_every_row_in_the_words_of_the_table():
    rows = (ROWS[0], replace(ROWS[1], estimate=Estimate(2.0, 1.0, math.inf)), replace(ROWS[2], estimate=UNDEFINED))
    said = summary_of(make_conclusions(rows))["contrasts"]
    assert {*said[0]} == {column.name for column in CONTRASTS} - {"run_id"}
    assert [(row["estimate"], row["estimate_low"], row["estimate_high"]) for row in said] == [
        (1.0, 0.943, 1.0),
        (2.0, 1.0, None),
        (None, None, None),
    ]
    json.dumps([*said], allow_nan=False)
