"""A Llama as functions of its published weights. Knows no text and no training."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from safetensors.torch import save as as_bytes
from torch import Tensor
from torch.nn import functional

from demo.tokenizer import BOS, EOS, PAD

if TYPE_CHECKING:
    from pathlib import Path

EMBEDDING = "model.embed_tokens.weight"
Cache = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model. The published weights and these numbers are all that there is to it."""

    vocabulary: int
    hidden: int = 96
    intermediate: int = 256
    layers: int = 3
    heads: int = 3
    positions: int = 512
    theta: float = 10_000.0
    epsilon: float = 1e-6

    @property
    def head(self) -> int:
        """The size of one attention head."""
        return self.hidden // self.heads

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight. The output layer is the embedding."""
        h, i = self.hidden, self.intermediate
        shapes: dict[str, tuple[int, ...]] = {EMBEDDING: (self.vocabulary, h), "model.norm.weight": (h,)}
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}."
            for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
                shapes[f"{prefix}self_attn.{name}.weight"] = (h, h)
            shapes[f"{prefix}mlp.gate_proj.weight"] = (i, h)
            shapes[f"{prefix}mlp.up_proj.weight"] = (i, h)
            shapes[f"{prefix}mlp.down_proj.weight"] = (h, i)
            shapes[f"{prefix}input_layernorm.weight"] = (h,)
            shapes[f"{prefix}post_attention_layernorm.weight"] = (h,)
        return shapes

    def config(self) -> dict[str, object]:
        """The shape as `config.json` says it."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads,
            "head_dim": self.head,
            "max_position_embeddings": self.positions,
            "rms_norm_eps": self.epsilon,
            "rope_theta": self.theta,
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "attention_bias": False,
            "mlp_bias": False,
            "bos_token_id": BOS,
            "eos_token_id": EOS,
            "pad_token_id": PAD,
            "dtype": "bfloat16",
        }


def _turns(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the rotary angles: one row per position."""
    rates = shape.theta ** -(torch.arange(0, shape.head, 2).float() / shape.head)
    angles = torch.outer(torch.arange(shape.positions).float(), rates).repeat(1, 2)
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


@dataclass
class Llama:
    """A shape and its weights, each under the name that it is published by."""

    shape: Shape
    weights: dict[str, Tensor]
    turns: tuple[Tensor, Tensor] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.turns = _turns(self.shape)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return functional.rms_norm(x, (self.shape.hidden,), self.weights[name], self.shape.epsilon)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return functional.linear(x, self.weights[name])

    def _attend(self, x: Tensor, layer: int, start: int, mask: Tensor | None, cache: Cache | None) -> Tensor:
        rows, length, _ = x.shape
        cos, sin = (turn[start : start + length] for turn in self.turns)
        query, key, value = (
            self._linear(x, f"model.layers.{layer}.self_attn.{name}_proj.weight")
            .view(rows, length, self.shape.heads, self.shape.head)
            .transpose(1, 2)
            for name in "qkv"
        )
        query, key = _rotate(query, cos, sin), _rotate(key, cos, sin)
        if cache is not None:
            keys, values = cache[layer]
            keys[:, :, start : start + length] = key
            values[:, :, start : start + length] = value
            key, value = keys[:, :, : start + length], values[:, :, : start + length]
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None)
        return self._linear(seen.transpose(1, 2).reshape(x.shape), f"model.layers.{layer}.self_attn.o_proj.weight")

    def _transform(self, x: Tensor, layer: int) -> Tensor:
        prefix = f"model.layers.{layer}.mlp."
        gate = functional.silu(self._linear(x, f"{prefix}gate_proj.weight"))
        return self._linear(gate * self._linear(x, f"{prefix}up_proj.weight"), f"{prefix}down_proj.weight")

    def hidden(self, tokens: Tensor, start: int = 0, mask: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """The last hidden state of each token; `start` is the position of the first. Causal unless masked."""
        x = functional.embedding(tokens, self.weights[EMBEDDING])
        for layer in range(self.shape.layers):
            normed = self._norm(x, f"model.layers.{layer}.input_layernorm.weight")
            x = x + self._attend(normed, layer, start, mask, cache)
            x = x + self._transform(self._norm(x, f"model.layers.{layer}.post_attention_layernorm.weight"), layer)
        return self._norm(x, "model.norm.weight")

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits over the vocabulary."""
        return self._linear(hidden, EMBEDDING)

    def copy(self, *, trainable: bool) -> Llama:
        """The same model with weights of its own."""
        copied = {name: weight.detach().clone().requires_grad_(trainable) for name, weight in self.weights.items()}
        return Llama(self.shape, copied)

    def as_stored(self) -> Llama:
        """The model as its files will hold it: every weight rounded to bfloat16."""
        return Llama(self.shape, {name: weight.detach().bfloat16().float() for name, weight in self.weights.items()})


def newborn(shape: Shape, seed: int) -> Llama:
    """A model with random weights."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, size in shape.tensors().items():
        if len(size) == 1:
            weight = torch.ones(size)
        else:
            spread = 0.02 if name == EMBEDDING else 0.6 / size[1] ** 0.5
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                spread /= (2 * shape.layers) ** 0.5
            weight = torch.empty(size).normal_(0, spread, generator=generator)
        weights[name] = weight.requires_grad_()
    return Llama(shape, weights)


def save(model: Llama, folder: Path) -> None:
    """`model.safetensors` in bfloat16, `config.json` and a plain `generation_config.json`."""
    stored = {name: weight.detach().bfloat16().contiguous() for name, weight in model.weights.items()}
    (folder / "model.safetensors").write_bytes(as_bytes(stored, metadata={"format": "pt"}))
    generation = {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}
    for name, content in (("config.json", model.shape.config()), ("generation_config.json", generation)):
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load(folder: Path) -> Llama:
    """The stored model, in float32: exactly the weights that an engine at `dtype=float32` runs."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    shape = Shape(
        vocabulary=config["vocab_size"],
        hidden=config["hidden_size"],
        intermediate=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        positions=config["max_position_embeddings"],
        theta=config["rope_theta"],
        epsilon=config["rms_norm_eps"],
    )
    weights = load_file(str(folder / "model.safetensors"))
    return Llama(shape, {name: weight.float() for name, weight in weights.items()})
