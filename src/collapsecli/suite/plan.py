"""Suites in, Cells out: every prompt under every condition, in the order of the file. Samples nothing."""

from __future__ import annotations

import difflib
import itertools
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from collapsecli import records
from collapsecli.errors import UsageError
from collapsecli.suite import forms, templates
from collapsecli.suite.encoders import TOO_EARLY
from collapsecli.suite.formats import Said, in_format
from collapsecli.suite.ids import cell_id, model_names
from collapsecli.suite.prompts import FORMAT, SHOTS_HINT, WORDING, EmbeddingForm
from collapsecli.suite.scalars import MAX_COUNT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from collapsecli.suite.draft import Suite
    from collapsecli.suite.prompts import Equivalence, FormatName, Injection, Prompt, Sampling

# A sampled token in `samples.parquet`: its id (4 bytes), its log-probability (4) and about 4 characters of text, which
# compression makes smaller. A row's own columns repeat and compress to some tens of bytes.
TOKEN_BYTES = 12
ROW_BYTES = 64
COPIES = 2  # the shards lie beside `samples.parquet` while it is written


@dataclass(frozen=True, slots=True)
class PlanTotals:
    """What a plan costs. `tokens` and `bytes` are upper bounds: every completion as long as it may be.

    So is `completions` if `adaptive`: some cells may be decided before their cap.
    """

    cells: int
    completions: int
    tokens: int
    bytes: int
    adaptive: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The cells to sample."""

    cells: tuple[records.Cell, ...]

    @property
    def totals(self) -> PlanTotals:
        """What the plan costs."""
        completions = sum(cell.sampling.samples for cell in self.cells)
        tokens = sum(cell.sampling.samples * cell.sampling.max_tokens for cell in self.cells)
        size = COPIES * (completions * ROW_BYTES + tokens * TOKEN_BYTES)
        adaptive = any(cell.sampling.adaptive for cell in self.cells)
        return PlanTotals(len(self.cells), completions, tokens, size, adaptive)


def plan(
    *suites: Suite,
    models: Sequence[records.Model] | None = None,
    samples: int | None = None,
    max_samples: int | None = None,
    formats: Sequence[FormatName] = (),
    only: Sequence[str] = (),
    tags: Sequence[str] = (),
) -> Plan:
    """The cells of some suites, in their order.

    `models` stand above the suites' own; None takes each suite's own, none at all leaves an unnamed model open (for a
    plan that is only shown). Where several are sampled, each adapter one of them, a cell's id ends with its own.
    `samples` stands above every `samples` and `max_samples` of the suites; so does `max_samples`, and `formats` above
    the formats of every prompt that is a text. A cell is selected when its id or its prompt's id matches any of the
    globs in `only` (brackets stand for themselves) and its prompt has any of `tags`; so is the cell that a selected one
    branches from.

    Raises UsageError when a suite has no model, when nothing is selected, when a template renders to nothing, when a
    format lacks what it needs, or when cells that are compared by embedding were to be looked at while sampling.
    """
    if samples is not None and max_samples is not None:
        raise UsageError("samples and max_samples exclude each other", hint="a fixed number, or looks up to a cap")
    if samples is not None and not 1 <= samples <= MAX_COUNT:
        raise UsageError(f"samples must be from 1 to {MAX_COUNT}, not {samples}")
    if max_samples is not None and not records.FIRST_LOOK <= max_samples <= MAX_COUNT:
        raise UsageError(f"max_samples must be from {records.FIRST_LOOK} to {MAX_COUNT}, not {max_samples}")
    asked = {name: value for name, value in (("samples", samples), ("max_samples", max_samples)) if value is not None}
    wanted = [_in_formats(suite, formats) for suite in suites]
    sampled = [(suite, models or _own(suite, models)) for suite in wanted]
    names = _names([model for _, of_suite in sampled for model in of_suite])
    planned = [
        cell
        for suite, of_suite in sampled
        for model in of_suite
        for adapter in ("", *model.adapters)
        for cell in _cells(suite, _Sampled(model.name, adapter, names[model.name, adapter]), asked)
    ]
    selected = {cell.cell_id for cell in planned if _matches(cell, only) and _tagged(cell, tags)}
    if not selected:
        raise _nothing_selected(planned, only, tags)
    _check_shots(wanted, {cell.prompt_id for cell in planned if cell.cell_id in selected})
    selected |= {cell.branch.plain for cell in planned if cell.branch and cell.cell_id in selected}
    cells = tuple(cell for cell in planned if cell.cell_id in selected)
    early = next((cell.cell_id for cell in cells if cell.encoder and cell.sampling.adaptive), None)
    if early is not None:
        raise UsageError(f"{early} is compared by embedding: {TOO_EARLY}", hint="a fixed number: -n N")
    return Plan(cells)


_OPEN = records.Model.at("")


class _Sampled(NamedTuple):
    """A model with one of its adapters, and what it is called in the ids of its cells: nothing where it is alone."""

    model: str
    adapter: str
    name: str


def _own(suite: Suite, models: Sequence[records.Model] | None) -> Sequence[records.Model]:
    if not suite.models and models is None:
        raise UsageError(f"the suite `{suite.name}` names no model", hint="give --model, or `model:` in the suite")
    return suite.models or (_OPEN,)


def _names(models: Sequence[records.Model]) -> dict[tuple[str, str], str]:
    short = model_names(model.name for model in models)
    names = {
        (model.name, adapter): "+".join(filter(None, (short[model.name], adapter)))
        for model in models
        for adapter in ("", *model.adapters)
    }
    return names if len(names) > 1 else dict.fromkeys(names, "")


def _in_formats(suite: Suite, formats: Sequence[FormatName]) -> Suite:
    if not formats:
        return suite
    update = {"formats": tuple(dict.fromkeys(formats))}
    changed = (prompt if prompt.text is None else prompt.model_copy(update=update) for prompt in suite.prompts)
    return replace(suite, prompts=tuple(changed))


def _check_shots(suites: Sequence[Suite], prompt_ids: set[str]) -> None:
    """Refuse few-shot, which the command line may ask of every prompt, where one of these has nothing to show."""
    prompts = [prompt for suite in suites for prompt in suite.prompts if prompt.id in prompt_ids]
    without = [prompt.id for prompt in prompts if "few-shot" in (prompt.formats or ()) and not prompt.shots]
    if without:
        named = ", ".join(without[:5]) + (f" and {len(without) - 5} more" if len(without) > 5 else "")
        raise UsageError(f"the format few-shot needs `shots`, and {named} has none", hint=f"add {SHOTS_HINT}")


# ---------------------------------------------------------------------------------------------------------- cells


@dataclass(frozen=True, slots=True)
class _Injected:
    """One injection of a prompt (none for the plain cell): its name, and where it branches off, if it does."""

    injection: Injection | None = None
    name: str = ""
    sentences: int | None = None


def _cells(suite: Suite, sampled: _Sampled, asked: Mapping[str, int]) -> Iterator[records.Cell]:
    known: dict[Any, Any] = {}  # what is the same in thousands of cells is there once
    for prompt in suite.prompts:
        shared = {name: known.setdefault((name, value), value) for name, value in _shared(suite, prompt).items()}
        shared |= {"model": sampled.model, "adapter": sampled.adapter}
        samplings = [known.setdefault(sampling, sampling) for sampling in _samplings(suite, prompt, asked)]
        scored_at = min((sampling.temperature for sampling in samplings), key=lambda t: (abs(t - 1), t))
        for variant, said in _variants(prompt):
            for injected in _injections(prompt):
                for sampling in samplings:
                    plain = cell_id(prompt.id, variant, "", sampling.temperature, sampled.name)
                    injection = injected.injection
                    text = _rendered(prompt, injection.text, said.values) if injection and injection.text else ""
                    roads = _roads(suite, prompt, injection, said.values) if sampling.temperature == scored_at else ()
                    yield records.Cell(
                        cell_id=cell_id(prompt.id, variant, injected.name, sampling.temperature, sampled.name),
                        injection=injected.name,
                        injected="" if injected.sentences else text,
                        branch=records.Branch(plain, injected.sentences, text) if injected.sentences else None,
                        roads=roads,
                        temperature=sampling.temperature,
                        sampling=sampling,
                        variant=",".join(f"{name}={value}" for name, value in variant.items()),
                        text=said.text,
                        messages=said.messages,
                        **shared,
                    )


def _shared(suite: Suite, prompt: Prompt) -> dict[str, Any]:
    """What all cells of a prompt have in common."""
    settings = suite.settings
    answer = forms.answer_spec(prompt.answer)
    typed = not isinstance(answer, records.TextAnswer)
    return {
        "suite": suite.name,
        "prompt_id": prompt.id,
        "answer": answer,
        "expect": forms.expectation(prompt.expect or settings.expect, prompt.answer),
        **_equivalence("exact" if typed else prompt.equivalence or settings.equivalence),
        "reasoning": prompt.reasoning or settings.reasoning,
        "tags": prompt.tags,
        "restarts": prompt.restarts,
    }


def _equivalence(asked: Equivalence) -> dict[str, Any]:
    if isinstance(asked, str):
        return {"equivalence": asked}
    if isinstance(asked, EmbeddingForm):
        return {"equivalence": "embedding", "threshold": asked.threshold, "encoder": asked.embedding}
    return {"equivalence": "lexical", "threshold": asked.lexical}


def _variants(prompt: Prompt) -> Iterator[tuple[dict[str, str], Said]]:
    """Every combination of values, wordings and formats, the last turning fastest, with what is asked in each.

    A prompt in one wording has no variant `wording`, and one in one format none `format`.
    """
    variables = prompt.vars or {}
    wordings = (None, *(prompt.paraphrases or ()))
    formats = prompt.formats or ("raw",)
    for combination in itertools.product(*variables.values()):
        values = dict(zip(variables, combination, strict=True))
        for number, wording in enumerate(wordings, start=1):
            for name in formats:
                variant = dict(values)
                if len(wordings) > 1:
                    variant[WORDING] = str(number)
                if len(formats) > 1:
                    variant[FORMAT] = name
                yield variant, _asked(prompt, values, wording, name)


def _asked(prompt: Prompt, values: Mapping[str, str], wording: str | None, name: FormatName) -> Said:
    """What is asked in one wording and one format, rendered."""
    if prompt.text is not None:
        text = _rendered(prompt, wording or prompt.text, values)
        shots = [(_rendered(prompt, s.ask, values), _rendered(prompt, s.answer, values)) for s in prompt.shots or ()]
        return in_format(name, text, chat=prompt.chat, shots=shots, values=values)
    messages = [
        records.Message(message.role, _rendered(prompt, message.content, values)) for message in prompt.messages or ()
    ]
    if wording is not None:
        messages[-1] = replace(messages[-1], content=_rendered(prompt, wording, values))
    return Said(None, tuple(messages), values)


def _injections(prompt: Prompt) -> Iterator[_Injected]:
    yield _Injected()
    for injection in prompt.inject or ():
        for name, sentences in injection.names:
            yield _Injected(injection, name, sentences)


def _roads(
    suite: Suite, prompt: Prompt, injection: Injection | None, values: Mapping[str, str]
) -> tuple[records.Road, ...]:
    said = injection.continuations if injection else prompt.continuations
    of = injection.id if injection else ""
    return tuple(
        records.Road(_rendered(prompt, text, values), suite.road_places.get((prompt.id, of, at), ("", 0, 0)))
        for at, text in enumerate(said or ())
    )


def _rendered(prompt: Prompt, text: str, values: Mapping[str, str]) -> str:
    if prompt.vars is None:
        return text
    rendered = templates.render(text, values)
    if not rendered:
        raise UsageError(f"a text of the prompt `{prompt.id}` renders to nothing with {dict(values)}")
    return rendered


def _samplings(suite: Suite, prompt: Prompt, asked: Mapping[str, int]) -> Iterator[records.Sampling]:
    """The prompt's sampling at each of its temperatures. At 0 every draw would be the same: one is drawn."""
    layers = [
        *({name: getattr(layer, name) for name in layer.model_fields_set} for layer in _sampling_layers(suite, prompt)),
        asked,
    ]
    given: dict[str, Any] = {}
    for layer in layers:  # the nearest word on the number of draws holds, be it a fixed number or a cap
        given |= {name: value for name, value in layer.items() if name != "max_samples"}
        if "max_samples" in layer:
            given |= {"samples": layer["max_samples"], "adaptive": True}
        elif "samples" in layer:
            given["adaptive"] = False
    resolved = records.Sampling(**given)
    for temperature in prompt.temperatures or (resolved.temperature,):
        if temperature:
            yield replace(resolved, temperature=temperature)
        else:
            yield replace(resolved, temperature=temperature, samples=1, adaptive=False)


