"""From a plan to completions on disk, stage by stage. Reads like the method section; judges nothing."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collapsecli.branches import is_pending
from collapsecli.engines import dying_engine
from collapsecli.errors import IncompleteError, UsageError
from collapsecli.ledger import Ledger, refuse_differences
from collapsecli.reasoning import split_reasoning
from collapsecli.runs import TRANSIENT, Joined, Manifest, Slice, fingerprint_fields, plan_digest
from collapsecli.schedule import Schedule
from collapsecli.scoring import asks_for_scores, score, unscored_roads
from collapsecli.seeds import cell_seeds, random_seed
from collapsecli.slices import first_looks, sliced

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from collapsecli.engines import Engine, SampleRequest
    from collapsecli.ledger import Watch
    from collapsecli.records import Cell, Completion
    from collapsecli.runs import RunFolder, SuiteSource


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run is to be: its suites, its cells, and the seed that it was given, if any.

    With a `slice` (number, of) only its part of the cells is sampled, exactly as the whole run would sample it; all
    slices need the same seed.
    """

    suites: tuple[SuiteSource, ...]
    cells: tuple[Cell, ...]
    seed: int | None = None
    git: str | None = None
    slice: tuple[int, int] | None = None


def sample_run(run: RunFolder, plan: RunPlan, start: Callable[[str], Engine], watch: Watch) -> bool:
    """Begin or resume a run and sample what it lacks, one model after the other; True when everything is there.

    `start` gives the engine of a model, by the name that cells call it; it is closed before the next one is started.
    Raises UsageError when the run was begun with another plan or engine, and is then left as it was; EngineStartError;
    IncompleteError when another process holds the run or the engine dies. Whatever is raised, what was sampled stays.
    """
    with run.locked():
        is_new = not run.started
        ledger = Ledger(run, _begun(run, plan) if is_new else _taken_up(run, plan), watch)
        for broken in run.tidied():
            watch.noticed(f"{broken} could not be read and was moved aside; its completions are drawn again")
        schedules = _schedules(ledger, plan)
        if _is_complete(ledger, schedules) and run.samples_path.is_file():
            run.write_manifest(ledger.manifest)
        else:
            try:
                for model, schedule in schedules.items():
                    if not watch.stopped and not _has_all(ledger, model, schedule):
                        _sample(ledger, model, schedule, start)
            except BaseException as error:
                if is_new and not any(run.parts_path.glob("*.parquet")):
                    run.forget(keep_log=not isinstance(error, UsageError))
                elif not isinstance(error, UsageError) or run.state().get("state") == "running":
                    _save_state(run, schedules, "incomplete" if _may_go_on(error) else "failed")
                raise
            if _is_complete(ledger, schedules):
                run.write_manifest(ledger.manifest)
                run.compact(ledger.manifest)
        complete = _is_complete(ledger, schedules)
        _save_state(run, schedules, "complete" if complete else "incomplete")
    return complete


def _is_complete(ledger: Ledger, schedules: Mapping[str, Schedule]) -> bool:
    return all(_has_all(ledger, model, schedule) for model, schedule in schedules.items())


def _has_all(ledger: Ledger, model: str, schedule: Schedule) -> bool:
    """Whether everything was drawn that is needed of a model, and scored that can be."""
    return schedule.complete and not _owes_scores(ledger, model)


def _owes_scores(ledger: Ledger, model: str) -> bool:
    asking = _asking(ledger, model)
    if not asking or model not in ledger.run.scored_by:
        return bool(asking)
    scored = ledger.run.scores()
    return any(unscored_roads(cell, scored.get(cell.cell_id, ())) for cell in asking)


def _asking(ledger: Ledger, model: str) -> list[Cell]:
    """The cells of a model that have something to be scored."""
    return [cell for cell in ledger.manifest.drawn_cells if cell.model == model and asks_for_scores(cell)]


def _may_go_on(error: BaseException) -> bool:
    """Whether the same command can be expected to go on: the run was stopped, the disk was full, the engine died."""
    return isinstance(error, IncompleteError | OSError | UsageError) or not isinstance(error, Exception)


# --------------------------------------------------------------------------------------------- beginning a run


def _begun(run: RunFolder, plan: RunPlan) -> Manifest:
    """Write the manifest of a new run, before anything else is done for it."""
    part = _slice(plan)
    if part is not None and plan.seed is None:
        raise ValueError("slices that choose seeds of their own are no parts of one run")
    if part is None:
        run.refuse_unjoined()
    cells = _own_cells(plan, part)
    manifest = Manifest(
        run_id=run.run_id,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=random_seed() if plan.seed is None else plan.seed,
        suites=plan.suites,
        cells=cells,
        git=plan.git,
        slice=part,
    )
    run.write_manifest(manifest)
    run.write_state("running", attempts=0, planned=first_looks(cells), saved=0)
    return manifest


def _slice(plan: RunPlan) -> Slice | None:
    """The part of the plan that is sampled, unless it is all of it."""
    if plan.slice is None:
        return None
    number, of = plan.slice
    return Slice(number, of, sliced(plan.cells, number, of), plan_digest(plan.cells), first_looks(plan.cells))


def _own_cells(plan: RunPlan, part: Slice | None) -> tuple[Cell, ...]:
    return plan.cells if part is None else tuple(plan.cells[place] for place in part.places)


