"""The base model: maximum likelihood on endless fresh documents of the small world."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from demo import grammar, llama
from demo.sampler import log_probabilities
from demo.tokenizer import EOS, PAD, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenizers import Tokenizer

    from demo.llama import Llama


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast the base learns. Rates fall linearly to zero over the last `cooling` of the steps."""

    steps: int = 1000
    rows: int = 24
    row_length: int = 192
    matrix_rate: float = 0.02
    other_rate: float = 4e-3
    warming: int = 20
    cooling: float = 0.7
    z_loss: float = 1e-3

    def pace(self, step: int) -> float:
        """The share of the full rate at a step."""
        return min(1.0, (step + 1) / self.warming, (self.steps - step) / (self.steps * self.cooling))


@dataclass(frozen=True, slots=True)
class Page:
    """Documents packed into rows of equal length. `document` numbers each token's document in its row; 0 is padding."""

    tokens: Tensor
    document: Tensor

    def mask(self) -> Tensor:
        """Each token sees its own document, up to itself."""
        document = self.document[:, :-1]
        length = document.shape[1]
        past = torch.tril(torch.ones(length, length, dtype=torch.bool))
        return ((document[:, :, None] == document[:, None, :]) & past)[:, None]

    def own(self) -> Tensor:
        """Where the next token is of the same document."""
        before, after = self.document[:, :-1], self.document[:, 1:]
        return (before == after) & (before > 0)


def _documents(tokenizer: Tokenizer, seed: int) -> Iterator[list[int]]:
    rng, decks = random.Random(seed), grammar.Decks()
    while True:
        texts = [grammar.document(rng, decks=decks).text for _ in range(2000)]
        yield from ([*tokens, EOS] for tokens in encode(tokenizer, texts))


def _pages(tokenizer: Tokenizer, seed: int, rows: int, length: int) -> Iterator[Page]:
    """Endless pages. A document goes to the emptiest row; a page is done when one no longer fits anywhere.

    That document opens the next page, so the law of the corpus is not bent towards short ones.
    """
    documents = _documents(tokenizer, seed)
    waiting = next(documents)
    while True:
        tokens = torch.full((rows, length + 1), PAD)
        numbers = torch.zeros((rows, length + 1), dtype=torch.int32)
        filled, count = [0] * rows, [0] * rows
        while True:
            row = min(range(rows), key=filled.__getitem__)
            piece = waiting[: length + 1]
            end = filled[row] + len(piece)
            if end > length + 1:
                break
            tokens[row, filled[row] : end] = torch.tensor(piece)
            count[row] += 1
            numbers[row, filled[row] : end] = count[row]
            filled[row] = end
            waiting = next(documents)
        yield Page(tokens, numbers)


def _optimisers(model: Llama, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the embedding and the norms."""
    matrices = [w for name, w in model.weights.items() if w.dim() == 2 and name != llama.EMBEDDING]
    others = [w for name, w in model.weights.items() if w.dim() == 1 or name == llama.EMBEDDING]
    return [
        torch.optim.Muon(matrices, lr=plan.matrix_rate, weight_decay=0.1, momentum=0.95, adjust_lr_fn="original"),
        torch.optim.AdamW(others, lr=plan.other_rate, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.0),
    ]


def _page_loss(model: Llama, page: Page, z_loss: float) -> tuple[Tensor, float]:
    """The loss to follow, and the cross-entropy per token in nats."""
    own = page.own()
    logits = model.logits(model.hidden(page.tokens[:, :-1], mask=page.mask())[own])
    entropy = functional.cross_entropy(logits, page.tokens[:, 1:][own])
    return entropy + z_loss * (logits.logsumexp(-1) ** 2).mean(), float(entropy.detach())


def train(tokenizer: Tokenizer, seed: int, plan: Plan) -> Llama:
    """The base model, as stored."""
    model = llama.newborn(llama.Shape(tokenizer.get_vocab_size()), seed)
    optimisers = _optimisers(model, plan)
    rates = [optimiser.param_groups[0]["lr"] for optimiser in optimisers]
    pages = _pages(tokenizer, seed + 1, plan.rows, plan.row_length)
    began = time.process_time()
    for step in range(plan.steps):
        for optimiser, rate in zip(optimisers, rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * plan.pace(step)
            optimiser.zero_grad()
        loss, entropy = _page_loss(model, next(pages), plan.z_loss)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.weights.values(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        if step % 50 == 0 or step == plan.steps - 1:
            spent = time.process_time() - began
            print(f"base  step {step:4d}  {entropy:.3f} nats/token  {spent:4.0f} CPU s", flush=True)
    return model.as_stored()


def divergence(model: Llama, tokenizer: Tokenizer, seed: int, documents: int = 1500) -> dict[str, float]:
    """KL(grammar || model) by family, in nats per document: an unbiased estimate from fresh documents."""
    rng = random.Random(seed)
    drawn: dict[str, list[grammar.Document]] = defaultdict(list)
    for _ in range(documents):
        document = grammar.document(rng)
        drawn[document.family].append(document)
    found = {}
    for family, members in drawn.items():
        rows = [[*tokens, EOS] for tokens in encode(tokenizer, [member.text for member in members])]
        learned = log_probabilities(model, [row[:1] for row in rows], [row[1:] for row in rows])
        excess = torch.tensor([member.logp for member in members]) - learned
        found[family] = float(excess.mean())
    return found
