"""LoRA adapters as folders: what is read of them, and what is refused before anything is loaded."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from collapsecli import demo
from collapsecli.engines.adapters import open_adapters, refuse_foreign, refuse_own_words
from collapsecli.engines.arguments import for_adapters
from collapsecli.errors import UsageError

numpy_files = pytest.importorskip("safetensors.numpy")

BASE = demo.model_path("demo-base")
ALL = {"enable_lora", "lora_target_modules", "max_loras"}  # what this vLLM knows


def adapter_in(folder, shapes, tensors="adapter_model.safetensors", **config):
    """A folder as peft saves it: `shapes` gives (inputs, outputs, rank) of every module."""
    folder.mkdir(exist_ok=True)
    halves = {}
    for module, (inputs, outputs, rank) in shapes.items():
        halves[f"base_model.model.{module}.lora_A.weight"] = np.full((rank, inputs), 0.5, np.float32)
        halves[f"base_model.model.{module}.lora_B.weight"] = np.zeros((outputs, rank), np.float32)
    numpy_files.save_file(halves, folder / tensors)
    modules = sorted({module.rpartition(".")[2] for module in shapes})
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": modules, **config}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def opened(folder):
    (adapter,) = open_adapters({"dpo": str(folder)})
    return adapter


Q, DOWN = "model.layers.0.self_attn.q_proj", "model.layers.2.mlp.down_proj"


def test_an_adapter_of_the_base_is_read_and_passes(tmp_path):
    adapter = opened(adapter_in(tmp_path, {Q: (96, 96, 4), DOWN: (256, 96, 4)}))
    refuse_foreign([adapter], BASE)
    assert (adapter.rank, adapter.targets) == (4, {"q_proj", "down_proj"})
    assert adapter.is_usual
    assert not adapter.may_change_output


FOREIGN = [
    pytest.param({Q: (64, 64, 4)}, {}, "q_proj is 64 by 64 there and 96 by 96 in the base", id="narrower"),
    pytest.param({DOWN: (512, 96, 4)}, {}, "down_proj is 96 by 512 there and 96 by 256 in the base", id="wider within"),
    pytest.param({"model.layers.3.self_attn.q_proj": (96, 96, 4)}, {}, "it changes layers.3, which", id="deeper"),
]


@pytest.mark.parametrize(("shapes", "config", "why"), FOREIGN)
def test_an_adapter_made_for_another_base_is_refused_by_name(tmp_path, shapes, config, why):
    adapter = opened(adapter_in(tmp_path, {Q: (96, 96, 4), **shapes}, **config))
    with pytest.raises(UsageError, match=f"the adapter `dpo` was made for another base: .*{why}") as raised:
        refuse_foreign([adapter], BASE)
    assert "-m" in raised.value.hint


def test_modules_that_the_base_keeps_under_other_names_pass(tmp_path):
    """A checkpoint may hold fused or packed weights: what cannot be compared is left to the engine."""
    adapter = opened(adapter_in(tmp_path, {"model.layers.0.self_attn.wrapped_proj": (31, 17, 4)}))
    refuse_foreign([adapter], BASE)
    empty = tmp_path / "quantised"
    empty.mkdir()
    refuse_foreign([opened(adapter_in(tmp_path / "q", {Q: (64, 64, 4)}))], empty)


def test_a_module_is_known_by_its_place_in_its_layer_whatever_stands_before(tmp_path):
    wrapped = {"language_model." + Q: (64, 64, 4)}
    with pytest.raises(UsageError, match="made for another base"):
        refuse_foreign([opened(adapter_in(tmp_path, wrapped))], BASE)


NO_ADAPTER = [
    pytest.param("./nowhere", "no adapter `dpo` at ./nowhere: there is no such folder", id="no such path"),
    pytest.param("dpo", "no adapter `dpo` at dpo: there is no such folder", id="a bare name"),
    pytest.param(str(BASE), "has no adapter_config.json", id="a whole model"),
    pytest.param(str(BASE / "config.json"), "there is no such folder", id="a file"),
]


@pytest.mark.parametrize(("location", "why"), NO_ADAPTER)
def test_what_is_no_folder_of_an_adapter_is_refused_with_what_to_do(location, why):
    with pytest.raises(UsageError, match=why) as raised:
        open_adapters({"dpo": location})
    assert raised.value.hint


@pytest.mark.parametrize(
    ("config", "why"),
    [
        pytest.param({"peft_type": "IA3"}, "of the kind IA3, and only LORA", id="another kind"),
        pytest.param({"r": None}, "gives no rank", id="no rank"),
    ],
)
def test_a_configuration_that_is_no_lora_is_refused(tmp_path, config, why):
    with pytest.raises(UsageError, match=why):
        opened(adapter_in(tmp_path, {Q: (96, 96, 4)}, **config))


def test_broken_files_are_refused_by_name(tmp_path):
    folder = adapter_in(tmp_path, {Q: (96, 96, 4)})
    (folder / "adapter_model.safetensors").write_bytes(b"\x10")
    with pytest.raises(UsageError, match=r"`dpo`: .*adapter_model.safetensors cannot be read"):
        opened(folder)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(UsageError, match="has no weights"):
        opened(folder)
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(UsageError, match=r"adapter_config.json cannot be read"):
        opened(folder)


# ---------------------------------------------------------------------------------------------------- its identity


def test_an_adapter_trained_on_is_another_one_and_its_notes_are_not(tmp_path):
    folder = adapter_in(tmp_path, {Q: (96, 96, 4)})
    before = opened(folder).identity
    (folder / "README.md").write_text("moved on")
    assert opened(folder).identity == before
    adapter_in(folder, {Q: (96, 96, 4)}, lora_alpha=16)
    assert opened(folder).identity != before
    adapter_in(folder, {Q: (96, 96, 4), DOWN: (256, 96, 4)})
    assert opened(folder).identity != before


def test_a_copy_of_an_adapter_is_the_same_adapter(tmp_path):
    folder = adapter_in(tmp_path / "here", {Q: (96, 96, 4)})
    shutil.copytree(folder, tmp_path / "there")
    assert opened(tmp_path / "there").identity == opened(folder).identity


# ------------------------------------------------------------------------------------------------- room in vLLM


def test_no_adapters_ask_for_nothing():
    assert for_adapters([], {}, ALL, on_cpu=True) == ({}, "")


def test_room_is_made_for_the_largest_rank_and_for_all_that_fit_a_batch(tmp_path):
    small = opened(adapter_in(tmp_path, {Q: (96, 96, 4)}, rank_pattern={"q_proj": 20}))
    assert small.rank == 20
    room, _ = for_adapters([small, small], {}, ALL, on_cpu=False)
    assert room == {"enable_lora": True, "max_lora_rank": 32, "max_loras": 2}
    room, _ = for_adapters([small] * 11, {}, ALL, on_cpu=False)
    assert (room["max_loras"], room["max_cpu_loras"]) == (8, 11)
    with pytest.raises(UsageError, match="rank 513"):
        for_adapters([replace(small, rank=513)], {}, ALL, on_cpu=False)


def test_on_a_cpu_a_place_stays_empty_for_the_base(tmp_path):
    """Else its rows get what stands in the last place, wherever they are drawn beside an adapter's."""
    adapter = opened(adapter_in(tmp_path, {Q: (96, 96, 4)}))
    room, _ = for_adapters([adapter] * 11, {}, ALL, on_cpu=True)
    assert room["max_loras"] == 12
    for_adapters([adapter], {"max_loras": 2}, ALL, on_cpu=True)
    with pytest.raises(UsageError, match="1 adapters need 2 places"):
        for_adapters([adapter], {"max_loras": 1}, ALL, on_cpu=True)