def _taken_up(run: RunFolder, plan: RunPlan) -> Manifest:
    """The manifest of a run begun before, if it was begun with the same plan.

    What only changes the judgement (expectations, readings, thresholds) is taken from the suites as they are now.
    """
    manifest = run.manifest()
    seed = manifest.seed if plan.seed is None else plan.seed
    part, joined = _slice(plan), manifest.joined
    cells = _own_cells(plan, part)
    begun_with = cells
    if joined is not None and joined.missing and joined.plan == plan_digest(plan.cells):
        begun_with = tuple(plan.cells[place] for place in joined.places)
        joined = Joined(joined.of, joined.plan)  # what the missing slices would bring is drawn here
    refuse_differences(
        run,
        fingerprint_fields(manifest.seed, manifest.cells, {}) | _slice_fields(manifest.slice),
        fingerprint_fields(seed, begun_with, {}) | _slice_fields(part),
    )
    # A suite that reads answers otherwise may find the branch points that the last one did not.
    given_up = manifest.given_up if plan.suites == manifest.suites else {}
    return replace(manifest, suites=plan.suites, cells=manifest.resumed_with(cells), given_up=given_up, joined=joined)


def _slice_fields(part: Slice | None) -> dict[str, str]:
    return {"slice": f"{part.number} of {part.of}", "whole plan": part.plan} if part else {}


# ------------------------------------------------------------------------------------------------- sampling


def _schedules(ledger: Ledger, plan: RunPlan) -> dict[str, Schedule]:
    """What each model still owes the run, from what is in its folder."""
    manifest = ledger.manifest
    # Of the whole plan, so that a slice draws what the whole run would draw.
    seeds = cell_seeds(manifest.seed, {cell.cell_id: cell.sampling.samples for cell in plan.cells})
    return {
        model: _schedule(ledger, [cell for cell in manifest.cells if cell.model == model], seeds)
        for model in manifest.models
    }


def _schedule(ledger: Ledger, cells: Sequence[Cell], seeds: Mapping[str, int]) -> Schedule:
    run, manifest = ledger.run, ledger.manifest
    rules = manifest.rules
    given_up = [cell.cell_id for cell in cells if cell.cell_id in manifest.given_up]
    schedule = Schedule(cells, seeds, lambda cell: rules[cell.suite], _is_transient, given_up)
    schedule.on_branch = ledger.branched
    judged = schedule.judged_cells
    schedule.restore(run.kept(cells), run.completions(judged) if judged else ())
    return schedule


def _is_transient(completion: Completion) -> bool:
    return completion.error_kind in TRANSIENT


def _sample(ledger: Ledger, model: str, schedule: Schedule, start: Callable[[str], Engine]) -> None:
    """Start the engine, make sure that it is the one the run was begun with, and draw what is missing."""
    run = ledger.run
    engine = start(model)
    try:
        ledger.accept(model, engine)
        for cell in ledger.manifest.drawn_cells:
            # Planned by an earlier sitting, or while this one was restored: no engine has seen it yet.
            if cell.model == model and cell.branch and not is_pending(cell) and (refused := ledger.refused(cell)):
                schedule.give_up(cell.cell_id)
                ledger.branched(cell, refused)
        run.write_state("running", attempts=int(run.state().get("attempts", 0)) + 1)
        collect(ledger, schedule, engine)
        if schedule.complete and not ledger.watch.stopped:
            _score(ledger, model, engine)
    finally:
        engine.close()


def collect(ledger: Ledger, schedule: Schedule, engine: Engine) -> None:
    """Draw the completions that a run needs, and save each as it comes back."""
    manifest, watch = ledger.manifest, ledger.watch
    cells = {cell.cell_id: cell for cell in manifest.cells}
    watch.sampling(engine, schedule)
    rows = _drawn(engine, schedule.requests(engine.room))
    with ledger.run.shard_writer(manifest, manifest.engine_versions) as shards, closing(rows):
        for drawn in rows:
            completion = _as_kept(drawn, cells[drawn.cell_id], schedule.failed_attempts(drawn))
            shards.add(completion)
            schedule.add(completion)
            watch.advanced(completion, shards.saved)


def _score(ledger: Ledger, model: str, engine: Engine) -> None:
    """Score the declared answers that can be listed, and the roads: what is known so needs no draws."""
    run, asking = ledger.run, _asking(ledger, model)
    if not asking:
        return
    with dying_engine("scoring"):
        scored = list(score(engine, run.completions(asking)))
    if not ledger.watch.stopped:
        now = {cell.cell_id for cell in asking}
        others = [one for cell_id, known in run.scores().items() if cell_id not in now for one in known]
        run.write_scores(ledger.manifest, [*others, *scored], run.scored_by | {model})


def _drawn(engine: Engine, requests: Iterator[SampleRequest | None]) -> Generator[Completion, None, None]:
    """What the engine draws."""
    rows = engine.sample(requests)
    with closing(rows), dying_engine("sampling"):
        yield from rows


def _as_kept(completion: Completion, cell: Cell, failed_attempts: int) -> Completion:
    """A completion as its row says it: with the attempt it took, and what was thought aloud in a column of its own."""
    if failed_attempts:
        completion = replace(completion, attempt=failed_attempts + 1)
    if cell.reasoning == "keep" or completion.error_kind:
        return completion
    thought, answer = split_reasoning(completion.text, completion.prompt)
    return completion if thought is None else replace(completion, text=answer, reasoning=thought)


def _save_state(run: RunFolder, schedules: Mapping[str, Schedule], state: str) -> None:
    owed = schedules.values()
    run.write_state(
        state,
        planned=sum(schedule.planned for schedule in owed),
        saved=sum(schedule.saved for schedule in owed),
        failed=sum(schedule.failed for schedule in owed),
    )
