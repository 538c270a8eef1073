"""The runs that a command line names: paths, ids, and folders that hold runs. Reads manifests, no completions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from collapsecli.errors import UsageError
from collapsecli.runs import RunFolder, find_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_MOST_NAMED = 6


def runs_of(names: Sequence[str], root: Path) -> tuple[list[RunFolder], list[str]]:
    """The runs that are named, each once, in the order of the names; and notes on what was left out.

    A name is a run's path, its id or the beginning of one below `root`, `latest`, or a folder that holds runs. Of a
    folder's runs those are taken that ask the suite of the runs named beside it; of a folder alone, the suite that
    most of its runs ask, the newest of equally many.

    Raises UsageError where a name is neither a run nor a folder with runs.
    """
    folders: dict[str, list[RunFolder]] = {}
    unread: list[str] = []
    for name in names:
        held, broken = _held(Path(name))
        unread += broken
        if held:
            folders[name] = held
    explicit = {name: find_run(name, root) for name in names if name not in folders}
    asked = {suite for run in explicit.values() for suite in _suites(run)} or _usual(folders.values())
    left_out: list[str] = []
    found: dict[Path, RunFolder] = {}
    for name in names:
        for run in folders.get(name) or [explicit[name]]:
            if name in folders and asked.isdisjoint(_suites(run)):
                left_out.append(f"{run.path.name} ({', '.join(_suites(run))})")
            else:
                found.setdefault(run.path.resolve(), run)
    return list(found.values()), [*unread, *_left_out(left_out, asked)]


def _held(folder: Path) -> tuple[list[RunFolder], list[str]]:
    """The runs in a folder that is none itself, and why others there cannot be read."""
    runs: list[RunFolder] = []
    broken: list[str] = []
    if not (folder / "run.json").is_file():
        for path in sorted(folder.glob("*/run.json")):
            run = RunFolder(path.parent)
            try:
                run.manifest()
            except UsageError as error:
                broken.append(f"{run.path.name} is left out: {error.message}")
            else:
                runs.append(run)
    return runs, broken


def _suites(run: RunFolder) -> tuple[str, ...]:
    return tuple(suite.name for suite in run.manifest().suites)


def _usual(folders: Iterable[Sequence[RunFolder]]) -> set[str]:
    manifests = [run.manifest() for held in folders for run in held]
    newest_first = sorted(manifests, key=lambda manifest: manifest.created_at, reverse=True)
    counts = Counter(tuple(suite.name for suite in manifest.suites) for manifest in newest_first)
    return set(counts.most_common(1)[0][0])


def _left_out(runs: Sequence[str], asked: set[str]) -> Iterator[str]:
    if runs:
        more = f" and {len(runs) - _MOST_NAMED} more" if len(runs) > _MOST_NAMED else ""
        yield f"runs that do not ask {', '.join(sorted(asked))} are left out: {', '.join(runs[:_MOST_NAMED])}{more}"


def said_incomplete(run: RunFolder) -> str:
    """What is to be said of a run that is used although it is not whole; empty for a complete one."""
    state = run.state()
    if state.get("state") == "complete":
        return ""
    planned, saved = state.get("planned"), state.get("saved")
    counts = f": {saved:,} of {planned:,} completions are there" if isinstance(saved, int) and planned else ""
    return f"{run.path.name} is {state.get('state', 'incomplete')}{counts}"
