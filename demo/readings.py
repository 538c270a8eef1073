"""How the quickstart suite reads its completions: just as much of a suite file as the truth table needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

Reading = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Cell:
    """A prompt of the suite, injected text included, and how its completions are read."""

    name: str
    text: str
    max_tokens: int
    stop: tuple[str, ...]
    reading: Reading


def _whole(text: str) -> str:
    return text.strip()


def _integer(text: str) -> str:
    found = re.search(r"\d+", text)
    return found.group() if found else ""


def _choice(choices: list[str]) -> Reading:
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, choices))})\b", re.IGNORECASE)

    def read(text: str) -> str:
        found = pattern.search(text)
        return found.group().lower() if found else ""

    return read


def _labels(labels: dict[str, str]) -> Reading:
    def read(text: str) -> str:
        return next((name for name, pattern in labels.items() if re.search(pattern, text)), "other")

    return read


def _words(count: int) -> Reading:
    def read(text: str) -> str:
        return " ".join(text.split()[:count])

    return read


def reading(answer: Any) -> Reading:
    """What to make of a completion, from the suite's `answer`."""
    match answer:
        case None | "text":
            return _whole
        case {"integer": _}:
            return _integer
        case {"choice": choices}:
            return _choice(choices)
        case {"labels": labels}:
            return _labels(labels)
        case {"words": count}:
            return _words(count)
    raise ValueError(f"no reading for {answer!r}")


def cells(suite_path: Path) -> list[Cell]:
    """The cells of a suite: each prompt plain, then with each injection."""
    suite = yaml.safe_load(suite_path.read_text(encoding="utf-8"))
    found = []
    for prompt in suite["prompts"]:
        sampling = suite["sampling"] | prompt.get("sampling", {})
        injections = [{"id": "", "text": ""}, *prompt.get("inject", [])]
        found += [
            Cell(
                name="/".join(filter(None, (prompt["id"], injection["id"]))),
                text=prompt["text"] + injection["text"],
                max_tokens=sampling["max_tokens"],
                stop=tuple(sampling["stop"]),
                reading=reading(prompt.get("answer")),
            )
            for injection in injections
        ]
    return found
