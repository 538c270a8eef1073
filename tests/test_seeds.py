"""No two draws share noise unless they are the same draw."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapsecli.seeds import cell_seeds, hashed_seed, random_seed


def _plan(cells, samples=64):
    return {f"prompt-{i}@t1.0": samples for i in range(cells)}


def test_seeds_of_a_run_never_overlap_in_the_low_32_bits_that_a_cpu_generator_reads():
    samples = 64
    bases = sorted(base % 2**32 for base in cell_seeds(7, _plan(100_000, samples)).values())
    gaps = [after - before for before, after in pairwise(bases)]
    assert min(gaps) >= samples
    assert bases[-1] + samples <= 2**32


@given(st.permutations(range(30)), st.integers(0, 2**62 - 1))
def test_seeds_do_not_depend_on_the_order_of_the_plan(order, run_seed):
    plan = _plan(30)
    shuffled = {f"prompt-{i}@t1.0": plan[f"prompt-{i}@t1.0"] for i in order}
    assert cell_seeds(run_seed, plan) == cell_seeds(run_seed, shuffled)


def test_seeds_of_a_cell_stay_when_fewer_samples_are_asked_or_other_cells_go():
    whole, part = cell_seeds(3, _plan(50, 512)), cell_seeds(3, _plan(20, 16))
    assert all(whole[cell_id] == base for cell_id, base in part.items())


def test_seeds_of_two_runs_and_of_two_temperatures_of_one_prompt_differ():
    assert cell_seeds(1, _plan(5)) != cell_seeds(2, _plan(5))
    bases = cell_seeds(1, {"coin@t1.0": 64, "coin@t0.7": 64})
    assert abs(bases["coin@t1.0"] - bases["coin@t0.7"]) >= 64


def test_consecutive_run_seeds_share_no_stream():
    bases = [base for run_seed in range(200) for base in cell_seeds(run_seed, _plan(3)).values()]
    assert len(set(bases)) == len(bases)


@pytest.mark.parametrize("samples", [1, 1000, 1024, 5000, 200_000])
def test_a_cell_of_any_size_gets_room_for_all_its_samples(samples):
    bases = sorted(base % 2**32 for base in cell_seeds(5, _plan(100, samples)).values())
    assert all(after - before >= samples for before, after in pairwise(bases))


def test_a_seed_fits_what_engines_take():
    assert all(0 <= seed < 2**63 for seed in [random_seed(), hashed_seed("x"), *cell_seeds(1, _plan(9)).values()])
