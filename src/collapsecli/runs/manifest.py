"""run.json: what was asked, of what, with what; enough to judge the run again without its suite."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from collapsecli import __version__
from collapsecli.errors import UsageError
from collapsecli.records import Cell, EngineInfo, Rules, Sampling
from collapsecli.runs.streamed import json_pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

MANIFEST_VERSION = 1


@dataclass(frozen=True, slots=True)
class SuiteSource:
    """A suite as it was read: its text, the digest of it and of its prompt files, and the thresholds it set."""

    name: str
    path: str
    sha256: str
    text: str
    files: dict[str, str] = field(default_factory=dict)  # the prompt files it reads: path -> sha256
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a plan that is a run of its own: `number` of `of`, from 1.

    `places` are those of its cells in the whole plan, from 0; `plan` is a digest of all that is planned, so that parts
    of different plans are never joined; `planned` is the number of completions at the first looks of all cells.
    """

    number: int
    of: int
    places: tuple[int, ...]
    plan: str
    planned: int


@dataclass(frozen=True, slots=True)
class Joined:
    """That a run was joined from slices of one plan: `of` how many, with the digest of the `plan`.

    `missing` are the slices that were not there yet. While there are some, `places` are those of the known cells in the
    whole plan, and `lacking` is the number of completions at the first looks of the others.
    """

    of: int
    plan: str
    missing: tuple[int, ...] = ()
    places: tuple[int, ...] = ()
    lacking: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of run.json. `engines` are those that were started, by model; each adds its part to `fingerprint`.

    `cells` are all that were asked for; those that branch off another one are completed when that one has been sampled.
    `given_up` are those for which that was not possible, each with the reason. Of a `slice` there are its cells alone,
    and of a run that was `joined` before all slices were there, the cells of those that were.
    """

    run_id: str
    created_at: str
    seed: int
    suites: tuple[SuiteSource, ...]
    cells: tuple[Cell, ...]
    engines: dict[str, EngineInfo] = field(default_factory=dict)
    fingerprint: str = ""
    git: str | None = None
    given_up: dict[str, str] = field(default_factory=dict)
    slice: Slice | None = None
    joined: Joined | None = None
    collapsecli: str = __version__
    python: str = sys.version.split()[0]
    platform: str = platform.platform()
    schema: int = MANIFEST_VERSION

    @property
    def drawn_cells(self) -> tuple[Cell, ...]:
        """The cells that are sampled, or wait for the one that they branch off."""
        return tuple(cell for cell in self.cells if cell.cell_id not in self.given_up)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that are sampled, in the order of the cells."""
        return tuple(dict.fromkeys(cell.model for cell in self.cells))

    @property
    def rules(self) -> dict[str, Rules]:
        """The thresholds of each suite. Of a slice no flag is withheld: its family is whole when all are joined."""
        return {suite.name: replace(suite.rules, fdr=1.0) if self.slice else suite.rules for suite in self.suites}

    @property
    def engine_infos(self) -> tuple[EngineInfo, ...]:
        """What drew the completions, each once."""
        infos = list(self.engines.values())
        return tuple(info for at, info in enumerate(infos) if info not in infos[:at])

    @property
    def engine_versions(self) -> str:
        """Name and version of what drew the completions."""
        return ", ".join(dict.fromkeys(f"{info.name} {info.version}" for info in self.engine_infos))

    def with_branches(self, injected: Mapping[str, str], given_up: Mapping[str, str]) -> Manifest:
        """The manifest with cells of the second wave completed, or given up for a reason; by cell id."""
        if not injected and not given_up:
            return self
        cells = tuple(
            replace(cell, injected=injected[cell.cell_id]) if cell.cell_id in injected else cell for cell in self.cells
        )
        return replace(self, cells=cells, given_up={**self.given_up, **given_up})

    def resumed_with(self, cells: Sequence[Cell]) -> tuple[Cell, ...]:
        """The same cells as they are asked for now, with what is known of those of the second wave."""
        known = {cell.cell_id: cell.injected for cell in self.cells if cell.branch is not None}
        return tuple(
            replace(cell, injected=known[cell.cell_id]) if cell.branch is not None and cell.cell_id in known else cell
            for cell in cells
        )


_ADAPTER = TypeAdapter(Manifest)


def manifest_pieces(manifest: Manifest) -> Iterator[str]:
    """The text of run.json, cell by cell."""
    return json_pieces({**asdict(replace(manifest, cells=())), "cells": map(asdict, manifest.cells)})


