"""Draws in, the cells of one or several runs out, with their completions. Knows no files and no run folder.

Completions wait as Arrow columns until all are there, because only then is it known how large a cell is and whether
the file is sound enough to be believed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from collapsecli.imports.fields import written_out
from collapsecli.imports.layout import Notice
from collapsecli.imports.names import prompt_name
from collapsecli.imports.sources import Malformed
from collapsecli.reasoning import split_reasoning
from collapsecli.records import Cell, Completion, Sampling, TextAnswer
from collapsecli.runs import TRANSIENT
from collapsecli.suite import cell_id, model_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from collapsecli.imports.fields import Prompt
    from collapsecli.imports.layout import Draw, Read
    from collapsecli.records import AnswerSpec, Equivalence, Expect

TEMPERATURE = 1.0  # where neither the file nor the user says one
MOST_SHOWN = 20  # malformed rows that are told one by one

_ROWS_AT_ONCE = 8192
_CHARACTERS_AT_ONCE = 64 * 1024 * 1024
_WAITING = pa.schema(
    [
        ("text", pa.large_string()),
        ("logprob", pa.float64()),
        ("finish_reason", pa.string()),
        ("error_kind", pa.string()),
        ("error", pa.string()),
        ("reasoning", pa.large_string()),
        ("given", pa.string()),
    ]
)


class _Key(NamedTuple):
    """What makes a cell of a step: draws that agree in all of it are of one distribution."""

    step: int | None
    prompt_id: str | None
    prompt: Prompt | None
    temperature: float | None
    model: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user says of the completions: how to read them, and what the file may leave out."""

    suite: str
    answer: AnswerSpec
    expect: Expect
    equivalence: Equivalence = "lexical"
    threshold: float | None = None
    temperature: float | None = None
    model: str | None = None
    encoder: str = ""


@dataclass(frozen=True, slots=True)
class Gathered:
    """One run's worth: its cells in the order of the file, and its completions in the order of the cells."""

    step: int | None
    cells: tuple[Cell, ...]
    rows: pa.Table
    numbers: NDArray[np.int64]
    created_at: float

    def completions(self) -> Iterator[Completion]:
        """The completions, cell by cell, numbered as they stood in the file."""
        place, waiting = 0, iter(())
        for cell in self.cells:
            for index in range(cell.sampling.samples):
                if place % _ROWS_AT_ONCE == 0:
                    waiting = iter(self.rows.take(self.numbers[place : place + _ROWS_AT_ONCE]).to_pylist())
                place += 1
                yield Completion(
                    cell_id=cell.cell_id,
                    sample_index=index,
                    seed=0,
                    prompt=written_out(cell.messages or cell.text or ""),
                    token_ids=(),
                    token_logprobs=(),
                    n_prompt_tokens=0,
                    created_at=self.created_at,
                    **next(waiting),
                )


