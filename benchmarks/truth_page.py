"""The tables of docs/truth.md, from the figures that the benchmarks have stored."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from figures import FIGURES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

PAGE = Path(__file__).parents[1] / "docs" / "truth.md"
NOT_YET = "*Not measured yet.*"
Figures = dict[str, Any]


def write(figures: Figures) -> None:
    """Replace every table of the page."""
    text = PAGE.read_text("utf-8")
    for name, block in BLOCKS.items():
        text = replaced(text, name, block(figures))
    PAGE.write_text(text, encoding="utf-8")
    print(f"{PAGE} written")


def replaced(text: str, name: str, block: str) -> str:
    """The text with a new block between the marks of a name."""
    mark, end = f"<!-- {name}: written by benchmarks/truth.py -->\n", "<!-- end -->"
    before, found, rest = text.partition(mark)
    if not found or end not in rest:
        sys.exit(f"{PAGE} has no place for {name}")
    return f"{before}{mark}{block}\n{rest[rest.index(end) :]}"


# -------------------------------------------------------------------------------------------------------------- tables


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A Markdown table whose first columns are words and whose others are numbers."""
    rule = ["---"] * words + ["--:"] * (len(headings) - words)
    return "\n".join("| " + " | ".join(row) + " |" for row in (headings, rule, *rows))


def percent(share: float | None, digits: int = 2) -> str:
    """A share in per cent; a dash for none."""
    return "–" if share is None else f"{100 * share:.{digits}f}%"


def verdict(ok: object) -> str:
    """The last column of a row."""
    return "ok" if ok else "**NOT**"


# ---------------------------------------------------------------------------------------------------------- the rule

_PLANS = ("N = 16", "N = 64", "N = 256", "adaptive, diverse", "adaptive, none")


def rule(figures: Figures) -> str:
    """Wrong labels of each distribution."""
    by_regime: dict[str, dict[str, Figures]] = {}
    for row in figures["rule"]:
        by_regime.setdefault(row["regime"], {})[row["plan"]] = row
    lines = [
        (
            name, f"{_one(plans)['mode_mass']:.4g}", *(percent(plans[plan]["wrong"]) for plan in _PLANS),
            percent(max(row["standard_error"] for row in plans.values())),
            verdict(all(row["ok"] for row in plans.values())),
        )
        for name, plans in by_regime.items()
    ]  # fmt: skip
    most = max(figures["rule"], key=lambda row: row["wrong"])
    said = (
        f"{figures['runs']:,} runs of each of {len(by_regime)} distributions. The most: {percent(most['wrong'])} "
        f"({most['regime']}, {most['plan']})."
    )
    headings = ("answers", "M", *_PLANS, "s.e. at most", "at most 5%")
    return f"{said}\n\n{table(headings, lines)}"


def _one(plans: Mapping[str, Figures]) -> Figures:
    return next(iter(plans.values()))


def losses(figures: Figures) -> str:
    """Wrong labels where draws are lost."""
    lines = [
        (row["regime"], row["plan"], f"{row['runs']:,}", percent(row["wrong"]), percent(row["standard_error"]),
         _said(row["labels"]), verdict(row["ok"]))
        for row in figures["losses"]
    ]  # fmt: skip
    return table(("M", "plan", "runs", "wrong", "s.e.", "says", "at most 5%"), lines, 2)


def _said(labels: Mapping[str, float]) -> str:
    return ", ".join(f"{label} {100 * share:.0f}%" for label, share in labels.items() if share >= 0.005)


def balls(figures: Figures) -> str:
    """Wrong labels and coverage of a relation that is no equivalence."""
    held = {
        (group["plan"], regime): share for group in figures["coverage of relation"]
        for regime, share in group["held"].items()
    }  # fmt: skip
    lines = [
        (row["regime"], row["plan"], f"{row['runs']:,}", percent(row["wrong"]), percent(row["standard_error"]),
         _said(row["labels"]), percent(held[row["plan"], row["regime"]], 1), verdict(row["ok"]))
        for row in figures["balls"]
    ]  # fmt: skip
    return table(
        ("answers on a circle", "plan", "runs", "wrong", "s.e.", "says", "interval holds", "at most 5%"), lines, 2
    )


