"""Variants of one prompt: known answers, what is left out, laws, and simulations whose truth is known."""

import importlib
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import make_cell, make_completion

from collapsecli.contrasts.drawn import Drawn
from collapsecli.contrasts.pairs import mean_share
from collapsecli.contrasts.variants import LOST, Pool, mode_mass, modes_of_others, stability, variants
from collapsecli.judge import judge_cell
from collapsecli.metrics.shares import difference
from collapsecli.records import ChoiceAnswer, Estimate, Expect, Rules

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
COIN = ChoiceAnswer(("Heads", "Tails", "Edge"))
RULES = Rules()


def drawn(variant, texts, lost=(), given=None, look=None, **changes):
    """A cell that said some texts, judged at a look or after all; requests at the places in `lost` failed."""
    changes = {"answer": COIN, "equivalence": "exact", "expect": Expect("none"), **changes}
    cell = make_cell(f"coin[{variant}]@t1.0", prompt_id="coin", variant=variant, samples=len(texts), **changes)
    completions = [
        make_completion(cell.cell_id, place, text, given=given and given[place])
        if place not in lost
        else make_completion(cell.cell_id, place, "", finish_reason="error", error_kind="timeout")
        for place, text in enumerate(texts)
    ]
    result = judge_cell(cell, completions, RULES)
    return Drawn.of(replace(result, look=look or len(texts)), completions, RULES.alpha)


def said(*texts_of_variants, **changes):
    return [drawn(f"wording={place + 1}", texts, **changes) for place, texts in enumerate(texts_of_variants)]


def rows(cells, rules=RULES):
    found = defaultdict(list)
    for row in variants(cells, rules):
        found[row.metric].append(row)
    return found


def only(found, metric):
    (row,) = found[metric]
    return row


H, T = ["Heads"] * 32, ["Tails"] * 32


# ------------------------------------------------------------------------------------------------------ known answers


def test_variants_that_all_say_the_same_are_collapsed_and_stable():
    found = rows(said(H, H, H))
    pooled = only(found, "pooled_mode_mass")
    assert pooled.label == "Heads"
    assert pooled.n == 96
    assert pooled.estimate == Estimate(1.0, mean_share(48, 48, 0.05).low, 1.0)
    assert only(found, "pooled_verdict").label == "collapsed"
    assert [row.estimate.value for row in found["others_mode"]] == [1.0] * 3
    assert [row.label for row in found["others_mode"]] == ["wording=1", "wording=2", "wording=3"]
    assert only(found, "stability").estimate == mean_share(48, 48, 0.05)
    assert only(found, "agreement_within").estimate.value == only(found, "agreement_between").estimate.value == 1
    assert (only(found, "agreement_within").n, only(found, "agreement_between").n) == (48, 30)
    assert not found["escapes"]
    assert not found["others_say"]


def test_a_variant_that_says_something_else_escapes():
    found = rows(said(H, H, T, H))
    escape = only(found, "escapes")
    assert (escape.label, escape.cell_id, escape.n) == ("wording=3", "coin[wording=3]@t1.0", 32)
    assert escape.estimate == difference(mean_share(0, 32, 0.05 / 4), mean_share(48, 48, 0.05 / 4))
    assert [row.estimate.value for row in found["others_mode"]] == [1, 1, 0, 1]
    assert only(found, "stability").estimate.value == 0.75
    assert only(found, "pooled_mode_mass").estimate.value == 0.75
    assert only(found, "agreement_between").estimate.value == 0.5


def test_of_two_variants_that_disagree_each_escapes_the_other():
    found = rows(said(H, T))
    assert [row.label for row in found["escapes"]] == ["wording=1", "wording=2"]
    assert only(found, "agreement_within").estimate.value == 1
    assert only(found, "agreement_between").estimate.value == 0


