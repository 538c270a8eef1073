"""How a run is cut into slices: written once, before the first is sampled, and kept by every resume."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from collapsecli.errors import UsageError
from collapsecli.runs.durable import write_text_whole
from collapsecli.seeds import random_seed
from collapsecli.slices import group_count

if TYPE_CHECKING:
    from pathlib import Path

    from collapsecli.pipeline import RunPlan
    from collapsecli.runs import RunFolder

# Several for each worker: loads even out, and what a dead worker leaves is a small part. The engine runs empty at the
# end of each, so they should not be many.
_SLICES_PER_WORKER = 4


@dataclass(frozen=True, slots=True)
class Charter:
    """Into how many slices a run is cut, and the seed of them all; `token` tells this run's folder from any other."""

    of: int
    seed: int
    token: str


def charter_path(run: RunFolder) -> Path:
    """Where the charter of a run is."""
    return run.path / "slices" / "cluster.json"


def read_charter(run: RunFolder) -> Charter | None:
    """The charter of a run, None where there is none.

    Raises UsageError where it is not one of ours.
    """
    path = charter_path(run)
    try:
        content = json.loads(path.read_text("utf-8"))
        return Charter(int(content["of"]), int(content["seed"]), str(content["token"]))
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error


def chartered(run: RunFolder, plan: RunPlan, workers: int) -> Charter:
    """The charter of a run: that of an earlier sitting, else a new one.

    Raises UsageError for a run that was begun as a whole or in slices of the user's own, or with another seed.
    """
    known = read_charter(run)
    if known is None:
        if run.started or run.slice_folders():
            raise UsageError(f"{run.path} was not begun on a cluster", hint="go on with it as it was begun")
        of = max(1, min(_SLICES_PER_WORKER * workers, group_count(plan.cells)))
        seed = random_seed() if plan.seed is None else plan.seed
        known = Charter(of, seed, secrets.token_hex(8))
        write_text_whole(charter_path(run), json.dumps(asdict(known), indent=1) + "\n")
    if plan.seed not in {None, known.seed}:
        raise UsageError(
            f"run {run.path.name} was begun with the seed {known.seed}, not {plan.seed}",
            hint="leave --run-id out to begin a new run",
        )
    return known