def decisions(figures: Figures) -> str:
    """Decided shares and mean draws."""
    lines = [
        (f"{row['mode_mass']:g}", f"{row['runs']:,}", percent(row["decided"], 1), percent(row["earlier_decided"], 1),
         percent(row["standard_error"], 1), f"{row['mean_draws']:.1f}", f"{row['earlier_draws']}", verdict(row["ok"]))
        for row in figures["decisions"]
    ]  # fmt: skip
    headings = ("M", "runs", "decided", "earlier", "s.e.", "mean draws", "earlier", "within 10%")
    return table(headings, lines)


def judge(figures: Figures) -> str:
    """The cross-checks with the judge and with the schedule, in words."""
    (by_rule, declared), (schedule,) = figures["judge"], figures["schedule"]
    return (
        f"- {by_rule['cells']:,} cells of {by_rule['regimes']} distributions, fixed and adaptive, as completions "
        f"through `judge`: another label, look, flag, p-value or interval in **{by_rule['differ']}**.\n"
        f"- {declared['cells']:,} cells of {declared['regimes']} declared distributions through `judge`: another label "
        f"or flag in **{declared['differ']}**.\n"
        f"- {schedule['families']} families of {schedule['cells'] // schedule['families']} cells through the schedule "
        f"of a run: another number of draws, label, flag or withheld flag in **{schedule['differ']}** of "
        f"{schedule['cells']:,} cells ({schedule['took_further_looks']} of them took further looks for their family)."
    )


def declared(figures: Figures) -> str:
    """Flagged and cleared cells of declared distributions."""
    by_case: dict[str, list[Figures]] = {}
    for row in figures["declared"]:
        by_case.setdefault(row["case"], []).append(row)
    lines = [
        (name, _shares(rows, "flagged"), _shares(rows, "earlier_flagged"), _shares(rows, "cleared"),
         _shares(rows, "earlier_cleared"), percent(max(row["wrong"] for row in rows)),
         percent(max(row["standard_error"] for row in rows)), verdict(all(row["ok"] for row in rows)))
        for name, rows in by_case.items()
    ]  # fmt: skip
    headings = ("drawn", "flagged", "earlier", "cleared", "earlier", "wrong at most", "s.e.", "verdict")
    by_plan = {row["plan"]: row["runs"] for row in figures["declared"]}
    said = " / ".join(f"{plan} ({runs:,} runs)" for plan, runs in by_plan.items())
    return f"Shares at {said}.\n\n{table(headings, lines)}"


def _shares(rows: Sequence[Figures], column: str) -> str:
    shares = (row[column] for row in rows if row[column] is not None)
    return " / ".join(f"{share:.3f}".rstrip("0").rstrip(".") for share in shares) or "–"


# ----------------------------------------------------------------------------------------------------------- intervals

_COVERED = ("counts", "valid_rate", "distance", "tokens", "openings")


def coverage(figures: Figures) -> str:
    """Coverage of every interval with an error rate."""
    groups = [group for name in _COVERED for group in figures[f"coverage of {name}"]]
    groups.sort(key=lambda group: (_ORDER.index(group["interval"]), _draws(group["plan"])))
    lines = [
        (f"`{group['interval']}`", group["plan"], f"{group['runs']:,}", f"{len(group['held'])}",
         percent(group["lowest"], 1), percent(group["standard_error"], 1), percent(group["median"], 1),
         _width(group), f"{len(group['below_nominal'])}", _outcome(group))
        for group in groups
    ]  # fmt: skip
    headings = (
        "interval", "plan", "runs", "distributions", "lowest", "s.e.", "median", "mean width", "below 95%", "verdict",
    )  # fmt: skip
    return table(headings, lines, 2)


def _outcome(group: Figures) -> str:
    return "below nominal" if group["ok"] and group["below_nominal"] else verdict(group["ok"])


def _width(group: Figures) -> str:
    has_mean = group["mean_width"] is not None and group["interval"] != "effective_modes"
    return f"{group['mean_width']:.3g}" if has_mean else "–"


_ORDER = (
    "mode_mass", "mode share", "collision", "effective_modes", "distinct_10", "coverage", "valid_rate",
    "total_variation", "token_rate", "branching_factor", "near_certain", "opening_tokens",
)  # fmt: skip


def _draws(plan: str) -> int:
    return int(plan.removeprefix("N = ")) if plan.startswith("N = ") else 1 << 20


def below_nominal(figures: Figures) -> str:
    """Every interval that holds the truth less often than it says."""
    return _below_nominal([group for name in _COVERED for group in figures[f"coverage of {name}"]])


