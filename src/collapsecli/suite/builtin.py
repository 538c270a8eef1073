"""Names in, the files of the suites that come with the program out. Reads none of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_SUFFIX = ".yaml"
_PACKAGE = Path(__file__).resolve().parents[1]


def find(name: str) -> Path | None:
    """The file of a built-in suite; None where no built-in suite has that name."""
    return _files().get(name)


def names() -> tuple[str, ...]:
    """The names of the built-in suites, in alphabetical order."""
    return tuple(_files())


@cache
def _files() -> dict[str, Path]:
    """In the wheel the suites lie in the package; in a source checkout `prompts/` lies beside `src/`."""
    packed, beside = _PACKAGE / "prompts", _PACKAGE.parents[1] / "prompts"
    is_checkout = _PACKAGE.parent.name == "src"
    folder = beside if is_checkout and beside.is_dir() else packed
    return {path.stem: path for path in sorted(folder.glob(f"*{_SUFFIX}"))}
