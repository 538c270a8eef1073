"""Texts into vectors, by vLLM's pooling models in this process; public names only. Compares nothing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from collapsecli.engines.environment import CPU_ARGUMENTS, set_environment
from collapsecli.engines.places import files_digest, model_location, tokenizer_digest
from collapsecli.engines.reasons import reason, start_hint
from collapsecli.errors import CollapseError, EngineStartError, UsageError
from collapsecli.records import EncoderInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# What of a prompt's key-value cache a sampling engine needs is nothing to an encoder: it keeps no prefix.
_ARGUMENTS = {"disable_log_stats": True, "enable_prefix_caching": False}


class Embedded(NamedTuple):
    """What an encoder makes of N texts.

    vectors: (N, dimensions) of length 1, or zero for a text without a token. is_cut: (N,) texts of which only the
    beginning fits the encoder's context.
    """

    vectors: NDArray[np.float32]
    is_cut: NDArray[np.bool_]


class Encoder:
    """One pooling model: a folder in the layout of sentence-transformers, or any other that vLLM can pool.

    Raises EngineStartError where it cannot be loaded, and UsageError for a path that is not there.
    """

    def __init__(self, model: str) -> None:
        set_environment(model)
        try:
            self._start(model)
        except (UsageError, EngineStartError):
            raise
        except Exception as error:  # loading a model can die of anything; the log gets the whole of it
            raise EngineStartError(f"the encoder could not start: {reason(error)}", hint=start_hint(error)) from error

    def _start(self, model: str) -> None:
        import torch
        import vllm

        location, revision = model_location(model)
        surroundings = {} if torch.cuda.is_available() else CPU_ARGUMENTS
        self._vllm = vllm
        self._llm = vllm.LLM(
            model=location, revision=revision, runner="pooling", trust_remote_code=False, **_ARGUMENTS, **surroundings
        )
        self._tokenizer = self._llm.get_tokenizer()
        config = self._llm.llm_engine.vllm_config.model_config
        self._most_tokens = int(min(config.max_model_len, self._tokenizer.model_max_length))
        logging.getLogger("transformers").setLevel(logging.ERROR)  # it warns of every text that is cut
        self._dimensions = len(self._llm.embed("text", use_tqdm=False)[0].outputs.embedding)
        pooling = config.pooler_config
        folder = Path(location)
        self.info = EncoderInfo(
            model,
            {
                "revision": folder_state(folder) if folder.is_dir() else _commit(config),
                "tokenizer": tokenizer_digest(self._tokenizer),
                "pooling": str(getattr(pooling, "seq_pooling_type", None) or getattr(pooling, "pooling_type", None)),
                "dtype": str(config.dtype).removeprefix("torch."),
                "context": str(self._most_tokens),
                "vllm": vllm.__version__,
            },
        )

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed N texts as they are, each cut to the context. Raises CollapseError for vectors that are no numbers."""
        whole = self._tokenizer(list(texts))["input_ids"] if texts else []
        is_cut = np.array([len(token_ids) > self._most_tokens for token_ids in whole], np.bool_)
        read = [
            self._cut(text) if cut else token_ids for text, token_ids, cut in zip(texts, whole, is_cut, strict=True)
        ]
        prompts = [self._vllm.TokensPrompt(prompt_token_ids=token_ids) for token_ids in read if token_ids]
        outputs = self._llm.embed(prompts, use_tqdm=False) if prompts else []
        known = np.array([output.outputs.embedding for output in outputs], np.float32).reshape(-1, self._dimensions)
        if not np.isfinite(known).all():
            raise CollapseError(f"{self.info.model} gives texts vectors that are no numbers", hint="another encoder")
        vectors = np.zeros((len(read), self._dimensions), np.float32)
        vectors[[bool(token_ids) for token_ids in read]] = _of_length_one(known)
        return Embedded(vectors, is_cut)

    def _cut(self, text: str) -> list[int]:
        """As many tokens as fit, the ones that begin and end every text among them."""
        token_ids: list[int] = self._tokenizer(text, truncation=True, max_length=self._most_tokens)["input_ids"]
        return token_ids


def folder_state(folder: Path) -> str:
    """What tells one state of an encoder's folder from another: a digest of all files, those of its modules too."""
    return files_digest(path for path in folder.rglob("*") if path.is_file())


def _commit(config: object) -> str:
    hub = getattr(config, "hf_config", None)
    return str(getattr(hub, "_commit_hash", None) or getattr(config, "revision", None) or "unknown")


def _of_length_one(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Most encoders end in this already; where one does not, cosines still are products."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)