def _below_nominal(groups: Sequence[Figures]) -> str:
    rows = sorted((row for group in groups for row in group["below_nominal"]), key=lambda row: row["held"])
    lines = [
        (f"`{row['interval']}`", row["regime"], row["plan"], f"{row['runs']:,}", percent(row["held"], 1),
         percent(row["standard_error"], 1), percent(row["floor"], 1),
         "below nominal" if row["outcome"] == "below nominal" else "**NOT**")
        for row in rows
        if row["interval"] != "effective_modes"
    ]  # fmt: skip
    headings = ("interval", "answers", "plan", "runs", "holds the truth", "s.e.", "admitted", "verdict")
    return table(headings, lines, 3) if lines else "None."


def certain(figures: Figures) -> str:
    """Claims that are said to be certain."""
    by_regime: dict[str, list[Figures]] = {}
    for row in figures["certain"]:
        by_regime.setdefault(row["regime"], []).append(row)
    lines = [
        (name, ", ".join(row["plan"].removeprefix("N = ") for row in rows), f"{sum(row['runs'] for row in rows):,}",
         f"{sum(row['claims'] for row in rows):,}", f"{sum(row['false'] for row in rows)}",
         verdict(all(row["ok"] for row in rows)))
        for name, rows in by_regime.items()
    ]  # fmt: skip
    return table(("sequences", "N", "runs", "claims", "false", "verdict"), lines)


def bias(figures: Figures) -> str:
    """The bias of the unbiased estimates."""
    groups: dict[tuple[str, str], list[Figures]] = {}
    for row in figures["bias"]:
        groups.setdefault((row["estimate"], row["plan"]), []).append(row)
    lines = [
        (f"`{estimate}`", plan, f"{rows[0]['runs']:,}", f"{len(rows)}",
         f"{max(abs(row['in_standard_errors']) for row in rows):.2f}",
         f"{sum(abs(row['in_standard_errors']) > 2 for row in rows)}",
         f"{sum(row['again'] for row in rows)}", verdict(all(row["ok"] for row in rows)))
        for (estimate, plan), rows in groups.items()
    ]  # fmt: skip
    headings = (
        "estimate",
        "plan",
        "runs",
        "distributions",
        "largest bias (s.e.)",
        "beyond 2 s.e.",
        "drawn again",
        "within 3 s.e.",
    )
    return table(headings, lines, 2)


# ------------------------------------------------------------------------------------------------------------ families


def families(figures: Figures) -> str:
    """False discoveries among many cells."""
    lines = [
        (f"{row['cells']:,}", percent(row["share"], 0), f"{row['families']:,}", percent(row["false_by_label"], 1),
         percent(row["false"]), percent(row["standard_error"]), percent(row["power_without"], 1),
         percent(row["power"], 1), f"{100 * (row['draws'] - 1):+.1f}%", f"{row['mean_draws']:.0f}", verdict(row["ok"]))
        for row in figures["families"]
    ]  # fmt: skip
    headings = (
        "cells", "collapsed", "families", "false among labels", "false among flags", "s.e.",
        "found without further looks", "found", "draws", "draws a cell", "verdict",
    )  # fmt: skip
    return table(headings, lines)


# ---------------------------------------------------------------------------------------------- the other benchmarks


def stored(name: str, said: Callable[[Figures], str]) -> str:
    """What other figures say, if they are there."""
    path = FIGURES / f"{name}.json"
    return said(json.loads(path.read_text("utf-8"))) if path.exists() else NOT_YET


def contrasts(_figures: Figures) -> str:
    """Coverage of every interval of a contrast."""
    return stored("contrasts", _coverage_by_kind)


def _coverage_by_kind(found: Figures) -> str:
    groups = [
        (name.removeprefix("coverage of "), group)
        for name, rows in found.items()
        if name.startswith("coverage of ")
        for group in sorted(rows, key=lambda one: (one["interval"], _first_number(one["plan"]), one["plan"]))
    ]
    lines = [
        (kind, f"`{group['interval']}`", group["plan"], f"{group['runs']:,}", f"{len(group['held'])}",
         percent(group["lowest"], 1), percent(group["standard_error"], 1), percent(group["median"], 1),
         _width(group), _outcome(group))
        for kind, group in groups
    ]  # fmt: skip
    headings = ("kind", "interval", "plan", "runs", "laws", "lowest", "s.e.", "median", "mean width", "verdict")
    return table(headings, lines, 3)


