"""Contrasts of every kind, as a run would have them, with hostile text in their labels."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial

from makers import make_cell, make_completion
from rich.console import Console

from collapsecli.judge import judge_cell
from collapsecli.records import UNDEFINED, Conclusions, Contrast, DrawsCheck, Estimate, Rules
from collapsecli.report.contrasts import contrast_blocks

HOSTILE = "\x1b[31m[/INST] the\u202e end\n\nof it"
TOAST, MURDERER, CUT = "toast@t1.0", "toast/murderer@t1.0", "toast/cut@t1.0"
LONG = "toast/a-very-long-injection-name-that-does-not-fit@t1.0"
BUGS = "opinion[subject=bugs]"


def make_row(kind, subject, metric, estimate=UNDEFINED, n=64, **changes):
    """A contrast; `estimate` is its value, with or without both ends."""
    found = estimate if isinstance(estimate, Estimate) else Estimate(*estimate)
    return Contrast(kind, changes.pop("suite", "quickstart"), subject, metric, found, n, **changes)


def make_curve(kind, subject, metric, places, n=64, **changes):
    """One row for each place of a curve."""
    return [make_row(kind, subject, metric, estimate, n, at=at, **changes) for at, estimate in places.items()]


def make_sweep(subject, shares, label, n=64):
    """What is left of the mode of T 1.0 at each temperature."""
    rows = make_curve("temperature", subject, "reference_mode", shares, n, label=label)
    return [replace(row, cell_id=f"{subject}@t{row.at}", other_cell_id=f"{subject}@t1.0") for row in rows]


def by_sentence(estimates):
    return {float(sentence): estimate for sentence, estimate in enumerate(estimates, start=1)}


# ----------------------------------------------------------------------------------------------------- temperature

INTEGER = {0.7: (1.0, 0.943, 1.0), 1.0: (0.875, 0.768, 0.945), 1.4: (0.609, 0.479, 0.729), 1.9: (0.297, 0.189, 0.425)}
INTEGER_MODES = {0.7: (1.0, 1.0, 1.13), 1.0: (1.31, 1.11, 1.73), 1.4: (2.44, 1.72, 4.21), 1.9: (8.12, 4.55, 17.9)}
INTEGER_DEGENERATE = {0.7: (0.0, 0.0, 0.057), 1.4: (0.0, 0.0, 0.057), 1.9: (0.125, 0.055, 0.232)}
INTEGER_PREDICTED = {0.7: (0.987,) * 3, 1.0: (0.881,) * 3, 1.4: (0.702,) * 3, 1.9: (0.553,) * 3}
OPINION = {0.7: (0.984, 0.916, 1.0), 1.0: (0.969, 0.891, 0.997), 1.4: (0.938, 0.847, 0.983), 1.9: (0.891, 0.787, 0.955)}
OPINION_MODES = {0.7: (1.03,), 1.0: (1.06,), 1.4: (1.13,), 1.9: (1.25,)}
OPINION_PREDICTED = {0.7: (None, 0.96, 1.0), 1.4: (None, 0.41, 0.98), 1.9: (None, 0.12, 0.95)}
DIE = {0.0: (1.0, 0.025, 1.0), 0.7: (0.41, 0.28, 0.54), 1.0: (0.3, 0.19, 0.42)}
TEMPERATURE = (
    *make_sweep("integer-1-100", INTEGER, "37"),
    *make_curve("temperature", "integer-1-100", "effective_modes", INTEGER_MODES),
    *make_curve("temperature", "integer-1-100", "degenerate", INTEGER_DEGENERATE),
    *make_curve("temperature", "integer-1-100", "predicted_mode", INTEGER_PREDICTED, label="scored"),
    make_row("temperature", "integer-1-100", "persistence", (-0.256, -0.364, -0.128), at=1.9, label="scored"),
    make_row("temperature", "integer-1-100", "t_half", (1.534, 1.0, 1.9), 256),
    *make_sweep(BUGS, OPINION, f"There is no single answer {HOSTILE}"),
    *make_curve("temperature", BUGS, "effective_modes", OPINION_MODES),
    *make_curve("temperature", BUGS, "predicted_mode", OPINION_PREDICTED, label="bounds"),
    make_row("temperature", BUGS, "persistence", (None, 0.02, 0.31), at=1.9, label="bounds"),
    make_row("temperature", BUGS, "t_half", (None, 1.9, None), 256, label="above 1.9"),
    *(replace(row, n=64 if row.at else 1) for row in make_sweep("d6", DIE, "6")),
)

# -------------------------------------------------------------------------------- injection, certainty and restart

BACK = by_sentence([(0.42, 0.29, 0.55), (0.81, 0.69, 0.9), (0.95, 0.87, 0.99), *[(0.984, 0.916, 1.0)] * 5])
ESCAPED = by_sentence([(0.0, 0.0, 0.057), (0.03, 0.003, 0.11), (0.05, 0.01, 0.14), *[(0.06, 0.017, 0.153)] * 5])
CEILING = by_sentence([(0.91, 0.75, 0.98), *[(0.969, 0.83, 1.0)] * 7])
FLOOR = by_sentence([(0.0, 0.0, 0.057), *[(0.016, 0.0004, 0.084)] * 7])
_to_murderer = partial(make_row, "injection", MURDERER, cell_id=MURDERER, other_cell_id=TOAST)
INJECTION = (
    *make_curve("injection", MURDERER, "returned", BACK, cell_id=MURDERER, other_cell_id=TOAST),
    *make_curve("injection", MURDERER, "ceiling", CEILING, 32, cell_id=MURDERER, other_cell_id=TOAST),
    *make_curve("injection", MURDERER, "floor", FLOOR, cell_id=MURDERER, label="opinion"),
    _to_murderer("half_life", (1.21, 0.98, 1.52), 131),
    _to_murderer("same_ending", (0.984, 0.916, 1.0), label=f"Raise your glass! {HOSTILE}"),
    _to_murderer("same_ending_plain", (1.0, 0.891, 1.0), 32),
    _to_murderer("same_ending_difference", (-0.016, -0.084, 0.093), p_value=1.0, q_value=1.0),
    *make_curve("injection", LONG, "returned", ESCAPED, cell_id=LONG, other_cell_id=TOAST),
    *make_curve("injection", LONG, "ceiling", CEILING, 32, cell_id=LONG, other_cell_id=TOAST),
    make_row("injection", LONG, "floor", label="no other prompt to hold it against"),
    make_row("injection", LONG, "half_life", (52.3, 21.4, None), 300),
)


def make_surprisal(injected, after, plain):
    """The surprisal along an injected cell and along the plain one."""
    along = partial(make_curve, "certainty", injected, "surprisal", other_cell_id=TOAST)
    return (*along(after, cell_id=injected), *along(plain, cell_id=TOAST))


SURE = {8.0 * k: (0.05 + 0.01 * (k % 3), 0.021, 0.092) for k in range(16)}
SHOCKED = {8.0 * k: (0.06 + 2.2 * 0.5**k, 0.04 + 1.6 * 0.5**k, 0.1 + 2.9 * 0.5**k) for k in range(14)}
CERTAINTY = (
    *make_surprisal(MURDERER, SHOCKED, SURE),
    make_row("certainty", MURDERER, "surprisal_difference", (0.418, 0.123, 0.711), cell_id=MURDERER),
    *make_surprisal(LONG, SURE, SURE),
    make_row("certainty", LONG, "surprisal_difference", (-0.004, -0.061, 0.052), cell_id=LONG),
)


def make_restarts(cell_id, estimate, label="", n=64):
    return make_row("restart", cell_id, "restarts", estimate, n, cell_id=cell_id, label=label)


def make_restart_difference(cell_id, estimate, p_value, q_value=None):
    beside = {"cell_id": cell_id, "other_cell_id": TOAST, "p_value": p_value, "q_value": q_value}
    return make_row("restart", cell_id, "restart_difference", estimate, **beside)


RESTART = (
    make_restarts(TOAST, (0.0, 0.0, 0.057)),
    make_restarts(MURDERER, (0.25, 0.15, 0.374), f"The End {HOSTILE}"),
    make_restart_difference(MURDERER, (0.25, 0.133, 0.374), 1e-5, 2e-5),
    make_restarts(CUT, (0.0, 0.0, 0.057)),
    make_restart_difference(CUT, (0.0, -0.057, 0.057), 1.0, 1.0),
)

# -------------------------------------------------------------------------------- variants, sameness and roads

WORDINGS = {
    "format=qa,wording=1": (0.88, 0.77, 0.95),
    "format=qa,wording=2": (0.7, 0.57, 0.81),
    "format=chat,wording=1": (0.12, 0.05, 0.23),
}
_of_integer = partial(make_row, "variants", "integer-1-100")
VARIANTS = (
    _of_integer("pooled_mode_mass", (0.61, 0.504, 0.722), 192, label="37"),
    _of_integer("pooled_verdict", label="collapsed"),
    *(_of_integer("others_mode", held, cell_id=f"integer[{name}]", label=name) for name, held in WORDINGS.items()),
    _of_integer("others_say", cell_id="integer[format=qa,wording=2]", label=f"72 {HOSTILE}"),
    _of_integer("stability", (0.57, 0.491, 0.633), 192),
    _of_integer("escapes", (-0.67, -0.79, -0.52), label="format=chat,wording=1"),
    _of_integer("agreement_within", (0.65, 0.543, 0.745), 96),
    _of_integer("agreement_between", (0.41, 0.305, 0.518), 96),
)
_of_all = partial(make_row, "sameness", "all prompts", n=320)
SAMENESS = (
    _of_all("same_opening_between", (0.61, 0.554, 0.664), label=f"there is no single {HOSTILE}"),
    _of_all("same_opening_within", (0.7, 0.646, 0.75)),
    _of_all("same_ending_between", (0.03, 0.014, 0.056), label="what do you think"),
    _of_all("same_ending_within", (0.22, 0.175, 0.27)),
    _of_all("same_text_between", (0.44, 0.385, 0.497)),
    _of_all("same_text_within", (0.71, 0.657, 0.76)),
    _of_all("shared_phrase", (0.44, 0.38, 0.502), at=5.0, label="there is no single answer to"),
    _of_all("shared_phrase", (0.13, 0.095, 0.172), at=3.0, label="it depends on \x07 how you"),
    make_row("sameness", TOAST, "copied", (0.344, 0.23, 0.473)),
    make_row("sameness", "integer-1-100@t1.0", "copied", (0.0, 0.0, 0.057)),
    make_row("sameness", f"{BUGS}@t1.0", "copied", (0.0, 0.0, 0.109), 32),
)


def make_road(text, logprob_nats, tokens):
    """The rows of one continuation."""
    rate = logprob_nats / -tokens
    return (
        make_row("roads", f"{BUGS}@t1.0", "road_logprob", (logprob_nats,) * 3, 1, label=text),
        make_row("roads", f"{BUGS}@t1.0", "road_nats_per_token", (rate,) * 3, tokens, label=text),
    )


_of_bugs = partial(make_row, "roads", f"{BUGS}@t1.0")
ROADS = (
    *make_road(" Yes, they are.", -8.35, 5),
    *make_road(f" No. {HOSTILE}", -21.7, 9),
    _of_bugs("road_covered", label=" Yes, they are. And so begins with  Yes, they are."),
    _of_bugs("road_logprob", label=f"{'a' * 20}: not scored, longer than the model's context"),
    _of_bugs("roads_logprob", (-8.349,) * 3, 2),
    _of_bugs("roads_mass", (0.000237,) * 3, 2),
    _of_bugs("roads_drawn", (0.0, 0.0, 0.057)),
)
ROWS = (*TEMPERATURE, *INJECTION, *CERTAINTY, *RESTART, *VARIANTS, *SAMENESS, *ROADS)


# ----------------------------------------------------------------------------------------------------- the screen


def _result(cell_id):
    cell = make_cell(cell_id, samples=2)
    return judge_cell(cell, [make_completion(cell_id, k) for k in range(2)], Rules())


SWEPT = ("integer-1-100@t1.0", "integer-1-100@t1.9", f"{BUGS}@t1.0", f"{BUGS}@t1.9")
RESULTS = tuple(map(_result, (TOAST, MURDERER, CUT, LONG, *SWEPT)))


def make_conclusions(contrasts=ROWS):
    """A run with these contrasts; of its cells, two prompts were sampled at several temperatures."""
    return Conclusions(
        run_id="20261123T020000Z-7q3f",
        path="runs/20261123T020000Z-7q3f",
        suites=("quickstart",),
        models=("demo-tuned",),
        engine="vllm 0.32.0",
        seed=7,
        alpha=0.05,
        planned=2 * len(RESULTS),
        saved=2 * len(RESULTS),
        results=RESULTS,
        draws=DrawsCheck(),
        surplus_p_value=None,
        notes=(),
        contrasts=tuple(contrasts),
    )


def screen_of(contrasts=ROWS, width=80):
    """The blocks as they are printed on a screen of so many columns."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for block in contrast_blocks(make_conclusions(contrasts), width):
        console.print(block)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"
