"""What a prompt of a suite may say: what is asked, in which forms and conditions, and the laws between those keys."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationInfo,
    field_validator,
)

from collapsecli.records import EMBEDDING_THRESHOLD, FIRST_LOOK
from collapsecli.suite import templates
from collapsecli.suite.forms import Answer, Expect, expectation
from collapsecli.suite.scalars import (
    MAX_COUNT,
    Finite,
    Fraction,
    Id,
    Keys,
    Pattern,
    Temperature,
    Text,
    Value,
    Variable,
    distinct_exactly,
    law,
)

MOST_SENTENCES = 1000
ROW = "row of a prompt file"  # the context of a prompt that was not written in the suite itself
WORDING, FORMAT = "wording", "format"  # names of variants that are not the author's variables

# ------------------------------------------------------------------------------------------------------ sampling


class Sampling(Keys):
    """How completions are drawn. Every parameter is explicit in the run; a model's own defaults never apply."""

    samples: Annotated[int, Field(ge=1, le=MAX_COUNT)] = Field(default=64, description="Completions per cell.")
    max_samples: Annotated[int, Field(ge=FIRST_LOOK, le=MAX_COUNT)] | None = Field(
        default=None,
        description="Instead of a fixed number: look at 16, 32, 64, … completions of a cell, and stop at the look that "
        "decides it, or here.",
    )
    temperature: Temperature = Field(
        default=1.0, description="0 draws one completion, as a reference; else from 0.01 to 2."
    )
    top_p: Annotated[Finite, Field(gt=0, le=1)] = Field(default=1.0, description="Nucleus sampling; 1 is off.")
    top_k: Annotated[int, Field(ge=0, le=MAX_COUNT)] = Field(
        default=0, description="Sample from the k likeliest; 0 is off."
    )
    min_p: Annotated[Finite, Field(ge=0, le=1)] = Field(
        default=0.0, description="Relative probability floor; 0 is off."
    )
    max_tokens: Annotated[int, Field(ge=1, le=MAX_COUNT)] = Field(
        default=128, description="Longest completion, in tokens."
    )
    stop: tuple[Text, ...] = Field(default=(), description="Strings that end a completion; they are not part of it.")


# --------------------------------------------------------------------------------------------------- equivalence


class LexicalForm(Keys):
    """Texts that share words, from a threshold of one's own."""

    lexical: Fraction = Field(description="How alike two texts must be to count as one, between 0 and 1.")


class EmbeddingForm(Keys):
    """Texts that an encoder puts close together."""

    embedding: Text = Field(description="The encoder: a hub id[@revision] or a local path.")
    threshold: Fraction = Field(
        default=EMBEDDING_THRESHOLD,
        description="The cosine from which two texts count as one, between 0 and 1. Each encoder has its own.",
    )


def _equivalence(value: Any) -> Any:
    if isinstance(value, str) and value == "given":
        raise law("`given` is for imported completions, whose classes came with them", hint="use exact or lexical")
    if isinstance(value, str) and value == "embedding":
        raise law("`embedding` needs its encoder", hint="write {embedding: MODEL, threshold: 0.8}")
    return value


Reasoning: TypeAlias = Literal["strip", "keep", "off"]


def _equivalence_kind(value: Any) -> str:
    if isinstance(value, EmbeddingForm) or (isinstance(value, dict) and {"embedding", "threshold"} & value.keys()):
        return "<embedding>"
    return "<lexical>" if isinstance(value, dict | LexicalForm) else "<name>"


Equivalence: TypeAlias = Annotated[
    Annotated[Literal["exact", "lexical"], Tag("<name>")]
    | Annotated[LexicalForm, Tag("<lexical>")]
    | Annotated[EmbeddingForm, Tag("<embedding>")],
    Discriminator(_equivalence_kind),
    BeforeValidator(_equivalence),
]

# ------------------------------------------------------------------------------------------------------- formats

FormatName: TypeAlias = Literal["raw", "qa", "chat", "few-shot"]
Formats: TypeAlias = Annotated[tuple[FormatName, ...], Field(min_length=1), AfterValidator(distinct_exactly)]


class Shot(Keys):
    """A question with its answer, shown before the prompt."""

    ask: Text = Field(description="What was asked; a template where there are `vars`.")
    answer: Text = Field(description="What was answered; a template where there are `vars`.")


def _holds_the_prompt(text: str) -> str:
    try:
        used = templates.variables(text)
    except templates.TemplateError as error:
        raise law(str(error)) from error
    probe = "what is asked"
    if used != {"prompt"} or probe not in templates.render(text, {"prompt": probe}):
        raise law("the wording of a chat holds `{{ prompt }}` and no other variable")
    return text