def _first_number(plan: str) -> int:
    return int(next(iter(re.findall(r"\d+", plan)), 0))


def comparisons(_figures: Figures) -> str:
    """Coverage of every interval of two runs held against each other."""
    return stored("comparisons", _coverage_by_kind)


def comparisons_below(_figures: Figures) -> str:
    """Those of them that hold the truth less often than they say."""
    return stored("comparisons", _comparisons_below)


def _comparisons_below(found: Figures) -> str:
    return _below_nominal([group for name, rows in found.items() if name.startswith("coverage of ") for group in rows])


def errors(_figures: Figures) -> str:
    """How often the tests of two runs find what is not there."""
    return stored("comparisons", _errors)


def _errors(found: Figures) -> str:
    groups: dict[tuple[str, str], list[Figures]] = {}
    for row in found["errors"]:
        groups.setdefault((row["test"], row["plan"]), []).append(row)
    lines = []
    for (test, plan), rows in groups.items():
        most = max(rows, key=lambda row: row["share"])
        lines.append(
            (test, plan, most["regime"], f"{most['runs']:,}", f"{len(rows)}", percent(most["share"], 1),
             percent(most["standard_error"], 1), percent(most["bound"], 0), verdict(all(row["ok"] for row in rows)))
        )  # fmt: skip
    headings = ("test", "plan", "most often in", "runs", "laws", "finds something", "s.e.", "admitted", "verdict")
    return table(headings, lines, 3)


def alarms(_figures: Figures) -> str:
    """What is told of whole suites in which nothing differs."""
    return stored("comparisons", _alarms)


def _alarms(found: Figures) -> str:
    groups: dict[tuple[str, str], dict[str, Figures]] = {}
    for row in found["alarms"]:
        groups.setdefault((row["regime"], row["plan"]), {})[row["test"]] = row
    tests = tuple(dict.fromkeys(row["test"] for row in found["alarms"]))
    lines = [
        (regime, plan, f"{_one(of_suites)['runs']:,}",
         *(percent(of_suites[test]["share"], 1) if test in of_suites else "–" for test in tests),
         percent(max(row["standard_error"] for row in of_suites.values()), 1),
         verdict(all(row["ok"] for row in of_suites.values())))
        for (regime, plan), of_suites in groups.items()
    ]  # fmt: skip
    return table(("suites", "plan", "runs", *tests, "s.e. at most", "at most 5%"), lines, 2)


def told(_figures: Figures) -> str:
    """What is told of whole suites in which something differs."""
    return stored("comparisons", _told)


def _told(found: Figures) -> str:
    lines = [
        (row["change"], row["kind"], row["plan"], f"{row['cells']:,}", percent(row["told"], 1),
         percent(row["told_error"], 1), percent(row["noticed"], 1), percent(row["false"], 1),
         percent(row["false_error"], 1), percent(row["falsely_changed"], 1), percent(row["falsely_changed_error"], 1),
         percent(row["least"], 0) if row["least"] else "–", verdict(row["ok"]))
        for row in found["told"]
    ]  # fmt: skip
    headings = (
        "change", "answers", "plan", "changed cells", "told", "s.e.", "anything told", "false: narrower, wider", "s.e.",
        "false: changed", "s.e.", "at least", "verdict",
    )  # fmt: skip
    named = [
        (f"{row['run_share']:g}", row["plan"], f"{row['suites']:,}", percent(row["told"], 1),
         percent(row["told_error"], 1), f"{row['named']:,}", percent(row["false"], 1), percent(row["false_error"], 1),
         verdict(row["ok"]))
        for row in found["named"]
    ]  # fmt: skip
    of_phrases = ("share in the run", "plan", "suites", "named", "s.e.", "phrases", "false", "s.e.", "verdict")
    return f"{table(headings, lines, 3)}\n\n{table(of_phrases, named, 2)}"


def pair(_figures: Figures) -> str:
    """What the contrasts say of the bundled pair."""
    return stored("pair", _pair)


def _pair(found: Figures) -> str:
    lines = [
        (row["what"], f"{row['base']:.3f}", f"{row['tuned']:.3f}", f"{row['low']:+.3f} to {row['high']:+.3f}",
         verdict(row["ok"]))
        for row in found["rows"]
    ]  # fmt: skip
    return table(("number", "base", "tuned", "tuned - base", "verdict"), lines)


