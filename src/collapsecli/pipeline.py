"""From a plan to conclusions, stage by stage. Reads like the method section; knows no command line and no screen."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from collapsecli.engines import SampleRequest
from collapsecli.errors import CollapseError, IncompleteError, UsageError
from collapsecli.reasoning import split_reasoning
from collapsecli.records import Conclusions, DrawsCheck
from collapsecli.report.summary import summary_of
from collapsecli.runs import (
    Manifest,
    differences,
    fingerprint_fields,
    fingerprint_of,
)
from collapsecli.seeds import cell_seeds, random_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from collapsecli.engines import Engine
    from collapsecli.records import Cell, CellResult, Completion, Equivalence, Rules
    from collapsecli.runs import RunFolder, SuiteSource

# The completions that a run lacks: {cell_id: {sample_index: attempts that failed}}.
Owed = dict[str, dict[int, int]]

_PASSES = 3  # a failure that may go away is tried again this often before the run is left incomplete
_MANY_UNFINISHED = 0.05  # thoughts cut off, as a share of all completions, from which on the report says so


class Watch(Protocol):
    """Who looks on while a run is sampled, and may end it."""

    @property
    def stopped(self) -> bool:
        """Whether the run was asked to end early."""

    def sampling(self, engine: Engine, done: int, planned: int) -> None:
        """Sampling begins: `done` of `planned` completions were saved before."""

    def noticed(self, what: str) -> None:
        """Something that the user should know of, but that stops nothing."""

    def advanced(self, completion: Completion, saved: int) -> None:
        """One more completion came back; `saved` of this sitting are on disk."""


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
        manifest = _begun(run, plan) if is_new else _taken_up(run, plan)
        for broken in run.tidied():
            watch.noticed(f"{broken} could not be read and was moved aside; its completions are drawn again")
        owed = _owed(run, manifest)
        complete = not owed and run.samples_path.is_file()
        if not complete:
            try:
                owed = _sample(run, manifest, owed, start, watch)
            except BaseException as error:
                if is_new and not any(run.parts_path.glob("*.parquet")):
                    run.forget(keep_log=not isinstance(error, UsageError))
                elif not isinstance(error, UsageError):
                    _save_state(run, manifest, "incomplete" if _may_go_on(error) else "failed")
                raise
            complete = not owed and run.compact(run.manifest()) == _planned(manifest)
        else:
            run.write_manifest(manifest)
        _save_state(run, manifest, "complete" if complete else "incomplete")
    return complete


def _may_go_on(error: BaseException) -> bool:
    """Whether the same command can be expected to go on: the run was stopped, the disk was full, the engine died."""
    return isinstance(error, IncompleteError | OSError) or not isinstance(error, Exception)


def conclude(
    run: RunFolder, rules: Callable[[Rules], Rules] | None = None, equivalence: Equivalence | None = None
) -> Conclusions:
    """Read, group, measure and judge a run's completions, and write what they prove beside them.

    `rules` and `equivalence` replace what the suite said, for this judgement only.
    """
    from collapsecli.judge import is_unfinished_thought, judge_cell

    manifest = run.manifest()
    judged_by = {suite.name: rules(suite.rules) if rules else suite.rules for suite in manifest.suites}
    results: list[CellResult] = []
    unfinished_thoughts = 0
    for cell, completions in run.completions(manifest.cells):
        asked = replace(cell, equivalence=equivalence) if equivalence and cell.answer.kind == "text" else cell
        results.append(judge_cell(asked, completions, judged_by[cell.suite]))
        unfinished_thoughts += sum(map(is_unfinished_thought, completions))
    draws = _all_draws(results)
    conclusions = Conclusions(
        run_id=manifest.run_id,
        path=str(run.path),
        suites=tuple(suite.name for suite in manifest.suites),
        models=tuple(dict.fromkeys(cell.model for cell in manifest.cells)),
        engine=_engine_version(manifest),
        seed=manifest.seed,
        alpha=max(thresholds.alpha for thresholds in judged_by.values()),
        planned=_planned(manifest),
        saved=_planned(manifest) - sum(map(len, _owed(run, manifest).values())),
        results=tuple(results),
        draws=draws,
        surplus_p_value=_surplus(draws),
        notes=(*(manifest.engine.notes if manifest.engine else ()), *_thought_notes(unfinished_thoughts, results)),
        rules=tuple(judged_by.items()),
    )
    try:
        run.write_conclusions(manifest, results, summary_of(conclusions))
    except PermissionError as error:  # somebody else's run can be read, too
        note = f"the conclusions could not be kept beside the run: {error.strerror}"
        conclusions = replace(conclusions, notes=(*conclusions.notes, note))
    return conclusions


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
    run.write_state("running", attempts=0, planned=_planned(manifest), saved=0)
    return manifest


def _taken_up(run: RunFolder, plan: RunPlan) -> Manifest:
    """The manifest of a run begun before, if it was begun with the same plan.

    What only changes the judgement (expectations, readings, thresholds) is taken from the suites as they are now.
    """
    manifest = run.manifest()
    seed = manifest.seed if plan.seed is None else plan.seed
    _refuse_differences(
        run,
        fingerprint_fields(manifest.seed, manifest.cells, None),
        fingerprint_fields(seed, plan.cells, None),
    )
    return replace(manifest, suites=plan.suites, cells=plan.cells)


def _refuse_differences(run: RunFolder, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    changed = differences(before, now)
    if changed:
        shown = "".join(f"\n  {line}" for line in changed[:12])
        more = f"\n  and {len(changed) - 12} more" if len(changed) > 12 else ""
        raise UsageError(
            f"run {run.path.name} was begun with something else, and mixing the two would mean nothing:{shown}{more}",
            hint="leave --run-id out to begin a new run",
        )


# ------------------------------------------------------------------------------------------------- sampling


def _sample(run: RunFolder, manifest: Manifest, owed: Owed, start: Callable[[], Engine], watch: Watch) -> Owed:
    """Start the engine, make sure that it is the one the run was begun with, and draw what is missing."""
    if not owed:
        return owed
    engine = start()
    try:
        if manifest.engine is not None:
            _refuse_differences(
                run,
                fingerprint_fields(manifest.seed, manifest.cells, manifest.engine),
                fingerprint_fields(manifest.seed, manifest.cells, engine.info),
            )
        engine.check(manifest.cells)
        fingerprint = fingerprint_of(fingerprint_fields(manifest.seed, manifest.cells, engine.info))
        manifest = replace(manifest, engine=engine.info, fingerprint=fingerprint)
        run.write_manifest(manifest)
        run.write_state("running", attempts=int(run.state().get("attempts", 0)) + 1)
        return collect(run, manifest, owed, engine, watch)
    finally:
        engine.close()


def collect(run: RunFolder, manifest: Manifest, owed: Owed, engine: Engine, watch: Watch) -> Owed:
    """Draw the completions that a run lacks, save each as it comes back, and return those that it still lacks."""
    planned = _planned(manifest)
    seeds = cell_seeds(manifest.seed, {cell.cell_id: cell.sampling.samples for cell in manifest.cells})
    cells = {cell.cell_id: cell for cell in manifest.cells}
    for _ in range(_PASSES):
        if not owed or watch.stopped:
            break
        watch.sampling(engine, planned - sum(map(len, owed.values())), planned)
        rows = _drawn(engine, _requests(manifest.cells, owed, seeds))
        with run.shard_writer(manifest, _engine_version(manifest)) as shards, closing(rows):
            for drawn in rows:
                completion = _as_kept(drawn, cells[drawn.cell_id], owed[drawn.cell_id][drawn.sample_index])
                shards.add(completion)
                watch.advanced(completion, shards.saved)
        owed = _owed(run, manifest)
    return owed


def _drawn(engine: Engine, requests: Iterator[SampleRequest]) -> Generator[Completion, None, None]:
    """What the engine draws.

    Raises IncompleteError where it dies of anything: what came back before stays, and another engine can go on.
    """
    rows = engine.sample(requests)
    with closing(rows):
        try:
            yield from rows
        except CollapseError:
            raise
        except Exception as error:
            raise IncompleteError(f"the engine died while sampling: {type(error).__name__}: {error}") from error


def _requests(cells: Sequence[Cell], owed: Owed, seeds: Mapping[str, int]) -> Iterator[SampleRequest]:
    # The longest first: else the engine ends alone with the last long texts, its batch nearly empty.
    for cell in sorted(cells, key=lambda cell: -cell.sampling.max_tokens):
        if cell.cell_id in owed:
            yield SampleRequest(cell, seeds[cell.cell_id], tuple(sorted(owed[cell.cell_id])))


def _as_kept(completion: Completion, cell: Cell, failed_attempts: int) -> Completion:
    """A completion as its row says it: with the attempt it took, and what was thought aloud in a column of its own."""
    if failed_attempts:
        completion = replace(completion, attempt=failed_attempts + 1)
    if cell.reasoning == "keep" or completion.error_kind:
        return completion
    thought, answer = split_reasoning(completion.text, completion.prompt)
    return completion if thought is None else replace(completion, text=answer, reasoning=thought)


def _owed(run: RunFolder, manifest: Manifest) -> Owed:
    """What a run lacks; a draw whose failure may go away is lacking too."""
    kept = run.kept(manifest.cells)
    owed = {
        cell.cell_id: {
            index: kept[cell.cell_id].get(index, 0)
            for index in range(cell.sampling.samples)
            if kept[cell.cell_id].get(index, 1)
        }
        for cell in manifest.cells
    }
    return {cell_id: missing for cell_id, missing in owed.items() if missing}


def _planned(manifest: Manifest) -> int:
    return sum(cell.sampling.samples for cell in manifest.cells)


def _engine_version(manifest: Manifest) -> str:
    return f"{manifest.engine.name} {manifest.engine.version}" if manifest.engine else ""


def _save_state(run: RunFolder, manifest: Manifest, state: str) -> None:
    kept = run.kept(manifest.cells).values()
    saved = sum(len(indices) for indices in kept)
    failed = sum(1 for indices in kept for attempts in indices.values() if attempts)
    run.write_state(state, planned=_planned(manifest), saved=saved, failed=failed)


def _surplus(draws: DrawsCheck) -> float | None:
    from collapsecli.metrics.likelihood import surplus_p_value

    return surplus_p_value(draws.repeats, draws.expected + draws.expected_of_lost) if draws.draws else None


def _thought_notes(unfinished: int, results: Sequence[CellResult]) -> tuple[str, ...]:
    came_back = sum(result.n - result.n_failed for result in results)
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
