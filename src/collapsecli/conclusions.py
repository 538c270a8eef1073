"""What a run's completions prove, redone from its folder as often as one likes. Needs no engine; knows no screen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from collapsecli.compared import Side
from collapsecli.contrasts.drawn import Drawn
from collapsecli.contrasts.groups import contrasts_of
from collapsecli.embedding import embeddings_of
from collapsecli.errors import UsageError
from collapsecli.judge import judge
from collapsecli.metrics.likelihood import surplus_p_value
from collapsecli.records import Conclusions, DrawsCheck
from collapsecli.report.summary import summary_of
from collapsecli.scoring import still_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from collapsecli.embedding import Embeddings
    from collapsecli.records import Cell, CellResult, Rules, Sameness, Scored
    from collapsecli.runs import Manifest, RunFolder

_MANY_UNFINISHED = 0.05  # thoughts cut off, as a share of all completions, from which on the report says so


@dataclass(frozen=True, slots=True)
class JudgedSide:
    """The cells of a run that were asked of one model with one adapter, each judged by the `rules` of its suite."""

    side: Side
    results: tuple[CellResult, ...]
    rules: Mapping[str, Rules]
    run: RunFolder
    manifest: Manifest
    embeddings: Embeddings | None = None

    def drawn(self, cells: Sequence[Cell]) -> Iterator[Drawn]:
        """Some of its cells with their draws, in their order."""
        known = {result.cell.cell_id: result for result in self.results}
        scores = self.run.scores()
        for cell, completions in self.run.completions(cells) if cells else ():
            scored = scores.get(cell.cell_id, ())
            alpha = self.rules[cell.suite].alpha
            yield Drawn.of(known[cell.cell_id], completions, alpha, scored, self.embeddings)


@dataclass(frozen=True, slots=True)
class Judged:
    """A run, and what the draws of each of its cells prove; those that could not be drawn are left out."""

    run: RunFolder
    manifest: Manifest
    results: tuple[CellResult, ...]
    rules: Mapping[str, Rules]
    embeddings: Embeddings | None = None

    def sides(self) -> list[JudgedSide]:
        """The run's models with their adapters, each by itself, in the order of the plan."""
        return [
            JudgedSide(
                self._side(*sampled),
                tuple(result for result in self.results if result.cell.sampled == sampled),
                self.rules,
                self.run,
                self.manifest,
                self.embeddings,
            )
            for sampled in dict.fromkeys(result.cell.sampled for result in self.results)
        ]

    def _side(self, model: str, adapter: str) -> Side:
        manifest, info = self.manifest, self.manifest.engines.get(model)
        return Side(
            name=sampled_name(model, adapter),
            run_id=manifest.run_id,
            path=str(self.run.path),
            model=model,
            adapter=adapter,
            engine=f"{info.name} {info.version}" if info else "",
            seed=manifest.seed,
        )


def sampled_name(model: str, adapter: str) -> str:
    """What a report calls a model with its adapter."""
    return f"{model} + {adapter}" if adapter else model


def judged(
    run: RunFolder,
    rules: Callable[[Rules], Rules] | None = None,
    equivalence: Sameness | None = None,
) -> Judged:
    """Read, group, measure and judge a run's completions; nothing is written but embeddings that were missing.

    `rules` and `equivalence` replace what the suite said, for this judgement only. Raises UsageError where there is no
    run, or where it has no classes that could be the equivalence; and what `embeddings_of` raises.
    """
    manifest = run.manifest()
    judged_by = {suite: rules(own) if rules else own for suite, own in manifest.rules.items()}
    cells = tuple(_as_asked(cell, equivalence) for cell in manifest.cells)
    embeddings = embeddings_of(run, cells)
    # Thousands of small problems: threads would spend their time waiting for each other.
    with threadpool_limits(1, "blas"):
        results = judge(run.completions(cells), lambda cell: judged_by[cell.suite], run.scores(), embeddings)
    if equivalence is not None and equivalence.equivalence == "given" and not _has_classes(run, cells):
        raise UsageError(f"the completions of {run.path} came without classes", hint="exact, or lexical[=THRESHOLD]")
    # Of a family are all planned cells, those too for which nothing could be drawn.
    drawn = (result for result in results if result.cell.cell_id not in manifest.given_up)
    return Judged(run, manifest, tuple(drawn), judged_by, embeddings)