@dataclass(slots=True)
class Gathering:
    """Takes what a layout reads, row by row. `malformed` keeps the first few; the counts are of rows and of draws."""

    created_at: float
    malformed: list[Malformed] = field(default_factory=list)
    malformed_rows: int = 0
    sound_rows: int = 0
    answered: int = 0
    with_class: int = 0
    notices: list[str] = field(default_factory=list)
    _keys: dict[_Key, int] = field(default_factory=dict)
    _labels: dict[Prompt | None, set[str | None]] = field(default_factory=dict)
    _cells: list[int] = field(default_factory=list)
    _waiting: list[dict[str, object]] = field(default_factory=list)
    _characters: int = 0
    _tables: list[pa.Table] = field(default_factory=list)

    @property
    def draws(self) -> int:
        """Completions so far, failures included."""
        return len(self._cells)

    @property
    def malformed_share(self) -> float:
        """The share of rows that could not be used; 0 where there are no rows."""
        rows = self.sound_rows + self.malformed_rows
        return self.malformed_rows / rows if rows else 0.0

    def take(self, reads: Iterable[Read]) -> None:
        """Keep every draw, and count what is none."""
        for read in reads:
            if isinstance(read, Notice):
                self.notices.append(read.text)
            elif isinstance(read, Malformed):
                self.malformed_rows += read.rows
                if len(self.malformed) < MOST_SHOWN:
                    self.malformed.append(read)
            else:
                self.sound_rows += 1
                for draw in read:
                    self._keep(draw)

    def _keep(self, draw: Draw) -> None:
        key = _Key(draw.step, draw.prompt_id, draw.prompt, draw.temperature, draw.model)
        self._cells.append(self._keys.setdefault(key, len(self._keys)))
        if draw.prompt_id is None:
            self._labels.setdefault(draw.prompt, set()).add(draw.label)
        self.answered += draw.error_kind is None
        self.with_class += draw.given is not None
        self._waiting.append(_row(draw))
        self._characters += len(draw.text)
        if len(self._waiting) >= _ROWS_AT_ONCE or self._characters >= _CHARACTERS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        self._tables.append(pa.Table.from_pylist(self._waiting, _WAITING))
        self._waiting, self._characters = [], 0

    def runs(self, asked: Asked) -> list[Gathered]:
        """The runs, one per step in order, with what had to be assumed among the notices."""
        self._flush()
        tables, self._tables = self._tables, []  # not held twice
        rows = pa.concat_tables(tables).combine_chunks()
        raw = list(self._keys)
        resolved = self._resolved(raw, asked)
        final = {key: number for number, key in enumerate(dict.fromkeys(resolved))}
        of_raw = np.array([final[key] for key in resolved], np.int64)
        of_draws = of_raw[np.array(self._cells, np.int64)]
        order = np.argsort(of_draws, kind="stable")
        sizes = np.bincount(of_draws, minlength=len(final))
        ends = np.cumsum(sizes)
        cells = dict(zip(final, _cells(final, sizes.tolist(), self._prompt_names(final), asked), strict=True))
        runs = []
        for step in sorted({key.step for key in final}, key=lambda step: -1 if step is None else step):
            of_step = [key for key in final if key.step == step]
            spans = [order[ends[final[key]] - sizes[final[key]] : ends[final[key]]] for key in of_step]
            step_cells = tuple(cells[key] for key in of_step)
            runs.append(Gathered(step, step_cells, rows, np.concatenate(spans), self.created_at))
        if (sizes == 1).all() and len(sizes) > 1:
            self.notices.append(
                "no prompt has more than one completion, and one draw proves nothing: do prompts that are the same "
                "have the same id?"
            )
        return runs

    def _resolved(self, raw: list[_Key], asked: Asked) -> list[_Key]:
        """The keys with what the file leaves out filled in: as the user says, else as it can be told or assumed."""
        named = {key.model for key in raw if key.model is not None}
        model = asked.model or (named.pop() if len(named) == 1 else "unknown")
        temperature = TEMPERATURE if asked.temperature is None else asked.temperature
        if asked.temperature is None and any(key.temperature is None for key in raw):
            some = "some completions" if any(key.temperature is not None for key in raw) else "the completions"
            self.notices.append(
                f"nothing says at which temperature {some} were sampled; {TEMPERATURE} was assumed (--temperature)"
            )
        alone = _only_prompts(raw)
        return [
            key._replace(
                prompt=alone.get(key.prompt_id) if key.prompt is None else key.prompt,
                model=model if key.model is None else key.model,
                temperature=temperature if key.temperature is None else key.temperature,
            )
            for key in raw
        ]

    def _prompt_names(self, keys: Iterable[_Key]) -> Mapping[tuple[str | None, Prompt | None], str]:
        """A name for every prompt. One id may stand for several prompts: they are then told apart."""
        prompts = dict.fromkeys((key.prompt_id, key.prompt) for key in keys)
        uses = Counter(prompt_id for prompt_id, _ in prompts if prompt_id is not None)
        several = sum(count > 1 for count in uses.values())
        if several:
            self.notices.append(f"{several:,} prompt ids stand for several prompts each, which were kept apart")
        labels = {prompt: next(iter(found)) for prompt, found in self._labels.items() if len(found) == 1}
        taken = Counter(filter(None, labels.values()))
        names = {}
        for prompt_id, prompt in prompts:
            label = labels.get(prompt) if prompt_id is None else None
            known = label if label and taken[label] == 1 and label not in uses else prompt_id
            names[prompt_id, prompt] = prompt_name(known, prompt, alone=known is None or uses[known] <= 1)
        return names


def _only_prompts(keys: Iterable[_Key]) -> dict[str | None, Prompt]:
    """The prompt of every id that stands for one: it is also that of failed requests, which may not repeat it."""
    found: dict[str | None, set[Prompt]] = {}
    for key in keys:
        if key.prompt_id is not None and key.prompt is not None:
            found.setdefault(key.prompt_id, set()).add(key.prompt)
    return {prompt_id: prompts.pop() for prompt_id, prompts in found.items() if len(prompts) == 1}


def _row(draw: Draw) -> dict[str, object]:
    """A draw as it waits. What was thought aloud is no part of the answer, here as in a probe.

    No failure is one that may pass: nothing can be drawn again here, and the run would never be complete.
    """
    text, reasoning = draw.text, draw.reasoning
    if reasoning is None and draw.error_kind is None:
        reasoning, text = split_reasoning(text, draw.prompt if isinstance(draw.prompt, str) else "")
    return {
        "text": text,
        "logprob": draw.logprob,
        "finish_reason": draw.finish_reason,
        "error_kind": f"{draw.error_kind}_error" if draw.error_kind in TRANSIENT else draw.error_kind,
        "error": draw.error,
        "reasoning": reasoning,
        "given": draw.given,
    }


def _cells(
    keys: Iterable[_Key], sizes: list[int], names: Mapping[tuple[str | None, Prompt | None], str], asked: Asked
) -> Iterator[Cell]:
    keys = list(keys)
    models = model_names(str(key.model) for key in keys)
    is_text = isinstance(asked.answer, TextAnswer)
    for key, size in zip(keys, sizes, strict=True):
        temperature, model = float(key.temperature or 0.0), str(key.model)
        name = names[key.prompt_id, key.prompt]
        yield Cell(
            cell_id=cell_id(name, {}, "", temperature, models[model] if len(models) > 1 else ""),
            suite=asked.suite,
            prompt_id=name,
            variant="",
            injection="",
            temperature=temperature,
            model=model,
            adapter="",
            text=None if isinstance(key.prompt, tuple) else key.prompt or "",
            messages=key.prompt if isinstance(key.prompt, tuple) else (),
            injected="",
            sampling=Sampling(samples=size, temperature=temperature),
            answer=asked.answer,
            expect=asked.expect,
            equivalence=asked.equivalence if is_text or asked.equivalence == "given" else "exact",
            threshold=asked.threshold if is_text else None,
            encoder=asked.encoder if is_text else "",
        )
