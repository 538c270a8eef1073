"""Where the bundled pair of models lies, and the table of what both really say. Knows no engine."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MODELS: Final = ("demo-base", "demo-tuned")

_FOLDER: Final = Path(__file__).resolve().parent


def model_path(name: str) -> Path | None:
    """The folder of a bundled model, or None if no bundled model has that name."""
    return _FOLDER / name if name in MODELS else None


def truth_path() -> Path:
    """The measured distributions of both models over the quickstart suite and further prompts, as JSON."""
    return _FOLDER / "truth.json"
