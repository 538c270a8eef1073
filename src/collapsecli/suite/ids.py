"""What cells and models are called: readable, plain, and told apart. Knows no suite."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LONGEST_VALUE = 24
_LONGEST_MODEL = 40


def cell_id(prompt_id: str, variant: Mapping[str, str], injection: str, temperature: float, model: str = "") -> str:
    """`prompt[name=value]/injection@t1.0`, with `#model` behind it where a run samples several."""
    values = ",".join(f"{name}={_slug(value)}" for name, value in variant.items())
    within = f"[{values}]" if values else ""
    after = f"/{injection}" if injection else ""
    behind = f"#{model}" if model else ""
    return f"{prompt_id}{within}{after}@t{_shortest(temperature)}{behind}"


def model_names(models: Iterable[str]) -> dict[str, str]:
    """A short name for each model: the last part of its path where that is plain and tells it from the others."""
    models = list(dict.fromkeys(models))
    lasts = [re.split("[/:]", model.rstrip("/"))[-1] for model in models]
    return {
        model: last if lasts.count(last) == 1 and _is_plain(last, _LONGEST_MODEL) else _with_hash(last, model)
        for model, last in zip(models, lasts, strict=True)
    }


def _slug(value: str) -> str:
    return value if _is_plain(value, LONGEST_VALUE) else _with_hash(value, value)


def _is_plain(value: str, longest: int) -> bool:
    return re.fullmatch(r"[A-Za-z0-9._-]+", value) is not None and len(value) <= longest


def _with_hash(shown: str, whole: str) -> str:
    """What is left of a name with a hash of the whole. `~` is in no plain one, so none is taken for another."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", shown).strip("-")[:LONGEST_VALUE]
    return f"{slug}~{hashlib.blake2b(whole.encode(), digest_size=5).hexdigest()}"


def _shortest(temperature: float) -> str:
    """The fewest digits that give the number back, with at least one decimal."""
    return repr(float(temperature))
