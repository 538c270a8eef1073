"""From a plan to conclusions, stage by stage. Reads like the method section; knows no command line and no screen."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from collapsecli.branches import is_pending
from collapsecli.errors import CollapseError, IncompleteError, UsageError
from collapsecli.ledger import Ledger, refuse_differences
from collapsecli.reasoning import split_reasoning
from collapsecli.records import Conclusions, DrawsCheck
from collapsecli.report.summary import summary_of
from collapsecli.runs import (
    TRANSIENT,
    Manifest,
    fingerprint_fields,
)
from collapsecli.schedule import Schedule
from collapsecli.scoring import asks_for_scores, score, still_asked, unscored_roads
from collapsecli.seeds import cell_seeds, random_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from collapsecli.engines import Engine, SampleRequest
    from collapsecli.ledger import Watch
    from collapsecli.records import Cell, CellResult, Completion, Equivalence, Rules
    from collapsecli.runs import RunFolder, SuiteSource

_MANY_UNFINISHED = 0.05  # thoughts cut off, as a share of all completions, from which on the report says so


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run is to be: its suites, its cells, and the seed that it was given, if any."""

    suites: tuple[SuiteSource, ...]
    cells: tuple[Cell, ...]
    seed: int | None = None
    git: str | None = None


def sample_run(run: RunFolder, plan: RunPlan, start: Callable[[], Engine], watch: Watch) -> bool:
    """Begin or resume a run and sample what it lacks; True when every planned completion is there.

    Raises UsageError when the run was begun with another plan or engine, and is then left as it was; EngineStartError;
    IncompleteError when another process holds the run or the engine dies. Whatever is raised, what was sampled stays.
    """
    with run.locked():
        is_new = not run.started
        ledger = Ledger(run, _begun(run, plan) if is_new else _taken_up(run, plan), watch)
        for broken in run.tidied():
            watch.noticed(f"{broken} could not be read and was moved aside; its completions are drawn again")
        schedule = _schedule(ledger)
        if _is_complete(ledger, schedule) and run.samples_path.is_file():
            run.write_manifest(ledger.manifest)
        else:
            try:
                if not _is_complete(ledger, schedule):
                    _sample(ledger, schedule, start)
            except BaseException as error:
                if is_new and not any(run.parts_path.glob("*.parquet")):
                    run.forget(keep_log=not isinstance(error, UsageError))
                elif not isinstance(error, UsageError):
                    _save_state(run, schedule, "incomplete" if _may_go_on(error) else "failed")
                raise
            if _is_complete(ledger, schedule):
                run.write_manifest(ledger.manifest)
                run.compact(ledger.manifest)
        complete = _is_complete(ledger, schedule)
        _save_state(run, schedule, "complete" if complete else "incomplete")
    return complete


def _is_complete(ledger: Ledger, schedule: Schedule) -> bool:
    """Whether everything was drawn that is needed, and scored that can be."""
    return schedule.complete and not _owes_scores(ledger)


def _owes_scores(ledger: Ledger) -> bool:
    asking = [cell for cell in ledger.manifest.drawn_cells if asks_for_scores(cell)]
    if not asking or not ledger.run.is_scored:
        return bool(asking)
    scored = ledger.run.scores()
    return any(unscored_roads(cell, scored.get(cell.cell_id, ())) for cell in asking)


def _may_go_on(error: BaseException) -> bool:
    """Whether the same command can be expected to go on: the run was stopped, the disk was full, the engine died."""
    return isinstance(error, IncompleteError | OSError) or not isinstance(error, Exception)