ChatWording: TypeAlias = Annotated[Text, AfterValidator(_holds_the_prompt)]

# ---------------------------------------------------------------------------------------------------- injections

MOST_ROADS = 1000
Roads: TypeAlias = Annotated[
    tuple[Text, ...], Field(min_length=1, max_length=MOST_ROADS), AfterValidator(distinct_exactly)
]


def _finds_something(pattern: str) -> str:
    if re.compile(pattern).search(""):
        raise law("the pattern finds something in an empty text, and so in every one")
    return pattern


Restarts: TypeAlias = tuple[Annotated[Pattern, AfterValidator(_finds_something)], ...]
_Sentences: TypeAlias = Annotated[int, Field(ge=1, le=MOST_SENTENCES)]


def _depths_kind(value: Any) -> str:
    return "<list>" if isinstance(value, list | tuple) else "<one>"


class At(Keys):
    """A branch point: a place in what the plain cell says most often."""

    sentences: Annotated[
        Annotated[_Sentences, Tag("<one>")]
        | Annotated[tuple[_Sentences, ...], Field(min_length=1), AfterValidator(distinct_exactly), Tag("<list>")],
        Discriminator(_depths_kind),
    ] = Field(description="After so many sentences; a list makes a cell of each.")

    @property
    def depths(self) -> tuple[int, ...]:
        """Each number of sentences."""
        return self.sentences if isinstance(self.sentences, tuple) else (self.sentences,)


