"""Text and variables in, text out. The only module that knows Jinja.

A template names variables, puts them through a few filters and chooses by them; it neither loops nor calculates nor
looks inside a value. So it can be checked before anything runs, and rendering cannot fail, hang or grow.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment, Template, nodes

FILTERS = ("capitalize", "lower", "title", "trim", "upper")
MAX_DEPTH = 20

_ALLOWED = frozenset(
    "Template Output TemplateData Name Const Filter If CondExpr Compare Operand And Or Not".split()  # noqa: SIM905  reads better
)
_BRACES = re.compile(r"\{\{-?\s*([A-Za-z_][A-Za-z0-9_.]*)\s*(?:\|[^{}]*)?-?\}\}")
_TAG = re.compile(r"\{%-?\s*((?:for|if|set|macro|include|import|block)\s+[A-Za-z_'\"]\w*)")
_FORBIDDEN = {
    "For": "loops", "Getattr": "looks inside a value", "Getitem": "looks inside a value", "Call": "calls something",
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow", "Neg", "Pos", "Concat"), "calculates"),
}  # fmt: skip


class TemplateError(ValueError):
    """A template that cannot be rendered, or does what a template of a suite must not do."""


@lru_cache(maxsize=4096)
def variables(text: str) -> frozenset[str]:
    """The names of the variables that the template uses; TemplateError when it is not a sound template."""
    from jinja2 import nodes  # only suites with variables pay for it

    tree = _parsed(text)
    _check(tree)
    return frozenset(node.name for node in tree.find_all(nodes.Name))


def render(text: str, values: Mapping[str, str]) -> str:
    """The template with its variables filled in."""
    return _compiled(text).render(values)


def looks_like_template(text: str) -> str | None:
    """What a text seems to have of a template: the first variable named in double braces, or the first tag."""
    found = _BRACES.search(text)
    if found:
        return f"variable `{found.group(1)}`"
    tag = _TAG.search(text)
    return f"tag `{tag.group(1)} …`" if tag else None


def _parsed(text: str) -> nodes.Template:
    from jinja2 import TemplateSyntaxError  # the same

    try:
        return _environment().parse(text)
    except TemplateSyntaxError as error:
        raise TemplateError(f"not a template: {error.message} (line {error.lineno} of the text)") from error
    except RecursionError as error:
        raise TemplateError("the template is nested too deeply") from error


def _check(tree: nodes.Template) -> None:
    """Refuses a tree with anything in it that is not allowed."""
    waiting: list[tuple[nodes.Node, int]] = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        _refuse(node, depth)
        waiting.extend((child, depth + 1) for child in node.iter_child_nodes())


def _refuse(node: nodes.Node, depth: int) -> None:
    kind = type(node).__name__
    if depth > MAX_DEPTH:
        raise TemplateError("the template is nested too deeply")
    if kind not in _ALLOWED:
        does = _FORBIDDEN.get(kind, f"has a {kind!r}")
        raise TemplateError(f"a template of a suite names variables and chooses by them; this one {does}")
    if kind == "Filter" and (getattr(node, "name", "") not in FILTERS or _has_arguments(node)):
        raise TemplateError(f"the filter `{getattr(node, 'name', '')}` is not one of {', '.join(FILTERS)}")
    if kind == "Operand" and getattr(node, "op", "") not in ("eq", "ne"):
        raise TemplateError("variables are compared by == and != alone")
    if kind == "CondExpr" and getattr(node, "expr2", None) is None:
        raise TemplateError("an `if` inside {{ }} needs its `else`")


def _has_arguments(node: nodes.Node) -> bool:
    return any(getattr(node, name, None) for name in ("args", "kwargs", "dyn_args", "dyn_kwargs"))


@cache
def _environment() -> Environment:
    from jinja2 import StrictUndefined  # the same
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # the same

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        autoescape=False,  # prompts are text, not HTML
        keep_trailing_newline=True,  # a prompt's last newline decides how it is continued
    )
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in FILTERS}
    return environment


@lru_cache(maxsize=256)
def _compiled(text: str) -> Template:
    return _environment().from_string(text)
