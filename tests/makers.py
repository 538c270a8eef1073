"""Small makers of the nouns, for tests that need one and do not care for most of its fields."""

from __future__ import annotations

from collapsecli.records import Cell, Completion, Expect, Sampling, TextAnswer


def make_cell(cell_id: str = "coin@t1.0", **changes) -> Cell:
    """A cell of one prompt; any field can be changed, sampling by its own names."""
    sampling = {
        name: changes.pop(name) for name in Sampling.__dataclass_fields__ if name in changes and name != "temperature"
    }
    temperature = changes.pop("temperature", 1.0)
    values = {
        "cell_id": cell_id,
        "suite": "suite",
        "prompt_id": cell_id.rpartition("@")[0].split("/")[0].split("[")[0] or cell_id,
        "variant": "",
        "injection": "",
        "temperature": temperature,
        "model": "model",
        "adapter": "",
        "text": "Q: Flip a coin.\nA:",
        "messages": (),
        "injected": "",
        "sampling": Sampling(temperature=temperature, **sampling),
        "answer": TextAnswer(),
        "expect": Expect(),
    }
    return Cell(**{**values, **changes})


def make_completion(cell_id: str = "coin@t1.0", sample_index: int = 0, text: str = " Heads.", **changes) -> Completion:
    """A completion whose tokens are its characters, each with probability 1/e."""
    values = {
        "cell_id": cell_id,
        "sample_index": sample_index,
        "seed": 1000 + sample_index,
        "prompt": "Q: Flip a coin.\nA:",
        "text": text,
        "token_ids": tuple(map(ord, text)),
        "token_logprobs": (-1.0,) * len(text),
        "logprob": -1.0 * len(text),
        "n_prompt_tokens": 5,
        "finish_reason": "stop",
        "logprob_kind": "sampling",
        "created_at": 1_760_000_000.0,
    }
    return Completion(**{**values, **changes})
