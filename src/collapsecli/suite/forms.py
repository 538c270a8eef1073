"""The forms of `answer` and `expect`, and the laws between the two."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator

from collapsecli import records
from collapsecli.suite.scalars import MAX_COUNT, Finite, Keys, Pattern, Text, Whole, distinct, law, short

MAX_SUPPORT = 10_000  # of a declared distribution: beyond it no run has the draws to say anything about it

# ------------------------------------------------------------------------------------------------------- answers


def _json_path(text: str) -> str:
    if not all(text.split(".")):
        raise law(f"`{short(text)}` is not a path", hint="keys and indices with dots between them: `a.b.0`")
    return text


class IntegerForm(Keys):
    """A whole number."""

    integer: Annotated[tuple[Whole, ...], Field(min_length=2, max_length=2)] = Field(
        description="[LOW, HIGH], both included."
    )

    @field_validator("integer")
    @classmethod
    def _ordered(cls, bounds: tuple[int, ...]) -> tuple[int, ...]:
        if bounds[0] > bounds[1]:
            raise law(f"the low end {bounds[0]} is above the high end {bounds[1]}")
        return bounds

    def spec(self) -> records.AnswerSpec:
        """The record."""
        return records.IntegerAnswer(self.integer[0], self.integer[1])


class ChoiceForm(Keys):
    """One of a list of answers."""

    choice: Annotated[tuple[Text, ...], Field(min_length=2), AfterValidator(distinct)] = Field(
        description="The answers; upper and lower case are one."
    )

    @field_validator("choice")
    @classmethod
    def _trimmed(cls, choices: tuple[str, ...]) -> tuple[str, ...]:
        for choice in choices:
            if choice != choice.strip():
                raise law(f"the choice `{short(choice)}` has space around it")
        return choices

    def spec(self) -> records.AnswerSpec:
        """The record."""
        return records.ChoiceAnswer(self.choice)


class RegexForm(Keys):
    """What a pattern finds."""

    regex: Pattern = Field(description="The answer is its first group if it has one, else the whole match.")

    def spec(self) -> records.AnswerSpec:
        """The record."""
        return records.RegexAnswer(self.regex)


class JsonForm(Keys):
    """A value out of a JSON document."""

    json_: Annotated[Text, AfterValidator(_json_path)] = Field(alias="json", description="A dotted path: `a.b.0`.")

    def spec(self) -> records.AnswerSpec:
        """The record."""
        return records.JsonAnswer(self.json_)


class WordsForm(Keys):
    """The first words."""

    words: Annotated[int, Field(ge=1, le=1000)] = Field(description="How many.")

    def spec(self) -> records.AnswerSpec:
        """The record."""
        return records.WordsAnswer(self.words)


class LabelsForm(Keys):
    """The name of the first pattern that is found."""

    labels: Annotated[dict[Text, Pattern], Field(min_length=1)] = Field(
        description="NAME: REGEX, tried in this order; what none of them finds is `other`."
    )

    @field_validator("labels")
    @classmethod
    def _not_other(cls, labels: dict[str, str]) -> dict[str, str]:
        if records.OTHER_LABEL in labels:
            raise law(
                f"`{records.OTHER_LABEL}` is the label of what no pattern finds", hint="name this one differently"
            )
        return labels

    def spec(self) -> records.AnswerSpec:
        """The record."""
        return records.LabelsAnswer(tuple(self.labels.items()))


ANSWER_WORDS = ("text", "rhyme")
ANSWER_FORMS = ("integer", "choice", "regex", "json", "words", "labels")


def _form(words: tuple[str, ...], forms: tuple[str, ...]) -> Discriminator:
    """Tells a word or a mapping of one key apart, so that a bad value is one fault and not one per alternative."""

    def kind(value: Any) -> str | None:
        if isinstance(value, str):
            return "<word>" if value in words else None
        if isinstance(value, dict) and len(value) == 1 and (form := next(iter(value))) in forms:
            return f"<{form}>"
        return None

    return Discriminator(kind, "form", "no such form")


Answer: TypeAlias = Annotated[
    Annotated[Literal["text", "rhyme"], Tag("<word>")]
    | Annotated[IntegerForm, Tag("<integer>")]
    | Annotated[ChoiceForm, Tag("<choice>")]
    | Annotated[RegexForm, Tag("<regex>")]
    | Annotated[JsonForm, Tag("<json>")]
    | Annotated[WordsForm, Tag("<words>")]
    | Annotated[LabelsForm, Tag("<labels>")],
    _form(ANSWER_WORDS, ANSWER_FORMS),
]


def answer_spec(answer: Answer) -> records.AnswerSpec:
    """The record of an answer."""
    if isinstance(answer, str):
        return records.RhymeAnswer() if answer == "rhyme" else records.TextAnswer()
    return answer.spec()


# -------------------------------------------------------------------------------------------------- expectations


class WeightsForm(Keys):
    """A declared distribution."""

    weights: Annotated[dict[Text, Annotated[Finite, Field(ge=0)]], Field(min_length=1)] = Field(
        description="ANSWER: weight; weights are scaled to sum to 1."
    )

    @field_validator("weights")
    @classmethod
    def _positive(cls, weights: dict[str, float]) -> dict[str, float]:
        if not 0 < math.fsum(weights.values()) < math.inf:
            raise law("the weights must have a positive, finite sum")
        return weights


class MinModesForm(Keys):
    """A floor under the variety of answers."""

    min_modes: Annotated[int, Field(ge=2, le=MAX_COUNT)] = Field(description="At least so many effective modes.")


EXPECT_WORDS = ("uniform", "diverse", "concentrated", "none")
EXPECT_FORMS = ("weights", "min_modes")

Expect: TypeAlias = Annotated[
    Annotated[Literal["uniform", "diverse", "concentrated", "none"], Tag("<word>")]
    | Annotated[WeightsForm, Tag("<weights>")]
    | Annotated[MinModesForm, Tag("<min_modes>")],
    _form(EXPECT_WORDS, EXPECT_FORMS),
]


def support(answer: records.AnswerSpec) -> tuple[str, ...] | None:
    """Every answer that there can be, in order, or None where there is no end of them. Labels come without `other`."""
    match answer:
        case records.IntegerAnswer(low, high):
            return tuple(map(str, range(low, high + 1))) if high - low < MAX_SUPPORT else None
        case records.ChoiceAnswer(choices):
            return choices
        case records.LabelsAnswer(labels):
            return tuple(name for name, _ in labels)
        case _:
            return None


def expectation(expect: Expect, answer: Answer) -> records.Expect:
    """The record of what is expected, with a declared distribution scaled to sum to 1.

    Raises PydanticCustomError where the answers cannot be distributed so.
    """
    spec = answer_spec(answer)
    if isinstance(expect, MinModesForm):
        return records.Expect("min_modes", min_modes=expect.min_modes)
    if isinstance(expect, WeightsForm):
        return records.Expect("weights", weights=_scaled(expect.weights, spec))
    if expect == "uniform":
        return records.Expect("uniform", weights=_uniform(spec))
    return records.Expect(expect)


@lru_cache(maxsize=64)  # many prompts share an answer, and so their cells share its distribution
def _uniform(answer: records.AnswerSpec) -> tuple[tuple[str, float], ...]:
    answers = support(answer)
    if answers is None:
        if isinstance(answer, records.IntegerAnswer):
            raise law(f"`uniform` reaches over at most {MAX_SUPPORT} integers")
        hint = "give an `answer` of {integer: …}, {choice: …} or {labels: …}"
        raise law("`uniform` needs answers that can be counted", hint=hint)
    return tuple((one, 1 / len(answers)) for one in answers)


def _scaled(weights: dict[str, float], answer: records.AnswerSpec) -> tuple[tuple[str, float], ...]:
    """The positive weights, summing to 1, under the answers' own spelling."""
    heaviest = max(weights.values())  # first scaled by it: a sum of huge weights must not overflow
    spelled: dict[str, float] = {}
    for key, weight in weights.items():
        name = _spelled(key, answer)
        if name in spelled:
            raise law(f"`{short(key)}` has two weights")
        spelled[name] = weight / heaviest
    total = math.fsum(spelled.values())
    return tuple((name, weight / total) for name, weight in spelled.items() if weight > 0)


def _spelled(key: str, answer: records.AnswerSpec) -> str:
    """A weight's key as its answer is spelled."""
    match answer:
        case records.IntegerAnswer(low, high):
            number = int(key) if re.fullmatch(r"0|-?[1-9][0-9]{0,17}", key) else None
            if number is None or not low <= number <= high:
                raise law(f"`{short(key)}` is no answer of {{integer: [{low}, {high}]}}")
            return key
        case records.ChoiceAnswer(choices):
            same = [choice for choice in choices if choice.casefold() == key.casefold()]
            if not same:
                raise law(f"`{short(key)}` is not one of the choices", hint=short(", ".join(choices), 80))
            return same[0]
        case records.LabelsAnswer(labels):
            names = (*(name for name, _ in labels), records.OTHER_LABEL)
            if key not in names:
                raise law(f"`{short(key)}` is not one of the labels", hint=short(", ".join(names), 80))
            return key
        case _:
            return key
