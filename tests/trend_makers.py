"""Steps of a trend from lists of texts, judged as a run would be."""

from __future__ import annotations

from functools import cache

from makers import make_cell, make_completion

from collapsecli.compared import Side, Step
from collapsecli.judge import judge_cell
from collapsecli.records import Rules
from collapsecli.trends import trend_of


def make_side(run_id: str = "run", model: str = "model", adapter: str = "") -> Side:
    """One model of a run, by its names."""
    return Side(run_id, run_id, f"runs/{run_id}", model, adapter, "scripted 1", 1)


def make_step(name: str, at: float | None = None) -> Step:
    """A step whose run is called like it."""
    return Step(name, make_side(name.replace(" ", "-")), at)


def make_result(texts, cell_id: str = "coin@t1.0", *, lost: int = 0, **changes):
    """A cell judged from its texts; `lost` more completions were planned and never came back."""
    changes = {"samples": len(texts) + lost, "equivalence": "exact", **changes}
    cell = make_cell(cell_id, **changes)
    rows = [make_completion(cell_id, k, text, logprob_kind=None) for k, text in enumerate(texts)]
    return judge_cell(cell, rows, Rules())


def collapsing(share: float, n: int = 64):
    """So many texts of which a share is the same and the others are all different."""
    same = round(share * n)
    return [" The same."] * same + [f" Other {k}." for k in range(n - same)]


@cache
def make_share(share: float, cell_id: str):
    """A cell of 64 draws whose likeliest answer has this share; judged once, however often it is asked for."""
    return make_result(collapsing(share), cell_id)


def make_trend(shares, *, notes=(), **cells):
    """A trend of cells whose shares of one answer are given step by step; None where the cell is not asked."""
    shares = {"cell": shares, **cells}
    count = len(next(iter(shares.values())))
    steps = []
    for k in range(count):
        present = [(name, of_cell[k]) for name, of_cell in shares.items() if of_cell[k] is not None]
        results = [make_share(share, f"{name}@t1.0") for name, share in present]
        steps.append((make_step(f"step {100 * k}", 100.0 * k), results))
    return trend_of(steps, 0.05, notes)
