"""Options that several commands share, declared once so that they read and behave the same."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, get_args

import typer

from collapsecli.errors import UsageError
from collapsecli.records import EMBEDDING_THRESHOLD, Equivalence, Sameness


class EngineChoice(StrEnum):
    """Engines by name."""

    vllm = "vllm"
    server = "server"
    ray = "ray"
    scripted = "scripted"


class GateChoice(StrEnum):
    """Gates by name."""

    collapsed = "collapsed"
    unexpected = "unexpected"
    invalid = "invalid"
    regressed = "regressed"


class FormatChoice(StrEnum):
    """The forms of a prompt by name."""

    raw = "raw"
    qa = "qa"
    chat = "chat"
    few_shot = "few-shot"


Suites = Annotated[
    list[Path],
    typer.Argument(
        metavar="SUITE",
        help="Suite files (YAML), or names of built-in suites: see `collapse suites`.",
        show_default=False,
    ),
]
Run = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run: its path, the beginning of its id, or `latest`.", show_default=False),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "-m",
        "--model",
        metavar="MODEL",
        help="Hub id (ID@REVISION pins it), local path or bundled name (demo-base, demo-tuned); overrides the suite. "
        "Repeatable: one after the other, in one run. With --engine scripted: a script file.",
        show_default=False,
    ),
]
Adapters = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter",
        metavar="NAME=PATH",
        help="A LoRA adapter (folder, or hub id[@REVISION]) on the first model, sampled beside it; repeatable.",
        show_default=False,
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        "-n", "--samples", metavar="N", min=1, help="Completions per cell; overrides the suite.", show_default=False
    ),
]
MaxSamples = Annotated[
    int | None,
    typer.Option(
        "--max-samples",
        metavar="N",
        min=16,
        help="Look at 16, 32, 64, … completions per cell and stop when it is decided, or here; overrides the suite.",
        show_default=False,
    ),
]
FormatNames = Annotated[
    list[FormatChoice] | None,
    typer.Option(
        "--formats",
        metavar="FORMAT",
        help="How every text is asked: raw, qa, chat or few-shot; repeatable; overrides the suite.",
        show_default=False,
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only", metavar="GLOB", help="Only prompts or cells whose id matches; repeatable.", show_default=False
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TAG", help="Only prompts with this tag; repeatable.", show_default=False),
]
Shard = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="NUMBER/OF",
        help="Sample only this slice of the plan, from 1/16 to 16/16; needs --run-id. `collapse merge` joins them.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("-o", "--out", metavar="DIR", help="The folder that holds runs (default: runs, or COLLAPSE_RUNS).",
                 show_default=False),
]  # fmt: skip
EquivalenceName = Annotated[
    str | None,
    typer.Option(
        "--equivalence",
        metavar="NAME",
        help="When two free texts are the same: exact, lexical, lexical=THRESHOLD, embedding=MODEL, "
        "embedding=MODEL,THRESHOLD, or given (imported classes).",
        show_default=False,
    ),
]
Numbers = Annotated[bool, typer.Option("--numbers", help="Add a table of all numbers of every cell to the report.")]
FailOn = Annotated[
    list[GateChoice] | None,
    typer.Option(
        "--fail-on",
        metavar="GATE",
        help="Exit 3 when: `collapsed` a flagged cell collapsed, `unexpected` any cell is flagged, "
        "`invalid` one has too few readable answers (which trips the others too), `regressed` one is worse than in "
        "--baseline. Repeatable.",
        show_default=False,
    ),
]
Margin = Annotated[
    float,
    typer.Option(
        "--margin",
        metavar="SHARE",
        min=0,
        max=1,
        help="What a regression must exceed, beside being significant: so much likelier do two draws agree.",
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Compare what two runs have in common, though they were not asked the same.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a report.")]
EngineArguments = Annotated[
    list[str] | None,
    typer.Option(
        "-e",
        "--engine-arg",
        metavar="KEY=VALUE",
        help="An argument of vLLM's engine (or of the client, with --endpoint), its value as YAML; repeatable.",
        show_default=False,
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        metavar="URL",
        help="An OpenAI-compatible server that draws the completions (http://host:8000/v1); -m is its model's name.",
        show_default=False,
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        metavar="FILE",
        help="A file whose first line is the server's API key (default: OPENAI_API_KEY, where that is set).",
        show_default=False,
    ),
]
Replicas = Annotated[
    int,
    typer.Option("--replicas", metavar="K", min=1, help="Engines side by side, each on devices of its own."),
]
TensorParallel = Annotated[
    int,
    typer.Option("--tp", metavar="K", min=1, help="Devices that each engine is divided over (tensor parallelism)."),
]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="With --engine ray on nodes that share no disk: the object store that keeps the slices (s3://bucket/runs).",
        show_default=False,
    ),
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Let the model's repository run its own code.")
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print the run's path and nothing else.")]


def equivalence_of(asked: str) -> Sameness:
    """What an option says of when two answers are the same; a threshold of None is that of the equivalence.

    Raises UsageError for anything that says nothing of it.
    """
    name, equals, value = asked.partition("=")
    encoder, threshold = _with_encoder(value) if name == "embedding" else ("", _number(value) if equals else None)
    good = threshold is None or (name in {"lexical", "embedding"} and 0 < threshold < 1)
    for known in get_args(Equivalence):
        if name == known and good and bool(encoder) == (name == "embedding"):
            return Sameness(known, threshold, encoder)
    raise UsageError(
        f"there is no equivalence {asked!r}",
        hint="exact, lexical, lexical=THRESHOLD (between 0 and 1), embedding=MODEL[,THRESHOLD] or given",
    )


def _with_encoder(value: str) -> tuple[str, float]:
    """`MODEL` or `MODEL,THRESHOLD`; the name of a model may hold commas of its own."""
    model, comma, last = value.rpartition(",")
    if comma and not math.isnan(threshold := _number(last)):
        return model, threshold
    return value, EMBEDDING_THRESHOLD


def _number(text: str) -> float:
    """The number that a text says; not one for any other."""
    try:
        return float(text)
    except ValueError:
        return math.nan
