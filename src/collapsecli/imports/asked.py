"""`--answer` and `--expect` in, their records out: the forms of a suite, and its words for what is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from collapsecli.errors import UsageError
from collapsecli.sanitize import visible
from collapsecli.suite import forms, prompts
from collapsecli.suite.faults import messages_of
from collapsecli.suite.tree import read_tree

if TYPE_CHECKING:
    from collapsecli.records import AnswerSpec, Expect


def answer_and_expectation(answer: str | None, expect: str | None) -> tuple[AnswerSpec, Expect]:
    """What is read out of a completion, text unless said, and what is expected of it, none unless said.

    Raises UsageError where either is no form of a suite, or the two do not fit each other.
    """
    given = {
        "answer": "text" if answer is None else _value(answer, "--answer"),
        "expect": "none" if expect is None else _value(expect, "--expect"),
    }
    try:
        prompt = prompts.PROMPT.validate_python({"id": "asked", "text": "asked", **given})
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        message, hint = messages_of(error)[0]
        raise UsageError(f"--{name}: {visible(message.removeprefix(f'`{name}`: '))}", hint=visible(hint)) from error
    return forms.answer_spec(prompt.answer), forms.expectation(prompt.expect or "none", prompt.answer)


def _value(text: str, option: str) -> object:
    tree = read_tree(text.encode("utf-8", "replace"), option)
    if tree.root is None or tree.faults:
        fault = tree.faults[0].message if tree.faults else "it is empty"
        raise UsageError(f"{option} {visible(text)!r}: {visible(fault)}", hint="`--answer '{integer: [1, 100]}'`")
    return tree.root.data
