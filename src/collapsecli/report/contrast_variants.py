"""The block of variants: whether a prompt's mode outlives its wording, format and variables. Shows rows alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from collapsecli.report import wording
from collapsecli.report.contrast_layout import (
    MOST_SUBJECTS,
    WIDE,
    Entry,
    Subject,
    first_and_more,
    rest,
    subjects_of,
    tabulated,
)
from collapsecli.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.padding import Padding

    from collapsecli.records import Contrast

_MOST_QUOTED = 60  # characters of a mode
_LONGEST_VARIANT = 40  # characters
_MOST_NAMED = 3  # variants of one prompt
_LEGEND = (
    "Variants: wordings, formats and variables of a prompt. Pooled: share of the mode of all of them together. Stable: "
    "how much a variant holds of the mode of all others, on average. Within, between: two answers to one variant, to "
    "two of them, are the same."
)


def variants_block(rows: Sequence[Contrast], names: Mapping[str, str], width: int) -> list[Text | Padding]:
    """One line for each prompt, the one with the heaviest pooled mode first."""
    subjects = subjects_of(rows, names)
    subjects.sort(key=lambda subject: (-(subject.estimate("pooled_mode_mass").low or 0.0), subject.name))
    wide = width >= WIDE
    heading = ("across variants", *(["verdict"] * wide), "pooled", "stable", "within", "between")
    entries = [_entry(subject, wide=wide) for subject in subjects[:MOST_SUBJECTS]]
    return [*tabulated(heading, entries, width), *rest(len(subjects) - MOST_SUBJECTS, _LEGEND)]


def _entry(subject: Subject, *, wide: bool) -> Entry:
    verdict = subject.row("pooled_verdict")
    said = one_line(verdict.label) if verdict else wording.UNKNOWN
    metrics = ("pooled_mode_mass", "stability", "agreement_within", "agreement_between")
    line = (
        Text(subject.name),
        *([Text(said)] if wide else []),
        *(wording.share(subject.estimate(metric)) for metric in metrics),
    )
    words = (_mode(subject, "" if wide else said), _range(subject), *_other_modes(subject), _escapes(subject))
    return Entry((line,), tuple(filter(None, words)))


def _mode(subject: Subject, verdict: str) -> str:
    pooled = subject.row("pooled_mode_mass")
    if pooled is None:
        return verdict
    pairs = [f"{row.n} pairs {how}" for how in ("within", "between") if (row := subject.row(f"agreement_{how}"))]
    facts = ", ".join((f"{pooled.n} answers", *pairs))
    return f"{verdict + ': ' if verdict else ''}{wording.quoted(pooled.label, _MOST_QUOTED)}; {facts}"


def _range(subject: Subject) -> str:
    """The variants that hold least and most of the mode of all others."""
    held = [row for row in subject.all("others_mode") if row.estimate.value is not None]
    if len(held) < 2:
        return ""
    held.sort(key=lambda row: (row.estimate.value or 0.0, row.label))
    least, most = held[0], held[-1]
    if wording.hundredths(least.estimate) == wording.hundredths(most.estimate):
        return f"each of {len(held)} variants holds {wording.hundredths(least.estimate)} of the others' mode"
    return (
        f"of {len(held)} variants {_variant(least)} holds least of the others' mode, "
        f"{wording.share_words(least.estimate)}, {_variant(most)} most, {wording.share_words(most.estimate)}"
    )


def _other_modes(subject: Subject) -> list[str]:
    """The variants without which the mode would be another one."""
    variant = {row.cell_id: _variant(row) for row in subject.all("others_mode")}
    elsewhere = sorted((row for row in subject.all("others_say") if row.cell_id in variant), key=lambda row: row.label)
    rows, more = first_and_more(elsewhere, _MOST_NAMED)
    told = [f"without {variant[row.cell_id]} the mode is {wording.quoted(row.label, _MOST_QUOTED)}" for row in rows]
    return [*told, *([more.strip()] if more else [])]


def _escapes(subject: Subject) -> str:
    """The variants that surely escape, those by most first."""
    rows = sorted(subject.all("escapes"), key=lambda row: (row.estimate.value or 0.0, row.label))
    named, more = first_and_more(rows, _MOST_NAMED)
    told = "; ".join(f"{_variant(row)}, {wording.points_words(row.estimate)}" for row in named)
    return f"escapes: {told}{more}" if rows else ""


def _variant(row: Contrast) -> str:
    return wording.cut(row.label, _LONGEST_VARIANT)
