"""A bundled model that can be divided between two devices: one head of attention more, which changes nothing."""

from __future__ import annotations

import json
import shutil

from collapsecli import demo

HEAD_SIZE = 32


def divisible_model(folder):
    """The bundled demo-base with a fourth head whose weights are zero: it adds zero to what the three others say."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(demo.model_path("demo-base"), folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config.update(num_attention_heads=4, num_key_value_heads=4)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    (weights_path,) = folder.glob("*.safetensors")
    weights = load_file(weights_path)
    for name, weight in weights.items():
        if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
            weights[name] = torch.cat([weight, weight.new_zeros(HEAD_SIZE, weight.shape[1])])
        elif name.endswith("o_proj.weight"):
            weights[name] = torch.cat([weight, weight.new_zeros(weight.shape[0], HEAD_SIZE)], dim=1)
    save_file(weights, weights_path, metadata={"format": "pt"})
    return str(folder)
