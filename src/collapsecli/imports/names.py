"""Prompts and models in, readable and unique names out.

A prompt's name depends on the prompt alone, so that imports of one training run, step by step, agree on it.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collapsecli.imports.fields import Prompt

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LONGEST_SLUG = 32
# Where the user's last turn begins in a prompt that was written out by a chat template.
_TURN = re.compile(
    r"(?:^|\n|<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>)(?:user|human)(?:<\|end_header_id\|>)?\s*?\n"
    r"|\[INST\]|(?:^|\n)(?:Human|User): ",
    re.IGNORECASE,
)
_SPECIAL = re.compile(r"<\|[^|\n]{1,40}\|>|<(?:start|end)_of_turn>|</?s>|\[/?INST\]")
_OPENED = re.compile(r"\n\s*(?:assistant|model)\s*$", re.IGNORECASE)  # the turn that the model is to fill


def prompt_name(prompt_id: str | None, prompt: Prompt | None, *, alone: bool = True) -> str:
    """The id of a prompt: the one it came with where that is plain, else a slug with a hash of the whole.

    A prompt that is not `alone` under its id has the hash of its text behind it. `~` is in no plain id, so no two
    prompts get the same name. Completions of which nobody knows the prompt are `all` of one.
    """
    if prompt_id is None:
        return "all" if prompt is None else f"{_slug(_asked(prompt))}~{_digest(None, prompt)}"
    plain = _PLAIN.fullmatch(prompt_id) is not None
    name = prompt_id if plain else f"{_slug(prompt_id)}~{_digest(prompt_id, None)}"
    return name if alone else f"{name}~{_digest(prompt_id, prompt)}"


def _asked(prompt: Prompt) -> str:
    """What the user said last, as far as it can be told."""
    if isinstance(prompt, tuple):
        said = [message.content for message in prompt if message.role == "user"]
        return said[-1] if said else prompt[-1].content
    last = [turn.end() for turn in _TURN.finditer(prompt)]
    return _OPENED.sub("", _SPECIAL.sub("\n", prompt[last[-1] if last else 0 :]))


def _slug(text: str) -> str:
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", text[:1000]).strip("-._")
    cut = (
        words if len(words) <= _LONGEST_SLUG else words[: _LONGEST_SLUG + 1].rpartition("-")[0] or words[:_LONGEST_SLUG]
    )
    return cut.strip("-._") or "prompt"


def _digest(prompt_id: str | None, prompt: Prompt | None) -> str:
    turns = [[message.role, message.content] for message in prompt] if isinstance(prompt, tuple) else prompt
    return hashlib.blake2b(json.dumps([prompt_id, turns]).encode(), digest_size=5).hexdigest()
