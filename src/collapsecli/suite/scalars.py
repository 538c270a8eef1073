"""The scalar types of a suite file and how a check says that one is wrong. Knows no keys."""

from __future__ import annotations

import re
import warnings
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from collapsecli.suite.tree import BareWord

MAX_COUNT = 1_000_000
MAX_INTEGER = 10**15  # exact in a float, too
LOWEST_TEMPERATURE = 0.01  # engines raise what lies between 0 and this without asking


def law(message: str, *, hint: str = "", at: tuple[str | int, ...] | None = None) -> PydanticCustomError:
    """A fault found by a check of ours. `at` leads from the mapping that holds the checked key to the fault's place."""
    return PydanticCustomError("law", "{message}", {"message": message, "hint": hint, "at": at})


def _unambiguous(value: Any) -> Any:
    if isinstance(value, BareWord):
        raise law(f"`{value}` is a truth value to some readers of YAML; text is wanted", hint=f'quote it: "{value}"')
    return value


def _encodable(text: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise law("text that UTF-8 can hold is wanted")
    return text


def _identifier(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        hint = "letters, digits, `.`, `_`, `-`, at most 64 of them, a letter or digit first"
        raise law(f"`{short(text)}` is not a readable id", hint=hint)
    return text


def _variable(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", text):
        raise law(f"`{short(text)}` is not a variable's name", hint="letters, digits and `_`, no digit first")
    return text


def _pattern(text: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a pattern that will mean something else tomorrow is a fault today
            re.compile(text)
    except (re.error, Warning, RecursionError, OverflowError) as error:
        raise law(f"not a regular expression: {error}") from error
    return text


def _temperature(value: float) -> float:
    if 0 < value < LOWEST_TEMPERATURE:
        raise law(f"a temperature is 0 or at least {LOWEST_TEMPERATURE}", hint="engines would raise it unasked")
    return value + 0.0  # no negative zero in an id


def distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values, no two of which differ in case alone."""
    folded = [value.casefold() if isinstance(value, str) else value for value in values]
    return _without_repeats(values, folded)


def distinct_exactly(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values, no two of which are equal."""
    return _without_repeats(values, list(values))


def _without_repeats(values: tuple[Any, ...], forms: list[Any]) -> tuple[Any, ...]:
    seen: set[Any] = set()
    for value, form in zip(values, forms, strict=True):
        if form in seen:
            raise law(f"`{short(str(value))}` stands in the list twice")
        seen.add(form)
    return values


def short(text: str, width: int = 40) -> str:
    """A text that fits on a line of a message."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


Text: TypeAlias = Annotated[str, Field(min_length=1), BeforeValidator(_unambiguous), AfterValidator(_encodable)]
Value: TypeAlias = Annotated[str, BeforeValidator(_unambiguous), AfterValidator(_encodable)]
Id: TypeAlias = Annotated[
    str,
    BeforeValidator(_unambiguous),
    AfterValidator(_identifier),
    Field(json_schema_extra={"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}),
]
Variable: TypeAlias = Annotated[str, BeforeValidator(_unambiguous), AfterValidator(_variable)]
Pattern: TypeAlias = Annotated[Text, AfterValidator(_pattern)]
Finite: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
Temperature: TypeAlias = Annotated[Finite, Field(ge=0, le=2), AfterValidator(_temperature)]
Fraction: TypeAlias = Annotated[Finite, Field(gt=0, lt=1)]
Whole: TypeAlias = Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER)]


class Keys(BaseModel):
    """A mapping of a suite file: no unknown keys, nothing taken for something else."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
