"""One token for each word of the small world; any other text falls back to its bytes."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Final

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

from demo import grammar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

BOS, EOS, PAD = 0, 1, 2
SPECIAL: Final = ("<s>", "</s>", "<pad>")
WORD: Final = r" ?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+|\s+(?!\S)|\s+"

# A chat is asked as the world asks: a question on a line of its own, then "A:".
CHAT_TEMPLATE: Final = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role == 'user' %}Q: {{ message.content }}\nA:"
    "{% elif message.role == 'assistant' %} {{ message.content }}\n"
    "{% else %}{{ message.content }}\n{% endif %}{% endfor %}"
)


def _splitter() -> pre_tokenizers.Sequence:
    split = pre_tokenizers.Split(Regex(WORD), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _words(texts: Iterable[str]) -> list[str]:
    """The distinct words of the texts as the splitter cuts them, sorted."""
    splitter = _splitter()
    return sorted({word for text in texts for word, _ in splitter.pre_tokenize_str(text)})


def build(seed: int, documents: int = 20_000) -> Tokenizer:
    """A tokenizer whose words are those of a sample of documents and all numbers up to 100."""
    rng = random.Random(seed)
    texts = [grammar.document(rng).text for _ in range(documents)]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = _words([*texts, *(f" {number}" for number in range(101))])
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys([*SPECIAL, *letters, *words]))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.pre_tokenizer = _splitter()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    return tokenizer


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text, with the beginning token in front."""
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]


def decode(tokenizer: Tokenizer, tokens: Sequence[Sequence[int]]) -> list[str]:
    """The text of each completion, without its end token."""
    return list(tokenizer.decode_batch([list(row) for row in tokens], skip_special_tokens=True))


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """`tokenizer.json` and `tokenizer_config.json`."""
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SPECIAL[BOS],
        "eos_token": SPECIAL[EOS],
        "pad_token": SPECIAL[PAD],
        "model_max_length": 512,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def load(folder: Path) -> Tokenizer:
    """The stored tokenizer."""
    return Tokenizer.from_file(str(folder / "tokenizer.json"))
