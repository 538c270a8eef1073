"""`python -m demo`: makes the bundled pair and its truth table from one seed, and prints what it does."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Final

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch

from demo import base, llama, tokenizer, truth, tune

REPOSITORY: Final = Path(__file__).resolve().parent.parent
SEED: Final = 7


def _bundle(model: llama.Llama, words: tokenizer.Tokenizer, folder: Path) -> llama.Llama:
    """Saves a model with its tokenizer; gives it back as its files hold it."""
    folder.mkdir(parents=True, exist_ok=True)
    llama.save(model, folder)
    tokenizer.save(words, folder)
    return llama.load(folder)


def make(out: Path, suite: Path, seed: int) -> None:
    """Tokenizer, base, tuned, truth: each from the one before."""
    words = tokenizer.build(seed)
    learned = _bundle(base.train(words, seed, base.Plan()), words, out / "demo-base")
    for family, nats in base.divergence(learned, words, seed + 1).items():
        print(f"base  KL(grammar || base) of {family}: {nats:.3f} nats a document")
    tuned = _bundle(tune.train(learned, words, seed, tune.Plan()), words, out / "demo-tuned")
    measured = truth.table(suite, {"demo-base": learned, "demo-tuned": tuned}, words, seed)
    truth.save(measured, out / "truth.json")
    print(truth.summary(measured))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "src" / "collapsecli" / "demo")
    parser.add_argument("--suite", type=Path, default=REPOSITORY / "prompts" / "quickstart.yaml")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    make(options.out, options.suite, options.seed)
    print(f"{time.process_time():.0f} CPU seconds in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
