"""The laws of docs/truth.md at small sizes: the same simulations with fewer runs, and what would refute them."""

import importlib
import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collapsecli.metrics import Estimates
from collapsecli.modes import relate
from collapsecli.records import Expect, Rules

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RUNS = 1000


@pytest.fixture(scope="module")
def bench():
    """The modules of the benchmark, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module


@pytest.fixture(scope="module")
def looks(bench):
    """What a thousand runs of some distributions show at each look."""
    known, truth = bench("known"), bench("truth")
    chosen = [
        one for one in known.REGIMES if one.name in (*truth.QUICK, "0.4999, the rest Zipf over 1,000", "three equal")
    ]
    assert len(chosen) == len(truth.QUICK) + 2
    return {
        one: known.follow(known.draw(one, RUNS, known.LOOKS[-1], truth.stream(one.name)), known.LOOKS, one.masses)
        for one in chosen
    }


# ------------------------------------------------------------------------------------------------------ the simulation


@settings(max_examples=60)
@given(rows=st.lists(st.lists(st.integers(-1, 4), min_size=16, max_size=16), min_size=1, max_size=4))
def test_many_runs_at_once_show_what_grouping_each_by_itself_shows(bench, rows):
    known = bench("known")
    masses = np.array([0.5, 0.3, 0.2])
    labels = known.numbered_rest(np.array(rows, np.int32), 3)
    for draws, seen in zip((7, 16), known.follow(labels, (7, 16), masses), strict=True):
        samples = seen.samples(0.05)
        for run, row in enumerate(labels[:, :draws].tolist()):
            read = [label for label in row if label >= 0]
            grouping = relate([str(label) for label in read], "exact").group()
            assert sorted(Counter(read).values()) == sorted(count for count in samples.counts[run].tolist() if count)
            assert samples.hits[run] == grouping.hits
            assert samples.largest[run] == grouping.largest
            assert samples.lone[run] == grouping.lone
            assert samples.paired[run] == grouping.paired
            assert samples.lost[run] == draws - len(read)
            if grouping.pair_rate is not None:
                assert samples.pair_rate[run] == pytest.approx(grouping.pair_rate)
            assert seen.of_mode[run] == row.count(0)
            assert seen.mass[run] == pytest.approx(sum(masses[label] for label in set(read) if label < 3))


def test_renumbering_many_answers_changes_nothing(bench, monkeypatch):
    known = bench("known")
    truth = known.Truth("", known.zipf(300))
    labels = known.lose(
        known.draw(truth, 50, 64, np.random.default_rng(0)),
        the_mode=True,
        share=0.5,
        generator=np.random.default_rng(1),
    )
    plain = known.follow(labels, (16, 64), truth.masses)
    monkeypatch.setattr(known, "_MOST_COLUMNS", 1)
    for one, other in zip(plain, known.follow(labels, (16, 64), truth.masses), strict=True):
        for name in ("hits", "largest", "lost", "of_mode", "mass"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
        for counts, others in zip(one.counts, other.counts, strict=True):
            assert counts[counts > 0].tolist() == others[others > 0].tolist()


def test_every_distribution_sums_to_one_and_its_first_answer_is_the_mode(bench):
    known = bench("known")
    for truth in known.REGIMES:
        assert truth.masses.sum() + truth.rest == pytest.approx(1)
        assert truth.masses[0] == truth.mode_mass
        assert truth.mode_mass**2 <= truth.collision <= truth.mode_mass + 1e-12
        assert 1 <= truth.distinct_10 <= 10 + 1e-9
    assert len({truth.name for truth in known.REGIMES}) == len(known.REGIMES)


def test_both_thresholds_are_approached_from_both_sides(bench):
    masses = {round(truth.mode_mass, 6) for truth in bench("known").REGIMES}
    assert {0.5, 0.4999, 0.1, 0.0999} <= masses


# ------------------------------------------------------------------------------------------------------------- the rule


@pytest.mark.parametrize(
    ("label", "mode_mass", "wrong"),
    [
        ("collapsed", 0.5, False), ("collapsed", 0.4999, True),
        ("narrow", 0.5, True), ("narrow", 0.4999, False), ("narrow", 0.1, False), ("narrow", 0.0999, True),
        ("diverse", 0.1, True), ("diverse", 0.0999, False),
        ("not_collapsed", 0.5, True), ("not_collapsed", 0.4999, False),
        ("not_diverse", 0.1, False), ("not_diverse", 0.0999, True),
        ("undecided", 0.5, False), ("invalid", 0.05, False),
    ],
)  # fmt: skip
def test_a_label_is_wrong_if_its_claim_is_false(bench, label, mode_mass, wrong):
    assert bench("truth_rule").is_wrong(label, mode_mass, mode_mass, Rules()) is wrong


def test_labels_are_wrong_as_rarely_as_the_rules_say(bench, looks):
    for truth, seen in looks.items():
        for row in bench("truth_rule").wrong_labels(truth, seen):
            assert row.ok, row
            assert sum(row.labels.values()) == pytest.approx(1)


def test_the_rule_decides_as_often_and_as_soon_as_it_did(bench, looks):
    truth_rule = bench("truth_rule")
    rows = [row for truth, seen in looks.items() for row in truth_rule.wrong_labels(truth, seen)]
    found = list(truth_rule.decisions(rows))
    assert [one.mode_mass for one in found] == [0.95, 0.2]
    assert all(one.ok for one in found)


def test_a_rule_that_never_says_anything_would_fail(bench, looks):
    truth_rule = bench("truth_rule")
    rows = [row for truth, seen in looks.items() for row in truth_rule.wrong_labels(truth, seen)]
    silent = [replace(row, decided=0.0, mean_draws=512.0) for row in rows]
    assert not any(one.ok for one in truth_rule.decisions(silent))


def test_a_lower_end_from_the_largest_count_would_be_found_out(bench):
    """The mode was not named in advance: taking its count for that of a named answer is the error that hits avoid."""
    known, rule, intervals = bench("known"), bench("truth_rule"), bench("truth_intervals")
    truth, rules = known.Truth("100 equal", known.equal(100)), Rules(collapsed=0.011, diverse=0.005)
    honest = known.follow(known.draw(truth, RUNS, 64, np.random.default_rng(0)), (16, 64), truth.masses)
    naive = [replace(seen, hits=seen.largest) for seen in honest]
    for seen, is_found_out in ((honest, False), (naive, True)):
        rows = [row for row in intervals.coverage_at_fixed(truth, seen) if row.interval == "mode_mass"]
        assert any(not row.ok for row in rows) is is_found_out
        judged = rule.Judged(rule.cell_of("", 64, adaptive=False, expect=Expect("none")), rules)
        labels = judged.labels(judged.until_decided(seen))
        wrong = sum(count for label, count in labels.items() if rule.is_wrong(label, 0.01, 0.01, rules))
        assert (wrong > 0.05 * RUNS) is is_found_out


def test_labels_stay_right_when_only_draws_that_speak_against_them_are_lost(bench):
    for row in bench("truth_rule").wrong_labels_with_losses(400, bench("truth").stream("losses")):
        assert row.ok, row


def test_the_judge_says_of_the_same_draws_what_the_simulation_says(bench, looks):
    check = bench("truth_rule").same_label_and_look(list(looks), 2, bench("truth").stream("judge"))
    assert check.cells == 2 * 3 * len(looks)
    assert check.ok


def test_a_relation_that_is_no_equivalence_is_judged_by_its_balls_and_its_mutual_sets(bench):
    truth_balls = bench("truth_balls")
    for circle in truth_balls.CIRCLES:
        assert circle.mutual <= circle.ball <= 1
    for wrong, row in truth_balls.rows(25, bench("truth").stream("balls")):
        assert wrong.wrong <= 0.05 + 3 * wrong.standard_error
        assert row.ok, row


def test_declared_distributions_are_flagged_and_cleared_as_they_were(bench):
    truth_declared, stream = bench("truth_declared"), bench("truth").stream
    rows = list(truth_declared.rows(400, stream("declared")))
    assert {row.plan for row in rows} == {"N = 64", "N = 128", "N = 256", "adaptive to 512"}
    assert all(row.wrong <= 0.05 + 3 * row.standard_error for row in rows)
    assert all(abs(row.flagged - row.earlier_flagged) < 0.1 for row in rows if row.earlier_flagged is not None)
    assert all(abs(row.cleared - row.earlier_cleared) < 0.1 for row in rows if row.earlier_cleared is not None)
    assert truth_declared.same_as_the_judge(1, stream("judge")).ok


# ------------------------------------------------------------------------------------------------------------ intervals


def test_intervals_of_counts_hold_the_truth(bench, looks):
    intervals = bench("truth_intervals")
    for truth, seen in looks.items():
        for row in (*intervals.coverage_at_fixed(truth, seen), *intervals.coverage_when_decided(truth, seen)):
            assert row.ok, row


def test_other_intervals_hold_the_truth(bench):
    intervals, texts, stream = bench("truth_intervals"), bench("truth_texts"), bench("truth").stream
    rows = [
        *intervals.coverage_of_valid_rate(RUNS, stream("valid")),
        *intervals.coverage_of_distance(100, stream("distance")),
        *texts.coverage_of_rates(60, stream("tokens")),
        *texts.coverage_of_openings(60, stream("openings")),
    ]
    assert not [row for row in rows if not row.ok]


def test_what_is_said_to_be_certain_is_never_false(bench):
    rows = list(bench("truth_texts").certain_intervals(20, bench("truth").stream("certain")))
    assert sum(row.claims for row in rows) > 1000
    assert sum(row.false for row in rows) == 0


def test_an_interval_that_holds_too_little_is_found_out(bench):
    intervals = bench("truth_intervals")
    held = np.arange(1000) / 1000
    found = Estimates(held, np.zeros(1000), held)
    assert intervals.row_of("mode_mass", "", "N = 64", found, 0.02).outcome == "ok"
    assert intervals.row_of("mode_mass", "", "N = 64", found, 0.08).outcome == "NOT"
    assert intervals.row_of("collision", "", "N = 64", found, 0.08, 0.9).outcome == "below nominal"
    assert intervals.row_of("collision", "", "N = 64", found, 0.2, 0.9).outcome == "NOT"


def test_an_end_that_is_undefined_claims_nothing(bench):
    nothing = np.full(3, np.nan)
    found = Estimates(np.ones(3), np.array([0.5, 0.5, np.nan]), nothing)
    row = bench("truth_intervals").row_of("effective_modes", "", "N = 16", found, 0.7)
    assert (row.runs, row.held, row.bounded) == (2, 1.0, 0.0)
    assert math.isnan(row.width)


def test_unbiased_estimates_have_no_bias(bench, looks):
    intervals, stream = bench("truth_intervals"), bench("truth").stream
    for truth, seen in looks.items():
        found = list(intervals.biases(truth, seen))
        assert all(one.ok for one in intervals.checked_again(found, truth, stream("again")))


def test_a_bias_is_drawn_again_and_stays(bench, looks):
    intervals = bench("truth_intervals")
    truth, seen = next(iter(looks.items()))
    shifted = replace(truth, masses=truth.masses - 0.05)
    found = list(intervals.biases(shifted, seen))
    assert not found[0].ok
    again = intervals.checked_again(found, truth, np.random.default_rng(0))
    assert again[0].again
    assert again[0].ok
    assert again[0].runs == 4 * RUNS


# ------------------------------------------------------------------------------------------------------------- families


def test_false_flags_are_few_and_further_looks_find_what_is_collapsed(bench, monkeypatch):
    family = bench("truth_family")
    monkeypatch.setattr(family, "SIZES", (200,))
    for setting in family.settings(6, bench("truth").stream("families")):
        assert setting.ok, setting
        assert setting.power is None or setting.power >= (setting.power_without or 0)


def test_a_run_through_the_schedule_finds_what_the_simulation_finds(bench):
    check = bench("truth_family").through_the_schedule(1, bench("truth").stream("schedule"), cells=120)
    assert check.took_further_looks
    assert check.ok


# ------------------------------------------------------------------------------------- two runs held against each other


@pytest.mark.parametrize(
    ("change", "more_often_agree", "between", "apart"),
    [
        pytest.param(0, 0.8**2 + 0.2**2 / 19 - 1 / 20, 1 / 20, 0.75, id="appears"),
        pytest.param(1, 1 / 20 - 0.8**2 - 0.2**2 / 19, 1 / 20, 0.75, id="disappears"),
        pytest.param(2, 0.6**2 + 0.4**2 / 19 - 0.3**2 - 0.7**2 / 19, 0.3 * 0.6 + 0.7 * 0.4 / 19, 0.3, id="grows"),
        pytest.param(3, 0, 2 * 0.6 * 0.4 / 19 + 18 * (0.4 / 19) ** 2, 0.6 - 0.4 / 19, id="is another one"),
    ],
)
def test_what_is_true_of_a_known_change_is_what_its_definition_says(bench, change, more_often_agree, between, apart):
    suites = bench("truth_suites")
    asked = suites.question("numbers", 0, 16, suites.CHANGES[change])
    assert asked.change == pytest.approx(more_often_agree)
    assert asked.between == pytest.approx(between)
    assert asked.apart == pytest.approx(apart)


def test_labels_in_other_wordings_and_texts_in_the_same_words_are_one_answer_of_a_suite(bench):
    suites = bench("truth_suites")
    labels = suites.question("labels", 2, 16)  # eight equal ones, three wordings each
    assert len(labels.texts) == 24
    assert labels.between == pytest.approx(1 / 8)
    text = suites.question("texts", 1, 16, suites.CHANGES[0])
    assert len(text.texts) == 50
    assert text.between >= 1 / 10 - 1e-9
    assert text.change > 0.4


def test_nothing_is_told_of_suites_in_which_nothing_differs_though_draws_are_lost(bench):
    outcome = bench("truth_outcome")
    for kind, losing in (("texts", False), ("numbers", True)):
        alarms, rows = outcome._nothing(kind, 16, 5, losing=losing)
        assert [alarm.share for alarm in alarms if alarm.test == "regressed"] == [0]
        assert [one for one in (*alarms, *rows) if not one.ok] == []


@pytest.mark.parametrize("change", range(4))
def test_a_known_change_in_some_cells_of_a_suite_is_told_and_its_intervals_hold(bench, change):
    outcome, suites = bench("truth_outcome"), bench("truth_suites")
    told, rows = outcome._something(suites.CHANGES[change], "labels", 64, 2)
    assert told.cells > 4
    assert told.told > 0.5
    assert [one for one in (told, *rows) if not one.ok] == []
    assert not replace(told, told=0.0, told_error=0.01).ok
    assert not replace(told, false=0.3, false_error=0.05).ok
    assert not replace(told, falsely_changed=0.3, falsely_changed_error=0.05).ok


def test_what_is_told_the_wrong_way_round_or_of_an_unchanged_cell_is_false(bench):
    outcome, suites = bench("truth_outcome"), bench("truth_suites")
    asked = [suites.question("numbers", 0, 64, suites.CHANGES[0]), suites.question("numbers", 1, 64)]
    grown, same = suites.compared(asked, 0, np.random.default_rng(0)).cells
    assert (grown.outcome, same.outcome) == ("narrower", "same")
    assert outcome._false(list(zip(asked, (grown, same), strict=True))) == (0, 0)
    turned, alarmed = replace(grown, outcome="wider"), replace(same, moved=replace(same.moved, q_value=0.01))
    assert outcome._false(list(zip(asked, (turned, alarmed), strict=True))) == (1, 0.5)


def test_a_phrase_that_becomes_common_is_named_and_no_other(bench):
    outcome, suites = bench("truth_outcome"), bench("truth_suites")
    named = outcome._named(0.4, 16, 2)
    assert (named.told, named.false) == (1, 0)
    assert not replace(named, false=0.5, false_error=0.1).ok
    asked = [suites.with_phrase(place, 16, 0.4) for place in range(3)]
    assert suites.is_more_common("worth noting", asked)
    assert not suites.is_more_common(asked[0].texts[0].strip(" ."), asked)


def test_every_figure_of_comparisons_is_stored_and_has_its_place_on_the_page(bench):
    truth, page = bench("truth"), bench("truth_page")
    figures = json.loads((BENCHMARKS / "figures" / "comparisons.json").read_text("utf-8"))
    coverage, told, alarms, errors = (
        said(figures) for said in (page._coverage_by_kind, page._told, page._alarms, page._errors)
    )
    for kind in (*truth.COMPARISONS, "suites"):
        assert f"| {kind} |" in coverage
    assert told.count("\n| a favourite") == len(figures["told"]) == 24
    assert alarms.count("\n| nothing differs") == 7
    for row in figures["errors"]:
        assert f"| {row['test']} | {row['plan']} |" in errors
    assert "NOT" not in coverage + told + alarms + errors


# ------------------------------------------------------------------------------------------------------------- the page


def test_the_page_shows_the_stored_figures(bench):
    page = bench("truth_page")
    figures = json.loads((BENCHMARKS / "figures" / "truth.json").read_text("utf-8"))
    text = page.PAGE.read_text("utf-8")
    for name, block in page.BLOCKS.items():
        shown = page.replaced(text, name, block(figures))
        assert name in {"elsewhere", "speed"} or shown == text, name


def test_figures_that_are_not_there_are_said_to_be_missing(bench, monkeypatch, tmp_path):
    page = bench("truth_page")
    monkeypatch.setattr(page, "FIGURES", tmp_path)
    assert page.elsewhere({}).splitlines() == [page.NOT_YET] * 3
