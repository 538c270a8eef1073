"""What a suite says of all its prompts, written into each of them. Knows drafts, no files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collapsecli.suite import faults
from collapsecli.suite.prompts import NO_SHOTS, SHOTS_HINT, Injection, template_fault

if TYPE_CHECKING:
    from collapsecli.suite.draft import Draft
    from collapsecli.suite.prompts import Prompt, SharedInjection
    from collapsecli.suite.schema import SuiteFile
    from collapsecli.suite.tree import Node


def share_out(draft: Draft, root: Node) -> None:
    """Give every prompt the suite's formats, restarts and injections, and note what does not fit."""
    settings = draft.settings
    if settings is None:
        return
    draft.prompts = [prompt.model_copy(update=_defaults(prompt, settings)) for prompt in draft.prompts]
    _check_shots(draft, root, settings)
    for at, injection in enumerate(settings.inject or ()):
        _inject(draft, injection, root.at(("inject", at)))


def _defaults(prompt: Prompt, settings: SuiteFile) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if prompt.formats is None and prompt.text is not None:
        given["formats"] = settings.formats
    if prompt.restarts is None:
        given["restarts"] = settings.restarts
    return given


def _check_shots(draft: Draft, root: Node, settings: SuiteFile) -> None:
    if "few-shot" not in settings.formats:
        return
    for prompt in draft.prompts:
        if "few-shot" in (prompt.formats or ()) and not prompt.shots:
            draft.fault(root.at(("formats",)).place, f"{NO_SHOTS}, and the prompt `{prompt.id}` has none", SHOTS_HINT)
            return


def _inject(draft: Draft, shared: SharedInjection, node: Node) -> None:
    injection = Injection(id=shared.id, at=shared.at, text=shared.text, continuations=shared.continuations)
    places = {prompt.id: place for place, prompt in enumerate(draft.prompts)}
    known = {use.name for use in draft.ids}
    for at, prompt_id in enumerate(shared.into):
        into = node.at(("into", at))
        if prompt_id not in known:
            draft.fault(into.place, f"there is no prompt `{prompt_id}` to inject into", faults.near(prompt_id, known))
        elif prompt_id in places:
            prompt = draft.prompts[places[prompt_id]]
            fault = _misfit(prompt, injection)
            if fault is not None:
                draft.fault(into.place, f"`{prompt_id}`: {fault[0]}", fault[1])
                continue
            draft.prompts[places[prompt_id]] = prompt.model_copy(update={"inject": (*(prompt.inject or ()), injection)})
            draft.note_roads_of(prompt_id, injection.id, injection.continuations, node)


def _misfit(prompt: Prompt, injection: Injection) -> tuple[str, str] | None:
    if any(injection.id == own.id for own in prompt.inject or ()):
        return f"it has an injection `{injection.id}` already", "choose another id"
    declared = None if prompt.vars is None else dict(prompt.vars)
    texts = [*([injection.text] if injection.text else []), *(injection.continuations or ())]
    return next(filter(None, (template_fault(text, declared) for text in texts)), None)
