"""A trend as one self-contained page: no scripts, no network, every text through the sanitiser. Knows no files."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from collapsecli.records import UNDEFINED
from collapsecli.report import wording
from collapsecli.report.curves import Curve, Paper, Scale, curve
from collapsecli.report.trend_words import (
    OVERALL,
    certain_words,
    claims,
    collapse_words,
    legend,
    names_of,
    ranked,
    said,
)
from collapsecli.sanitize import one_line, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collapsecli.compared import Trend, TrendCell
    from collapsecli.records import CellResult, Estimate

_LARGE = Paper(width=280, height=130, left=28, bottom=14)
_SMALL = Paper(width=150, height=36, radius=1.5)
_SHARES = Scale(0.0, 1.0, ((0.0, "0"), (0.5, "50%"), (1.0, "100%")))
_SCALES = {"distinct_10": Scale(0.0, 10.0, ((0.0, "0"), (5.0, "5"), (10.0, "10")))}
_PLAIN_SHARES = Scale(0.0, 1.0, ((0.0, ""), (0.5, ""), (1.0, "")))
_MOST_SAID = 300  # characters of a mode


@dataclass(frozen=True, slots=True)
class _Chart:
    heading: str
    curve: Curve
    words: str


@dataclass(frozen=True, slots=True)
class _AtStep:
    """One cell at one step, in words."""

    name: str
    n: str
    mode_mass: str
    certain: str
    effective_modes: str
    collision: str
    distinct_10: str
    verdict: str
    look: str
    says: str


@dataclass(frozen=True, slots=True)
class _Row:
    """One cell: what it became from the first step to the last."""

    name: str
    curve: Curve
    first: str
    last: str
    since: str
    verdict: str
    look: str
    says: str
    steps: tuple[_AtStep, ...]


def trend_page(trend: Trend) -> str:
    """The page as HTML. A browser needs nothing besides it, and is told to allow nothing besides it."""
    return _environment().from_string(_template()).render(page=_page(trend))


def _template() -> str:
    return resources.files("collapsecli.report").joinpath("trend.html.jinja").read_text("utf-8")


def _environment() -> Environment:
    environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=_shown, keep_trailing_newline=True)
    environment.filters["sha256"] = _sha256
    return environment


def _shown(value: Any) -> Any:
    """The one door through which values come onto the page: what could hide or steer text is made visible."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _sha256(style: str) -> str:
    """The hash by which a content security policy knows a style. Base64 has no character that HTML would escape."""
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _page(trend: Trend) -> dict[str, object]:
    names = [one_line(step.name) for step in trend.steps]
    cells = names_of(trend.cells)
    return {
        "title": f"{', '.join(map(one_line, trend.suites))} over {len(names)} steps: {names[0]} → {names[-1]}",
        "facts": _facts(trend),
        "notes": [one_line(note) for note in trend.notes],
        "charts": [_chart(trend, metric, heading, names) for metric, heading, _ in OVERALL if metric in trend.overall],
        "rows": [_row(cell, cells[cell.question], names) for cell in ranked(trend.cells)],
        "steps": [
            {
                "name": name,
                "model": one_line(step.side.model),
                "adapter": one_line(step.side.adapter),
                "path": one_line(step.side.path),
                "engine": one_line(step.side.engine),
            }
            for name, step in zip(names, trend.steps, strict=True)
        ],
        "legend": legend(trend),
    }


def _facts(trend: Trend) -> str:
    judged = [r.n_judged for cell in trend.cells for r in cell.results if r is not None and r.verdict]
    draws = wording.counts(judged)
    facts = (f"{len(trend.cells)} cells", f"{draws} draws a cell" if draws else "", f"{1 - trend.alpha:.0%} intervals")
    return " · ".join(filter(None, facts))


# ------------------------------------------------------------------------------------------------------- over prompts


def _chart(trend: Trend, metric: str, heading: str, steps: Sequence[str]) -> _Chart:
    estimates = trend.overall[metric]
    labels = [f"{step}: {_number(metric, estimate)}" for step, estimate in zip(steps, estimates, strict=True)]
    drawn = curve(estimates, labels, _SCALES.get(metric, _SHARES), _LARGE, _ends(steps))
    ends = f"{_number(metric, estimates[0])} → {_number(metric, estimates[-1])}"
    change = _change(trend, metric)
    of = f"{trend.n[metric]} {'cells' if metric == 'collapsed' else 'prompts'}"
    return _Chart(heading, drawn, "; ".join(filter(None, (ends, change and f"change {change}", of))))


def _ends(steps: Sequence[str]) -> tuple[str, str]:
    first, last = wording.cut(steps[0], 24), wording.cut(steps[-1], 24)
    return first, last


def _number(metric: str, estimate: Estimate) -> str:
    if metric != "distinct_10":
        return wording.share_words(estimate)
    ends = wording.span(estimate.low, estimate.high, 1)
    return (
        wording.UNKNOWN if estimate.value is None else wording.number(estimate.value) + (f" ({ends})" if ends else "")
    )


def _change(trend: Trend, metric: str) -> str:
    change = trend.change[metric].change if metric in trend.change else UNDEFINED
    if metric != "distinct_10" or change.value is None:
        return wording.points_words(change)
    ends = wording.difference_span(change.low, change.high, 1)
    return wording.signed(change.value, 1) + (f" ({ends})" if ends else "")


# ------------------------------------------------------------------------------------------------------------- cells


def _row(cell: TrendCell, name: str, steps: Sequence[str]) -> _Row:
    masses = [result.mode_mass if result is not None and claims(result) else UNDEFINED for result in cell.results]
    labels = [f"{step}: {wording.share_words(mass)}" for step, mass in zip(steps, masses, strict=True)]
    at_steps = tuple(_at_step(step, result) for step, result in zip(steps, cell.results, strict=True))
    last = at_steps[-1]
    return _Row(
        name=name,
        curve=curve(masses, labels, _PLAIN_SHARES, _SMALL),
        first=at_steps[0].mode_mass,
        last=last.mode_mass,
        since=collapse_words(cell, steps),
        verdict=last.verdict,
        look=last.look,
        says=last.says,
        steps=at_steps,
    )


def _at_step(step: str, result: CellResult | None) -> _AtStep:
    says = wording.cut(said(result), _MOST_SAID)
    if result is None:
        return _AtStep(step, *(wording.UNKNOWN,) * 6, wording.UNKNOWN, "", says)
    known = result if claims(result) else None
    numbers = {name: known.metric(name) if known else UNDEFINED for name in ("mode_mass", "collision", "distinct_10")}
    return _AtStep(
        name=step,
        n=f"{result.n_valid} of {result.n_judged}",
        mode_mass=wording.share_words(numbers["mode_mass"]),
        certain=certain_words(known) if known else "",
        effective_modes=wording.modes(known.effective_modes).plain if known else wording.UNKNOWN,
        collision=wording.share_words(numbers["collision"]),
        distinct_10=_number("distinct_10", numbers["distinct_10"]),
        verdict=f"{result.verdict or 'no verdict'}" + (f", {result.flag}" if result.flag else ""),
        look="invalid" if result.verdict == "invalid" else result.flag or "",
        says=says,
    )
