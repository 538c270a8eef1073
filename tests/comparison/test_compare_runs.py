"""A run held against its base: what is found where it is, and nothing where nothing is. From known answers."""

from dataclasses import replace

import pytest
from makers import make_cell

from collapsecli.comparison.compare import compare
from collapsecli.comparison.outcomes import is_regressed
from collapsecli.records import Expect, IntegerAnswer, Sampling, TextAnswer

NUMBER = IntegerAnswer(1, 20)
UNIFORM = Expect("uniform", weights=tuple((str(n), 1 / 20) for n in range(1, 21)))
FAIR = {f" {n}.": 1.0 for n in range(1, 21)}
LOADED = {" 7.": 0.8, **{f" {n}.": 0.2 / 19 for n in range(1, 21) if n != 7}}
SEVENS, NINES = {" 7.": 0.9, " 8.": 0.1}, {" 9.": 0.9, " 8.": 0.1}


def number(prompt_id="number", **changes):
    return make_cell(f"{prompt_id}@t1.0", answer=NUMBER, expect=UNIFORM, **{"samples": 64, **changes})


def numbers(count, **changes):
    return [number(f"n{place}", **changes) for place in range(count)]


def only(comparison):
    (cell,) = comparison.cells
    return cell


def compared(side_of, base, run, cells=None, **options):
    cells = cells or [number()]
    prompts = {cell.prompt_id for cell in cells}
    of_base, of_run = (dict.fromkeys(prompts, answers) for answers in (base, run))
    return compare(side_of(cells, of_base, 1, "base"), side_of(cells, of_run, 2, "tuned"), **options)


@pytest.mark.parametrize(
    ("base", "run", "outcome"),
    [
        pytest.param(FAIR, LOADED, "narrower", id="a favourite"),
        pytest.param(LOADED, FAIR, "wider", id="a favourite that is gone"),
        pytest.param(SEVENS, NINES, "moved", id="another favourite"),
        pytest.param(FAIR, FAIR, "same", id="nothing"),
        pytest.param(LOADED, LOADED, "same", id="the same favourite"),
    ],
)
def test_a_known_change_is_told_by_its_kind_and_no_change_is_not(side_of, base, run, outcome):
    cell = only(compared(side_of, base, run))
    assert cell.outcome == outcome


def test_every_number_holds_the_truth_of_a_known_change(side_of):
    cell = only(compared(side_of, FAIR, LOADED))
    collision = 0.8**2 + 19 * (0.2 / 19) ** 2
    change = cell.numbers["collision"].change
    assert change.low < collision - 1 / 20 < change.high
    assert cell.numbers["mode_mass"].change.low < 0.8 - 1 / 20 < cell.numbers["mode_mass"].change.high
    ratio = cell.numbers["effective_modes_ratio"].change
    assert ratio.low < (1 / collision) / 20 < ratio.high
    assert cell.between.low <= 1 / 20 <= cell.between.high
    assert 0.4 < cell.moved.change.low <= 0.75  # total variation .75
    assert cell.numbers["collision"].n == 128
    assert cell.numbers["valid_rate"].change.value == 0


def test_swapping_the_sides_turns_every_change_around(side_of):
    there, back = (only(compared(side_of, *sides)) for sides in ((FAIR, LOADED), (LOADED, FAIR)))
    assert there.numbers["collision"].change.value > 0 > back.numbers["collision"].change.value


def test_significance_pays_for_the_number_of_cells(side_of):
    cells = numbers(12, samples=16)
    comparison = compared(side_of, FAIR, FAIR, cells)
    for cell in comparison.cells:
        assert cell.numbers["collision"].q_value >= cell.numbers["collision"].p_value
        assert cell.outcome == "same"


def test_over_all_prompts_a_prompt_counts_once_however_many_cells_it_has(side_of):
    one = [number("a"), replace(number("a"), cell_id="a[x=1]@t1.0", variant="x=1"), *numbers(6)]
    overall = compared(side_of, FAIR, LOADED, one).overall
    assert overall["distinct_10"].n == 7
    assert overall["distinct_10"].change.high < 0
    assert overall["effective_modes_ratio"].change.high < 1
    assert overall["collision"].change.low > 0
    assert overall["distinct_10"].p_value == pytest.approx(2 / 2**7)


def test_no_interval_over_prompts_leaves_what_is_possible(side_of):
    """A third of the prompts always agree, the others hardly ever: Student and the bootstrap know of no end at 1."""
    cells = numbers(9, samples=32)
    answers = {cell.prompt_id: {" 7.": 1} if place < 3 else FAIR for place, cell in enumerate(cells)}
    overall = compare(side_of(cells, answers, 1, "base"), side_of(cells, answers, 2, "run")).overall
    assert overall["collision"].base.high == 1
    assert overall["collision"].run.high <= 1
    assert overall["collision"].base.low >= 0
    assert overall["distinct_10"].base.high <= 10
    assert overall["valid_rate"].base.high in {None, 1}
    assert overall["tokens"].base.low is None or overall["tokens"].base.low >= 0