def conclude(
    run: RunFolder,
    rules: Callable[[Rules], Rules] | None = None,
    equivalence: tuple[Equivalence, float | None] | None = None,
) -> Conclusions:
    """Read, group, measure and judge a run's completions, and write what they prove beside them.

    `rules` and `equivalence` (with its threshold) replace what the suite said, for this judgement only.
    """
    from threadpoolctl import threadpool_limits

    from collapsecli.contrasts.groups import contrasts_of
    from collapsecli.judge import judge

    manifest = run.manifest()
    judged_by = {suite.name: rules(suite.rules) if rules else suite.rules for suite in manifest.suites}
    cells = tuple(_as_asked(cell, equivalence) for cell in manifest.cells)
    # Thousands of small problems: threads would spend their time waiting for each other.
    scores = run.scores()
    with threadpool_limits(1, "blas"):
        results = [  # of a family are all planned cells, those too for which nothing could be drawn
            result
            for result in judge(run.completions(cells), lambda cell: judged_by[cell.suite], scores)
            if result.cell.cell_id not in manifest.given_up
        ]
        asked = {cell.cell_id: still_asked(cell, scores.get(cell.cell_id, ())) for cell in cells}
        contrasts = contrasts_of(results, run.completions, lambda cell: judged_by[cell.suite], asked)
    if equivalence is not None and equivalence[0] == "given" and not _has_classes(run, cells):
        raise UsageError(f"the completions of {run.path} came without classes", hint="exact, or lexical[=THRESHOLD]")
    planned, saved = _progress(run, results, as_sampled=rules is None and equivalence is None)
    draws = _all_draws(results)
    conclusions = Conclusions(
        run_id=manifest.run_id,
        path=str(run.path),
        suites=tuple(suite.name for suite in manifest.suites),
        models=tuple(dict.fromkeys(cell.model for cell in manifest.cells)),
        engine=_engine_version(manifest),
        seed=manifest.seed,
        alpha=max(thresholds.alpha for thresholds in judged_by.values()),
        planned=planned,
        saved=saved,
        results=tuple(results),
        draws=draws,
        surplus_p_value=_surplus(draws),
        notes=(
            *(manifest.engine.notes if manifest.engine else ()),
            *_branch_notes(manifest),
            *_thought_notes(results),
        ),
        rules=tuple(judged_by.items()),
        contrasts=tuple(contrasts),
    )
    try:
        run.write_conclusions(manifest, conclusions, summary_of(conclusions))
    except PermissionError as error:  # somebody else's run can be read, too
        note = f"the conclusions could not be kept beside the run: {error.strerror}"
        conclusions = replace(conclusions, notes=(*conclusions.notes, note))
    return conclusions


def _has_classes(run: RunFolder, cells: Sequence[Cell]) -> bool:
    return any(row.given is not None for _, completions in run.completions(cells) for row in completions)


def _as_asked(cell: Cell, equivalence: tuple[Equivalence, float | None] | None) -> Cell:
    """The cell read by another equivalence; typed answers are the same if equal, unless classes were imported."""
    if equivalence is None or (cell.answer.kind != "text" and equivalence[0] != "given"):
        return cell
    return replace(cell, equivalence=equivalence[0], threshold=equivalence[1])


def _progress(run: RunFolder, results: Sequence[CellResult], *, as_sampled: bool) -> tuple[int, int]:
    """How many completions are planned, as far as is known, and how many of them are there for good.

    Another judgement than the one that ended the looks cannot say that a run which is complete needs more.
    """
    if not as_sampled and run.state().get("state") == "complete":
        judged = sum(result.n_judged for result in results)
        return judged, judged
    kept = run.kept([result.cell for result in results])
    saved = (
        sum(1 for index, failed in kept[result.cell.cell_id].items() if index < result.needed and not failed)
        for result in results
    )
    return sum(result.needed for result in results), sum(saved)


# --------------------------------------------------------------------------------------------- beginning a run


def _begun(run: RunFolder, plan: RunPlan) -> Manifest:
    """Write the manifest of a new run, before anything else is done for it."""
    manifest = Manifest(
        run_id=run.path.name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=random_seed() if plan.seed is None else plan.seed,
        suites=plan.suites,
        cells=plan.cells,
        git=plan.git,
    )
    run.write_manifest(manifest)
    run.write_state("running", attempts=0, planned=sum(cell.sampling.looks[0] for cell in plan.cells), saved=0)
    return manifest


def _taken_up(run: RunFolder, plan: RunPlan) -> Manifest:
    """The manifest of a run begun before, if it was begun with the same plan.

    What only changes the judgement (expectations, readings, thresholds) is taken from the suites as they are now.
    """
    manifest = run.manifest()
    seed = manifest.seed if plan.seed is None else plan.seed
    refuse_differences(
        run,
        fingerprint_fields(manifest.seed, manifest.cells, None),
        fingerprint_fields(seed, plan.cells, None),
    )
    # A suite that reads answers otherwise may find the branch points that the last one did not.
    given_up = manifest.given_up if plan.suites == manifest.suites else {}
    return replace(manifest, suites=plan.suites, cells=manifest.resumed_with(plan.cells), given_up=given_up)


# ------------------------------------------------------------------------------------------------- sampling


def _schedule(ledger: Ledger) -> Schedule:
    """What the run still needs, from what is in its folder."""
    run, manifest = ledger.run, ledger.manifest
    seeds = cell_seeds(manifest.seed, {cell.cell_id: cell.sampling.samples for cell in manifest.cells})
    rules = {suite.name: suite.rules for suite in manifest.suites}
    schedule = Schedule(manifest.cells, seeds, lambda cell: rules[cell.suite], _is_transient, manifest.given_up)
    schedule.on_branch = ledger.branched
    judged = schedule.judged_cells
    schedule.restore(run.kept(manifest.cells), run.completions(judged) if judged else ())
    return schedule


def _is_transient(completion: Completion) -> bool:
    return completion.error_kind in TRANSIENT