class Injection(Keys):
    """A text put into the completion's mouth."""

    id: Id = Field(description="Names the cell: `toast/murderer`; with a branch point `toast/murderer@s3`.")
    at: At | None = Field(
        default=None,
        description="First the beginning of what the plain cell says most often, up to this point: known, and sampled, "
        "once that cell has been.",
    )
    text: Text | None = Field(
        default=None,
        description="Put after the prompt (and the branch point), not sampled; a template where there are `vars`.",
        validate_default=True,
    )
    continuations: Roads | None = Field(
        default=None, description="Texts that would be consistent after it: their probability is scored, not sampled."
    )

    @field_validator("text")
    @classmethod
    def _says_something(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is None and "at" in info.data and info.data["at"] is None:
            raise law("the injection has neither `text` nor `at`", at=())
        return text

    @property
    def names(self) -> tuple[tuple[str, int | None], ...]:
        """The injections that it makes: each name with the sentences before its branch point, if it has one."""
        if self.at is None:
            return ((self.id, None),)
        return tuple((f"{self.id}@s{depth}", depth) for depth in self.at.depths)


class SharedInjection(Injection):
    """A text put into the mouths of several prompts."""

    into: Annotated[tuple[Id, ...], Field(min_length=1), AfterValidator(distinct_exactly)] = Field(
        description="The ids of these prompts."
    )


# ------------------------------------------------------------------------------------------------------- prompts


class Message(Keys):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"] = Field(description="Who speaks.")
    content: Text = Field(description="What is said; a template where the prompt has `vars`.")


def _own_names(variables: dict[str, Any]) -> dict[str, Any]:
    for name, key in ((WORDING, "paraphrases"), (FORMAT, "formats")):
        if name in variables:
            raise law(f"`{name}` is what the variants of `{key}` are called", hint="choose another name")
    return variables


class Conditions(Keys):
    """What a prompt and a file of prompts have in common."""

    id: Id = Field(description="Unique in the suite and stable: it is the identity for resume, compare and trend.")
    vars: (
        Annotated[
            dict[Variable, Annotated[tuple[Value, ...], Field(min_length=1), AfterValidator(distinct_exactly)]],
            AfterValidator(_own_names),
        ]
        | None
    ) = Field(
        default=None,
        description="NAME: [values]; each combination is a variant. With this key (even `{}`) texts are templates.",
    )
    temperatures: Annotated[tuple[Temperature, ...], Field(min_length=1), AfterValidator(distinct_exactly)] | None = (
        Field(default=None, description="A sweep: one cell per temperature.")
    )
    shots: Annotated[tuple[Shot, ...], Field(min_length=1)] | None = Field(
        default=None, description="Questions with varied answers, for the format `few-shot`."
    )
    chat: ChatWording | None = Field(
        default=None, description="How the text is worded in a chat: `Continue this text: {{ prompt }}`."
    )
    formats: Formats | None = Field(
        default=None,
        description="How the text is asked, each a variant: raw (as it is), qa (`Q: …` and `A:`), chat (as a user's "
        "message), few-shot (after `shots`). The suite's unless given.",
    )
    answer: Answer = Field(default="text", description="What is read out of a completion.")
    expect: Expect | None = Field(
        default=None, description="What the verdict is read against; the suite's unless given."
    )
    inject: Annotated[tuple[Injection, ...], Field(min_length=1)] | None = Field(
        default=None, description="Sampled after each of these texts, beside the plain cell."
    )
    continuations: Roads | None = Field(
        default=None,
        description="Texts that would be consistent after the prompt: their probability is scored, not sampled.",
    )
    restarts: Restarts | None = Field(
        default=None, description="Patterns of a text that begins anew; the suite's, or the usual ones, unless given."
    )
    tags: Annotated[tuple[Id, ...], AfterValidator(distinct_exactly)] = Field(
        default=(), description="For `--tag`; prompts with a tag in common are compared for sameness."
    )
    sampling: Sampling | None = Field(default=None, description="The keys given here replace the suite's.")
    reasoning: Reasoning | None = Field(default=None, description="The suite's unless given.")
    equivalence: Equivalence | None = Field(
        default=None, description="The suite's unless given; for answers that are text."
    )

    @field_validator("shots")
    @classmethod
    def _sound_shots(cls, shots: tuple[Shot, ...] | None, info: ValidationInfo) -> tuple[Shot, ...] | None:
        for index, shot in enumerate(shots or ()):
            check_template(shot.ask, info, at=("shots", index, "ask"))
            check_template(shot.answer, info, at=("shots", index, "answer"))
        return shots

    @field_validator("formats")
    @classmethod
    def _has_its_shots(cls, formats: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if formats and "few-shot" in formats and "shots" in info.data and info.data["shots"] is None:
            raise law(NO_SHOTS, hint=SHOTS_HINT)
        return formats

    @field_validator("expect")
    @classmethod
    def _fits_the_answer(cls, expect: Expect | None, info: ValidationInfo) -> Expect | None:
        if expect is not None and "answer" in info.data:
            expectation(expect, info.data["answer"])
        return expect

    @field_validator("inject")
    @classmethod
    def _sound_injections(
        cls, inject: tuple[Injection, ...] | None, info: ValidationInfo
    ) -> tuple[Injection, ...] | None:
        seen: set[str] = set()
        for index, injection in enumerate(inject or ()):
            if injection.id in seen:
                raise law(f"two injections have the id `{injection.id}`", at=("inject", index, "id"))
            seen.add(injection.id)
            if injection.text is not None:
                check_template(injection.text, info, at=("inject", index, "text"))
            for place, road in enumerate(injection.continuations or ()):
                check_template(road, info, at=("inject", index, "continuations", place))
        return inject

    @field_validator("continuations")
    @classmethod
    def _sound_roads(cls, roads: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        for index, road in enumerate(roads or ()):
            check_template(road, info, at=("continuations", index))
        return roads

    @field_validator("sampling")
    @classmethod
    def _one_temperature(cls, sampling: Sampling | None, info: ValidationInfo) -> Sampling | None:
        if sampling is not None and "temperature" in sampling.model_fields_set and info.data.get("temperatures"):
            raise law("both `temperatures` and `temperature`", hint="keep one", at=("sampling", "temperature"))
        return sampling


NO_SHOTS = "the format `few-shot` needs `shots`"
SHOTS_HINT = "shots: [{ask: …, answer: …}, …]"


class Prompt(Conditions):
    """One thing to ask: a `text` to continue or the `messages` of a chat."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["text"]}, {"required": ["messages"]}]})

    paraphrases: Annotated[tuple[Text, ...], Field(min_length=1), AfterValidator(distinct_exactly)] | None = Field(
        default=None,
        description="Other wordings of the text (of a chat: of its last message), each a variant beside it.",
    )
    text: Text | None = Field(default=None, description="The text to continue; a template where there are `vars`.")
    messages: Annotated[tuple[Message, ...], Field(min_length=1)] | None = Field(
        default=None, description="The turns of a chat; the model's comes next.", validate_default=True
    )

    @field_validator("paraphrases")
    @classmethod
    def _sound_paraphrases(cls, texts: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        for index, text in enumerate(texts or ()):
            check_template(text, info, at=("paraphrases", index))
        return texts

    @field_validator("text")
    @classmethod
    def _sound_text(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is not None:
            check_template(text, info, at=("text",))
            if text in (info.data.get("paraphrases") or ()):
                raise law("the text stands among its `paraphrases` too", at=("paraphrases",))
        return text

    @field_validator("messages")
    @classmethod
    def _sound_messages(cls, messages: tuple[Message, ...] | None, info: ValidationInfo) -> tuple[Message, ...] | None:
        for index, message in enumerate(messages or ()):
            check_template(message.content, info, at=("messages", index, "content"))
        if messages and messages[-1].role == "assistant":
            last = ("messages", len(messages) - 1, "role")
            raise law("the last message is the model's own: nothing is asked", at=last)
        if "text" not in info.data:  # it has its own fault
            return messages
        _check_one_of(info.data["text"], messages)
        for key in ("formats", "chat", "shots") if messages else ():
            if info.data.get(key):
                raise law(f"`{key}` puts a `text` into a form; these `messages` have theirs", at=(key,))
        _check_all_used(info.data.get("vars") or {}, _texts(info.data["text"], messages))
        _check_wordings(info.data, messages or ())
        return messages


class PromptFile(Conditions):
    """A file of prompts, one per row; the other keys apply to all of its rows."""

    file: Text = Field(description="A .jsonl, .csv or .parquet file, its path relative to the suite's.")
    id: Text = Field(default="id", description="The field that holds a prompt's id.")
    text: Text = Field(
        default="text", description="The field that holds a prompt's text; a template where there are `vars`."
    )


def _texts(text: str | None, messages: tuple[Message, ...] | None) -> tuple[str, ...]:
    return (() if text is None else (text,)) + tuple(message.content for message in messages or ())


def _check_one_of(text: str | None, messages: tuple[Message, ...] | None) -> None:
    if text is None and messages is None:
        raise law("the prompt has neither `text` nor `messages`", at=())
    if text is not None and messages is not None:
        raise law("the prompt has both `text` and `messages`", hint="keep one", at=("messages",))


def check_template(text: str, info: ValidationInfo, *, at: tuple[str | int, ...]) -> None:
    """Refuse a text that is no sound template of the prompt's variables, or that names some without `vars`.

    Rows of files are data: without `vars` they are never taken for templates.
    """
    if "vars" not in info.data:  # they have their own fault
        return
    fault = template_fault(text, info.data["vars"], is_data=info.context == ROW)
    if fault is not None:
        raise law(fault[0], hint=fault[1], at=at)


def template_fault(text: str, declared: dict[str, Any] | None, *, is_data: bool = False) -> tuple[str, str] | None:
    """What is wrong with a text as a template of these variables, and the way out; None where it is sound."""
    if declared is None:
        found = None if is_data else templates.looks_like_template(text)
        if found is None:
            return None
        kind, name = found.split(" ", 1)
        declare = f"`vars: {{{name.strip('`')}: […]}}`" if kind == "variable" else "`vars`"
        return (
            f"undeclared template {found}",
            f"declare {declare}; for the braces themselves `vars: {{}}` and {{% raw %}}",
        )
    try:
        used = templates.variables(text)
    except templates.TemplateError as error:
        return str(error), ""
    unknown = sorted(used - set(declared))
    return (f"undeclared template variable `{unknown[0]}`", _declared_hint(declared)) if unknown else None


def _declared_hint(declared: dict[str, Any]) -> str:
    return "declared: " + ", ".join(f"`{name}`" for name in declared) if declared else "`vars` is empty"


def _check_all_used(declared: dict[str, Any], texts: tuple[str, ...]) -> None:
    used = {name for text in texts for name in templates.variables(text)} if declared else set()
    for name in declared:
        if name not in used:
            raise law(f"the variable `{name}` is not used in the prompt", at=("vars", name))


def _check_wordings(prompt: dict[str, Any], messages: tuple[Message, ...]) -> None:
    """A wording asks something else than the text, or the last message, and the same with each variable's value."""
    earlier = {name for message in messages[:-1] for name in templates.variables(message.content)}
    for index, text in enumerate(prompt.get("paraphrases") or ()):
        at = ("paraphrases", index)
        if messages and text == messages[-1].content:
            raise law("the last message stands among its `paraphrases` too", at=at)
        for name in prompt.get("vars") or ():
            if name not in earlier | templates.variables(text):
                raise law(f"this wording does not use the variable `{name}`: its values would ask the same", at=at)


def _entry_kind(value: Any) -> str:
    if isinstance(value, PromptFile) or (isinstance(value, dict) and "file" in value):
        return "<file>"
    return "<prompt>"


Entry: TypeAlias = Annotated[
    Annotated[Prompt, Tag("<prompt>")] | Annotated[PromptFile, Tag("<file>")], Discriminator(_entry_kind)
]

PROMPT = TypeAdapter(Prompt)
ENTRY: TypeAdapter[Prompt | PromptFile] = TypeAdapter(Entry)


def cell_count(prompt: Prompt) -> int:
    """How many cells a prompt makes."""
    values = math.prod(len(values) for values in (prompt.vars or {}).values())
    variants = values * (1 + len(prompt.paraphrases or ())) * len(prompt.formats or ("raw",))
    injections = sum(len(injection.names) for injection in prompt.inject or ())
    return variants * (1 + injections) * len(prompt.temperatures or (1.0,))
