"""Two sides whose answers are known, drawn by the scripted engine and judged."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from collapsecli.compared import Side
from collapsecli.contrasts.drawn import Drawn
from collapsecli.engines import SampleRequest
from collapsecli.engines.scripted import Script, ScriptedEngine
from collapsecli.judge import judge
from collapsecli.records import Rules


@dataclass
class Scripted:
    """One side: cells with the completions that a script gave, as `compare` takes it."""

    side: Side
    cells: list
    completions: dict
    rules: dict = field(default_factory=lambda: {"suite": Rules()})

    @property
    def results(self):
        drawn = [(cell, self.completions[cell.cell_id]) for cell in self.cells]
        return tuple(judge(drawn, lambda _: Rules()))

    def drawn(self, cells):
        known = {result.cell.cell_id: result for result in self.results}
        for cell in cells:
            yield Drawn.of(known[cell.cell_id], self.completions[cell.cell_id], Rules().alpha)


@pytest.fixture
def side_of():
    """A side from cells and the answers of each prompt; `seed` is that of its draws."""

    def make(cells, answers, seed=1, name="model"):
        engine = ScriptedEngine(Script(name, answers))
        requests = [
            SampleRequest(cell, 1000 * seed + 100_000_000 * at, tuple(range(cell.sampling.samples)))
            for at, cell in enumerate(cells)
        ]
        completions = {cell.cell_id: [] for cell in cells}
        for completion in engine.sample(iter(requests)):
            completions[completion.cell_id].append(completion)
        side = Side(name, f"run-{name}", f"runs/{name}", name, "", "scripted 1", seed)
        return Scripted(side, list(cells), completions)

    return make
