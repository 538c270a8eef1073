"""Where the files of a model lie, and digests that tell one model, or tokenizer, from another. Knows no engine."""

from __future__ import annotations

import difflib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collapsecli import demo
from collapsecli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

# What is read of a large file for its digest: any training step changes bytes all over a file of weights.
_SAMPLED_BYTES, _SAMPLED_PLACES = 1 << 16, 1 << 10


def model_location(model: str) -> tuple[str, str | None]:
    """A bundled name, a local path, or a hub id with an optional @revision -> (location, revision).

    Raises UsageError for a path that is not there, and for a bundled name misspelt.
    """
    bundled = demo.model_path(model)
    if bundled is not None:
        return str(bundled), None
    if Path(model).expanduser().exists():
        return str(Path(model).expanduser()), None
    name, _, revision = model.partition("@")
    if is_path(name):
        raise UsageError(f"no model at {model}: there is no such folder")
    near = difflib.get_close_matches(name, demo.MODELS, n=1, cutoff=0.8)
    if near:
        raise UsageError(f"no model `{model}`", hint=f"did you mean the bundled `{near[0]}`?")
    return name, revision or None


def is_path(location: str) -> bool:
    """Whether a location can be nothing but a path: no hub id begins so."""
    return location.startswith((".", "/", "~"))


def revision_of(model: str, config: Any) -> str:
    """What tells one state of a model from another: the hub's commit, by vLLM's configuration; a folder's digest."""
    folder = Path(model)
    if folder.is_dir():
        return folder_digest(folder)
    return str(getattr(config.hf_config, "_commit_hash", None) or config.revision or "unknown")


def hub_folder(model: str, revision: str | None) -> Path | None:
    """Where the files of a model of the hub lie, once it was loaded; None where they came by another way."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, revision=revision, local_files_only=True))
    except (OSError, ValueError):
        return None


def files_digest(paths: Iterable[Path]) -> str:
    """A digest of files by name and content: of all of a small one, of samples all over a large one."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(paths):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            for start in range(0, size, max(_SAMPLED_BYTES, size // _SAMPLED_PLACES)):
                file.seek(start)
                digest.update(file.read(_SAMPLED_BYTES))
    return f"folder:{digest.hexdigest()}"


def folder_digest(folder: Path) -> str:
    """The digest of all files of a folder."""
    return files_digest(path for path in folder.iterdir() if path.is_file())


def text_digest(text: str) -> str:
    """A digest of a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def tokenizer_digest(tokenizer: Any) -> str:
    """A digest of all that decides how a tokenizer of transformers cuts texts into numbered tokens.

    Two tokenizers with the same digest give the same tokens for every text. How a batch was last padded or cut is kept
    in the same file, and belongs to no text.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return text_digest(json.dumps(tokenizer.get_vocab(), sort_keys=True))
    parts = json.loads(backend.to_str())
    return text_digest(json.dumps(parts | {"padding": None, "truncation": None}, sort_keys=True))
