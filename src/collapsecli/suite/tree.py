"""YAML text in, plain data and its places out. Knows nothing of suites; constructs no objects, runs no tags.

Scalars are read as YAML 1.2 reads them (`1:30`, `010` and `2024-01-01` are text, `1e-3` is a number), with one
exception for the sake of readers of YAML 1.1: see `BareWord`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import yaml

from collapsecli.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 100_000  # with every alias written out: some ten thousand prompts
MAX_CHARACTERS = 2 * MAX_BYTES  # with every alias written out
MAX_DIGITS = 18  # fits 64 bits

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster where libyaml is there
_BARE = re.compile(r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|true|True|TRUE|false|False|FALSE")
_NULL = re.compile(r"~|null|Null|NULL|")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class BareWord(str):
    """`yes`, `no`, `on`, `off`, `true`, `false` without quotes: text to some readers of YAML, truth values to others.

    It is the text as written; who wants free text asks for quotes, who wants one of a few words may take it.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its place; `data` is plain (sequences are tuples), `raw` a scalar as written.

    `size` and `characters` count the value with every alias written out.
    """

    place: Place
    data: Any
    raw: str | None = None
    children: Mapping[str | int, Node] = field(default_factory=dict)
    keys: Mapping[str, Place] = field(default_factory=dict)
    size: int = 1
    characters: int = 0

    def at(self, path: tuple[str | int, ...]) -> Node:
        """The deepest node that there is on the way along `path`."""
        node = self
        for step in path:
            if step not in node.children:
                break
            node = node.children[step]
        return node


@dataclass(frozen=True, slots=True)
class Tree:
    """What was read: `root` is None where the text cannot be read at all, and `faults` says why."""

    root: Node | None
    faults: tuple[Fault, ...]


def read_tree(content: bytes, file: str) -> Tree:
    """The YAML document in `content`; `file` is the name that faults carry. Never raises."""
    reader = _Reader(file)
    root: Node | None = None
    try:
        root = reader.document(reader.decoded(content))
    except _StopError as stop:
        reader.faults.append(stop.fault)
    except yaml.MarkedYAMLError as error:
        reader.faults.append(_syntax_fault(error, file))
    except yaml.YAMLError as error:
        reader.faults.append(Fault(file, 0, 0, f"not YAML: {error}"))
    return Tree(root, tuple(reader.faults))


class _StopError(Exception):
    """Reading cannot go on after this fault."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault


