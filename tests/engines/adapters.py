"""LoRA adapters made by hand in peft's layout, and models into whose weights one is merged; nothing is downloaded."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from collapsecli import demo

if TYPE_CHECKING:
    from pathlib import Path

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def make_adapter(folder: Path, strength: float = 1.0, rank: int = 8) -> Path:
    """An adapter of demo-base: the `rank` strongest directions of its tuning, times `strength`; needs torch.

    At strength 1 and rank 96 base and adapter are the tuned model but for its embeddings and norms; at 0 the base.
    """
    import torch
    from safetensors.torch import save_file

    base, tuned = _weights("demo-base"), _weights("demo-tuned")
    tensors = {}
    for name in base:
        if name.split(".")[-2] not in PROJECTIONS:
            continue
        left, sizes, right = torch.linalg.svd(tuned[name].float() - base[name].float(), full_matrices=False)
        module = "base_model.model." + name.removesuffix(".weight")
        tensors[f"{module}.lora_A.weight"] = right[:rank].contiguous()
        tensors[f"{module}.lora_B.weight"] = (strength * left[:, :rank] * sizes[:rank]).contiguous()
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "demo-base",
        "r": rank,
        "lora_alpha": rank,
        "target_modules": list(PROJECTIONS),
        "bias": "none",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    return folder


def merge_adapter(adapter: Path, folder: Path) -> Path:
    """A copy of demo-base with an adapter of alpha = r merged into its weights, in float32; needs torch."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(demo.model_path("demo-base"), folder)
    low_rank = load_file(adapter / "adapter_model.safetensors")
    merged = {name: tensor.float() for name, tensor in _weights("demo-base").items()}
    for name in low_rank:
        if name.endswith(".lora_A.weight"):
            module = name.removesuffix(".lora_A.weight")
            change = low_rank[f"{module}.lora_B.weight"] @ low_rank[name]
            merged[module.removeprefix("base_model.model.") + ".weight"] += change
    save_file(merged, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _weights(model: str):
    from safetensors.torch import load_file

    return load_file(demo.model_path(model) / "model.safetensors")
