"""A curve with its interval as a band, as points of a drawing. Knows numbers and pixels, no markup and no colours."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from collapsecli.records import Estimate

_MARGIN = 4.0  # pixels beside the outermost points


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid at height `y`, and what stands beside it."""

    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Dot:
    """One value, with its words."""

    x: float
    y: float
    label: str


@dataclass(frozen=True, slots=True)
class End:
    """What stands below an end of the curve."""

    x: float
    anchor: str
    label: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A drawing in pixels: bands and lines as SVG points, one each for every stretch without a gap."""

    width: int
    height: int
    left: float
    radius: float
    ticks: tuple[Tick, ...]
    bands: tuple[str, ...]
    lines: tuple[str, ...]
    dots: tuple[Dot, ...]
    ends: tuple[End, ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """The ends of the vertical axis, and the values that have a line of the grid with their labels."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Paper:
    """How large a drawing is, in pixels; `left` and `bottom` are kept for labels."""

    width: int
    height: int
    left: float = 0.0
    bottom: float = 0.0
    radius: float = 2.0


def curve(
    estimates: Sequence[Estimate],
    labels: Sequence[str],
    scale: Scale,
    paper: Paper,
    ends: tuple[str, str] | None = None,
) -> Curve:
    """The curve of one estimate a step, evenly spaced; a step without a value is a gap, one without interval no band.

    labels: (K,) the words of each step's dot. A value beyond the scale is drawn at its end.
    """
    count = len(estimates)
    x = _across(count, paper)
    y = _up(scale, paper)
    known = _stretches([estimate.value is not None for estimate in estimates])
    banded = _stretches([estimate.low is not None and estimate.high is not None for estimate in estimates])
    return Curve(
        paper.width,
        paper.height,
        paper.left,
        paper.radius,
        tuple(Tick(round(y(value), 1), label) for value, label in scale.ticks),
        tuple(_band(estimates, steps, x, y) for steps in banded),
        tuple(_points((x(k), y(estimates[k].value or 0.0)) for k in steps) for steps in known if len(steps) > 1),
        tuple(Dot(round(x(k), 1), round(y(estimates[k].value or 0.0), 1), labels[k]) for steps in known for k in steps),
        () if ends is None else (End(paper.left, "start", ends[0]), End(paper.width - 1, "end", ends[1])),
    )


def _across(count: int, paper: Paper) -> Callable[[int], float]:
    start, room = paper.left + _MARGIN, paper.width - paper.left - 2 * _MARGIN
    return lambda k: start + (room / 2 if count == 1 else room * k / (count - 1))


def _up(scale: Scale, paper: Paper) -> Callable[[float], float]:
    room = paper.height - paper.bottom - 2 * _MARGIN

    def height(value: float) -> float:
        part = (min(max(value, scale.low), scale.high) - scale.low) / (scale.high - scale.low)
        return _MARGIN + room * (1 - part)

    return height


def _stretches(there: Sequence[bool]) -> list[list[int]]:
    """The places that are there, each run of neighbours together."""
    return [[k for k, _ in group] for is_there, group in groupby(enumerate(there), key=lambda one: one[1]) if is_there]


def _band(
    estimates: Sequence[Estimate], steps: Sequence[int], x: Callable[[int], float], y: Callable[[float], float]
) -> str:
    """Along the upper ends and back along the lower ones; a lone step is as wide as its dot."""
    beside = 2.0 if len(steps) == 1 else 0.0
    sides = [(k, -beside) for k in steps] + ([(steps[0], beside)] if beside else [])
    upper = [(x(k) + shift, y(estimates[k].high or 0.0)) for k, shift in sides]
    lower = [(x(k) + shift, y(estimates[k].low or 0.0)) for k, shift in reversed(sides)]
    return _points([*upper, *lower])


def _points(places: Iterator[tuple[float, float]] | Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