def test_verdicts_before_and_after_are_counted(side_of):
    comparison = compared(side_of, FAIR, LOADED, numbers(3))
    assert sum(comparison.transitions.values()) == 3
    assert {after for _, after in comparison.transitions} == {"collapsed"}


def test_an_adaptive_cell_is_compared_by_the_draws_that_were_fixed_before(side_of):
    sampling = Sampling(samples=128, adaptive=True)
    cell = replace(number(), sampling=sampling)
    comparison = compared(side_of, FAIR, LOADED, [cell])
    assert only(comparison).numbers["collision"].n == 2 * 16
    assert only(comparison).run.n_valid == only(comparison).base.n_valid == 16
    assert only(comparison).base.verdict == side_of([cell], {"number": FAIR}, 1, "base").results[0].verdict
    assert any("until they were decided" in note for note in comparison.notes)


def test_a_single_draw_is_not_compared_and_that_is_said(side_of):
    greedy = make_cell("number@t0.0", temperature=0.0, samples=1, answer=NUMBER)
    comparison = compared(side_of, FAIR, LOADED, [number(), greedy])
    assert len(comparison.cells) == 1
    assert any("single draw" in note for note in comparison.notes)


def test_runs_of_one_seed_are_not_independent_and_that_is_said(side_of):
    cells = [number()]
    base = side_of(cells, {"number": FAIR}, 3, "base")
    assert any("same seed" in note for note in compare(base, side_of(cells, {"number": FAIR}, 3, "run")).notes)
    assert not any("same seed" in note for note in compare(base, side_of(cells, {"number": FAIR}, 4, "run")).notes)


def test_classes_that_came_with_a_file_say_nothing_of_those_of_another(side_of):
    cells = [make_cell("essay@t1.0", equivalence="given", samples=32)]
    sides = [side_of(cells, {"essay": {f" {name}.": 1 for name in "abcd"}}, seed, f"m{seed}") for seed in (1, 2)]
    for side, name in zip(sides, ("one", "two"), strict=True):
        side.completions = {
            key: [replace(row, given="0" if name == "two" else str(row.sample_index % 4)) for row in rows]
            for key, rows in side.completions.items()
        }
    cell = only(compare(*sides))
    assert cell.outcome == "narrower"
    assert cell.moved.change.value is None
    assert cell.between.value is None


def test_a_phrase_that_became_common_is_found_with_its_shares(side_of):
    cells = [make_cell(f"opinion{n}@t1.0", text=f"Is topic{n} real?", samples=64) for n in range(6)]
    plain = {f" Frankly that was w{n}x strange tale{n}.": 1 for n in range(30)}
    balanced = {f" Experts say {text.strip()}": 1 for text in plain}
    comparison = compared(side_of, plain, balanced, cells)
    assert "Experts say" in comparison.lifted[0].text
    assert comparison.lifted[0].run.low > 0.9
    assert comparison.lifted[0].base.high < 0.1
    assert comparison.lifted[0].prompts == comparison.lifted[0].of_prompts == 6


# ------------------------------------------------------------------------------------------------------------ gate


@pytest.mark.parametrize(
    ("base", "run", "expect", "margin", "regressed"),
    [
        pytest.param(FAIR, LOADED, UNIFORM, 0.1, True, id="narrower than it should be"),
        pytest.param(LOADED, FAIR, UNIFORM, 0.1, False, id="wider is no harm"),
        pytest.param(FAIR, LOADED, UNIFORM, 0.7, False, id="within the margin"),
        pytest.param(FAIR, LOADED, Expect("none"), 0.1, False, id="nothing is expected"),
        pytest.param(
            LOADED, FAIR, Expect("concentrated"), 0.1, True, id="a control that does not concentrate any more"
        ),
        pytest.param(FAIR, LOADED, Expect("concentrated"), 0.1, False, id="a control that concentrates more"),
        pytest.param(SEVENS, NINES, UNIFORM, 0.1, False, id="only moved"),
        pytest.param({" 7.": 1}, {" no.": 1}, UNIFORM, 0.1, True, id="not readable any more"),
        pytest.param(FAIR, FAIR, UNIFORM, 0.0, False, id="nothing changed"),
    ],
)
def test_a_regression_is_significant_larger_than_the_margin_and_for_the_worse(
    side_of, base, run, expect, margin, regressed
):
    cells = [replace(number(samples=128), expect=expect)]
    cell = only(compared(side_of, base, run, cells, margin=margin))
    assert cell.regressed is regressed
    assert is_regressed(cell, margin) is regressed


def test_free_text_is_compared_by_the_words_it_shares(side_of):
    cells = [make_cell("tale@t1.0", answer=TextAnswer(), samples=64)]
    base = {f" Zebra{n} quartz{n} violin{n} marble{n}.": 1 for n in range(60)}
    run = {f" Zebra quartz violin marble w{n}.": 1 for n in range(60)}
    cell = only(compared(side_of, base, run, cells))
    assert cell.outcome == "narrower"
    assert cell.numbers["collision"].change.low > 0
