"""The truth table: what both stored models really say, exactly where answers can be listed, else from many draws."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import torch

from demo import grammar, readings
from demo.sampler import log_probabilities, sample
from demo.tokenizer import EOS, decode, encode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tokenizers import Tokenizer

    from demo.llama import Llama
    from demo.readings import Cell, Reading
    from demo.world import Law

SCHEMA: Final = 1
MEASURED_DRAWS: Final = 2000
LISTED_DRAWS: Final = 400
AT_ONCE: Final = 200

# More prompts with a known law than the suite has: ground for checks of interval coverage.
MORE: Final = {
    "integer-1-50-give": "Q: Give me a random integer from 1 to 50.\nA:",
    "integer-1-30-tell": "Q: Tell me a random integer between 1 and 30.\nA:",
    "integer-1-10-think": "Q: Think of a random number from 1 to 10.\nA:",
    "integer-1-100-pick": "Q: Pick a random number between 1 and 100.\nA:",
    "ticket": "The ticket in his hand had the number",
    "ball": "The winning ball was number",
    "colour": "Q: Name a colour.\nA:",
    "girl": "Q: Give me a name for a girl.\nA:",
    "boy": "Q: Tell me a name for a baby boy.\nA:",
    "favourite-animal": "Q: What is your favourite animal?\nA:",
    "toss": "Q: Toss a coin.\nA:",
    "throw": "Q: Throw a die.\nA:",
    "weather-tokyo": "The weather in Tokyo on Friday will be",
    "dreams": "Q: Would you say that dreams are important?\nA:",
    "games": "Q: Are games fair?\nA:",
}


def more_cells() -> list[Cell]:
    """The further prompts, each read as the text that it is."""
    whole = readings.reading("text")
    return [readings.Cell(name, text, 32, (), whole) for name, text in MORE.items()]


def listed(model: Llama, tokenizer: Tokenizer, prompt: str, answers: list[str]) -> Law:
    """The exact probability of each answer as a whole completion, end token included."""
    asked = encode(tokenizer, [prompt])[0]
    written = [[*tokens[1:], EOS] for tokens in encode(tokenizer, answers)]
    found = log_probabilities(model, [asked] * len(answers), written).exp()
    return dict(zip(answers, found.tolist(), strict=True))


def drawn(model: Llama, tokenizer: Tokenizer, cell: Cell, draws: int, seed: int) -> list[str]:
    """Completions of a cell, cut at its stop texts."""
    generator = torch.Generator().manual_seed(seed)
    asked = encode(tokenizer, [cell.text])
    texts = [
        text
        for _ in range(draws // AT_ONCE)
        for text in decode(tokenizer, sample(model, asked, AT_ONCE, cell.max_tokens, generator))
    ]
    for stop in cell.stop:
        texts = [text.split(stop)[0] for text in texts]
    return texts


def _measure(answers: Mapping[str, float], read: Reading) -> dict[str, Any]:
    """Mode, its mass and the effective number of modes (1 / sum of squared masses) under a reading.

    What a list leaves out counts as no mode at all.
    """
    masses: Counter[str] = Counter()
    for text, mass in answers.items():
        masses[read(text)] += mass  # type: ignore[assignment]  # a Counter of probabilities
    (mode, mass), *_ = masses.most_common(1)
    return {
        "mode": mode,
        "mode_mass": round(mass, 4),
        "effective_modes": round(1 / sum(p**2 for p in masses.values()), 2),
    }


def _shares(texts: list[str]) -> Law:
    return {text: count / len(texts) for text, count in Counter(texts).most_common()}


def _rounded(answers: Mapping[str, float]) -> Law:
    return {text: float(f"{mass:.6g}") for text, mass in answers.items()}


def total_variation(found: Law, true: Law) -> float:
    """Half the summed difference of two laws; what `found` leaves unlisted counts as difference."""
    missing = 1 - sum(found.values())
    return 0.5 * (sum(abs(found[text] - true[text]) for text in true) + abs(missing))


def _exact(cell: Cell, true: Law, models: Mapping[str, Llama], tokenizer: Tokenizer) -> dict[str, Any]:
    row: dict[str, Any] = {"how": "exact", "samples": None, "grammar": _rounded(true)}
    for name, model in models.items():
        found = listed(model, tokenizer, cell.text, list(true))
        row[name] = {
            "answers": _rounded(found),
            **_measure(found, cell.reading),
            "captured": round(sum(found.values()), 4),
        }
        if name == "demo-base":
            row["tv_base_from_grammar"] = round(total_variation(found, true), 4)
    return row


def _sampled(cell: Cell, models: Mapping[str, Llama], tokenizer: Tokenizer, seed: int) -> dict[str, Any]:
    row: dict[str, Any] = {"how": "sampled", "samples": MEASURED_DRAWS, "grammar": None}
    for name, model in models.items():
        texts = drawn(model, tokenizer, cell, MEASURED_DRAWS, seed)
        kept = drawn(model, tokenizer, cell, LISTED_DRAWS, seed + 1)
        row[name] = {"answers": _shares(kept), **_measure(_shares(texts), cell.reading)}
    return row


def table(suite: Path, models: Mapping[str, Llama], tokenizer: Tokenizer, seed: int) -> dict[str, Any]:
    """The whole truth table."""
    prompts = {}
    for cell in [*readings.cells(suite), *more_cells()]:
        true = grammar.law_after(cell.text)
        found = _exact(cell, true, models, tokenizer) if true else _sampled(cell, models, tokenizer, seed)
        prompts[cell.name] = {"text": cell.text, "max_tokens": cell.max_tokens, **found}
    return {"schema": SCHEMA, "made_by": "python -m demo", "seed": seed, "prompts": prompts}


def save(truth: Mapping[str, Any], path: Path) -> None:
    """The table as JSON, one line for each prompt's model so that a change can be read."""
    path.write_text(json.dumps(truth, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def summary(truth: Mapping[str, Any]) -> str:
    """Mode masses side by side."""
    lines = [f"{'prompt':22} {'base':>6} {'tuned':>6} {'TV':>6}  tuned mode"]
    for name, row in truth["prompts"].items():
        base, tuned = row["demo-base"], row["demo-tuned"]
        distance = row.get("tv_base_from_grammar")
        shown = "" if distance is None else f"{distance:.3f}"
        lines.append(f"{name:22} {base['mode_mass']:6.3f} {tuned['mode_mass']:6.3f} {shown:>6}  {tuned['mode'][:60]}")
    return "\n".join(lines)
