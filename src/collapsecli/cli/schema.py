"""`collapse schema`: what may stand in a suite, and what the columns of the files mean."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from collapsecli.cli.screen import say


class SchemaOf(StrEnum):
    """What there is a schema of."""

    suite = "suite"
    samples = "samples"
    cells = "cells"
    modes = "modes"
    contrasts = "contrasts"
    scores = "scores"
    rescored = "rescored"
    trend = "trend"


def schema(
    of: Annotated[
        SchemaOf,
        typer.Argument(
            metavar="WHAT",
            help="suite (JSON Schema), or the columns of a parquet file: of a run samples, cells, modes, contrasts, "
            "scores or rescored, or that of `collapse trend`.",
        ),
    ],
) -> None:
    """Print the JSON Schema of the suite file, or the columns of a parquet file, as JSON."""
    say(json.dumps(_schema(of), indent=2, ensure_ascii=False))


def _schema(of: SchemaOf) -> object:
    if of is SchemaOf.suite:
        from collapsecli.suite import json_schema

        return json_schema()
    from collapsecli.runs import TABLES
    from collapsecli.trends.table import TREND

    return [
        {"name": column.name, "type": str(column.type), "null": column.nullable, "meaning": column.meaning}
        for column in {**TABLES, "trend": TREND}[of.value]
    ]
