"""Parts of a plan: nothing twice, nothing lost, nothing divided, and all about as large."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from makers import make_cell

from collapsecli.errors import UsageError
from collapsecli.records import Branch
from collapsecli.slices import divided, first_looks, group_count, parsed_slice, sliced


@st.composite
def plans(draw):
    """Cells of up to three models, of very different sizes, some with others that branch off them."""
    cells = []
    for at in range(draw(st.integers(0, 25))):
        model = draw(st.sampled_from(["a", "b", "c"]))
        size = {"samples": draw(st.sampled_from([1, 16, 64, 512])), "max_tokens": draw(st.sampled_from([1, 128, 4096]))}
        plain = make_cell(f"p{at}@t1.0", model=model, **size)
        branches = [
            make_cell(f"p{at}/cut@s{k}@t1.0", model=model, branch=Branch(plain.cell_id, k), **size)
            for k in range(draw(st.integers(0, 3)))
        ]
        cells += [plain, *branches]
    return draw(st.permutations(cells))


def work(cells):
    return sum(cell.sampling.samples * cell.sampling.max_tokens for cell in cells)


@given(plans(), st.integers(1, 12))
def test_every_cell_is_in_exactly_one_slice(cells, of):
    slices = divided(cells, of)
    assert len(slices) == of
    assert sorted(place for places in slices for place in places) == list(range(len(cells)))
    assert all(list(places) == sorted(places) for places in slices)
    assert tuple(sliced(cells, number, of) for number in range(1, of + 1)) == slices


@given(plans(), st.integers(1, 12))
def test_a_cell_and_those_that_branch_off_it_are_never_divided_between_slices(cells, of):
    slice_of = {cells[place].cell_id: number for number, places in enumerate(divided(cells, of)) for place in places}
    for cell in cells:
        if cell.branch:
            assert slice_of[cell.cell_id] == slice_of[cell.branch.plain]


@given(plans(), st.integers(1, 12))
def test_no_slice_has_more_work_than_the_mean_and_one_group(cells, of):
    groups = {}
    for cell in cells:
        groups.setdefault(cell.branch.plain if cell.branch else cell.cell_id, []).append(cell)
    largest = max(map(work, groups.values()), default=0)
    assert all(work(cells[place] for place in places) <= work(cells) / of + largest for places in divided(cells, of))


@given(plans(), st.integers(1, 12), st.integers(0, 99))
def test_which_cells_share_a_slice_does_not_depend_on_their_order(cells, of, seed):
    def by_id(ordered):
        return [sorted(ordered[place].cell_id for place in places) for places in divided(ordered, of)]

    assert by_id(cells) == by_id(random.Random(seed).sample(cells, len(cells)))


@given(plans(), st.integers(1, 12))
def test_few_slices_have_more_than_one_model(cells, of):
    """Each model of a slice is one engine to start."""
    started = sum(len({cells[place].model for place in places}) for places in divided(cells, of))
    assert started <= of + len({cell.model for cell in cells})


@given(plans(), st.integers(1, 40))
def test_a_slice_is_empty_only_where_there_are_fewer_groups_than_slices(cells, of):
    assert sum(map(bool, divided(cells, of))) == min(of, group_count(cells))


def test_equal_cells_are_spread_evenly():
    cells = [make_cell(f"p{at}@t1.0") for at in range(160)]
    assert {len(places) for places in divided(cells, 16)} == {10}


def test_prompts_of_one_kind_do_not_end_up_in_one_slice():
    """Which ones a model answers at length is not planned: that is left to chance, and chance spreads it."""
    cells = [make_cell(f"{kind}-{at:02d}@t1.0") for kind in ("essay", "number") for at in range(80)]
    essays = [sum(cells[place].cell_id.startswith("essay") for place in places) for places in divided(cells, 4)]
    assert all(8 <= count <= 32 for count in essays)  # 20 of 40; P(outside) < 1e-6 each


def test_first_looks_are_what_is_drawn_of_every_cell_at_least():
    assert first_looks([make_cell("a@t1.0", samples=64), make_cell("b@t1.0", samples=512, adaptive=True)]) == 64 + 16


@pytest.mark.parametrize(
    ("words", "parsed"),
    [
        pytest.param("1/1", (1, 1), id="all of it"),
        pytest.param("3/16", (3, 16), id="the third of sixteen"),
        pytest.param("16/16", (16, 16), id="the last"),
        pytest.param(" 03/16 ", (3, 16), id="zeros and spaces around do not matter"),
    ],
)
def test_a_slice_is_written_as_a_number_of_so_many(words, parsed):
    assert parsed_slice(words) == parsed


@pytest.mark.parametrize(
    "words", ["0/16", "17/16", "3", "3/0", "3/16/2", "a/b", "-1/16", "1.5/3", "", "٣/١٦", "3 / 16", "1/999999"]
)
def test_anything_else_is_refused_with_what_is_possible(words):
    with pytest.raises(UsageError) as refused:
        parsed_slice(words)
    assert "counted from 1: 1/16 to 16/16" in refused.value.hint