def test_what_the_others_say_is_told_where_it_is_not_the_pooled_mode():
    found = rows(said(H[:28] + T[:4], T, H[:16] + T[:16]))
    assert only(found, "pooled_mode_mass").label == "Tails"
    assert only(found, "others_say").cell_id == "coin[wording=2]@t1.0"
    assert only(found, "others_say").label == "Heads"
    assert [row.estimate.value for row in found["others_mode"]] == [4 / 32, 0, 16 / 32]


def test_each_variant_collapsed_onto_an_answer_of_its_own_is_no_collapse_of_the_prompt():
    found = rows(said(H, T, ["Edge"] * 32))
    assert only(found, "pooled_verdict").label == "narrow"
    assert all(one.result.verdict == "collapsed" for one in said(H, T, ["Edge"] * 32))


def test_variants_weigh_the_same_however_many_answers_they_have():
    found = rows(said(H * 2, ["Tails"] * 16))
    assert only(found, "pooled_mode_mass").estimate.value == 0.5
    assert only(found, "pooled_mode_mass").n == 32
    assert [row.n for row in found["others_mode"]] == [64, 16]


def test_what_a_variant_says_later_than_another_was_asked_does_not_count_in_the_pool():
    found = rows(said(["Heads"] * 16 + ["Tails"] * 48, ["Heads"] * 16))
    assert only(found, "pooled_mode_mass").estimate.value == 1
    assert found["others_mode"][0].estimate.value == 0.25


def test_the_mode_is_chosen_on_even_draws_and_counted_on_odd_ones():
    alternating = ["Heads", "Tails"] * 16
    found = rows(said(alternating, alternating))
    pooled = only(found, "pooled_mode_mass").estimate
    assert pooled == Estimate(0.5, mean_share(0, 32, 0.05).low, mean_share(32, 64, 0.05).high)
    assert only(found, "stability").estimate.value == 0
    assert [row.estimate.value for row in found["others_mode"]] == [0.5, 0.5]


# ----------------------------------------------------------------------------------------------------------- free text

TEXTS = {"answer": make_cell().answer, "equivalence": "lexical", "text": "Q: Describe the letter A.\nA:"}
ONE = ["A tall triangle with a horizontal crossbar.", "A tall triangle, with a crossbar that is horizontal!"] * 16
OTHER = ["Two slanted lines meet over a bridge."] * 32


def test_free_texts_of_different_variants_are_the_same_by_the_words_that_they_share():
    found = rows(said(ONE, ONE[::-1], ONE, **TEXTS))
    assert only(found, "pooled_mode_mass").estimate.value == 1
    assert only(found, "agreement_between").estimate.value == 1
    assert only(found, "pooled_mode_mass").label == ONE[0]


def test_a_variant_that_says_it_in_other_words_escapes():
    assert only(rows(said(ONE, ONE, OTHER, **TEXTS)), "escapes").label == "wording=3"


def test_words_of_the_prompts_are_no_agreement():
    texts = [["The letter A describes itself: zig."] * 32, ["The letter A describes itself: zag."] * 32]
    asked = {**TEXTS, "text": "The letter A describes itself."}
    assert only(rows(said(*texts, **asked)), "agreement_between").estimate.value == 0


def test_the_threshold_of_the_cells_holds_between_them():
    assert only(rows(said(ONE, ONE, threshold=1.0, **TEXTS)), "agreement_within").estimate.value < 1


def test_imported_classes_say_nothing_across_cells():
    """Each cell came with its own: class 0 of one is not class 0 of another."""
    classes = {**TEXTS, "equivalence": "given", "given": ["0"] * 32}
    found = rows(said(ONE[:1] * 32, OTHER, **classes))
    assert only(found, "agreement_between").estimate.value == 0
    assert only(rows(said(OTHER, OTHER, **classes)), "agreement_between").estimate.value == 1


# ------------------------------------------------------------------------------------------------ what is not there


