"""Comparisons as two runs would have them: a strongly tuned one, equal ones, many cells, an import, a hostile one."""

from __future__ import annotations

import io
import math
from collections import Counter
from dataclasses import replace

from makers import make_cell, make_completion
from rich.console import Console

from collapsecli.compared import (
    ComparedCell,
    Comparison,
    Difference,
    Divergence,
    Extinguished,
    Phrase,
    Side,
    Tempered,
)
from collapsecli.judge import judge_cell
from collapsecli.records import UNDEFINED, Estimate, Expect, IntegerAnswer, Rules
from collapsecli.report.compare import comparison_blocks

HOSTILE = "\x1b[31m[/INST] the\u202e end\n\nof it"
LONG = "toast/a-very-long-injection-name-that-does-not-fit"
UNKNOWN = Difference(UNDEFINED, UNDEFINED, UNDEFINED, 0)


def make_side(name="demo-base", **changes):
    values = {
        "run_id": f"20261123T020000Z-{name}",
        "path": f"runs/20261123T020000Z-{name}",
        "model": name,
        "adapter": "",
        "engine": "vllm 0.32.0",
        "seed": 2680785912558647994,
    }
    return Side(name, **{**values, **changes})


def make_result(cell_id, texts, **changes):
    """A cell judged from its texts; None is a request that failed."""
    cell = make_cell(cell_id, samples=len(texts), **changes)
    drawn = [
        make_completion(cell_id, k, text)
        if text is not None
        else make_completion(cell_id, k, "", finish_reason="error", error_kind="timeout", error="no answer")
        for k, text in enumerate(texts)
    ]
    return judge_cell(cell, drawn, Rules())


def _change(base, run):
    """Run minus base, with the widest interval that two intervals leave."""
    if base.value is None or run.value is None:
        return UNDEFINED
    low = None if run.low is None or base.high is None else run.low - base.high
    high = None if run.high is None or base.low is None else run.high - base.low
    return Estimate(run.value - base.value, low, high)


def _ratio(base, run):
    values = (base.value, run.value, base.low, run.low, base.high, run.high)
    if any(value is None or math.isinf(value) for value in values):
        return UNDEFINED
    return Estimate(run.value / base.value, run.low / base.high, run.high / base.low)


def _length(result, words):
    return Estimate(words, 0.9 * words, 1.1 * words) if result.n_valid else UNDEFINED


def make_compared(question, base, run, outcome="same", q=None, moved=UNDEFINED, words=(12.0, 12.0), **changes):
    """Two results of one question, with the numbers that follow from them and the q-values that are said."""
    n = base.n_valid + run.n_valid
    numbers = {
        name: Difference(base.metric(name), run.metric(name), _change(base.metric(name), run.metric(name)), n)
        for name in ("collision", "mode_mass", "distinct_10", "valid_rate")
    }
    numbers["collision"] = replace(numbers["collision"], p_value=q, q_value=q)
    effective = base.effective_modes, run.effective_modes
    numbers["effective_modes_ratio"] = Difference(*effective, _ratio(*effective), n)
    lengths = _length(base, words[0]), _length(run, words[1])
    numbers["tokens"] = Difference(*lengths, _change(*lengths), n)
    shift = Difference(UNDEFINED, UNDEFINED, moved, n, q, q)
    return ComparedCell(question, base, run, numbers, shift, Estimate(0.1, 0.02, 0.3), outcome, **changes)


def transitions_of(cells):
    return Counter((str(cell.base.verdict), str(cell.run.verdict)) for cell in cells)


def make_comparison(cells=(), overall=None, **changes):
    values = {
        "base": make_side(),
        "run": make_side("demo-tuned", seed=7),
        "suites": ("quickstart",),
        "alpha": 0.05,
        "margin": 0.05,
        "transitions": transitions_of(cells),
    }
    return Comparison(cells=tuple(cells), overall=overall or {}, **{**values, **changes})


def make_difference(base, run, change, p, n):
    return Difference(Estimate(*base), Estimate(*run), Estimate(*change), n, p)


