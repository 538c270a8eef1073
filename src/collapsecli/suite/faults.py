"""What the schema rejects in, faults with places out: one line per fault, in the words of the suite's author."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from collapsecli.errors import Fault
from collapsecli.sanitize import visible
from collapsecli.suite.forms import ANSWER_FORMS, ANSWER_WORDS, EXPECT_FORMS, EXPECT_WORDS
from collapsecli.suite.prompts import SharedInjection
from collapsecli.suite.schema import MAPPINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

    from collapsecli.suite.tree import Node, Place

T = TypeVar("T")
Path = tuple[str | int, ...]

ALTERNATIVES = {"answer": (ANSWER_WORDS, ANSWER_FORMS), "expect": (EXPECT_WORDS, EXPECT_FORMS)}

FORMS = {
    "integer": "{integer: [LOW, HIGH]}",
    "choice": "{choice: [A, B, …]}",
    "regex": "{regex: PATTERN}",
    "json": "{json: PATH}",
    "words": "{words: N}",
    "labels": "{labels: {NAME: REGEX, …}}",
    "weights": "{weights: {ANSWER: WEIGHT, …}}",
    "min_modes": "{min_modes: K}",
}

WANTED = {
    "string_type": "text",
    "string_unicode": "text that UTF-8 can hold",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}

BOUNDS = {
    "greater_than": ("gt", "must be above"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be below"),
    "less_than_equal": ("le", "must be at most"),
}


def read(adapter: TypeAdapter[T], data: Any) -> T | None:
    """The data as the adapter's type, or None where it is faulty."""
    try:
        return adapter.validate_python(data)
    except ValidationError:
        return None


def faults_of(error: ValidationError, root: Node, file: str) -> list[Fault]:
    """Every fault that the schema found, at its place in the tree."""
    return [_located(details, root, file) for details in _own(error)]


def messages_of(error: ValidationError) -> list[tuple[str, str]]:
    """The messages and hints alone, for data that has a place of another kind."""
    return [_worded(details, None) for details in _own(error)]


def unique(faults: Iterable[Fault]) -> list[Fault]:
    """One fault per place, the first found there, by file and place. What concerns a whole file is kept in full.

    Faults quote their file, which may hold anything: what is no text is made visible.
    """
    kept: dict[tuple[str, int, int, str], Fault] = {}
    for fault in faults:
        kept.setdefault((fault.file, fault.line, fault.column, "" if fault.line else fault.message), fault)
    shown_faults = (replace(one, message=visible(one.message), hint=visible(one.hint)) for one in kept.values())
    return sorted(shown_faults, key=lambda fault: (fault.file, fault.line, fault.column))


def near(word: str, words: Iterable[str]) -> str:
    """The nearest of `words` as a hint, or nothing."""
    if len(word) > 64:
        return ""
    close = difflib.get_close_matches(word, list(words), n=1)
    return f"did you mean `{close[0]}`?" if close else ""


def shown(value: Any, width: int = 40) -> str:
    """A value of the file, short enough for a line."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    line = " ".join(str(value).split())
    return f"`{line if len(line) <= width else line[: width - 1] + '…'}`"


def _own(error: ValidationError) -> list[ErrorDetails]:
    """Without the lists that are too short only because their faulty items were not counted."""
    found = error.errors(include_url=False)
    holders = {details["loc"][:depth] for details in found for depth in range(len(details["loc"]))}
    return [details for details in found if not (details["type"] == "too_short" and details["loc"] in holders)]


def _located(details: ErrorDetails, root: Node, file: str) -> Fault:
    path = _path(details)
    by_key = details["type"] == "extra_forbidden" or path[-1:] == ("[key]",)
    place = _key_place(root, path) if by_key else root.at(path).place
    message, hint = _worded(details, root.at(path))
    return Fault(file, place.line, place.column, message, hint)


def _path(details: ErrorDetails) -> Path:
    """Where the fault is, without pydantic's own steps: the names of alternatives."""
    at = details.get("ctx", {}).get("at")
    steps = details["loc"] if at is None else (*details["loc"][:-1], *at)
    return tuple(step for step in steps if not _is_alternative(step))


def _key_place(root: Node, path: Path) -> Place:
    *holder, key = path[:-1] if path[-1] == "[key]" else path
    mapping = root.at(tuple(holder))
    return mapping.keys.get(str(key), mapping.place)


