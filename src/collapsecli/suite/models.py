"""The models that a suite is asked of, as its file may name them. Knows no prompts."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag

from collapsecli.suite.scalars import Id, Keys, Text, law


class Adapted(Keys):
    """A model and the adapters that are loaded on it: each is sampled beside the model itself."""

    model: Text = Field(description="A hub id[@revision], a local path, or a demo model.")
    adapters: Annotated[dict[Id, Text], Field(min_length=1)] = Field(
        description="LoRA adapters by name: each a local folder, or a hub id[@revision]."
    )


def _kind(value: Any) -> str:
    return "<adapted>" if isinstance(value, dict | Adapted) else "<model>"


Named: TypeAlias = Annotated[
    Annotated[Text, Tag("<model>")] | Annotated[Adapted, Tag("<adapted>")], Discriminator(_kind)
]


def location(named: str | Adapted) -> str:
    """Where the model is."""
    return named if isinstance(named, str) else named.model


def _distinct(models: tuple[str | Adapted, ...]) -> tuple[str | Adapted, ...]:
    seen: set[str] = set()
    for at, named in enumerate(models):
        if location(named) in seen:
            raise law(
                f"the model `{location(named)}` stands here twice",
                hint="once, with all its adapters",
                at=("models", at),
            )
        seen.add(location(named))
    return models


Models: TypeAlias = Annotated[tuple[Named, ...], Field(min_length=1), AfterValidator(_distinct)]