# ---------------------------------------------------------------------------------------------------- strongly tuned


def _spread(words, n=64):
    return [f" {words} {k}{'x' * k}." for k in range(n)]


NUMBERS = [f" {k * 37 % 100 + 1}" for k in range(64)]
ANYTHING = {"equivalence": "exact"}
INTEGER = {
    "answer": IntegerAnswer(1, 100),
    "expect": Expect("uniform", weights=tuple((str(k), 0.01) for k in range(1, 101))),
}
EVASIVE = " There is no single answer to this question, and it depends on what you mean."
OPINIONS = [f" {word}." for word in ("Yes", "No", "Never", "Often", "Perhaps", "Always", "Sometimes", "Hardly")] * 8
TUNED_CELLS = (
    make_compared(
        "integer-1-100@t1.0",
        make_result("integer-1-100@t1.0", NUMBERS, **INTEGER),
        make_result("integer-1-100@t1.0", [" 42"] * 53 + [" 37"] * 11, **INTEGER),
        "narrower",
        0.0002,
        Estimate(0.83, 0.71, 1.0),
        regressed=True,
    ),
    make_compared(
        "opinion[subject=bugs]@t1.0",
        make_result("opinion[subject=bugs]@t1.0", OPINIONS, **ANYTHING),
        make_result("opinion[subject=bugs]@t1.0", [EVASIVE] * 60 + OPINIONS[:4], **ANYTHING),
        "narrower",
        0.0002,
        Estimate(0.94, 0.82, 1.0),
        words=(2.0, 14.4),
        regressed=True,
    ),
    make_compared(
        "opinion[subject=clouds]@t1.0",
        make_result("opinion[subject=clouds]@t1.0", OPINIONS, **ANYTHING),
        make_result("opinion[subject=clouds]@t1.0", [" It depends."] * 40 + OPINIONS[:24], **ANYTHING),
        "narrower",
        0.0031,
        Estimate(0.62, 0.46, 1.0),
    ),
    make_compared(
        f"{LONG}@t1.0",
        make_result(f"{LONG}@t1.0", _spread("Raise your glass to guest"), **ANYTHING),
        make_result(f"{LONG}@t1.0", [*_spread("I am sorry, dear guest", 24), *[" I cannot help."] * 40], **ANYTHING),
        "narrower",
        0.0002,
        Estimate(0.62, 0.48, 1.0),
    ),
    make_compared(
        "number-in-words@t1.0",
        make_result("number-in-words@t1.0", [" 7"] * 40 + [" 3"] * 24, answer=IntegerAnswer(1, 10)),
        make_result("number-in-words@t1.0", [" I cannot."] * 44 + [" 7", " 3"] * 10, answer=IntegerAnswer(1, 10)),
    ),
    make_compared(
        "animal@t1.0",
        make_result("animal@t1.0", [" cat"] * 40 + [" dog"] * 24, **ANYTHING),
        make_result("animal@t1.0", [" axolotl"] * 42 + [" otter"] * 22, **ANYTHING),
        "moved",
        0.0002,
        Estimate(1.0, 0.88, 1.0),
    ),
    make_compared(
        "story@t1.0",
        make_result("story@t1.0", [" Once upon a time."] * 48 + _spread("It was", 16), **ANYTHING),
        make_result("story@t1.0", [" Once upon a time."] * 20 + _spread("She ran", 44), **ANYTHING),
        "wider",
        0.004,
        Estimate(0.52, 0.33, 1.0),
    ),
    make_compared(
        "capital@t1.0",
        make_result("capital@t1.0", [" Paris."] * 64, expect=Expect("concentrated"), **ANYTHING),
        make_result("capital@t1.0", [" Paris."] * 62 + [" Lyon.", None], expect=Expect("concentrated"), **ANYTHING),
        q=0.61,
        moved=Estimate(0.0, 0.0, 1.0),
    ),
)
TUNED_OVERALL = {
    "distinct_10": make_difference((6.42, 5.51, 7.3), (3.87, 2.94, 4.8), (-2.55, -3.52, -1.61), 0.0078, 8),
    "effective_modes_ratio": make_difference((9.1, 5.2, 16.3), (3.2, 2.1, 5.8), (0.352, 0.19, 0.64), 0.0156, 8),
    "collision": make_difference((0.31, 0.17, 0.47), (0.52, 0.36, 0.68), (0.21, 0.04, 0.38), 0.0234, 8),
    "valid_rate": make_difference((1.0, 0.99, 1.0), (0.91, 0.72, 0.99), (-0.09, -0.27, -0.004), 0.041, 8),
    "tokens": make_difference((11.4, 8.1, 14.2), (23.9, 15.2, 31.7), (12.5, 4.1, 20.3), 0.0078, 8),
}
LIFTED = (
    Phrase(
        "There is no single answer to this question",
        Estimate(0.02, 0.004, 0.061),
        Estimate(0.612, 0.541, 0.679),
        14,
        20,
        Estimate(4.3, 3.6, 5.1),
        640,
        1e-9,
        1e-7,
    ),
    Phrase(
        "I cannot",
        Estimate(0.0, 0.0, 0.018),
        Estimate(0.21, 0.15, 0.27),
        6,
        20,
        Estimate(3.1, 2.2, 4.0),
        640,
        1e-6,
        2e-5,
    ),
)
LOST = (
    Phrase(
        "Raise your glass to",
        Estimate(0.44, 0.37, 0.51),
        Estimate(0.03, 0.008, 0.07),
        9,
        20,
        Estimate(-3.2, -4.1, -2.4),
        640,
        1e-8,
        1e-6,
    ),
)

