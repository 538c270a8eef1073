"""What a report says of several cells together: a block for each kind of contrast. Shows rows and computes nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.text import Text

from collapsecli.records import UNDEFINED
from collapsecli.report.contrast_certainty import certainty_block
from collapsecli.report.contrast_injection import injection_block
from collapsecli.report.contrast_restart import restart_block
from collapsecli.report.contrast_roads import roads_block
from collapsecli.report.contrast_sameness import sameness_block
from collapsecli.report.contrast_temperature import temperature_block
from collapsecli.report.contrast_variants import variants_block
from collapsecli.report.wording import cell_names
from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.padding import Padding

    from collapsecli.records import Conclusions, Contrast, ContrastKind

    # The rows of one kind, the names of cells, and the columns of the screen.
    Block = Callable[[Sequence[Contrast], Mapping[str, str], int], list[Text | Padding]]


BLOCKS: tuple[tuple[ContrastKind, Block], ...] = (
    ("temperature", temperature_block),
    ("injection", injection_block),
    ("certainty", certainty_block),
    ("restart", restart_block),
    ("variants", variants_block),
    ("sameness", sameness_block),
    ("roads", roads_block),
)
# Metrics whose label is never the reason why there is no number: a block shows it, or it says what was looked for.
_LABELLED = frozenset({
    "reference_mode", "predicted_mode", "persistence", "t_half", "same_ending_plain", "same_ending_difference",
    "pooled_verdict", "others_mode", "others_say", "escapes", "road_covered", "road_logprob", "road_nats_per_token",
})  # fmt: skip
_MOST_REASONS = 3  # that one block gives for what is missing


def contrast_blocks(conclusions: Conclusions, width: int) -> list[Text | Padding]:
    """The contrasts of a run for a screen of `width` columns, at least 60: a block for each kind, the worst first."""
    names = cell_names(conclusions.results)
    blocks: list[Text | Padding] = []
    for kind, block in BLOCKS:
        rows = [row for row in conclusions.contrasts if row.kind == kind]
        told, missing = block(rows, names, width) if rows else [], _missing(rows)
        blocks += [Text(), *(told or [Text(kind, "bold")]), *missing] if told or missing else []
    return [*blocks, *(_closing(conclusions) if blocks else [])]


def _missing(rows: Sequence[Contrast]) -> list[Text]:
    """Why numbers that a reader would miss are not there."""
    reasons = Counter(
        (row.metric, row.label)
        for row in rows
        if row.label and row.metric not in _LABELLED and row.estimate == UNDEFINED
    )
    return [
        Text(f"  {metric.replace('_', ' ')} unknown in {count}: {one_line(why)}", "dim")
        for (metric, why), count in sorted(reasons.items(), key=lambda one: (-one[1], one[0]))[:_MOST_REASONS]
    ]


def _closing(conclusions: Conclusions) -> list[Text]:
    level = f"{100 * (1 - conclusions.alpha):g} %"
    return [Text(f"Contrasts: {level} intervals, rounded outwards; every row is in contrasts.parquet.", "dim")]
