"""What a suite file may say as a whole, and its JSON Schema. Knows no file and no YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationInfo, field_validator
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from collapsecli.suite.forms import Expect
from collapsecli.suite.models import Adapted, Models
from collapsecli.suite.prompts import (
    At,
    EmbeddingForm,
    Entry,
    Equivalence,
    Formats,
    Injection,
    LexicalForm,
    Message,
    Prompt,
    PromptFile,
    Reasoning,
    Restarts,
    Sampling,
    SharedInjection,
    Shot,
)
from collapsecli.suite.scalars import Finite, Fraction, Id, Keys, Text, law

if TYPE_CHECKING:
    from pydantic_core import core_schema

MAX_CELLS = 100_000

# --------------------------------------------------------------------------------------------------------- suite


class Rules(Keys):
    """The thresholds of the verdict."""

    collapsed: Fraction = Field(default=0.5, description="Collapsed: the mode's mass is surely at least this.")
    diverse: Fraction = Field(default=0.1, description="Diverse: the mode's mass is surely below this.")
    alpha: Fraction = Field(default=0.05, description="The error rate of a verdict.")
    fdr: Annotated[Finite, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="Rate of false ones among the flags; 1 withholds none. Unless given .05 from 100 cells on, else 1.",
    )

    @field_validator("diverse")
    @classmethod
    def _below(cls, diverse: float, info: ValidationInfo) -> float:
        if "collapsed" in info.data and diverse >= info.data["collapsed"]:
            raise law(f"`diverse` ({diverse}) must lie below `collapsed` ({info.data['collapsed']})")
        return diverse


class SuiteFile(Keys):
    """A suite of collapsecli: prompts, how to sample them, and what is expected of them."""

    version: Literal[1] = Field(alias="schema", description="The version of this format.")
    name: Id | None = Field(default=None, description="The suite's name; its file's name unless given.")
    model: Text | None = Field(
        default=None, description="A hub id[@revision], a local path, or a demo model; --model overrides."
    )
    models: Models | None = Field(
        default=None, description="Several models, one after the other, instead of `model`; --model overrides."
    )
    sampling: Sampling = Field(default=Sampling(), description="How completions are drawn.")
    reasoning: Reasoning = Field(
        default="strip",
        description="What a reasoning model thinks aloud: strip (kept in a column, no part of the answer), keep "
        "(part of the answer), off (asked of the chat template).",
    )
    equivalence: Equivalence = Field(
        default="lexical", description="When two texts are one mode; typed answers are always exact."
    )
    rules: Rules = Field(default=Rules(), description="When a cell is called collapsed, and when diverse.")
    expect: Expect = Field(default="diverse", description="For prompts that do not say what they expect.")
    formats: Formats = Field(
        default=("raw",), description="How texts are asked, for prompts that do not say: raw, qa, chat, few-shot."
    )
    restarts: Restarts | None = Field(
        default=None, description="Patterns of a text that begins anew, instead of the usual ones."
    )
    inject: Annotated[tuple[SharedInjection, ...], Field(min_length=1)] | None = Field(
        default=None, description="Injections that several prompts have in common."
    )
    prompts: Annotated[tuple[Entry, ...], Field(min_length=1)] = Field(description="What is asked.")

    @field_validator("models")
    @classmethod
    def _instead(cls, models: Models | None, info: ValidationInfo) -> Models | None:
        if models and info.data.get("model") is not None:
            raise law("`models` stands instead of `model`, not beside it", hint="put them all into `models`")
        return models


EXPECT: TypeAdapter[Expect] = TypeAdapter(Expect)

# The mapping in which an unknown key stands, by the last step that leads to it.
MAPPINGS: dict[str, type[Keys]] = {
    "": SuiteFile,
    "sampling": Sampling,
    "rules": Rules,
    "messages": Message,
    "inject": Injection,
    "at": At,
    "shots": Shot,
    "<lexical>": LexicalForm,
    "<embedding>": EmbeddingForm,
    "<adapted>": Adapted,
    "<prompt>": Prompt,
    "<file>": PromptFile,
}


class _ForEditors(GenerateJsonSchema):
    """No key of a suite takes null: what is not given is left out. Titles would only repeat the keys."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002  pydantic's signature
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        if described.get("default", ...) is None:
            del described["default"]
        return described


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a suite file, for editors."""
    schema = SuiteFile.model_json_schema(schema_generator=_ForEditors)
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": "collapsecli suite"}
