"""LoRA adapters as peft keeps them: found, read and held against their base. Knows no engine."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collapsecli.engines.places import files_digest, is_path, tokenizer_digest
from collapsecli.errors import EngineStartError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

MERGE = "merge it into its base (peft: merge_and_unload) and name the merged model with -m"

_CONFIG = "adapter_config.json"
_TENSORS = "adapter_model.safetensors"
_WEIGHTS = (_TENSORS, "adapter_model.bin", "adapter_model.pt")
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
_TEMPLATE = "chat_template.jinja"
_LOW_RANK = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])\.weight")
_LAYER = re.compile(r"(?:^|\.)((?:layers|h|blocks?)\.\d+)\.")
# The linear layers of the usual dense decoder: every engine calls them by these names.
_USUAL = frozenset({
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv_proj", "gate_up_proj",
})  # fmt: skip
_OUTPUT = "lm_head"


@dataclass(frozen=True, slots=True)
class Adapter:
    """One adapter: its name in cells, where its files lie, its largest rank, and the modules that it changes.

    `shapes` gives the two sizes of each linear module, the smaller one first, by its path in the base. It is empty for
    weights in pickled files, which are not opened. `targets` are the last names of all modules that it changes; without
    weights to read those of the configuration, and None where that gives a pattern.
    """

    name: str
    location: str
    folder: Path
    rank: int
    shapes: Mapping[str, tuple[int, int]]
    targets: frozenset[str] | None

    @property
    def identity(self) -> str:
        """A digest of the files that make it."""
        return files_digest(path for name in (_CONFIG, *_WEIGHTS) if (path := self.folder / name).is_file())

    @property
    def is_usual(self) -> bool:
        """Whether it surely changes nothing but the linear layers of a dense decoder."""
        if not self.shapes or self.targets is None:
            return False
        return self.targets <= _USUAL and not any(".experts." in module for module in self.shapes)

    @property
    def may_change_output(self) -> bool:
        """Whether it changes the layer that gives the logits, as far as that can be known."""
        return self.targets is None or _OUTPUT in self.targets


def open_adapters(locations: Mapping[str, str]) -> tuple[Adapter, ...]:
    """Read adapters from local folders, or from the hub (ID[@REVISION]); weights stay on disk.

    Raises UsageError for what is no LoRA adapter, EngineStartError when the hub does not give one.
    """
    return tuple(_read(name, location, _folder(name, location)) for name, location in locations.items())


def refuse_foreign(adapters: Iterable[Adapter], base: Path | None) -> None:
    """Raise UsageError for an adapter that was made for another base than the one in a folder.

    An engine would fill the part that fits and be silent. Modules that the base keeps under other names, or quantised,
    cannot be held against it and pass; so does everything where no folder is known.
    """
    known = _base_shapes(base) if base else {}
    layers = {at for tail in known if (at := _layer(tail))}
    for adapter in adapters:
        for module, shape in adapter.shapes.items():
            expected, layer = known.get(_tail(module)), _layer(module)
            if expected is not None and shape not in expected:
                said = f"{module} is {_times(shape)} there and {_times(min(expected))} in the base"
            elif expected is None and layers and layer and layer not in layers:
                said = f"it changes {layer}, which the base has not"
            else:
                continue
            raise UsageError(
                f"the adapter `{adapter.name}` was made for another base: {said}",
                hint="name the base that it was trained on with -m",
            )


def refuse_own_words(adapter: Adapter, tokenizer: Any, load: Callable[[str], Any]) -> None:
    """Raise UsageError for an adapter with another tokenizer or chat template than its base: prompts are the base's.

    `load` reads a tokenizer from a folder.
    """
    template_file = adapter.folder / _TEMPLATE
    if any((adapter.folder / file).is_file() for file in _TOKENIZER):
        try:
            own = load(str(adapter.folder))
        except (OSError, ValueError) as error:
            raise UsageError(f"the adapter `{adapter.name}` brings a tokenizer that cannot be read: {error}") from error
        if tokenizer_digest(own) != tokenizer_digest(tokenizer):
            raise _other_words(adapter, "tokenizer")
        template = getattr(own, "chat_template", None)
    else:
        template = template_file.read_text("utf-8") if template_file.is_file() else None
    if template and template != getattr(tokenizer, "chat_template", None):
        raise _other_words(adapter, "chat template")


def _other_words(adapter: Adapter, what: str) -> UsageError:
    return UsageError(
        f"the adapter `{adapter.name}` brings a {what} of its own, and prompts are written with its base's",
        hint=f"take the {what} out of {adapter.folder} if it was not trained with it; else {MERGE}",
    )


# -------------------------------------------------------------------------------------------------------- reading


def require_folder(name: str, location: str) -> Path | None:
    """The local folder of an adapter; None where only the hub can have it. Raises UsageError where neither can be."""
    local = Path(location).expanduser()
    if local.is_dir():
        return local
    if local.exists() or is_path(location) or "/" not in location:
        raise UsageError(
            f"no adapter `{name}` at {location}: there is no such folder",
            hint="NAME=PATH of the folder that peft saved, or NAME=OWNER/REPOSITORY[@REVISION] on the hub",
        )
    return None


def _folder(name: str, location: str) -> Path:
    return require_folder(name, location) or _downloaded(name, location)


def _downloaded(name: str, location: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    repository, _, revision = location.partition("@")
    files = ["*.json", "*.jinja", *_WEIGHTS]
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=files))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise EngineStartError(
            f"no adapter `{name}`: there is no folder {location}, and the hub does not give it: {error}",
            hint="check the path, or the repository and its revision",
        ) from error


def _read(name: str, location: str, folder: Path) -> Adapter:
    config = _config(name, folder)
    present = next((file for file in _WEIGHTS if (folder / file).is_file()), None)
    if present is None:
        raise UsageError(f"the adapter `{name}` in {folder} has no weights", hint=f"peft saves them as {_TENSORS}")
    tensors = _adapter_tensors(name, folder) if present == _TENSORS else {}
    rank = max(config["r"], *(config.get("rank_pattern") or {}).values(), 1)
    targets = _targets(tensors, config.get("target_modules"))
    return Adapter(name, location, folder, rank, _linear_shapes(tensors), targets)


def _config(name: str, folder: Path) -> dict[str, Any]:
    path = folder / _CONFIG
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"the adapter `{name}` in {folder} has no {_CONFIG}",
            hint="give the folder that peft's save_pretrained wrote; a whole model goes to -m",
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"the adapter `{name}`: {path} cannot be read: {error}") from error
    if not isinstance(config, dict) or str(config.get("peft_type")).upper() != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else None
        raise UsageError(f"the adapter `{name}` is of the kind {kind}, and only LORA can be loaded", hint=MERGE)
    if not isinstance(config.get("r"), int):
        raise UsageError(f"the adapter `{name}`: {path} gives no rank `r`")
    return config


def _adapter_tensors(name: str, folder: Path) -> dict[str, tuple[int, ...]]:
    from safetensors import SafetensorError

    try:
        return {tensor: shape for tensor, _, shape in _tensors(folder / _TENSORS)}
    except (OSError, SafetensorError) as error:
        raise UsageError(f"the adapter `{name}`: {folder / _TENSORS} cannot be read: {error}") from error


def _linear_shapes(tensors: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, int]]:
    halves: dict[str, dict[str, tuple[int, ...]]] = {}
    for tensor, shape in tensors.items():
        if (found := _LOW_RANK.fullmatch(tensor)) and len(shape) == 2:
            halves.setdefault(found[1], {})[found[2]] = shape
    return {module: _sizes(half["A"][1], half["B"][0]) for module, half in halves.items() if half.keys() == {"A", "B"}}


def _targets(tensors: Iterable[str], configured: object) -> frozenset[str] | None:
    if modules := [tensor.partition(".lora_")[0].removesuffix(".weight") for tensor in tensors]:
        return frozenset(module.rpartition(".")[2] for module in modules)
    if isinstance(configured, list):
        return frozenset(str(module).rpartition(".")[2] for module in configured)
    return None  # a pattern


# ------------------------------------------------------------------------------------------------------- the base


def _base_shapes(folder: Path) -> dict[str, set[tuple[int, int]]]:
    """Sizes of the base's layers, by the tail of their path: the towers of a model of several share tails."""
    shapes: dict[str, set[tuple[int, int]]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        for tensor, kind, shape in _tensors(path):
            if tensor.endswith(".weight") and len(shape) == 2 and kind.lstrip("B").startswith("F"):
                shapes.setdefault(_tail(tensor.removesuffix(".weight")), set()).add(_sizes(*shape))
    return shapes


def _tensors(path: Path) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Name, type and shape of every tensor in a file, from its header."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        for name in sorted(file.keys()):
            tensor = file.get_slice(name)
            yield name, tensor.get_dtype(), tuple(tensor.get_shape())


def _tail(module: str) -> str:
    """The path of a module from its layer on: what stands before it differs between a model's own classes."""
    found = _LAYER.search(module)
    return module[found.start(1) :] if found else module


def _sizes(one: int, other: int) -> tuple[int, int]:
    # Some models (GPT-2) keep their inputs first, most their outputs: which is which tells no two bases apart.
    return (min(one, other), max(one, other))


def _layer(module: str) -> str:
    found = _LAYER.search(module)
    return found[1] if found else ""


def _times(shape: tuple[int, int]) -> str:
    return f"{shape[0]} by {shape[1]}"
