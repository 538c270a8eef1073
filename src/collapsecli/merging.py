"""Slices of one plan joined into the run that they are parts of. Draws nothing and judges nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from collapsecli.branches import is_pending
from collapsecli.errors import UsageError
from collapsecli.pipeline import RunPlan, sample_run
from collapsecli.runs import Joined, Manifest, fingerprint_fields, fingerprint_of
from collapsecli.runs.bringing import bring_embeddings, bring_shards
from collapsecli.scoring import asks_for_scores
from collapsecli.slices import first_looks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from collapsecli.engines import Engine
    from collapsecli.records import Cell, Completion
    from collapsecli.runs import RunFolder, Slice
    from collapsecli.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of joining: whether the run has all it needs and, of `of` slices, which are missing or unfinished."""

    complete: bool
    of: int
    missing: tuple[int, ...]
    unfinished: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """A slice with what its manifest says."""

    run: RunFolder
    manifest: Manifest
    slice: Slice


def merge(run: RunFolder, slices: Sequence[RunFolder], notice: Callable[[str], None] = lambda _: None) -> Merged:
    """Join slices, complete or not, into their run; what is in the slices stays as it is.

    Joining again is harmless, and right where slices have grown or others have come. `notice` is told of files that
    cannot be read. Raises UsageError, and writes nothing, where the slices are not of one plan, seed and engine, or the
    run is none that was joined from them; IncompleteError while another process writes the run.
    """
    parts = _read(slices)
    _refuse_strangers(run, None, parts)  # before there is a folder; again when nobody else can write to it
    run.prepare()
    with run.locked():
        before = run.manifest() if run.started else None
        _refuse_strangers(run, before, parts)
        manifest = _united(run, before, parts)
        run.write_manifest(manifest)
        run.write_state("incomplete")
        for part in parts:
            prefix = f"{part.slice.number:02d}-of-{part.slice.of:02d}"
            for broken in (*bring_shards(part.run, run, prefix), *bring_embeddings(part.run, run, prefix)):
                notice(f"{broken} cannot be read and is left out")
        _bring_scores(run, manifest, parts)
    # Only the whole run's own schedule can say whether it has all that it needs; it starts no engine here.
    missing = manifest.joined.missing if manifest.joined else ()
    plan = RunPlan(manifest.suites, manifest.cells, manifest.seed)
    complete = not missing and sample_run(run, plan, _no_engine, _Onlooker(notice))
    unfinished = tuple(part.slice.number for part in parts if part.run.state().get("state") != "complete")
    return Merged(complete, parts[0].slice.of, missing, unfinished)


def _read(slices: Sequence[RunFolder]) -> list[_Part]:
    if not slices:
        raise UsageError("there are no slices to join", hint="sample them: collapse probe … --run-id ID --shard 1/16")
    parts = []
    for run in slices:
        manifest = run.manifest()
        if manifest.slice is None:
            raise UsageError(f"{run.path} is no slice of a run", hint="slices are in RUN/slices/NUMBER-of-OF")
        parts.append(_Part(run, manifest, manifest.slice))
    return sorted(parts, key=lambda part: part.slice.number)


# --------------------------------------------------------------------------------------------- what must agree


def _refuse_strangers(run: RunFolder, before: Manifest | None, parts: Sequence[_Part]) -> None:
    """Raise UsageError, with all that differs, unless the slices are of one run, and of this one."""
    twice = [number for number, times in Counter(part.slice.number for part in parts).items() if times > 1]
    if twice:
        folders = ", ".join(str(part.run.path) for part in parts if part.slice.number == twice[0])
        raise UsageError(f"slice {twice[0]} is given more than once: {folders}", hint="name one folder of each slice")
    if before is not None and before.joined is None:
        raise UsageError(
            f"{run.path} was sampled as a whole, not joined from slices", hint="join them elsewhere: give -o DIR"
        )
    said = {f"slice {part.slice.number}": _identity(part.manifest, part.slice) for part in parts}
    said[str(run.path)] = {"run id": run.run_id}
    if before is not None and before.joined is not None:
        known = {place for part in parts for place in part.slice.places}
        kept = _identity(before, before.joined)
        if known.issuperset(_places(before)):  # nothing of the run's own readings stays
            kept = {name: value for name, value in kept.items() if not name.startswith("suite ")}
        said[str(run.path)] |= kept
    lines = list(_disagreements(said))
    if lines:
        shown = "".join(f"\n  {line}" for line in lines[:12])
        raise UsageError(
            f"these are not slices of one run, and joining them would mean nothing:{shown}",
            hint="sample the odd ones again as the others were; a slice takes over a changed suite when it is resumed",
        )


