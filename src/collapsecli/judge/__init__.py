"""Completions in, what they prove out: read, group, measure, judge. Draws nothing and stores nothing."""

from collapsecli.judge.cells import judge, judge_cell
from collapsecli.judge.exhibits import of_the_mode
from collapsecli.judge.family import family_of, in_family, kept_by_family
from collapsecli.judge.looks import Evidence, look_at
from collapsecli.judge.reading import Reading, embed_of, is_unfinished_thought, read_answer, read_cell

__all__ = [
    "Evidence",
    "Reading",
    "embed_of",
    "family_of",
    "in_family",
    "is_unfinished_thought",
    "judge",
    "judge_cell",
    "kept_by_family",
    "look_at",
    "of_the_mode",
    "read_answer",
    "read_cell",
]
