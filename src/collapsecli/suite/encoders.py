"""What a suite cannot ask of answers that are the same by their embeddings. Knows drafts, no encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collapsecli.suite.prompts import EmbeddingForm

if TYPE_CHECKING:
    from collapsecli.suite.draft import Draft
    from collapsecli.suite.prompts import Conditions
    from collapsecli.suite.schema import SuiteFile
    from collapsecli.suite.tree import Node

TOO_EARLY = "looks are taken while sampling, and the encoder runs after it"
_NO_BRANCH = "a branch point is looked for while sampling, and the encoder runs after it"
_HINT = "another `equivalence`, or a fixed number of `samples`"
_HINT_OF_BRANCH = "another `equivalence`, or an injection without `at`"


def check_embedded(draft: Draft, root: Node, entry: Conditions, node: Node) -> None:
    """Note what a prompt, or a file of them, asks that needs its modes before the encoder has run."""
    settings = draft.settings
    if settings is None or not _is_embedded(entry, settings):
        return
    for holder, sampling in ((node, entry.sampling), (root, settings.sampling)):
        given = sampling.model_fields_set if sampling else set()
        if "max_samples" in given:
            draft.fault(holder.at(("sampling", "max_samples")).place, TOO_EARLY, _HINT)
        if given & {"max_samples", "samples"}:  # the nearest word holds
            break
    for at, injection in enumerate(entry.inject or ()):
        if injection.at is not None:
            draft.fault(node.at(("inject", at, "at")).place, _NO_BRANCH, _HINT_OF_BRANCH)


def check_shared(draft: Draft, root: Node) -> None:
    """The same for the injections that several prompts have in common."""
    settings = draft.settings
    if settings is None:
        return
    embedded = {prompt.id for prompt in draft.prompts if _is_embedded(prompt, settings)}
    for at, injection in enumerate(settings.inject or ()):
        if injection.at is not None and embedded & set(injection.into):
            draft.fault(root.at(("inject", at, "at")).place, _NO_BRANCH, _HINT_OF_BRANCH)


def _is_embedded(entry: Conditions, settings: SuiteFile) -> bool:
    return entry.answer == "text" and isinstance(entry.equivalence or settings.equivalence, EmbeddingForm)
