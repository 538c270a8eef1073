"""What a reasoning model thinks aloud, told apart from what it answers. Knows tags, not models."""

from __future__ import annotations

_TAGS = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>"))


def split_reasoning(text: str, prompt: str = "") -> tuple[str | None, str]:
    """Split a completion into (thought, answer); the thought is None where the model did not think aloud.

    A thought may begin in the completion or at the end of the prompt (a chat template that opens the tag itself). One
    that never closes leaves no answer: `(thought, "")`.
    """
    for opening, closing in _TAGS:
        opened_by_prompt = prompt.rstrip().endswith(opening)
        body = text.lstrip()
        if not opened_by_prompt and not body.startswith(opening):
            continue
        thought = body if opened_by_prompt else body.removeprefix(opening)
        thought, closed, answer = thought.partition(closing)
        return thought.strip(), answer.lstrip() if closed else ""
    return None, text