def conclude(
    run: RunFolder,
    rules: Callable[[Rules], Rules] | None = None,
    equivalence: Sameness | None = None,
) -> Conclusions:
    """Judge a run, hold its cells against each other, and write what they prove beside them."""
    found = judged(run, rules, equivalence)
    manifest, results = found.manifest, found.results
    cells, scores = tuple(result.cell for result in results), run.scores()
    asked: dict[str, list[Scored]] = {
        cell.cell_id: still_asked(cell, scores[cell.cell_id]) for cell in cells if cell.cell_id in scores
    }
    with threadpool_limits(1, "blas"):
        contrasts = contrasts_of(
            results, run.completions, lambda cell: found.rules[cell.suite], asked, found.embeddings
        )
    planned, saved = _progress(run, results, as_sampled=rules is None and equivalence is None)
    draws = _all_draws(results)
    conclusions = Conclusions(
        run_id=manifest.run_id,
        path=str(run.path),
        suites=tuple(suite.name for suite in manifest.suites),
        models=tuple(dict.fromkeys(sampled_name(*cell.sampled) for cell in manifest.cells)),
        engine=manifest.engine_versions,
        seed=manifest.seed,
        alpha=max(thresholds.alpha for thresholds in found.rules.values()),
        planned=planned + (manifest.joined.lacking if manifest.joined else 0),
        saved=saved,
        results=results,
        draws=draws,
        surplus_p_value=_surplus(draws),
        notes=(
            *_engine_notes(manifest),
            *_slice_notes(manifest),
            *_branch_notes(manifest),
            *_thought_notes(results),
            *(found.embeddings.notes if found.embeddings else ()),
        ),
        rules=tuple(found.rules.items()),
        contrasts=contrasts,
    )
    try:
        run.write_conclusions(manifest, conclusions, summary_of(conclusions))
    except PermissionError as error:  # somebody else's run can be read, too
        note = f"the conclusions could not be kept beside the run: {error.strerror}"
        conclusions = replace(conclusions, notes=(*conclusions.notes, note))
    return conclusions


def _has_classes(run: RunFolder, cells: Sequence[Cell]) -> bool:
    return any(row.given is not None for _, completions in run.completions(cells) for row in completions)


def _as_asked(cell: Cell, asked: Sameness | None) -> Cell:
    """The cell read by another equivalence; typed answers are the same if equal, unless classes were imported."""
    if asked is None or (cell.answer.kind != "text" and asked.equivalence != "given"):
        return cell
    return replace(cell, equivalence=asked.equivalence, threshold=asked.threshold, encoder=asked.encoder)


def _progress(run: RunFolder, results: Sequence[CellResult], *, as_sampled: bool) -> tuple[int, int]:
    """How many completions are planned, as far as is known, and how many of them are there for good.

    Another judgement than the one that ended the looks cannot say that a run which is complete needs more.
    """
    if not as_sampled and run.state().get("state") == "complete":
        judged = sum(result.n_judged for result in results)
        return judged, judged
    kept = run.kept([result.cell for result in results])
    saved = sum(kept.saved(result.cell.cell_id, result.needed) for result in results)
    return sum(result.needed for result in results), saved


def _surplus(draws: DrawsCheck) -> float | None:
    return surplus_p_value(draws.repeats, draws.expected + draws.expected_of_lost) if draws.draws else None


def _engine_notes(manifest: Manifest) -> Iterator[str]:
    """What the engines have to say, with the model where there are several."""
    for info in manifest.engine_infos:
        for note in info.notes:
            yield f"{info.model}: {note}" if len(manifest.engine_infos) > 1 else note


def _slice_notes(manifest: Manifest) -> Iterator[str]:
    """That this is not all of the run."""
    if (part := manifest.slice) is not None:
        yield f"slice {part.number} of {part.of} of run {manifest.run_id}: no flag is withheld before all are joined"
    if manifest.joined is not None and manifest.joined.missing:
        yield f"not all of {manifest.joined.of} slices are here: {', '.join(map(str, manifest.joined.missing))} missing"


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
