"""`python -m demo`: makes the bundled pair and its truth table from one seed, and prints what it does."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch

from collapsecli.demo import MODELS
from demo import base, llama, tokenizer, truth, tune

if TYPE_CHECKING:
    from tokenizers import Tokenizer

REPOSITORY: Final = Path(__file__).resolve().parent.parent
SEED: Final = 7


def _bundle(model: llama.Llama, words: Tokenizer, folder: Path) -> llama.Llama:
    """Saves a model with its tokenizer; gives it back as its files hold it."""
    folder.mkdir(parents=True, exist_ok=True)
    llama.save(model, folder)
    tokenizer.save(words, folder)
    return llama.load(folder)


def _train(out: Path, seed: int) -> None:
    """Tokenizer, base and tuned, each from the one before."""
    words = tokenizer.build(seed)
    learned = _bundle(base.train(words, seed, base.Plan()), words, out / "demo-base")
    for family, nats in base.divergence(learned, words, seed + 1).items():
        print(f"base  KL(grammar || base) of {family}: {nats:.3f} nats a document", flush=True)
    _bundle(tune.train(learned, words, seed, tune.Plan()), words, out / "demo-tuned")


def _measure(out: Path, suite: Path, seed: int) -> None:
    """The truth table of the stored models."""
    models = {name: llama.load(out / name) for name in MODELS}
    words = tokenizer.load(out / "demo-base")
    found = truth.table(suite, models, words, seed)
    truth.save(found, out / "truth.json")
    print(truth.summary(found))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "src" / "collapsecli" / "demo")
    parser.add_argument("--suite", type=Path, default=REPOSITORY / "prompts" / "quickstart.yaml")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--measure", action="store_true", help="only measure the stored models anew")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    if not options.measure:
        _train(options.out, options.seed)
    _measure(options.out, options.suite, options.seed)
    print(f"{time.process_time():.0f} CPU seconds in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
