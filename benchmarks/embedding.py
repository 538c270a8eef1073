"""How fast are texts embedded, beside vLLM alone and transformers? And how often do the intervals miss the truth.

Ours: `Encoder.embed`, from texts to vectors of length 1, texts that are too long cut and counted.
Theirs: `LLM.embed` of the same texts on the same engine; transformers in batches of one length, on the same weights.
The intervals of `mean_cosine` and `embedding_modes` are held against laws whose truth is known.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from figures import median_ratio, store
from random_encoder import MINI_LM, ByTransformers, write_encoder
from text_speed import answers_of

from collapsecli.engines.encoder import Encoder
from collapsecli.metrics.embedding import closeness
from collapsecli.modes.weights import word_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Law = tuple[NDArray[np.float32], Floats]
    Arm = Callable[[Sequence[str]], NDArray[np.float32]]

OURS, VLLM, TRANSFORMERS = "ours", "LLM.embed", "transformers"
DRAWS = (16, 64, 256)
_ROUNDING = 1e-6

# -------------------------------------------------------------------------------------------------------------- speed


def speed(texts: int, rounds: int) -> dict[str, object]:
    """Texts per second of every arm, in turns on the same fresh texts; the first round is a warm-up."""
    with tempfile.TemporaryDirectory() as folder:
        model = write_encoder(Path(folder) / "encoder", MINI_LM, list(word_weights()))
        encoder, plain = Encoder(str(model)), ByTransformers(model, MINI_LM.context)

        def by_vllm(said: Sequence[str]) -> NDArray[np.float32]:
            outputs = encoder._llm.embed(list(said), use_tqdm=False)
            return np.array([output.outputs.embedding for output in outputs], np.float32)

        arms: dict[str, Arm] = {
            OURS: lambda said: encoder.embed(said).vectors,
            VLLM: by_vllm,
            TRANSFORMERS: plain.embed,
        }
        seconds: dict[str, list[float]] = {name: [] for name in arms}
        worst = 0.0
        for turn in range(-1, rounds):
            said = answers_of(texts, np.random.default_rng(turn + 1))
            vectors = {}
            for name in list(arms) if turn % 2 else list(arms)[::-1]:
                began = time.perf_counter()
                vectors[name] = arms[name](said)
                if turn >= 0:
                    seconds[name].append(time.perf_counter() - began)
            worst = max(worst, *(float(abs(vectors[OURS] - vectors[name]).max()) for name in (VLLM, TRANSFORMERS)))
        figures: dict[str, object] = {
            "texts": texts,
            "rounds": rounds,
            "encoder": f"{MINI_LM}",
            "identity": encoder.info.identity,
            "largest_difference": worst,
            **{f"texts_per_s {name}": round(texts / float(np.median(took))) for name, took in seconds.items()},
        }
    for name in (VLLM, TRANSFORMERS):
        ratio, low, high = median_ratio(seconds[OURS], seconds[name])
        figures[f"time ours / {name}"] = {"ratio": ratio, "low": low, "high": high}
        print(f"time ours / {name}: {ratio:.2f} [95 % {low:.2f}, {high:.2f}], {rounds} rounds of {texts} texts")
    return figures


# ----------------------------------------------------------------------------------------------------------- coverage


def laws(generator: np.random.Generator) -> Mapping[str, Law]:
    """Distributions over vectors: clusters of equal or of similar texts, in many shares, and none at all."""
    zipf = 1 / np.arange(1, 201)
    return {
        "one .99, rare others": _clusters([0.99, *(0.01 * zipf[:50] / zipf[:50].sum())], generator),
        "one .95, 20 others": _clusters([0.95, *[0.05 / 20] * 20], generator),
        "one .9, 50 others": _clusters([0.9, *[0.1 / 50] * 50], generator),
        "one .7, 50 others": _clusters([0.7, *[0.3 / 50] * 50], generator),
        "one .2, 300 others": _clusters([0.2, *[0.8 / 300] * 300], generator),
        "two, .5 and .5": _clusters([0.5] * 2, generator),
        "two, .4 and .6": _clusters([0.4, 0.6], generator),
        "three": _clusters([1 / 3] * 3, generator),
        "ten": _clusters([0.1] * 10, generator),
        "hundred": _clusters([0.01] * 100, generator),
        "Zipf over 200": _clusters(list(zipf), generator),
        "one .9, fuzzy": _clusters([0.9, *[0.1 / 20] * 20], generator, spread=0.5, each=50),
        "one .6, fuzzy, all in one cone": _clusters(
            [0.6, *[0.4 / 20] * 20], generator, spread=0.5, each=50, common=1.5
        ),
        "ten, fuzzy": _clusters([0.1] * 10, generator, spread=0.7, each=50),
        "one cloud": _clusters([1.0], generator, spread=1.0, each=1500),
        "no clusters": _clusters([1.0], generator, spread=3.0, each=1500),
        "opposite, .5 and .5": (np.array([[1, 0], [-1, 0]], np.float32), np.array([0.5, 0.5])),
        "opposite, .9 and .1": (np.array([[1, 0], [-1, 0]], np.float32), np.array([0.9, 0.1])),
        "opposite, .98 and .02": (np.array([[1, 0], [-1, 0]], np.float32), np.array([0.98, 0.02])),
    }


def _clusters(
    shares: Sequence[float],
    generator: np.random.Generator,
    *,
    spread: float = 0.0,
    each: int = 1,
    common: float = 0.0,
    dimensions: int = 32,
) -> Law:
    centres = _unit(generator.normal(size=(len(shares), dimensions)))
    centres = _unit(centres + common * _unit(generator.normal(size=(1, dimensions))))
    noise = spread * generator.normal(size=(len(shares), each, dimensions)) / np.sqrt(dimensions)
    weights = np.repeat(np.asarray(shares) / each, each)
    vectors = _unit((centres[:, None] + noise).reshape(-1, dimensions))
    return vectors.astype(np.float32), weights / weights.sum()


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def missed(law: Law, draws: int, runs: int, generator: np.random.Generator) -> dict[str, float]:
    """How often the truth is outside the 95 % interval, in per cent, and the bias of the mean cosine."""
    vectors, weights = law
    cosines = np.clip(vectors.astype(np.float64) @ vectors.T.astype(np.float64), -1, 1)
    np.fill_diagonal(cosines, 1)
    truth, modes = float(weights @ cosines @ weights), 1 / float(weights @ cosines**2 @ weights)
    outside, bias = {"mean_cosine": 0, "embedding_modes": 0}, 0.0
    for _ in range(runs):
        counts = generator.multinomial(draws, weights)
        found = closeness(vectors[counts > 0], counts[counts > 0], 0.05)
        for name, true in (("mean_cosine", truth), ("embedding_modes", modes)):
            low, high = found[name].low, found[name].high
            is_above = low is None or true >= low - _ROUNDING
            is_below = high is None or true <= high + _ROUNDING
            outside[name] += not (is_above and is_below)
        bias += (found["mean_cosine"].value or 0.0) - truth
    return {**{name: round(100 * count / runs, 2) for name, count in outside.items()}, "bias": round(bias / runs, 5)}


def coverage(runs: int) -> dict[str, object]:
    """The same of every law and number of draws, and the worst of them."""
    generator = np.random.default_rng(1)
    found = {
        name: {str(draws): missed(law, draws, runs, generator) for draws in DRAWS}
        for name, law in laws(generator).items()
    }
    worst = {
        metric: {str(draws): max(of_law[str(draws)][metric] for of_law in found.values()) for draws in DRAWS}
        for metric in ("mean_cosine", "embedding_modes")
    }
    print(f"the truth is outside at most, %, in {runs} runs of {len(found)} laws: {worst}")
    return {"runs": runs, "worst_missed_percent": worst, "laws": found}


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--runs", type=int, default=2000, help="of the simulation of every law and number of draws")
    asked = parser.parse_args()
    covered = coverage(asked.runs)
    store("embedding", {"speed": speed(asked.texts, asked.rounds), "coverage": covered})


if __name__ == "__main__":
    main()
