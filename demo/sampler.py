"""What a model says and how likely that is: draws at temperature 1, and log-probabilities of given texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from demo.tokenizer import EOS, PAD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.llama import Cache, Llama

Tokens = list[int]


@dataclass(frozen=True, slots=True)
class Batch:
    """Prompts and their completions side by side. `own[i, t]` says that token t + 1 of row i is of the completion."""

    tokens: Tensor
    own: Tensor

    @property
    def inputs(self) -> Tensor:
        """All tokens but the last."""
        return self.tokens[:, :-1]

    @property
    def targets(self) -> Tensor:
        """The completions' tokens, row after row."""
        return self.tokens[:, 1:][self.own]

    @property
    def rows(self) -> Tensor:
        """The row that each target is of."""
        return self.own.nonzero()[:, 0]

    def per_row(self, values: Tensor) -> Tensor:
        """The sum of the targets' values in each row."""
        return torch.zeros(len(self.tokens)).index_add(0, self.rows, values)


def batch(prompts: Sequence[Tokens], completions: Sequence[Tokens]) -> Batch:
    """Rows of equal length, padded on the right."""
    lengths = torch.tensor([len(p) + len(c) for p, c in zip(prompts, completions, strict=True)])
    tokens = torch.full((len(prompts), int(lengths.max())), PAD)
    for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        tokens[row, : lengths[row]] = torch.tensor(prompt + completion)
    position = torch.arange(1, tokens.shape[1])
    begins = torch.tensor([len(prompt) for prompt in prompts])
    return Batch(tokens, (position >= begins[:, None]) & (position < lengths[:, None]))


def target_logits(model: Llama, texts: Batch) -> Tensor:
    """The logits from which each target was to be drawn."""
    return model.logits(model.hidden(texts.inputs)[texts.own])


def log_probabilities(model: Llama, prompts: Sequence[Tokens], completions: Sequence[Tokens]) -> Tensor:
    """The log-probability of each whole completion after its prompt."""
    texts = batch(prompts, completions)
    with torch.no_grad():
        logits = target_logits(model, texts)
        chosen = logits.log_softmax(-1).gather(-1, texts.targets[:, None])[:, 0]
    return texts.per_row(chosen)


def _read_prompts(model: Llama, prompts: Sequence[Tokens], room: int) -> tuple[Tensor, Cache, Tensor]:
    """Reads prompts padded on the left: the last hidden states, the cache, and where each prompt begins."""
    width = max(map(len, prompts))
    begins = torch.tensor([width - len(prompt) for prompt in prompts])
    tokens = torch.tensor([[PAD] * (width - len(prompt)) + prompt for prompt in prompts])
    size = (len(prompts), model.shape.heads, width + room, model.shape.head)
    cache = [(torch.zeros(size), torch.zeros(size)) for _ in range(model.shape.layers)]
    position = torch.arange(width)
    mask = (position <= position[:, None]) & (position >= begins[:, None, None])
    mask = mask | torch.eye(width, dtype=torch.bool)  # padding sees itself: no empty softmax
    return model.hidden(tokens, mask=mask[:, None], cache=cache)[:, -1], cache, begins


def _drawn(logits: Tensor, generator: torch.Generator) -> Tensor:
    """One token per row, by the Gumbel trick."""
    noise = torch.rand(logits.shape, generator=generator).clamp_(1e-10)
    return (logits - (-noise.log()).log()).argmax(-1)


def _ended(row: Tokens) -> Tokens:
    """The row up to its first end token, that token included."""
    return row[: row.index(EOS) + 1] if EOS in row else row


def sample(
    model: Llama, prompts: Sequence[Tokens], draws: int, max_tokens: int, generator: torch.Generator
) -> list[Tokens]:
    """Independent completions, `draws` per prompt, in the prompts' order; the end token is kept where it was drawn."""
    with torch.inference_mode():
        last, cache, begins = _read_prompts(model, prompts, max_tokens)
        last, begins = last.repeat_interleave(draws, 0), begins.repeat_interleave(draws, 0)
        cache = [(k.repeat_interleave(draws, 0), v.repeat_interleave(draws, 0)) for k, v in cache]
        width = max(map(len, prompts))
        running, ended = torch.arange(len(begins)), torch.zeros(len(begins), dtype=torch.bool)
        drawn = torch.full((len(begins), max_tokens), EOS)
        for step, position in enumerate(range(width, width + max_tokens)):
            token = _drawn(model.logits(last), generator).masked_fill(ended, EOS)
            drawn[running, step] = token
            ended = token == EOS
            if ended.all() or step == max_tokens - 1:
                break
            if ended.float().mean() > 0.25:  # copying the cache costs as much as a few idle rows
                going = (~ended).nonzero()[:, 0]
                running, token, begins, ended = running[going], token[going], begins[going], ended[going]
                cache = [(k[going], v[going]) for k, v in cache]
            mask = (torch.arange(position + 1) >= begins[:, None])[:, None, None]
            last = model.hidden(token[:, None], position, mask, cache)[:, -1]
    return [_ended(row) for row in drawn.tolist()]