def _sampling_layers(suite: Suite, prompt: Prompt) -> list[Sampling]:
    return [layer for layer in (suite.settings.sampling, prompt.sampling) if layer is not None]


# ------------------------------------------------------------------------------------------------------ selection


def _matches(cell: records.Cell, globs: Sequence[str]) -> bool:
    literal = (glob.replace("[", "[[]") for glob in globs)
    names = (cell.prompt_id, cell.cell_id, cell.question, cell.sweep)  # the last two as a report may call it
    return not globs or any(fnmatchcase(name, glob) for glob in literal for name in names)


def _tagged(cell: records.Cell, tags: Sequence[str]) -> bool:
    return not tags or not set(tags).isdisjoint(cell.tags)


def _nothing_selected(cells: Sequence[records.Cell], only: Sequence[str], tags: Sequence[str]) -> UsageError:
    """Names what was asked for and what is near it."""
    asked = " ".join([*(f"--only {glob}" for glob in only), *(f"--tag {tag}" for tag in tags)])
    ids = list(dict.fromkeys(name for cell in cells for name in (cell.prompt_id, cell.cell_id)))
    close = [name for glob in only for name in difflib.get_close_matches(glob.strip("*"), ids, n=3)]
    known = list(dict.fromkeys(cell.prompt_id for cell in cells))
    hint = "prompts: " + ", ".join(close or known[:8]) + ("" if close or len(known) <= 8 else ", …")
    if tags:
        hint += "; tags: " + (", ".join(sorted({tag for cell in cells for tag in cell.tags})) or "none")
    return UsageError(f"{asked or 'the plan'} selects nothing", hint=hint)