def read_manifest(path: Path) -> Manifest:
    """Read run.json.

    Raises UsageError where it is missing or not one of ours.
    """
    try:
        return _ADAPTER.validate_python(_current(json.loads(path.read_bytes(), object_hook=_Cells())))
    except FileNotFoundError as error:
        raise UsageError(f"no run at {path.parent}: it has no {path.name}") from error
    except ValueError as error:
        first = str(error).splitlines()[0]
        raise UsageError(
            f"cannot read {path}: {first}", hint="was it written by another version of collapse?"
        ) from error


class _Cells:
    """Makes each cell of run.json as soon as it is read; what is the same in many cells is there once."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def __call__(self, content: dict[str, Any]) -> Any:
        if "cell_id" not in content or "sampling" not in content:
            return content
        cell = _CELL.validate_python(content)
        return replace(cell, **{name: self._once(getattr(cell, name)) for name in _SHARED})

    def _once(self, value: Any) -> Any:
        return self._known.setdefault((type(value), value), value)


_CELL = TypeAdapter(Cell)
_SHARED = (
    "suite", "prompt_id", "variant", "injection", "temperature", "model", "adapter", "text", "messages", "injected",
    "sampling", "answer", "expect", "threshold", "tags", "restarts",
)  # fmt: skip


def _current(content: Any) -> Any:
    """What run.json says in today's words: a run had one engine once."""
    if isinstance(content, dict) and isinstance(content.get("engine"), dict):
        models = {cell.model for cell in content.get("cells", ()) if isinstance(cell, Cell)}
        content = {**content, "engines": dict.fromkeys(models, content["engine"])}
    return content


def fingerprint_fields(seed: int, cells: Sequence[Cell], engines: Mapping[str, EngineInfo]) -> dict[str, str]:
    """Everything that can change what is drawn, field by field; what only changes the judgement is left out."""
    models = sorted({cell.model for cell in cells})
    fields = {"seed": str(seed), "model": ", ".join(models)}
    fields["planned cells"] = _digest(sorted(cell.cell_id for cell in cells))
    for cell in cells:
        fields[f"cell {cell.cell_id} prompt"] = _digest(_asked(cell))
        fields[f"cell {cell.cell_id} sampling"] = _spelled(cell.sampling)
    for model, engine in engines.items():
        whose = "model" if len(models) == 1 else model
        fields["engine"] = engine.name
        fields |= {f"{whose}'s {name}": value for name, value in sorted(engine.identity.items())}
    return fields


def plan_digest(cells: Sequence[Cell]) -> str:
    """One short digest of all that is asked of some cells, and of their order; not of who draws them, nor the seed."""
    asked = [(cell.cell_id, cell.model, cell.adapter, _digest(_asked(cell)), _spelled(cell.sampling)) for cell in cells]
    return _digest(asked)


def fingerprint_of(fields: Mapping[str, str]) -> str:
    """One short digest of the fields."""
    return _digest(sorted(fields.items()))


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What changed between two sets of fingerprint fields, a line each."""
    lines = []
    for name in sorted(before.keys() | now.keys()):
        was, is_now = before.get(name), now.get(name)
        if was == is_now or name == "planned cells":
            continue
        if not name.startswith("cell "):
            lines.append(f"{name}: was {was}, is {is_now}")
        elif was is None or is_now is None:
            if name.endswith(" prompt"):
                lines.append(f"{name.removesuffix(' prompt')} is {'new' if was is None else 'gone'}")
        elif name.endswith(" prompt"):
            lines.append(f"{name.removesuffix(' prompt')} asks something else")
        else:
            changed = [pair for pair in zip(was.split("; "), is_now.split("; "), strict=True) if pair[0] != pair[1]]
            lines += [f"{name.removesuffix(' sampling')}: was {old}, is {new}" for old, new in changed]
    return lines


def git_revision(folder: Path) -> str | None:
    """The commit that a folder is at, marked when there are changes beside it; None outside a repository."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, no shell
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],  # noqa: S607 - the user's own git
            capture_output=True, text=True, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _asked(cell: Cell) -> list[Any]:
    messages = [asdict(message) for message in cell.messages]
    # What a branch begins with follows from the draws of its plain cell, which have their own fields.
    injected = cell.injected if cell.branch is None else asdict(cell.branch)
    return [cell.text, messages, injected, cell.reasoning == "off"]


@lru_cache(maxsize=256)  # hundreds of cells are sampled alike
def _spelled(sampling: Sampling) -> str:
    return "; ".join(f"{name} {json.dumps(value)}" for name, value in asdict(sampling).items())


def _digest(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
