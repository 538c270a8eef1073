"""A suite while it is read, and when it has no faults. Reads nothing itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collapsecli import records
from collapsecli.errors import Fault
from collapsecli.suite.scalars import short
from collapsecli.suite.tree import Place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from collapsecli.suite import schema
    from collapsecli.suite.prompts import Prompt
    from collapsecli.suite.tree import Node

RoadPlace = tuple[str, int, int]  # file, line and column
RoadKey = tuple[str, str, int]  # the prompt, its injection ("" for the plain one), and which of their continuations
WHOLE_FILE = Place(0, 0)


@dataclass(frozen=True, slots=True)
class Source:
    """A file that a suite was read from, as it was then."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite without faults: what its files say, and their identity for the manifest.

    `source` is the suite's own file and `text` what it held; `files` are the files of prompts that it names. What the
    suite says of all its prompts (formats, restarts, injections) stands in each of them. `road_places` says where each
    continuation is written.
    """

    source: Source
    text: str
    files: tuple[Source, ...]
    name: str
    settings: schema.SuiteFile
    prompts: tuple[Prompt, ...]
    road_places: Mapping[RoadKey, RoadPlace] = field(default_factory=dict)
    warnings: tuple[Fault, ...] = ()

    @property
    def models(self) -> tuple[records.Model, ...]:
        """The models that the suite is asked of; none where it leaves that open."""
        named = self.settings.models or (() if self.settings.model is None else (self.settings.model,))
        return tuple(
            records.Model.at(one) if isinstance(one, str) else records.Model.at(one.model, one.adapters)
            for one in named
        )

    @property
    def rules(self) -> records.Rules:
        """The thresholds of the verdict."""
        rules = self.settings.rules
        return records.Rules(rules.collapsed, rules.diverse, rules.alpha, rules.fdr)


@dataclass(frozen=True, slots=True)
class Use:
    """A name and where it is given."""

    name: str
    file: str
    place: Place


@dataclass(slots=True)
class Draft:
    """A suite while it is read: what could be read of it, and what is wrong with the rest."""

    path: Path
    content: bytes = b""
    settings: schema.SuiteFile | None = None
    name: str = ""
    name_place: Place = WHOLE_FILE
    prompts: list[Prompt] = field(default_factory=list)
    files: list[Source] = field(default_factory=list)
    ids: list[Use] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    warnings: dict[Fault, None] = field(default_factory=dict)  # each once, in order
    road_places: dict[RoadKey, RoadPlace] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The name that faults carry."""
        return str(self.path)

    def fault(self, place: Place, message: str, hint: str = "") -> None:
        """One more thing wrong in the suite's own file."""
        self.faults.append(Fault(self.file, place.line, place.column, message, hint))

    def note_roads(self, prompt: Prompt, node: Node) -> None:
        """Where the continuations of a prompt are written, and those of its injections."""
        self.note_roads_of(prompt.id, "", prompt.continuations, node)
        for at, injection in enumerate(prompt.inject or ()):
            self.note_roads_of(prompt.id, injection.id, injection.continuations, node.at(("inject", at)))

    def note_roads_of(self, prompt_id: str, injection_id: str, roads: Sequence[str] | None, holder: Node) -> None:
        """Where some continuations are written; one that begins with another is worth a warning."""
        places = [holder.at(("continuations", at)).place for at in range(len(roads or ()))]
        for at, place in enumerate(places):
            self.road_places[prompt_id, injection_id, at] = (self.file, place.line, place.column)
        begun = ""
        for road, place in sorted(zip(roads or (), places, strict=True), key=lambda one: one[0]):
            if begun and road.startswith(begun):  # in alphabetical order the shorter one comes first
                message = f"the continuation `{short(road)}` begins with `{short(begun)}`"
                warning = Fault(self.file, place.line, place.column, message, "its mass counts once")
                self.warnings[warning] = None
            else:
                begun = road

    def suite(self) -> Suite:
        """The finished suite; there are no faults."""
        if self.settings is None:
            raise AssertionError("a draft without settings has faults")
        return Suite(
            source=Source(self.path, hashlib.sha256(self.content).hexdigest()),
            text=self.content.decode("utf-8-sig"),
            files=tuple(self.files),
            name=self.name,
            settings=self.settings,
            prompts=tuple(self.prompts),
            road_places=self.road_places,
            warnings=tuple(self.warnings),
        )