def test_answers_that_are_not_readable_are_left_out():
    noise = ["Heads", "hm", "Heads", "Heads"] * 8
    found = rows(said(noise, H))
    assert only(found, "pooled_mode_mass").estimate.value == 1
    assert only(found, "pooled_mode_mass").n == 48
    assert [row.n for row in found["others_mode"]] == [24, 32]


def test_a_variant_that_cannot_be_read_is_shown_without_a_number_and_not_pooled():
    found = rows(said(H, ["hm"] * 32, H))
    unread, *read = found["others_mode"]
    assert (unread.estimate, unread.n, unread.label) == (Estimate(), 0, "wording=2")
    assert [row.estimate.value for row in read] == [1, 1]
    assert only(found, "pooled_mode_mass").estimate.value == 1
    assert only(found, "pooled_verdict").label == "collapsed"


def test_where_one_variant_alone_can_be_read_the_verdict_is_invalid_and_no_more_is_said():
    found = rows(said(H, ["hm"] * 32))
    assert only(found, "pooled_verdict").label == "invalid"
    assert not found["pooled_mode_mass"]
    assert not found["stability"]


def test_too_many_unreadable_answers_of_all_make_the_pooled_verdict_invalid():
    found = rows(said(H, *[["hm"] * 32] * 3, ["Heads", "Heads", "Heads", "hm"] * 8))
    assert only(found, "pooled_mode_mass").estimate.value == 1
    assert only(found, "pooled_verdict").label == "invalid"


def test_lost_draws_count_against_every_claim():
    lost = (1, 5, 8)
    found = rows([drawn("a", H, lost), drawn("b", H), drawn("c", H)])
    assert only(found, "pooled_mode_mass").estimate == Estimate(1.0, mean_share(46, 46, 0.05, 2).low, 1.0)
    assert only(found, "pooled_mode_mass").n == 93
    assert found["others_mode"][0].estimate == mean_share(29, 29, 0.05, 3)
    assert only(found, "stability").estimate == mean_share(46, 46, 0.05, 2)
    assert only(found, "agreement_within").estimate == mean_share(45, 45, 0.05, 3)


def test_where_all_of_the_others_that_could_choose_are_lost_nothing_is_held_against_them():
    found = rows([drawn("a", H[:2], (0,)), drawn("b", H[:2])])
    assert only(found, "pooled_mode_mass").n == 3
    assert not found["others_mode"]
    assert not found["stability"]


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param([], id="no cells"),
        pytest.param(said(H), id="a single variant"),
        pytest.param(said(H[:1], H[:1], temperature=0.0), id="temperature 0, where every draw is the same"),
        pytest.param(said(H[:1], T[:1]), id="one draw of each"),
    ],
)
def test_there_is_nothing_to_say_about(cells):
    assert not rows(cells)


# ------------------------------------------------------------------------------------------------- looks and subjects


def test_of_adaptive_cells_the_pool_is_of_draws_up_to_the_earliest_look():
    cells = [drawn("a", H[:16] + T[:16] + T, adaptive=True), drawn("b", H * 2, look=16, adaptive=True)]
    found = rows(cells)
    assert only(found, "pooled_mode_mass").estimate.value == 1
    assert only(found, "pooled_mode_mass").n == 32
    assert [row.n for row in found["others_mode"]] == [64, 16]


def test_intervals_have_the_error_rate_that_holds_wherever_sampling_ended():
    cells = [drawn("a", H * 2, adaptive=True), drawn("b", H * 2)]
    assert cells[0].alpha == 0.05 / 3
    found = rows(cells)
    assert only(found, "stability").estimate == mean_share(64, 64, 0.05 / 3)
    assert [row.estimate.low for row in found["others_mode"]] == [
        mean_share(64, 64, 0.05 / 3).low,
        mean_share(64, 64, 0.05).low,
    ]


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        pytest.param({}, "coin", id="the prompt"),
        pytest.param({"temperature": 1.4}, "coin@t1.4", id="another temperature than 1"),
        pytest.param({"injection": "edge"}, "coin/edge", id="an injection"),
        pytest.param({"injection": "edge", "temperature": 0.7}, "coin/edge@t0.7", id="both"),
    ],
)
def test_the_subject_names_what_the_variants_have_in_common(changes, subject):
    found = list(variants(said(H, T, **changes), RULES))
    assert {row.subject for row in found} == {subject}
    assert {row.kind for row in found} == {"variants"}
    assert {row.suite for row in found} == {"suite"}