def test_on_a_cpu_the_output_layer_is_left_out_where_that_is_surely_all(tmp_path):
    usual = opened(adapter_in(tmp_path / "a", {Q: (96, 96, 4), DOWN: (256, 96, 4)}))
    room, unscorable = for_adapters([usual], {}, ALL, on_cpu=True)
    assert (room["lora_target_modules"], unscorable) == (["down_proj", "q_proj"], "")
    experts = opened(adapter_in(tmp_path / "b", {"model.layers.0.mlp.experts.3.down_proj": (96, 96, 4)}))
    for adapters, known in (([usual, experts], ALL), ([usual], ALL - {"lora_target_modules"})):
        room, unscorable = for_adapters(adapters, {}, known, on_cpu=True)
        assert "lora_target_modules" not in room
        assert "cannot score with adapters of such layers" in unscorable
        assert for_adapters(adapters, {}, known, on_cpu=False)[1] == ""


OTHER_TENSORS = [
    pytest.param("model.embed_tokens.lora_embedding_A", "embed_tokens", id="an embedding"),
    pytest.param("lm_head.weight", "lm_head", id="a layer saved whole"),
]


@pytest.mark.parametrize(("tensor", "module"), OTHER_TENSORS)
def test_all_that_an_adapter_changes_is_known_by_its_weights(tmp_path, tensor, module):
    """Left out on a CPU, it would be missing in every draw and no one would say so."""
    adapter_in(tmp_path, {Q: (96, 96, 4)})
    path = tmp_path / "adapter_model.safetensors"
    numpy_files.save_file(
        numpy_files.load_file(path) | {f"base_model.model.{tensor}": np.zeros((4, 8), np.float32)}, path
    )
    adapter = opened(tmp_path)
    assert adapter.targets == {"q_proj", module}
    assert not adapter.is_usual
    assert adapter.may_change_output == (module == "lm_head")


