"""Which step comes after which: by a number in the names, by time, or as it is said. Knows no results."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from collapsecli.compared import Step
from collapsecli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from collapsecli.compared import Side

BY_TIME, BY_NAME = "time", "name"
_SIZE = "number of parameters"
# Words that training code puts before a number. Two of them are two ways to count and are never mixed.
_COUNTED = re.compile(
    r"(?<![a-z])(?:global[-_]?)?(step|checkpoint|ckpt|completions|iteration|iter|epoch|update)s?[-_ ]*"
    r"(\d+(?:\.\d+)?)(k|m|)(?![a-z0-9])",
    re.IGNORECASE,
)
# A size counts where it stands alone: `8x7b` is 56 billion, `4bit` and `4k` are none.
_SIZED = re.compile(r"(?<![a-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?)([mb])(?![a-z0-9])", re.IGNORECASE)
_THOUSANDS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9}


@dataclass(frozen=True, slots=True)
class Place:
    """One that is to become a step. `created_at` is when its run was begun, as ISO 8601 in UTC."""

    side: Side
    created_at: str


@dataclass(frozen=True, slots=True)
class Order:
    """The steps in order. `places[k]` is the place that became step k, `words` says by what they were ordered."""

    steps: tuple[Step, ...]
    places: tuple[int, ...]
    words: str


@dataclass(frozen=True, slots=True)
class _Read:
    """A number in a name, and how a report calls it: `step 500`, `7B`."""

    number: float
    words: str


def _last_part(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2]


def _sampled(side: Side) -> str:
    return "+".join(filter(None, (_last_part(side.model), side.adapter)))


_SOURCES: tuple[tuple[str, Callable[[Side], str]], ...] = (
    ("names of the adapters", lambda side: side.adapter),
    ("names of the models", lambda side: side.model),
    ("ids of the runs", lambda side: side.run_id),
)
_LABELS: tuple[Callable[[Side], str], ...] = (
    lambda side: side.adapter,
    lambda side: _last_part(side.model),
    _sampled,
    lambda side: side.run_id,
    lambda side: f"{side.run_id} {_sampled(side)}",
)


def ordered(places: Sequence[Place], asked: str | None = None) -> Order:
    """Put places in order.

    Without a wish: by the number that can be read from all adapters, models or run ids in one way, if no two have the
    same; else by time. `asked` is `name` (equal numbers by time), `time`, or the names of all steps with commas
    between them. Places of one run that was begun once keep their order in it.

    Raises UsageError for fewer than two places, where `name` finds no number in all names, and where names do not say
    every place once.
    """
    if len(places) < 2:
        raise UsageError(
            "a trend needs two runs or more, or one of several models", hint="name several, or a folder that holds them"
        )
    if asked not in {None, BY_TIME, BY_NAME}:
        return _as_said(places, str(asked))
    by_name = None if asked == BY_TIME else _by_name(places, distinct=asked is None)
    if by_name is not None:
        return by_name
    if asked == BY_NAME:
        raise UsageError(
            "no one kind of number (step, checkpoint, parameters) is in the names of all steps",
            hint="--order time, or --order NAME,NAME,… with all of them",
        )
    why = "" if asked else ", for no one kind of number tells all their names apart (--order)"
    return _steps(places, _by_time(places), None, f"by the time at which the runs were begun{why}")


def read_numbers(name: str) -> dict[str, float]:
    """The numbers that can be read from a name, by what they count: `step`, `checkpoint`, …, parameters.

    Of several for one word the last one counts, as in a path; of several sizes the first in the last part with one.
    """
    return {way: read.number for way, read in _readings(name).items()}


def _readings(name: str) -> dict[str, _Read]:
    found = {}
    for match in _COUNTED.finditer(name):
        word, number = match[1].lower(), float(match[2]) * _THOUSANDS[match[3].lower()]
        found[word] = _Read(number, f"{word} {number:.0f}" if number.is_integer() else f"{word} {number:g}")
    sizes = (_SIZED.search(part) for part in reversed(name.split("/")))
    size = next(filter(None, sizes), None)
    if size is not None:
        number = int(size[1] or 1) * float(size[2]) * _THOUSANDS[size[3].lower()]
        found[_SIZE] = _Read(number, size[0])
    return found


def _by_name(places: Sequence[Place], *, distinct: bool) -> Order | None:
    """By the first kind of number that all names of one source have; None where there is none."""
    for whose, name_of in _SOURCES:
        readings = [_readings(name_of(place.side)) for place in places]
        for way in readings[0]:
            read = [reading[way] for reading in readings if way in reading]
            several = len({one.number for one in read})
            if len(read) == len(places) and several >= (len(places) if distinct else 2):
                numbers = [one.number for one in read]
                order = sorted(_by_time(places), key=numbers.__getitem__)
                return _steps(places, order, read, f"by the {way} in the {whose}")
    return None


def _by_time(places: Sequence[Place]) -> list[int]:
    return sorted(range(len(places)), key=lambda k: places[k].created_at)


def _as_said(places: Sequence[Place], asked: str) -> Order:
    names = [name.strip() for name in asked.split(",") if name.strip()]
    found = [_named(name, places) for name in names]
    missing = [place.side.run_id for k, place in enumerate(places) if k not in found]
    twice = [name for k, name in enumerate(names) if found[k] in found[:k]]
    if missing or twice:
        wrong = f"--order leaves out {', '.join(missing)}" if missing else f"--order says {', '.join(twice)} again"
        raise UsageError(wrong, hint="name every step once")
    return _steps(places, found, None, "as --order says")


def _named(name: str, places: Sequence[Place]) -> int:
    """The place that a name of the command line stands for: its run's id or path, its model or adapter, or an end."""
    known = [_known_as(place.side) for place in places]
    exact = [k for k, names in enumerate(known) if name in names]
    found = exact or [k for k, names in enumerate(known) if any(map(_begins_or_ends(name), names))]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(places[k].side.run_id for k in found[:5])
        raise UsageError(f"--order: {name!r} could be any of {several}", hint="say more of it")
    raise UsageError(f"--order: no step is called {name!r}", hint=", ".join(place.side.run_id for place in places[:5]))


def _known_as(side: Side) -> list[str]:
    numbers = [read.words for _, name_of in _SOURCES for read in _readings(name_of(side)).values()]
    names = (side.run_id, side.path, side.name, side.model, side.adapter, _sampled(side))
    return [name for name in (*names, *numbers, *(words.split()[-1] for words in numbers)) if name]


def _begins_or_ends(name: str) -> Callable[[str], bool]:
    return lambda known: known.startswith(name) or known.endswith(name)


# ---------------------------------------------------------------------------------------------------------------- names


def _steps(places: Sequence[Place], order: Sequence[int], read: Sequence[_Read] | None, words: str) -> Order:
    """The steps by their numbers, or by the shortest names that tell them apart."""
    names = _labels([place.side for place in places])
    if read is not None and _tells_apart([one.words for one in read]):
        names = [one.words for one in read]
    steps = tuple(Step(names[k], places[k].side, read[k].number if read else None) for k in order)
    return Order(steps, tuple(order), f"order: {words}")


def _labels(sides: Sequence[Side]) -> list[str]:
    for label in _LABELS:
        names = [label(side) for side in sides]
        if _tells_apart(names):
            return names
    return [f"{number}: {side.run_id}" for number, side in enumerate(sides, start=1)]


def _tells_apart(names: Iterable[str]) -> bool:
    names = list(names)
    return all(names) and len(set(names)) == len(names)
