"""Is the sampling phase of a probe as fast as vLLM itself? Four ways to the same completions, on one engine.

Ours is the whole sampling phase: from requests to rows on disk, with log-probabilities of every token. Theirs are one
plain `LLM.generate` with `logprobs=0`, the fastest raw form that gives the same columns, and one request for every
single completion. The rounds are interleaved and their order rotates; the tokens of all arms are counted and equal.
The figures go to `figures/speed.json`, and from there to `docs/speed.md`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arms import ARMS, OURS, PLAIN, RAW, RAW_FORMS, REPEATS, Silent, measured, ratios, stored_arms
from figures import FIGURES, store

from collapsecli.cli.streams import libraries_log_to
from collapsecli.engines import EngineOptions
from collapsecli.engines.vllm import VllmEngine
from collapsecli.records import Cell, EngineInfo, Model, Sampling
from collapsecli.runs import Manifest, SuiteSource
from collapsecli.suite import load, plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from arms import Timed

__all__ = ["SUITE", "Silent", "cells_of", "manifest_of"]  # the benchmark of looks runs the same engine

MODEL = "demo-base"
SUITE = Path(__file__).parents[1] / "prompts" / "quickstart.yaml"
PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
MARK, END = "<!-- speed: written by benchmarks/speed.py -->\n", "<!-- end -->"

# A hundred beginnings that the demo model knows how to go on with.
MANNERS = ("little", "young", "poor", "clever", "kind")
HEROES = ("girl", "boy", "king", "fox")
PLACES = ("a small village", "a big city", "a dark forest", "an old castle", "a house by the sea")

STORIES = "stories"
MIX = "mix"
WORKS = {
    STORIES: "100 beginnings of stories, 32 completions each, at most 45 tokens: free text",
    MIX: "the quickstart suite, 64 completions of each of its cells: mostly short answers",
}
THEIRS = {
    PLAIN: "`LLM.generate(logprobs=0)`, a request for all completions of a prompt",
    RAW: "the same without decoding and with flat log-probabilities, then texts in batches",
    REPEATS: "`LLM.generate(logprobs=0)`, a request for every completion",
}


def story_cells(samples: int = 32, max_tokens: int = 45) -> list[Cell]:
    """A cell for each of a hundred beginnings."""
    sampling = Sampling(samples=samples, max_tokens=max_tokens)
    texts = (
        f"Once upon a time there was a {manner} {hero} who lived in {place}."
        for manner, hero, place in itertools.product(MANNERS, HEROES, PLACES)
    )
    return [
        Cell(f"story-{at}@t1.0", "speed", f"story-{at}", "", "", 1.0, MODEL, "", text, (), "", sampling)
        for at, text in enumerate(texts)
    ]


def cells_of(copies: int, samples: int) -> list[Cell]:
    """The quickstart suite's cells, each several times under other names, so that there is work for seconds."""
    planned = plan(load(SUITE), models=[Model.at(MODEL)], samples=samples).cells
    return [replace(cell, cell_id=f"{copy}-{cell.cell_id}") for copy in range(copies) for cell in planned]


def manifest_of(cells: Sequence[Cell], seed: int) -> Manifest:
    """A manifest of these cells."""
    suite = SuiteSource("speed", str(SUITE), "", "")
    drawn = EngineInfo("vllm", "", MODEL, {})
    return Manifest("speed", "2026-01-01T00:00:00+00:00", seed, (suite,), tuple(cells), {MODEL: drawn})


def of_round(cells: Sequence[Cell], number: int) -> Manifest:
    """What is drawn in a round: the same cells with other seeds."""
    return manifest_of(cells, seed=1000 + number)


def figures_of(cells: Sequence[Cell], found: Mapping[str, Sequence[Timed]]) -> dict[str, Any]:
    """What was measured of one kind of work: sizes, our ratio to every other arm, and every single time."""
    return {
        "completions": sum(cell.sampling.samples for cell in cells),
        "tokens": found[OURS][-1].tokens,
        "rounds": len(found[OURS]),
        "ratios": {name: ratios(found, OURS, name) for name in found if name != OURS},
        "arms": stored_arms(found),
    }


# ---------------------------------------------------------------------------------------------------------- the page


