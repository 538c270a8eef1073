"""How far two models' own probabilities lie apart, in all and cell by cell. Shows a comparison and scores nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.text import Text

from collapsecli.report import wording
from collapsecli.report.compare_numbers import beside, ends
from collapsecli.report.contrast_layout import WIDE, Entry, first_and_more, tabulated
from collapsecli.report.magnitude import magnitude
from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collapsecli.compared import ComparedCell, Comparison, Divergence, Extinguished
    from collapsecli.records import Estimate

_MOST_CELLS = 12
_MOST_SAMPLES = 5
_MOST_NAMED = 6  # cells within the noise
_MOST_QUOTED = 200  # characters of a completion
_LEGEND = (
    "Total variation is from 0 to 1, Jensen–Shannon to 0.69 nats. Extinguished: under a hundredth of the former "
    "probability is left, which grows with length."
)


def rescored_block(comparison: Comparison, names: Mapping[str, str], width: int) -> list[Text | Padding]:
    """Divergences with the noise of scoring, the worst cells first; why there are none where they were asked for."""
    overall = comparison.divergence
    told = [cell for cell in comparison.cells if cell.divergence]
    why = [Text(f"Not rescored: {one_line(comparison.unscored)}", "yellow")] if comparison.unscored else []
    if overall is None and not told:
        return [*why]
    heading: list[Text | Padding] = [Text("by the models' own probabilities", "bold")]
    in_all = _overall(overall, width) if overall else []
    return [
        *heading,
        *in_all,
        *_cells(told, names, overall, width),
        *_samples(comparison.extinguished, names, width),
        *why,
        Text(_LEGEND, "dim"),
    ]


def _overall(divergence: Divergence, width: int) -> list[Text | Padding]:
    noise = within_noise(divergence, divergence)
    numbers = (
        ("total variation", _nats(divergence.total_variation), "within the noise" if noise else ""),
        ("Jensen–Shannon", _nats(divergence.jensen_shannon), "nats"),
        ("extinguished", wording.share(divergence.extinguished), "of the base's draws"),
        ("KL, secondary", _nats(divergence.kl), "nats, base against run"),
        ("KL a token", _nats(divergence.kl_per_token), "nats"),
    )
    heading = ("  over all prompts", "", "")
    entries = [Entry(((Text(f"  {name}"), number, Text(unit, "dim")),)) for name, number, unit in numbers]
    drawn = f"{divergence.n_base:,} draws of the base and {divergence.n_run:,} of the run, scored by both"
    noise_alone = "not known" if divergence.floor is None else f"total variation {_small(divergence.floor)}"
    return [
        *tabulated(heading, entries, width, quotes=True),
        _indented(f"{drawn}; noise of scoring alone: {noise_alone}"),
    ]


def _indented(words: str) -> Padding:
    return Padding(Text(words, "dim"), (0, 0, 0, 2))


def within_noise(divergence: Divergence, overall: Divergence | None) -> bool:
    """Whether the noise of scoring alone would show as much; a cell without a floor of its own has that of all."""
    floor = divergence.floor if divergence.floor is not None else overall.floor if overall else None
    value = divergence.total_variation.value
    return floor is not None and value is not None and value <= floor


# ------------------------------------------------------------------------------------------------------ cell by cell


def _cells(
    cells: Sequence[ComparedCell], names: Mapping[str, str], overall: Divergence | None, width: int
) -> list[Text | Padding]:
    pairs = [(cell.divergence, names[cell.question]) for cell in cells if cell.divergence]
    beyond = sorted(((one, name) for one, name in pairs if not within_noise(one, overall)), key=_worst)
    noise = sorted(name for one, name in pairs if within_noise(one, overall))
    wide = width >= WIDE
    heading = ("  worst cells", "total variation", *(["Jensen–Shannon"] * wide), "extinguished", "n")
    shown, more = first_and_more(beyond, _MOST_CELLS)
    table = tabulated(heading, [_entry(one, name, wide=wide) for one, name in shown], width) if shown else []
    told = [Text(f" {more}", "dim")] if more else []
    few, besides = first_and_more(noise, _MOST_NAMED)
    within = [_indented(f"within the noise of scoring: {', '.join(few)}{besides}")] if noise else []
    return [*table, *told, *within]


def _worst(one: tuple[Divergence, str]) -> tuple[float, str]:
    estimate = one[0].total_variation
    return -(estimate.low if estimate.low is not None else estimate.value or 0.0), one[1]


def _entry(divergence: Divergence, name: str, *, wide: bool) -> Entry:
    numbers = (_nats(divergence.total_variation), *([_nats(divergence.jensen_shannon)] * wide))
    drawn = Text(f"{divergence.n_base}+{divergence.n_run}", "dim")
    return Entry(((Text(f"  {name}"), *numbers, wording.share(divergence.extinguished), drawn),))


def _nats(estimate: Estimate) -> Text:
    """A number with two decimals and its interval; the interval alone where there is no best value in it."""
    interval = wording.span(*ends(estimate), 2)
    if estimate.value is None:
        return Text(interval or wording.UNKNOWN, "dim")
    return beside((f"{estimate.value:,.2f}", interval))


def _small(value: float) -> str:
    return "under 0.0001" if value < 0.0001 else f"{value:.4f}"


# ----------------------------------------------------------------------------------------------------- extinguished


def _samples(samples: Sequence[Extinguished], names: Mapping[str, str], width: int) -> list[Text | Padding]:
    """The base's completions that the run's model hardly gives any more, and what is left of their probability."""
    if not samples:
        return []
    heading = ("  most extinguished", "left of its probability", "tokens")
    shown, more = first_and_more(samples, _MOST_SAMPLES)
    table = tabulated(heading, [_sample(one, names) for one in shown], width)
    return [*table, *([Text(f" {more}", "dim")] if more else [])]


def _sample(one: Extinguished, names: Mapping[str, str]) -> Entry:
    name = names.get(one.question) or one_line(one.question)
    line = (Text(f"  {name} #{one.sample_index}"), Text(magnitude(-one.nats)), Text(str(one.n_tokens), "dim"))
    return Entry((line,), (wording.quoted(one.text, _MOST_QUOTED),))
