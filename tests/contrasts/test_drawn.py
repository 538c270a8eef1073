"""What a contrast sees of a cell: the draws that were judged, and how many of them are not known."""

import pytest
from makers import make_cell, make_completion

from collapsecli.contrasts.drawn import Drawn
from collapsecli.judge import judge_cell
from collapsecli.records import Rules


def drawn(*, lost=(), missing=(), samples=64):
    cell = make_cell(samples=samples, equivalence="exact")
    rows = [
        make_completion(
            sample_index=at, **({"error_kind": "refused", "text": "", "logprob": None} if at in lost else {})
        )
        for at in range(samples)
        if at not in missing
    ]
    return Drawn.of(judge_cell(cell, rows, Rules()), rows[::-1], 0.05)


def test_draws_are_in_sample_order_and_failures_are_lost():
    cell = drawn(lost={3, 40}, missing={50})
    assert [one.sample_index for one in cell.completions] == sorted(set(range(64)) - {3, 40, 50})
    assert cell.lost == 3


@pytest.mark.parametrize(("draws", "kept", "lost"), [(10, 9, 1), (42, 40, 2), (64, 61, 3), (1000, 61, 3)])
def test_the_first_draws_have_lost_what_is_missing_among_them(draws, kept, lost):
    first = drawn(lost={3, 40}, missing={50}).first(draws)
    assert (len(first.completions), first.lost) == (kept, lost)
    assert not any(one.token_ids for one in first.completions)


def test_each_look_of_an_adaptive_cell_takes_its_part_of_the_error_rate():
    cell = make_cell(samples=64, adaptive=True, equivalence="exact")
    rows = [make_completion(sample_index=at) for at in range(64)]
    seen = Drawn.of(judge_cell(cell, rows, Rules()), rows, 0.05)
    assert seen.alpha == pytest.approx(0.05 / 3)  # looks at 16, 32 and 64
    assert len(seen.completions) == seen.result.look < 64