def elsewhere(_figures: Figures) -> str:
    """Figures of data that is not simulated: real draws, published answers, published decisions."""
    return "\n".join(
        (stored("coverage", _real_draws), stored("declared", _published_answers), stored("novelty", _classifier))
    )


def _real_draws(found: Figures) -> str:
    models = [name for name in found if name.startswith("demo-")]
    held = "; ".join(f"{found[name]['held']} of {found[name]['cells']} cells of {name}" for name in models)
    return (
        f"- **Real draws.** The bundled models, whose distribution of whole answers is known from their weights, "
        f"sampled on vLLM ({found['seeds']} seeds of {len(found['prompts'])} prompts, {found['samples']} draws): the "
        f"printed interval holds the true mode mass in {held} (`benchmarks/coverage.py`)."
    )


def _published_answers(found: Figures) -> str:
    collections = [value for value in found.values() if isinstance(value, dict) and "largest_difference" in value]
    sizes = list(found["rejected_at_5_per_cent"].values())
    cells, answers = (sum(one[name] for one in collections) for name in ("cells", "answers"))
    return (
        f'- **Answers that others published, with their figures.** {cells} cells and {answers:,} answers to "pick a '
        f'random number": every count, share, entropy, X2 and collision probability agrees to the printed decimals. '
        f"The Monte Carlo test rejects {percent(min(sizes), 1)} to {percent(max(sizes), 1)} of fair cells at 5% "
        f"({found['fair_cells']:,} each, 6 to 100 answers, 16 to 128 draws; `benchmarks/declared.py`)."
    )


def _classifier(found: Figures) -> str:
    shipped = found["as_shipped"]
    agree = sum(abs(row["published"] - row["from_partitions"]) < 0.005 for row in found["published"])
    return (
        f"- **When two texts are the same.** {found['decisions']:,} decisions of NoveltyBench's trained classifier "
        f"on {found['models']} models: the words agree with {percent(shipped['decisions_agreed'], 0)} of them; the "
        f"rank of the models by their mean number of classes correlates at {shipped['model_spearman']:.2f}, that of "
        f"the prompts at {shipped['prompt_spearman']:.2f}. Of the {len(found['published'])} published means {agree} "
        f"follow from the published partitions ([lexical.md](lexical.md), `benchmarks/novelty.py`)."
    )


def speed(_figures: Figures) -> str:
    """What it costs."""
    return "\n".join(
        (stored("categorical", _metrics_speed), stored("text_speed", _text_speed), stored("speed", _sampling_speed))
    )


def _metrics_speed(found: Figures) -> str:
    mixed = found["mixed"]
    seconds = median(mixed["ours_s"])
    return (
        f"- All metrics of {found['cells']:,} cells of {found['draws']} draws, with their intervals: {seconds:.2f} s, "
        f"{mixed['ratio']:.1f} times one sort of the same counts "
        f"[95% {mixed['ratio_low']:.1f}, {mixed['ratio_high']:.1f}] "
        f"({found['measured_on']}; `benchmarks/categorical.py`)."
    )


def _text_speed(found: Figures) -> str:
    cells = "; ".join(
        f"{one['answers']} answers of {found['words']} words in {median(one['ours_ms']):.1f} ms"
        for one in found["measured"]
    )
    return f"- Which free texts are the same: {cells} (one thread; `benchmarks/text_speed.py`)."


def _sampling_speed(found: Figures) -> str:
    return (
        f"- The whole sampling phase, rows on disk, takes {found['ratio']:.2f} of the time of one plain `LLM.generate` "
        f"[95% {found['ratio_low']:.2f}, {found['ratio_high']:.2f}] ({found['measured_on']}; `benchmarks/speed.py`)."
    )


def stamp(figures: Figures) -> str:
    """When and where."""
    return f"Last run: {figures['day']}, on {figures['measured_on']}."


BLOCKS: dict[str, Callable[[Figures], str]] = {
    "stamp": stamp,
    "rule": rule,
    "decisions": decisions,
    "losses": losses,
    "balls": balls,
    "judge": judge,
    "declared": declared,
    "coverage": coverage,
    "below nominal": below_nominal,
    "certain": certain,
    "bias": bias,
    "families": families,
    "contrasts": contrasts,
    "comparisons": comparisons,
    "comparisons below nominal": comparisons_below,
    "errors": errors,
    "alarms": alarms,
    "told": told,
    "pair": pair,
    "elsewhere": elsewhere,
    "speed": speed,
}
