"""The truth table: what both stored models really say, exactly where answers can be listed, else from many draws."""

from __future__ import annotations

import json
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import torch

from collapsecli import answers, suite
from collapsecli.records import AnswerSpec, Cell, Sampling, TextAnswer
from demo import grammar
from demo.sampler import log_probabilities, sample
from demo.tokenizer import EOS, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tokenizers import Tokenizer

    from demo.llama import Llama
    from demo.world import Law

SCHEMA: Final = 1
MEASURED_DRAWS: Final = 4000
LISTED_DRAWS: Final = 400
AT_ONCE: Final = 200

# More prompts with a known law than the suite has: ground for checks of interval coverage.
MORE: Final = {
    "integer-1-10-think": "Q: Think of a random number from 1 to 10.\nA:",
    "integer-1-30-tell": "Q: Tell me a random integer between 1 and 30.\nA:",
    "integer-1-50-give": "Q: Give me a random integer from 1 to 50.\nA:",
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


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt of the table, injected text included, and how its completions are drawn and read."""

    name: str
    text: str
    sampling: Sampling
    answer: AnswerSpec = field(default_factory=TextAnswer)

    def read(self, text: str, *, truncated: bool = False) -> str | None:
        """The answer in a completion, as the tool reads it."""
        answer = answers.read(self.answer, text, truncated)
        return answer if answer is None else answer.strip()


@dataclass(frozen=True, slots=True)
class Drawn:
    """A completion, cut at its stop texts, and whether the token limit cut it."""

    text: str
    truncated: bool


def _of_cell(cell: Cell) -> Asked:
    name = f"{cell.prompt_id}/{cell.injection}" if cell.injection else cell.prompt_id
    return Asked(name, (cell.text or "") + cell.injected, cell.sampling, cell.answer)


def asked_by(suite_path: Path) -> list[Asked]:
    """Every cell of a suite."""
    return [_of_cell(cell) for cell in suite.plan(suite.load(suite_path), models=()).cells]


def asked_besides() -> list[Asked]:
    """The further prompts, each read as the text that it is."""
    return [Asked(name, text, Sampling(max_tokens=32)) for name, text in MORE.items()]


# ------------------------------------------------------------------------------------------------------ measuring


def listed(model: Llama, tokenizer: Tokenizer, prompt: str, completions: list[str]) -> Law:
    """The exact probability of each completion as a whole, end token included."""
    asked = encode(tokenizer, [prompt])[0]
    written = [[*tokens[1:], EOS] for tokens in encode(tokenizer, completions)]
    found = log_probabilities(model, [asked] * len(completions), written).exp()
    return dict(zip(completions, found.tolist(), strict=True))


def drawn(model: Llama, tokenizer: Tokenizer, asked: Asked, draws: int, seed: int) -> list[Drawn]:
    """Independent completions of a prompt; `draws` is a multiple of AT_ONCE."""
    generator = torch.Generator().manual_seed(seed)
    prompt = encode(tokenizer, [asked.text])
    found = []
    for _ in range(draws // AT_ONCE):
        tokens = sample(model, prompt, AT_ONCE, asked.sampling.max_tokens, generator)
        for row, text in zip(tokens, decode(tokenizer, tokens), strict=True):
            ends = [text.index(stop) for stop in asked.sampling.stop if stop in text]
            found.append(Drawn(text[: min(ends)] if ends else text, truncated=not ends and row[-1] != EOS))
    return found


def _measure(read: Iterable[tuple[str | None, float]]) -> dict[str, Any]:
    """Mode, its mass and the effective number of modes (1 / sum of squared masses) of answers with their masses.

    What cannot be read, and what a list leaves out, counts as no mode at all.
    """
    masses: dict[str, float] = defaultdict(float)
    for answer, mass in read:
        if answer is not None:
            masses[answer] += mass
    mode = max(masses, key=masses.__getitem__)
    return {
        "mode": mode,
        "mode_mass": round(masses[mode], 4),
        "effective_modes": round(1 / sum(mass**2 for mass in masses.values()), 2),
    }


def _rounded(law: Law) -> Law:
    return {text: float(f"{mass:.6g}") for text, mass in law.items()}


def total_variation(found: Law, true: Law) -> float:
    """Half the summed difference of two laws; what `found` leaves unlisted counts as difference."""
    missing = 1 - sum(found.values())
    return 0.5 * (sum(abs(found[text] - true[text]) for text in true) + abs(missing))


# ------------------------------------------------------------------------------------------------------ the table


def _exact(asked: Asked, true: Law, models: Mapping[str, Llama], tokenizer: Tokenizer) -> dict[str, Any]:
    row: dict[str, Any] = {"how": "exact", "samples": None, "grammar": _rounded(true)}
    for name, model in models.items():
        found = listed(model, tokenizer, asked.text, list(true))
        if name == "demo-base":
            row["tv_base_from_grammar"] = round(total_variation(found, true), 4)
        row[name] = {
            "answers": _rounded(found),
            **_measure((asked.read(text), mass) for text, mass in found.items()),
            "captured": round(sum(found.values()), 4),
        }
    return row


def _own_seed(*names: object) -> int:
    """A seed of its own for each stream of draws: a shared one would tie cells together."""
    return zlib.crc32("/".join(map(str, names)).encode())


def _sampled(asked: Asked, models: Mapping[str, Llama], tokenizer: Tokenizer, seed: int) -> dict[str, Any]:
    row: dict[str, Any] = {"how": "sampled", "samples": MEASURED_DRAWS, "grammar": None}
    for name, model in models.items():
        measured = drawn(model, tokenizer, asked, MEASURED_DRAWS, _own_seed(seed, asked.name, name, "measured"))
        kept = drawn(model, tokenizer, asked, LISTED_DRAWS, _own_seed(seed, asked.name, name, "listed"))
        texts = Counter(draw.text for draw in kept)
        read = [(asked.read(draw.text, truncated=draw.truncated), 1 / MEASURED_DRAWS) for draw in measured]
        row[name] = {"answers": {text: n / LISTED_DRAWS for text, n in texts.most_common()}, **_measure(read)}
    return row


def table(suite_path: Path, models: Mapping[str, Llama], tokenizer: Tokenizer, seed: int) -> dict[str, Any]:
    """The whole truth table."""
    prompts = {}
    for asked in [*asked_by(suite_path), *asked_besides()]:
        true = grammar.law_after(asked.text)
        found = _exact(asked, true, models, tokenizer) if true else _sampled(asked, models, tokenizer, seed)
        prompts[asked.name] = {"text": asked.text, "max_tokens": asked.sampling.max_tokens, **found}
    return {"schema": SCHEMA, "made_by": "python -m demo", "seed": seed, "prompts": prompts}


def save(truth: Mapping[str, Any], path: Path) -> None:
    """The table as JSON, one value a line, so that a change can be read."""
    path.write_text(json.dumps(truth, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def summary(truth: Mapping[str, Any]) -> str:
    """Mode masses side by side."""
    lines = [f"{'prompt':20} {'base':>6} {'tuned':>6} {'TV':>6}  tuned mode"]
    for name, row in truth["prompts"].items():
        base, tuned = row["demo-base"], row["demo-tuned"]
        distance = row.get("tv_base_from_grammar")
        shown = "" if distance is None else f"{distance:.3f}"
        lines.append(f"{name:20} {base['mode_mass']:6.3f} {tuned['mode_mass']:6.3f} {shown:>6}  {tuned['mode'][:60]}")
    return "\n".join(lines)