def block(figures: Mapping[str, Any]) -> str:
    """The table of the page, from the stored figures."""
    where = (
        f"- Measured on {figures['measured_on']}, {figures['day']}: {figures['model']} on the CPU, vLLM "
        f"{figures['vllm']}. Medians of paired ratios, with their 95 % bootstrap intervals over rounds."
    )
    lines = [
        "| our sampling phase, relative to | work | time | CPU time |",
        "| --- | --- | --: | --: |",
        *(
            f"| {said} | {work} | {_ratio(figures['works'][work]['ratios'][arm]['wall'])} | "
            f"{_ratio(figures['works'][work]['ratios'][arm]['cpu'])} |"
            for work in WORKS
            for arm, said in THEIRS.items()
        ),
        "",
        *(f"- {work}: {said}; {_size(figures['works'][work])}." for work, said in WORKS.items()),
        where,
    ]
    return "\n".join(lines)


def _ratio(of: Sequence[float]) -> str:
    ratio, low, high = of
    return f"{ratio:.2f} [{low:.2f}, {high:.2f}]"


def _size(work: Mapping[str, Any]) -> str:
    per_round = work["tokens"] / work["completions"]
    return f"{work['completions']:,} completions of {per_round:.1f} tokens on average, {work['rounds']} rounds"


def page_with(text: str, figures: Mapping[str, Any]) -> str:
    """The text of the page with the table of these figures in its place."""
    before, found, rest = text.partition(MARK)
    if not found or END not in rest:
        sys.exit(f"{PAGE} has no place for the table")
    return f"{before}{MARK}{block(figures)}\n{rest[rest.index(END) :]}"


# ---------------------------------------------------------------------------------------------------------- measuring


def main() -> None:
    """Measure, print, store, write the page; fail where ours is slower than it may be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--samples", type=int, default=32, help="completions of every story")
    parser.add_argument("--copies", type=int, default=1, help="how often the quickstart suite stands in the mix")
    parser.add_argument("--raw-forms", action="store_true", help="time every raw form instead, and store nothing")
    parser.add_argument("--page-only", action="store_true", help="write the page from the stored figures")
    parser.add_argument("--at-most", type=float, help="fail when ours takes more of the plain call's time than this")
    parser.add_argument("--at-most-raw", type=float, help="the same of the raw form's")
    asked = parser.parse_args()
    if not asked.page_only:
        works = {STORIES: story_cells(asked.samples), MIX: cells_of(asked.copies, samples=64)}
        arms = {OURS: ARMS[OURS], PLAIN: ARMS[PLAIN], **RAW_FORMS} if asked.raw_forms else ARMS
        with libraries_log_to(Path(os.devnull)) as people:
            engine = VllmEngine(EngineOptions(MODEL))
            found = {
                work: measured(engine, partial(of_round, cells), arms, asked.rounds, people)
                for work, cells in works.items()
            }
            engine.close()
        if asked.raw_forms:
            for work, arm in itertools.product(works, RAW_FORMS):
                print(f"{work}, {arm} / generate: {_ratios_said(ratios(found[work], arm, PLAIN))}")
            return
        _store({work: figures_of(cells, found[work]) for work, cells in works.items()}, engine.info.version)
    figures = json.loads((FIGURES / "speed.json").read_text("utf-8"))
    PAGE.write_text(page_with(PAGE.read_text("utf-8"), figures), encoding="utf-8")
    for work, against in itertools.product(WORKS, THEIRS):
        print(f"{work}, ours / {against}: {_ratios_said(figures['works'][work]['ratios'][against])}")
    for against, bound in ((PLAIN, asked.at_most), (RAW, asked.at_most_raw)):
        ratio = figures["works"][STORIES]["ratios"][against]["wall"][0]
        if bound is not None and ratio > bound:
            sys.exit(f"{STORIES}: ours takes {ratio:.3f} of the time of {against}, and may take {bound}")


def _store(works: Mapping[str, Mapping[str, Any]], vllm: str) -> None:
    """The ratio that is quoted elsewhere stands in front: free text, the clock, against the plain call."""
    ratio, low, high = works[STORIES]["ratios"][PLAIN]["wall"]
    front = {name: works[STORIES][name] for name in ("completions", "tokens")}
    store(
        "speed",
        {"model": MODEL, "vllm": vllm, "ratio": ratio, "ratio_low": low, "ratio_high": high,
         "pairs": works[STORIES]["rounds"], **front, "works": works},
    )  # fmt: skip


def _ratios_said(of: Mapping[str, Sequence[float]]) -> str:
    return ", ".join(f"{_ratio(values)} {name}" for name, values in of.items())


if __name__ == "__main__":
    main()
