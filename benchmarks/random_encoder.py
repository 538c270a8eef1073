"""A random encoder in the layout of sentence-transformers, and what transformers itself makes of texts with it.

It knows nothing: what it is used for is mechanics and speed, never whether two texts mean the same.
"""

from __future__ import annotations

import json
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_WORDS = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a BERT: `width` dimensions, so many layers and heads, a context in tokens."""

    width: int
    layers: int
    heads: int
    inner: int
    context: int


SMALL = Shape(width=64, layers=2, heads=2, inner=128, context=32)
MINI_LM = Shape(width=384, layers=6, heads=12, inner=1536, context=256)


def write_encoder(folder: Path, shape: Shape = SMALL, words: Sequence[str] = ("the", "okapi", "pangolin")) -> Path:
    """A BERT with random weights that reads these words and single characters; mean pooling, vectors of length 1."""
    import torch
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = _vocabulary(words)
    _tokenizer(vocabulary, shape.context).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        max_position_embeddings=shape.context,
        initializer_range=0.5 if shape is SMALL else 0.02,  # far apart, where what is tested is which is which
    )
    BertModel(config).eval().save_pretrained(folder)
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (path, kind) in enumerate(kinds.items())
    ]
    _write_json(folder / "modules.json", modules)
    pooling = {"word_embedding_dimension": shape.width, "pooling_mode_mean_tokens": True}
    _write_json(folder / "1_Pooling" / "config.json", pooling)
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": shape.context, "do_lower_case": False})
    return folder


class ByTransformers:
    """The encoder by transformers alone: mean over a text's tokens, then length 1."""

    def __init__(self, folder: Path, context: int = SMALL.context) -> None:
        from transformers import AutoTokenizer, BertModel

        self._tokenizer, self._model = AutoTokenizer.from_pretrained(folder), BertModel.from_pretrained(folder).eval()
        self._context = context

    def embed(self, texts: Sequence[str], at_once: int = 64) -> NDArray[np.float32]:
        """The vectors (N, dimensions), texts of about one length together so that little is padded."""
        import numpy as np
        import torch

        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        found = [
            self._batch([texts[place] for place in order[at : at + at_once]]) for at in range(0, len(texts), at_once)
        ]
        vectors = np.empty((len(texts), found[0].shape[1]), np.float32)
        vectors[order] = torch.cat(found).numpy()
        return vectors

    def _batch(self, texts: Sequence[str]) -> Any:
        import torch

        read = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._context, return_tensors="pt"
        )
        with torch.inference_mode():
            hidden = self._model(**read).last_hidden_state
        mask = read["attention_mask"][..., None].float()
        pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return torch.nn.functional.normalize(pooled, dim=1)


def _vocabulary(words: Sequence[str]) -> dict[str, int]:
    """The words, and single characters, as the beginning of a word and within one: every plain text can be read."""
    characters = [*string.ascii_lowercase, *string.digits, *string.punctuation, *"éäöü中文字"]
    pieces = dict.fromkeys([*_WORDS.values(), *words, *characters, *(f"##{one}" for one in characters)])
    return {piece: number for number, piece in enumerate(pieces)}


def _tokenizer(vocabulary: dict[str, int], context: int) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=_WORDS["unk_token"]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=context, **_WORDS)


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