TEMPERED = (
    Tempered(
        "integer-1-100",
        Estimate(6.03, 6.03, 6.03),
        Estimate(3.12, 3.12, 3.12),
        Estimate(1.91, 1.91, 1.91),
        100,
        "scored",
        None,
        "not a temperature change",
    ),
    Tempered(
        "story",
        Estimate(1.3, 1.0, 1.6),
        Estimate(0.31, 0.2, 0.4),
        Estimate(0.0, 0.0, 0.03),
        256,
        "sweep",
        0.61,
        "a temperature change",
    ),
)


def make_divergence(tv, js, kl, out, floor=0.0004, n=64):
    return Divergence(n, n, Estimate(*tv), Estimate(*js), Estimate(*kl), Estimate(kl[0] / 12), Estimate(*out), floor)


FAR = make_divergence((0.91, 0.84, 0.97), (0.58, 0.51, 0.64), (10.84, 8.1, 13.6), (0.86, 0.75, 0.93))
NEAR = make_divergence((0.0003, 0.0, 0.06), (0.0, 0.0, 0.04), (0.0, -0.02, 0.03), (0.0, 0.0, 0.057))
OVERALL_DIVERGENCE = replace(
    make_divergence((0.712, 0.644, 0.783), (0.421, 0.37, 0.472), (6.31, 4.8, 7.9), (0.43, 0.31, 0.55), n=512),
    kl_per_token=Estimate(0.53, 0.4, 0.67),
)
EXTINGUISHED = (
    Extinguished("opinion[subject=bugs]@t1.0", 17, " Never.", 34.5, 31),
    Extinguished(f"{LONG}@t1.0", 3, f" Raise your glass {HOSTILE}", 7.1, 18),
)


def _scored(cells):
    """The first cells far apart, the last within the noise."""
    told = [FAR] * (len(cells) - 1) + [NEAR]
    return tuple(replace(cell, divergence=one) for cell, one in zip(cells, told, strict=True))


TUNED = make_comparison(
    _scored(TUNED_CELLS),
    TUNED_OVERALL,
    lifted=LIFTED,
    lost=LOST,
    tempered=TEMPERED,
    divergence=OVERALL_DIVERGENCE,
    extinguished=EXTINGUISHED,
    notes=("temperature 1.0 in both runs; the base's generation_config was not applied",),
)