class _Reader:
    """Walks the parser's events, so that depth and size are checked before anything is built."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.faults: list[Fault] = []
        self.anchors: dict[str, Node | None] = {}  # None while the anchored value is still being read
        self.events: Iterator[Any] = iter(())

    def decoded(self, content: bytes) -> str:
        if len(content) > MAX_BYTES:
            message = f"the file is larger than {MAX_BYTES // 2**20} MiB"
            raise _StopError(Fault(self.file, 0, 0, message, "keep large sets of prompts in a `file`"))
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            place = _place_of_offset(content[: error.start].decode("utf-8-sig", errors="replace"))
            message = f"byte 0x{content[error.start]:02x} is not UTF-8"
            raise _StopError(self.fault(place, message, "save the file as UTF-8")) from error
        if found := _FORBIDDEN.search(text):
            message = f"the character U+{ord(found.group()):04X} is not allowed in YAML"
            hint = "write it as an escape in double quotes"
            raise _StopError(self.fault(_place_of_offset(text[: found.start()]), message, hint))
        return text

    def document(self, text: str) -> Node:
        self.events = yaml.parse(text, Loader=_LOADER)
        next(self.events)  # the stream's start
        if isinstance(next(self.events), yaml.StreamEndEvent):
            raise _StopError(Fault(self.file, 0, 0, "the file is empty"))
        root = self.node(next(self.events), 1)
        next(self.events)  # the document's end
        following = next(self.events)
        if not isinstance(following, yaml.StreamEndEvent):
            self.faults.append(self.fault(_place(following), "a second document starts here", "one suite per file"))
        return root

    def node(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        if depth > MAX_DEPTH:
            raise _StopError(self.fault(_place(event), f"nested deeper than {MAX_DEPTH} levels"))
        if event.tag not in (None, "!"):
            self.faults.append(self.fault(_place(event), f"the tag `{event.tag}` is not read", "remove it; quote text"))
        if event.anchor:
            self.anchors[event.anchor] = None
        node = self.bounded(self.value(event, depth))
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def value(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(event, depth)
        return self.mapping(event, depth)

    def alias(self, event: Any) -> Node:
        place = _place(event)
        target = self.anchors.get(event.anchor)
        if target is None:
            inside = event.anchor in self.anchors
            message = f"the alias `*{event.anchor}` " + ("stands inside its own anchor" if inside else "has no anchor")
            self.faults.append(self.fault(place, message))
            return Node(place, None)
        return replace(target, place=place)

    def bounded(self, node: Node) -> Node:
        if node.size > MAX_NODES:
            message = f"more than {MAX_NODES} values, aliases written out"
        elif node.characters > MAX_CHARACTERS:
            message = f"more than {MAX_CHARACTERS // 2**20} Mi characters, aliases written out"
        else:
            return node
        raise _StopError(self.fault(node.place, message, "keep large sets of prompts in a `file`"))

    def scalar(self, event: yaml.ScalarEvent) -> Node:
        raw, place = event.value, _place(event)
        plain = event.implicit[0]
        if plain and _INTEGER.fullmatch(raw) and len(raw) > MAX_DIGITS:
            self.faults.append(self.fault(place, f"a number of {len(raw)} digits is too large"))
            return Node(place, 0, raw)
        return Node(place, _resolved(raw) if plain else raw, raw, characters=len(raw))

    def sequence(self, start: Any, depth: int) -> Node:
        items: list[Node] = []
        size, characters = 1, 0
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            item = self.node(event, depth + 1)
            self.refuse_null(item, "an item has no value", item.place)
            items.append(item)
            size, characters = size + item.size, characters + item.characters
        data = tuple(item.data for item in items)
        return Node(_place(start), data, None, dict(enumerate(items)), {}, size, characters)

    def mapping(self, start: Any, depth: int) -> Node:
        children: dict[str | int, Node] = {}
        keys: dict[str, Place] = {}
        size, characters = 1, 0
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key, place = self.key(event, depth, _place(start)), _place(event)
            value = self.node(next(self.events), depth + 1)
            size, characters = size + value.size, characters + value.characters + len(key or "")
            if key is None:
                continue
            if key in keys:
                message = f"the key `{key}` stands here a second time"
                self.faults.append(self.fault(place, message, f"the first is on line {keys[key].line}"))
                continue
            if value.data is None and value.raw is not None:
                value = replace(value, place=place)  # an absent value has no place of its own
            self.refuse_null(value, f"`{key}` has no value", place)
            keys[key], children[key] = place, value
        data = {key: children[key].data for key in keys}
        return Node(_place(start), data, None, children, keys, size, characters)

    def key(self, event: Any, depth: int, holder: Place) -> str | None:
        place = _place(event)
        if not isinstance(event, yaml.ScalarEvent):
            self.skip(event, depth)
            template = isinstance(event, yaml.MappingStartEvent) and place.line == holder.line
            hint = 'a template needs quotes: "{{ name }}"' if template else ""
            self.faults.append(self.fault(holder, "a key is plain text, not a list, a mapping or an alias", hint))
            return None
        if event.tag not in (None, "!"):
            self.faults.append(self.fault(place, f"the tag `{event.tag}` is not read", "remove it; quote text"))
        if not event.implicit[0]:
            return event.value
        if event.value == "<<":
            self.faults.append(self.fault(place, "merge keys (`<<`) are not read", "write the keys out"))
            return None
        return BareWord(event.value) if _BARE.fullmatch(event.value) else event.value

    def skip(self, event: Any, depth: int) -> None:
        """Reads past a value that has no business here, with whatever is wrong inside it."""
        before = len(self.faults)
        self.node(event, depth + 1)
        del self.faults[before:]

    def refuse_null(self, node: Node, message: str, place: Place) -> None:
        if node.data is None and node.raw is not None:
            self.faults.append(self.fault(place, message, "remove it, or quote it if text is meant"))

    def fault(self, place: Place, message: str, hint: str = "") -> Fault:
        return Fault(self.file, place.line, place.column, message, hint)


def _resolved(raw: str) -> str | int | float | None:
    """A scalar without quotes. Keys are not resolved: `1: …` is the key "1"."""
    if _BARE.fullmatch(raw):
        return BareWord(raw)
    if _NULL.fullmatch(raw):
        return None
    if _INTEGER.fullmatch(raw):
        return int(raw)
    if _NUMBER.fullmatch(raw):
        return float(raw)
    return raw


def _syntax_fault(error: yaml.MarkedYAMLError, file: str) -> Fault:
    mark = error.problem_mark or error.context_mark
    message = f"not YAML: {error.problem or error.context}"
    return Fault(file, mark.line + 1, mark.column + 1, message) if mark else Fault(file, 0, 0, message)


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _place_of_offset(before: str) -> Place:
    """The place right after the text `before`."""
    return Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
