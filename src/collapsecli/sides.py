"""Which two sides a command line means: runs, or models of a run. Judges them, and compares nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collapsecli.conclusions import judged
from collapsecli.errors import UsageError
from collapsecli.runs import find_run
from collapsecli.suite import model_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collapsecli.conclusions import JudgedSide
    from collapsecli.records import Sameness

_RUN_AND_MODEL = ":"


def sides_of(names: Sequence[str], root: Path, equivalence: Sameness | None = None) -> tuple[JudgedSide, JudgedSide]:
    """The two sides that are meant: two runs, or one run that sampled two models; `RUN:MODEL` says which of several.

    Raises UsageError when a run is not found, or when it is not clear which of its models is meant.
    """
    found = [_sides(name, root, equivalence) for name in names]
    if len(found) == 1:
        (name,), (several,) = names, found
        if len(several) != len(("base", "run")):
            some = list(_called(several))[:2]
            models = " ".join(f"{name}{_RUN_AND_MODEL}{called}" for called in some) if len(some) > 1 else ""
            raise UsageError(
                f"{name} is {_counted(several)}, and two are compared",
                hint="name two runs" + (f", or two of its models: {models}" if models else ""),
            )
        return several[0], several[1]
    base, run = (_only(name, several) for name, several in zip(names, found, strict=True))
    return base, run


def side_of(name: str, root: Path) -> JudgedSide:
    """The one side that is meant; raises UsageError as `sides_of`."""
    return _only(name, _sides(name, root, None))


def _only(name: str, several: Sequence[JudgedSide]) -> JudgedSide:
    if len(several) > 1:
        listed = ", ".join(f"{name}{_RUN_AND_MODEL}{called}" for called in _called(several))
        raise UsageError(f"{name} is {_counted(several)}", hint=f"say which: {listed}")
    return several[0]


def _sides(name: str, root: Path, equivalence: Sameness | None) -> list[JudgedSide]:
    run_name, model = _run_and_model(name, root)
    several = judged(find_run(run_name, root), equivalence=equivalence).sides()
    if not several:
        raise UsageError(f"{run_name} holds no cells that were sampled")
    if not model:
        return several
    called = _called(several)
    known = {**{one.side.name: one for one in several}, **called}
    if model not in known:
        raise UsageError(f"{run_name} did not sample `{model}`", hint=f"it sampled {', '.join(called)}")
    return [known[model]]


def _run_and_model(name: str, root: Path) -> tuple[str, str]:
    """`RUN` or `RUN:MODEL`; paths and models may hold colons of their own."""
    parts = name.split(_RUN_AND_MODEL)
    for at in range(len(parts), 1, -1):
        run_name = _RUN_AND_MODEL.join(parts[:at])
        if _is_run(run_name, root):
            return run_name, _RUN_AND_MODEL.join(parts[at:])
    return parts[0], _RUN_AND_MODEL.join(parts[1:])


def _is_run(name: str, root: Path) -> bool:
    try:
        find_run(name, root)
    except UsageError:
        return False
    return True


def _called(several: Sequence[JudgedSide]) -> dict[str, JudgedSide]:
    """The sides of a run by the short names of their models and adapters, as cell ids have them."""
    short = model_names(one.side.model for one in several)
    return {"+".join(filter(None, (short[one.side.model], one.side.adapter))): one for one in several}


def _counted(several: Sequence[JudgedSide]) -> str:
    return f"{len(several)} models" if len(several) > 1 else "one model of a run"