def _sample(ledger: Ledger, schedule: Schedule, start: Callable[[], Engine]) -> None:
    """Start the engine, make sure that it is the one the run was begun with, and draw what is missing."""
    run = ledger.run
    engine = start()
    try:
        ledger.accept(engine)
        for cell in ledger.manifest.drawn_cells:
            # Planned by an earlier sitting, or while this one was restored: no engine has seen it yet.
            if cell.branch and not is_pending(cell) and (refused := ledger.refused(cell)):
                schedule.give_up(cell.cell_id)
                ledger.branched(cell, refused)
        run.write_state("running", attempts=int(run.state().get("attempts", 0)) + 1)
        collect(ledger, schedule, engine)
        if schedule.complete and not ledger.watch.stopped:
            _score(ledger, engine)
    finally:
        engine.close()


def collect(ledger: Ledger, schedule: Schedule, engine: Engine) -> None:
    """Draw the completions that a run needs, and save each as it comes back."""
    manifest, watch = ledger.manifest, ledger.watch
    cells = {cell.cell_id: cell for cell in manifest.cells}
    watch.sampling(engine, schedule)
    rows = _drawn(engine, schedule.requests(engine.room))
    with ledger.run.shard_writer(manifest, _engine_version(manifest)) as shards, closing(rows):
        for drawn in rows:
            completion = _as_kept(drawn, cells[drawn.cell_id], schedule.failed_attempts(drawn))
            shards.add(completion)
            schedule.add(completion)
            watch.advanced(completion, shards.saved)


def _score(ledger: Ledger, engine: Engine) -> None:
    """Score the declared answers that can be listed, and the roads: what is known so needs no draws."""
    asking = [cell for cell in ledger.manifest.drawn_cells if asks_for_scores(cell)]
    if not asking:
        return
    with _dying_engine("scoring"):
        scored = list(score(engine, ledger.run.completions(asking)))
    if not ledger.watch.stopped:
        ledger.run.write_scores(ledger.manifest, scored)


@contextmanager
def _dying_engine(at: str) -> Iterator[None]:
    """Raises IncompleteError where an engine dies of anything: what came back before stays, and another can go on."""
    try:
        yield
    except CollapseError:
        raise
    except Exception as error:
        raise IncompleteError(f"the engine died while {at}: {type(error).__name__}: {error}") from error


def _drawn(engine: Engine, requests: Iterator[SampleRequest | None]) -> Generator[Completion, None, None]:
    """What the engine draws."""
    rows = engine.sample(requests)
    with closing(rows), _dying_engine("sampling"):
        yield from rows


def _as_kept(completion: Completion, cell: Cell, failed_attempts: int) -> Completion:
    """A completion as its row says it: with the attempt it took, and what was thought aloud in a column of its own."""
    if failed_attempts:
        completion = replace(completion, attempt=failed_attempts + 1)
    if cell.reasoning == "keep" or completion.error_kind:
        return completion
    thought, answer = split_reasoning(completion.text, completion.prompt)
    return completion if thought is None else replace(completion, text=answer, reasoning=thought)


def _engine_version(manifest: Manifest) -> str:
    return f"{manifest.engine.name} {manifest.engine.version}" if manifest.engine else ""


def _save_state(run: RunFolder, schedule: Schedule, state: str) -> None:
    run.write_state(state, planned=schedule.planned, saved=schedule.saved, failed=schedule.failed)


def _surplus(draws: DrawsCheck) -> float | None:
    from collapsecli.metrics.likelihood import surplus_p_value

    return surplus_p_value(draws.repeats, draws.expected + draws.expected_of_lost) if draws.draws else None


def _branch_notes(manifest: Manifest) -> Iterator[str]:
    """Which cells of the second wave were not sampled, those of one reason together."""
    for why in dict.fromkeys(manifest.given_up.values()):
        cells = [cell_id for cell_id, reason in manifest.given_up.items() if reason == why]
        yield f"not sampled: {', '.join(cells)}: {why}"


def _thought_notes(results: Sequence[CellResult]) -> tuple[str, ...]:
    came_back = sum(result.look - result.n_failed for result in results)
    unfinished = sum(result.n_unfinished for result in results)
    if unfinished < _MANY_UNFINISHED * came_back or not unfinished:
        return ()
    note = f"{unfinished:,} of {came_back:,} completions were cut off inside their thought and have no answer"
    return (f"{note}: raise max_tokens, or set `reasoning: off`",)


def _all_draws(results: Sequence[CellResult]) -> DrawsCheck:
    checks = [result.draws for result in results]
    return DrawsCheck(
        sum(check.draws for check in checks),
        sum(check.repeats for check in checks),
        sum(check.expected for check in checks),
        sum(check.expected_of_lost for check in checks),
    )