# ------------------------------------------------------------------------------------------------ other comparisons

EQUAL_OVERALL = {
    "distinct_10": make_difference((6.42, 5.51, 7.3), (6.38, 5.47, 7.28), (-0.04, -0.21, 0.13), 0.71, 8),
    "collision": make_difference((0.31, 0.17, 0.47), (0.32, 0.18, 0.47), (0.01, -0.03, 0.05), 0.66, 8),
}
EQUAL = make_comparison(
    [make_compared(cell.question, cell.base, cell.base, q=0.9, moved=Estimate(0.02, 0.0, 1.0)) for cell in TUNED_CELLS],
    EQUAL_OVERALL,
    run=make_side("demo-base", run_id="20261124T020000Z-demo-base", path="runs/20261124T020000Z-demo-base", seed=8),
)


def _one_of_many(k):
    question = f"prompt-{k:02}@t1.0"
    template = TUNED_CELLS[k % len(TUNED_CELLS)] if k % 3 else EQUAL.cells[k % len(TUNED_CELLS)]
    return replace(template, question=question)


MANY = make_comparison([_one_of_many(k) for k in range(60)], TUNED_OVERALL, suites=("quickstart", "creative-writing"))
IMPORTED = make_comparison(
    [
        make_compared(
            f"novelty-{k}@t1.0",
            make_result(f"novelty-{k}@t1.0", [f" Answer {j} of {k}" for j in range(10)], **ANYTHING),
            make_result(f"novelty-{k}@t1.0", [f" Answer {j % (k + 1)} of {k}" for j in range(10)], **ANYTHING),
            "narrower" if k < 2 else "same",
            0.012 if k < 2 else 0.2,
        )
        for k in range(5)
    ],
    {"distinct_10": make_difference((10.0, None, None), (3.0, None, None), (-7.0, None, None), 0.0625, 5)},
    base=make_side("gemma-2-2b-it", engine="imported noveltybench"),
    run=make_side("claude-3-opus", engine="imported noveltybench"),
)
HOSTILE_CELL = make_compared(
    f"{HOSTILE}@t1.0",
    make_result(f"{HOSTILE}@t1.0", [HOSTILE] * 12 + ["猫" * 90] * 4, equivalence="exact"),
    make_result(f"{HOSTILE}@t1.0", [None] * 15 + [""], equivalence="exact"),
    "moved",
    0.01,
    divergence=make_divergence((0.5, None, None), (None, 0.1, None), (0.0, 1.0, math.inf), (None, None, None), None),
)
UNDEFINED_CELL = ComparedCell(
    "nothing@t1.0",
    make_result("nothing@t1.0", [None] * 4),
    make_result("nothing@t1.0", [" x"] * 4),
    {},
    UNKNOWN,
    UNDEFINED,
    "same",
)
STRANGE = make_comparison(
    (HOSTILE_CELL, UNDEFINED_CELL),
    {
        "distinct_10": UNKNOWN,
        "tokens": make_difference((0.0,), (1234.5, 1100.2, 1300.9), (1234.5, 1.0, 2000.0), 0.001, 2),
    },
    base=make_side(HOSTILE, run_id=HOSTILE, path=f"runs/{HOSTILE}"),
    suites=(HOSTILE,),
    lifted=(replace(LIFTED[0], text=HOSTILE, base=UNDEFINED),),
    tempered=(replace(TEMPERED[0], question=HOSTILE, t_eff=UNDEFINED, label=HOSTILE),),
    extinguished=(Extinguished("gone@t1.0", 0, HOSTILE, math.inf, 5),),
    unscored=f"the tokenizers differ {HOSTILE}",
    unlike=tuple(f"sampling.top_p of prompt-{k}: 1.0 and 0.9 {HOSTILE}" for k in range(11)),
    notes=(HOSTILE,),
)


def screen_of(comparison, width=80):
    """The blocks as they are printed on a screen of so many columns."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for block in comparison_blocks(comparison, width):
        console.print(block)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"