def _is_alternative(step: str | int) -> bool:
    return isinstance(step, str) and step.startswith("<")


# -------------------------------------------------------------------------------------------------------- wording


@dataclass(frozen=True, slots=True)
class Rejected:
    """A value that the schema rejects: `written` is how it stands in the file, `key` the last key on the way to it."""

    kind: str
    steps: Path
    value: Any
    written: Any
    context: Mapping[str, Any]

    @property
    def key(self) -> str:
        """As a message begins with it."""
        keys = [step for step in self.steps if isinstance(step, str) and not step.startswith(("<", "["))]
        return f"`{keys[-1]}`: " if keys else ""


def _worded(details: ErrorDetails, node: Node | None) -> tuple[str, str]:
    """Message and hint."""
    value = details["input"]
    written = value if node is None or node.raw is None else node.raw
    rejected = Rejected(details["type"], details["loc"], value, written, details.get("ctx", {}))
    word = WORDINGS.get(rejected.kind)
    return word(rejected) if word else (f"{rejected.key}{details['msg']}", "")


def _law(rejected: Rejected) -> tuple[str, str]:
    return rejected.context["message"], rejected.context["hint"]


def _form(rejected: Rejected) -> tuple[str, str]:
    """None of the allowed words and forms."""
    value = rejected.value
    key = next(step for step in reversed(rejected.steps) if step in ALTERNATIVES)
    words, forms = ALTERNATIVES[str(key)]
    if isinstance(value, str) and value in forms:
        return f"{rejected.key}`{value}` needs its value", f"write {FORMS[value]}"
    given = next(iter(value)) if isinstance(value, dict) and len(value) == 1 else value
    named = isinstance(given, str)
    what = f"`{{{given}: …}}`" if named and given is not value else shown(rejected.written)
    allowed = ", ".join((*words, *(FORMS[form] for form in forms)))
    return f"{rejected.key}{what} is not one of {allowed}", near(given, (*words, *forms)) if named else ""


def _unknown(rejected: Rejected) -> tuple[str, str]:
    """A key that its mapping does not have."""
    *holder, key = rejected.steps
    steps = [step for step in holder if isinstance(step, str)]
    model = SharedInjection if steps == ["inject"] else MAPPINGS[steps[-1] if steps else ""]
    known = [field.alias or name for name, field in model.model_fields.items()]
    return f"unknown key {shown(key)}", near(str(key), known) or f"known: {', '.join(known)}"


def _missing(rejected: Rejected) -> tuple[str, str]:
    return f"`{rejected.steps[-1]}` is missing", ""


def _literal(rejected: Rejected) -> tuple[str, str]:
    words = re.findall(r"'([^']*)'", rejected.context["expected"]) or [rejected.context["expected"]]
    allowed = ", ".join(words)
    return f"{rejected.key}{shown(rejected.written)} is not one of {allowed}", near(str(rejected.value), words)


def _wanted(rejected: Rejected) -> tuple[str, str]:
    quoted = rejected.kind == "string_type" and isinstance(rejected.value, int | float)
    message = f"{rejected.key}{WANTED[rejected.kind]} is wanted, not {shown(rejected.written)}"
    return message, f'quote it: "{rejected.written}"' if quoted else ""


def _bound(rejected: Rejected) -> tuple[str, str]:
    limit, phrase = BOUNDS[rejected.kind]
    return f"{rejected.key}{shown(rejected.written)} {phrase} {_plain(rejected.context[limit])}", ""


def _plain(number: float) -> str:
    return str(int(number) if float(number).is_integer() else number)


def _length(rejected: Rejected) -> tuple[str, str]:
    least, most = rejected.context.get("min_length"), rejected.context.get("max_length")
    if rejected.context.get("actual_length", 0) == 0:
        return f"{rejected.key}it is empty", ""
    bound = f"at most {most}" if least is None else f"at least {least}"
    return f"{rejected.key}{bound} values are wanted", ""


WORDINGS: dict[str, Callable[[Rejected], tuple[str, str]]] = {
    "law": _law,
    "form": _form,
    "extra_forbidden": _unknown,
    "missing": _missing,
    "literal_error": _literal,
    "too_short": _length,
    "too_long": _length,
    "string_too_short": _length,
    **dict.fromkeys(WANTED, _wanted),
    **dict.fromkeys(BOUNDS, _bound),
}