def test_of_pickled_weights_nothing_is_sure(tmp_path):
    folder = adapter_in(tmp_path, {Q: (96, 96, 4)})
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    adapter = opened(folder)
    assert adapter.targets == {"q_proj"}
    assert not adapter.is_usual
    refuse_foreign([adapter], BASE)


def test_nothing_is_scored_beside_an_adapter_of_the_output_layer(tmp_path):
    head = opened(adapter_in(tmp_path / "a", {"lm_head": (96, 882, 4)}))
    pickled = replace(head, shapes={}, targets=None)
    for adapter in (head, pickled):
        assert "change the output layer" in for_adapters([adapter], {}, ALL, on_cpu=False)[1]


# ------------------------------------------------------------------------------------------- tokenizer and template


def tokenizer(words, template=None):
    """A tokenizer as far as it is looked at."""
    return SimpleNamespace(get_vocab=lambda: {word: at for at, word in enumerate(words)}, chat_template=template)


BROUGHT = [
    pytest.param(tokenizer("ab", "{{ x }}"), None, id="the same again"),
    pytest.param(tokenizer("ab"), None, id="no template"),
    pytest.param(tokenizer("abc", "{{ x }}"), "brings a tokenizer of its own", id="another word"),
    pytest.param(tokenizer("ab", "{{ y }}"), "brings a chat template of its own", id="another template"),
]


@pytest.mark.parametrize(("own", "why"), BROUGHT)
def test_words_of_its_own_are_refused_unless_they_are_the_bases(tmp_path, own, why):
    adapter = opened(adapter_in(tmp_path, {Q: (96, 96, 4)}))
    (tmp_path / "tokenizer.json").write_text("{}")
    if why is None:
        refuse_own_words(adapter, tokenizer("ab", "{{ x }}"), lambda _: own)
        return
    with pytest.raises(UsageError, match=why):
        refuse_own_words(adapter, tokenizer("ab", "{{ x }}"), lambda _: own)


def test_a_template_alone_is_looked_at_too(tmp_path):
    adapter = opened(adapter_in(tmp_path, {Q: (96, 96, 4)}))
    (tmp_path / "chat_template.jinja").write_text("{{ y }}")
    refuse_own_words(adapter, tokenizer("ab", "{{ y }}"), open)
    with pytest.raises(UsageError, match="brings a chat template of its own"):
        refuse_own_words(adapter, tokenizer("ab", "{{ x }}"), open)