def test_a_declared_distribution_is_judged_by_its_own_threshold():
    fair = Expect("uniform", weights=(("Heads", 0.5), ("Tails", 0.5)))
    mostly = ["Heads"] * 48 + ["Tails"] * 16
    assert only(rows(said(mostly, mostly)), "pooled_verdict").label == "collapsed"
    assert only(rows(said(mostly, mostly, expect=fair)), "pooled_verdict").label == "undecided"


# -------------------------------------------------------------------------------------------------------------- laws

LABELS = st.integers(2, 5).flatmap(
    lambda cells: st.integers(1, 12).flatmap(
        lambda draws: st.lists(
            st.lists(st.integers(LOST, 3), min_size=draws, max_size=draws), min_size=cells, max_size=cells
        )
    )
)


def pool_of(labels, alike=None):
    slots = np.array(labels, np.int64)
    return Pool(tuple(slots), slots, alike)


@given(LABELS)
def test_every_value_lies_between_its_ends(labels):
    pool = pool_of(labels)
    others = modes_of_others(pool)
    found = [mode_mass(pool, 0.05), stability(pool, others, 0.05)[0]]
    found += [pool.share(mode, draws, 0.05) for mode, draws in zip(others, pool.own, strict=True)]
    for one in found:
        if one.value is not None:
            assert 0 <= one.low <= one.value <= one.high <= 1


@given(LABELS, st.permutations(range(4)))
def test_the_names_of_answers_do_not_matter(labels, names):
    """Beyond ties, which go to the answer named first: so every answer is made more frequent than the next."""
    weights = np.array([[label for answer in range(4) for label in [answer] * 2 * (200 - 60 * answer)]] * len(labels))
    slots = np.concatenate([np.array(labels), weights], axis=1)
    one, other = pool_of(slots), pool_of(np.array([*names, LOST])[slots])
    assert mode_mass(one, 0.05) == mode_mass(other, 0.05)
    assert stability(one, modes_of_others(one), 0.05) == stability(other, modes_of_others(other), 0.05)


@given(LABELS)
def test_classes_are_the_same_as_texts_that_are_like_themselves_alone(labels):
    by_class, by_likeness = pool_of(labels), pool_of(labels, np.eye(4, dtype=bool))
    assert mode_mass(by_class, 0.05) == mode_mass(by_likeness, 0.05)
    assert modes_of_others(by_class) == modes_of_others(by_likeness)


@settings(max_examples=30)
@given(
    st.lists(
        st.lists(st.sampled_from(["Heads", "Tails", "Edge", "hm"]), min_size=4, max_size=4), min_size=2, max_size=4
    )
)
def test_the_stability_is_the_mean_of_the_shares_where_no_draw_differs_from_the_one_before(coarse):
    """Then even and odd draws say the same, and what is chosen on some is counted alike on the others."""
    texts = [[text for text in of_variant for _ in range(8)] for of_variant in coarse]
    found = rows(said(*texts))
    if found["stability"] and len({row.n for row in found["others_mode"]}) == 1:
        shares = [row.estimate.value for row in found["others_mode"] if row.n]
        assert only(found, "stability").estimate.value == pytest.approx(np.mean(shares))


# ------------------------------------------------------------------------------------------------------ known truths


def test_intervals_hold_in_simulations_with_known_truth():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        found = list(importlib.import_module("truth_variants").rows(40))
    assert len(found) > 150
    assert not [row for row in found if not row.ok]
