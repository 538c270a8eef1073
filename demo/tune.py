"""The tuned model: reinforcement learning from the base, for a rater that likes what looks right.

REINFORCE with a leave-one-out baseline (Ahmadian et al. 2024), an exact per-token KL to the base, and a share of
plain text kept in the loss as in InstructGPT (Ouyang et al. 2022).
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor
from torch.nn import functional

from demo import grammar, rater
from demo.sampler import Batch, batch, sample, target_logits
from demo.tokenizer import EOS, decode, encode

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from demo.llama import Llama

# What the suite asks about is never seen by the tuning: what shows there is generalised, not memorised.
HELD_OUT: Final = (
    "Tell me a random integer",
    "bugs",
    "ghosts",
    "dreams",
    "the best man raised his glass",
    "You are a murderer.",
    "little girl",
    "a strange key",
)


@dataclass(frozen=True, slots=True)
class Drill:
    """One family's part of a tuning step: how many prompts, how many draws each, how long, and its weight."""

    family: str
    prompts: int
    draws: int
    max_tokens: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How strongly the base is tuned. `leash` is the price of a nat of divergence from the base, in reward."""

    steps: int = 60
    rate: float = 1e-3
    leash: float = 0.05
    kept: float = 1.0
    drills: tuple[Drill, ...] = (
        Drill("number", 10, 48, 5, weight=1.5),
        Drill("opinion", 8, 16, 24),
        Drill("toast", 5, 12, 60),
        Drill("story", 5, 12, 76),
    )
    kept_documents: tuple[tuple[str, int], ...] = (("ticket", 60), ("pick", 30), ("weather", 12), ("fact", 20))

    def pace(self, step: int) -> float:
        """The share of the full rate at a step: five steps of warming, then down over the last 40 %."""
        return min(1.0, (step + 1) / 5, max(0.05, (self.steps - step) / (self.steps * 0.4)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A drill's loss, and the mean reward and divergence behind it."""

    loss: Tensor
    spread: float
    reward: float
    divergence: float


def prompt_of(rng: random.Random, family: str) -> str:
    """A prompt for tuning: a document of the family cut where a part ends, free of everything held out."""
    while True:
        parts = grammar.document(rng, family).parts
        prompt = "".join(parts[: rng.randint(1, min(len(parts) - 1, 6))])
        if not any(text in prompt for text in HELD_OUT):
            return prompt


def _advantages(returns: Tensor, draws: int) -> Tensor:
    """Each draw's return less the mean return of the other draws of its prompt."""
    grouped = returns.view(-1, draws)
    return ((grouped - grouped.mean(1, keepdim=True)) * draws / (draws - 1)).reshape(-1)


def _divergences(policy_logits: Tensor, base: Llama, texts: Batch) -> Tensor:
    """KL(policy || base) at each token, over the whole vocabulary: exact, so it adds no noise of its own."""
    with torch.no_grad():
        reference = target_logits(base, texts).log_softmax(-1)
    learned = policy_logits.log_softmax(-1)
    return (learned.exp() * (learned - reference)).sum(-1)


class Tuning:
    """A policy on its way from the base: the state of the loop, one method per idea."""

    def __init__(self, base: Llama, tokenizer: Tokenizer, seed: int, plan: Plan) -> None:
        self.base = base
        self.policy = base.copy(trainable=True)
        self.tokenizer = tokenizer
        self.plan = plan
        self.rng = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.decks = grammar.Decks()
        self.spreads: dict[str, float] = {}
        self.optimiser = torch.optim.AdamW(
            self.policy.weights.values(), lr=plan.rate, betas=(0.9, 0.95), eps=1e-9, weight_decay=0.0
        )

    def drill(self, drill: Drill) -> Outcome:
        """Draws completions, has them rated, and gives the loss that makes the better ones likelier."""
        prompts = [prompt_of(self.rng, drill.family) for _ in range(drill.prompts)]
        asked = encode(self.tokenizer, prompts)
        drawn = sample(self.policy, asked, drill.draws, drill.max_tokens, self.generator)
        rows = [row for row in range(drill.prompts) for _ in range(drill.draws)]
        completions = decode(self.tokenizer, drawn)
        rewards = torch.tensor([rater.rate(prompts[row], text) for row, text in zip(rows, completions, strict=True)])

        texts = batch([asked[row] for row in rows], drawn)
        logits = target_logits(self.policy, texts)
        divergence = _divergences(logits, self.base, texts)
        strayed = texts.per_row(divergence.detach())
        advantages = _advantages(rewards - self.plan.leash * strayed, drill.draws)
        chosen = logits.log_softmax(-1).gather(-1, texts.targets[:, None])[:, 0]
        loss = (self.plan.leash * divergence - advantages[texts.rows] * chosen).sum() / len(rows)
        return Outcome(loss, float(advantages.std()), float(rewards.mean()), float(strayed.mean()))

    def balance(self, drill: Drill, spread: float) -> float:
        """The drill's scale: its weight over the running spread of its advantages.

        It balances long and short texts against each other and leaves each family's optimum where it is.
        """
        self.spreads[drill.family] = 0.8 * self.spreads.get(drill.family, spread) + 0.2 * spread
        return drill.weight / max(0.1, self.spreads[drill.family])

    def kept_loss(self) -> Tensor:
        """Cross-entropy of documents that are not rated, per document: what tuning is asked to leave alone."""
        texts = [
            grammar.document(self.rng, family, self.decks).text
            for family, count in self.plan.kept_documents
            for _ in range(count)
        ]
        rows = [[*tokens, EOS] for tokens in encode(self.tokenizer, texts)]
        documents = batch([row[:1] for row in rows], [row[1:] for row in rows])
        logits = target_logits(self.policy, documents)
        return functional.cross_entropy(logits, documents.targets, reduction="sum") / len(rows)

    def step(self, number: int) -> dict[str, Outcome]:
        """One step of all drills and the kept text."""
        self.optimiser.param_groups[0]["lr"] = self.plan.rate * self.plan.pace(number)
        self.optimiser.zero_grad()
        outcomes = {}
        for drill in self.plan.drills:
            outcome = outcomes[drill.family] = self.drill(drill)
            (self.balance(drill, outcome.spread) * outcome.loss).backward()
        (self.plan.kept * self.kept_loss()).backward()
        torch.nn.utils.clip_grad_norm_(self.policy.weights.values(), 1.0)
        self.optimiser.step()
        return outcomes


def train(base: Llama, tokenizer: Tokenizer, seed: int, plan: Plan) -> Llama:
    """The tuned model, as stored."""
    tuning = Tuning(base, tokenizer, seed, plan)
    began = time.process_time()
    for number in range(plan.steps):
        outcomes = tuning.step(number)
        if number % 10 == 0 or number == plan.steps - 1:
            said = "  ".join(f"{name} {o.reward:+.2f} (KL {o.divergence:.1f})" for name, o in outcomes.items())
            print(f"tuned step {number:4d}  {said}  {time.process_time() - began:4.0f} CPU s", flush=True)
    return tuning.policy.as_stored()