def _identity(manifest: Manifest, part: Slice | Joined) -> dict[str, str]:
    """What all slices of a run have in common, by what it is called. A model that was not begun says nothing."""
    suites = {f"suite {suite.name}": _short(suite.sha256, *sorted(suite.files.values())) for suite in manifest.suites}
    engines = fingerprint_fields(manifest.seed, (), manifest.engines)
    for name in ("model", "planned cells"):  # of the whole plan, which has a digest of its own
        engines.pop(name)
    return {"run id": manifest.run_id, "slices": str(part.of), "plan": part.plan[:12], **suites, **engines}


def _short(*digests: str) -> str:
    return " ".join(digest[:12] for digest in digests)


def _disagreements(said: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Where not all say the same: `seed: 5 in slice 1; 7 in slice 2, slice 3`."""
    for name in dict.fromkeys(name for fields in said.values() for name in fields):
        by_value: dict[str, list[str]] = {}
        for who, fields in said.items():
            if name in fields:
                by_value.setdefault(fields[name], []).append(who)
        if len(by_value) > 1:
            yield f"{name}: " + "; ".join(f"{value} in {_some(whose)}" for value, whose in by_value.items())


def _some(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


# --------------------------------------------------------------------------------------------------- uniting


def _united(run: RunFolder, before: Manifest | None, parts: Sequence[_Part]) -> Manifest:
    """The manifest of the run: what is known of the plan's cells, in the order of the plan."""
    cells: dict[int, Cell] = {}
    numbers: set[int] = set()
    manifests = [part.manifest for part in parts]
    for part in parts:
        cells |= zip(part.slice.places, part.manifest.cells, strict=True)
        numbers.add(part.slice.number)
    first, of = parts[0], parts[0].slice.of
    missing = set(range(1, of + 1)) - numbers
    if before is not None and before.joined is not None:
        manifests.append(before)
        missing &= set(before.joined.missing)
        for place, cell in zip(_places(before), before.cells, strict=True):
            known = cells.setdefault(place, cell)
            if is_pending(known):
                cells[place] = replace(known, injected=cell.injected)
    places = sorted(cells)
    planned = tuple(cells[place] for place in places)
    known_engines = {model: info for one in reversed(manifests) for model, info in one.engines.items()}
    models = dict.fromkeys(cell.model for cell in planned)
    engines = {model: known_engines[model] for model in models if model in known_engines}
    given_up = {cell_id: why for part in parts for cell_id, why in part.manifest.given_up.items()}
    if before is not None:  # a slice knows best what became of its cells, once it has come so far
        settled = {cell.cell_id for part in parts for cell in part.manifest.cells if not is_pending(cell)}
        given_up = {cell_id: why for cell_id, why in before.given_up.items() if cell_id not in settled} | given_up
    return replace(
        first.manifest,
        run_id=run.run_id,
        created_at=min(one.created_at for one in manifests),
        cells=planned,
        engines=engines,
        fingerprint=fingerprint_of(fingerprint_fields(first.manifest.seed, planned, engines)) if engines else "",
        given_up={cell.cell_id: given_up[cell.cell_id] for cell in planned if cell.cell_id in given_up},
        slice=None,
        joined=Joined(
            of,
            first.slice.plan,
            missing=tuple(sorted(missing)),
            places=tuple(places) if missing else (),
            lacking=first.slice.planned - first_looks(planned),
        ),
    )


def _places(joined: Manifest) -> Sequence[int]:
    """Where the cells of a joined run are in the whole plan."""
    known = joined.joined
    return known.places if known and known.missing else range(len(joined.cells))


def _bring_scores(run: RunFolder, manifest: Manifest, parts: Sequence[_Part]) -> None:
    """Put what the slices scored beside what the run has. A model is done when all its cells that ask for it are."""
    texts, cells = run.scores(), set(run.scored_cells)
    for part in parts:
        scored_by = part.run.scored_by
        texts |= part.run.scores()
        cells -= {cell.cell_id for cell in part.manifest.cells}
        cells |= {cell.cell_id for cell in _asking(part.manifest) if cell.model in scored_by}
    asking = _asking(manifest)
    models = set(run.scored_by)
    if manifest.joined is not None and not manifest.joined.missing:
        models |= {cell.model for cell in asking} - {cell.model for cell in asking if cell.cell_id not in cells}
    if asking or texts:
        run.write_scores(manifest, [one for scored in texts.values() for one in scored], models, sorted(cells))


def _asking(manifest: Manifest) -> list[Cell]:
    """The cells of which something is to be scored."""
    return [cell for cell in manifest.drawn_cells if asks_for_scores(cell)]


# ----------------------------------------------------------------------------------------- nobody samples here


@dataclass(frozen=True, slots=True)
class _Onlooker:
    """Ends the sitting before it starts an engine, and passes on what is worth knowing."""

    notice: Callable[[str], None]
    stopped: bool = True

    def sampling(self, engine: Engine, schedule: Schedule) -> None:
        """Never happens."""

    def noticed(self, what: str) -> None:
        self.notice(what)

    def advanced(self, completion: Completion, saved: int) -> None:
        """Never happens."""


def _no_engine(model: str) -> Engine:
    raise AssertionError(f"joining slices draws nothing of {model}")
