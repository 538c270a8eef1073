"""What encoders make of a run's answers: kept beside it, in a folder for each. Starts none and compares nothing.

A vector belongs to a text, not to a completion: whoever says the same has the same one.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from collapsecli.records import EncoderInfo
from collapsecli.runs.durable import write_text_whole, write_whole
from collapsecli.runs.manifest import fingerprint_of
from collapsecli.runs.shards import broken_files, read_whole, write_rows
from collapsecli.runs.tables import EMBEDDINGS, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Digests = NDArray[np.bytes_]

SHARD_TEXTS = 2048  # a kill loses at most so many, and so many vectors are held to look one up
_DIGEST_BYTES = 16
_SHARDS_AT_ONCE = 8


def digests_of(texts: Iterable[str]) -> Digests:
    """The digests (N,) by which texts are found."""
    found = [
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest() for text in texts
    ]
    return np.array(found, f"S{_DIGEST_BYTES}")  # all are of one length, so that a final zero byte makes no difference


class EmbeddingsFolder:
    """`RUN/embeddings/DIGEST`: the vectors that one encoder gives to texts of a run.

    The digest is of all that can change its vectors: another revision, another dtype has another folder. Reading needs
    no lock; writing happens inside the lock of the run.
    """

    def __init__(self, run: Path, info: EncoderInfo) -> None:
        self.info = info
        self.path = run / "embeddings" / fingerprint_of({**info.identity, "encoder": info.model})

    @classmethod
    def of(cls, run: Path, model: str | None = None) -> list[EmbeddingsFolder]:
        """The folders of a run that were written by a model, as it is called, or by any; the newest first."""
        described = sorted((run / "embeddings").glob("*/encoder.json"), key=lambda path: -path.stat().st_mtime_ns)
        infos = [info for path in described if (info := _described(path)) is not None]
        return [cls(run, info) for info in infos if model in {None, info.model}]

    def begin(self) -> None:
        """Make the folder, write down in it what embeds, and clear what a kill or a bad disk left there."""
        self.path.mkdir(parents=True, exist_ok=True)
        for half in self.path.glob(".*.tmp"):
            half.unlink()
        for broken in broken_files(self.files, EMBEDDINGS):
            broken.rename(broken.with_suffix(f".broken-{time.time_ns()}"))
        write_text_whole(self.path / "encoder.json", json.dumps(asdict(self.info), ensure_ascii=True, indent=1) + "\n")

    def add(self, digests: Digests, vectors: NDArray[np.float32], is_cut: NDArray[np.bool_]) -> None:
        """Keep the vectors (N, dimensions) of N texts, in a shard of their own."""
        schema = arrow_schema(EMBEDDINGS, {"encoder": json.dumps(asdict(self.info), ensure_ascii=True)})
        ends = np.arange(0, vectors.size + 1, vectors.shape[1], np.int32)
        columns = [
            pa.array([digest.ljust(_DIGEST_BYTES, b"\0") for digest in digests.tolist()], schema.field(0).type),
            pa.ListArray.from_arrays(pa.array(ends), pa.array(vectors.ravel())).cast(schema.field(1).type),
            pa.array(is_cut),
        ]
        table = pa.Table.from_arrays(columns, schema=schema)
        taken = (path.name.partition(".")[0] for path in self.path.glob("[0-9]*"))  # damaged ones set aside, too
        number = 1 + max((int(name) for name in taken if name.isdigit()), default=0)
        write_whole(self.path / f"{number:06d}.parquet", lambda aside: write_rows(table, aside))

    def read(self) -> KnownVectors:
        """The vectors that are whole on disk."""
        return KnownVectors.of(self.files)

    @property
    def files(self) -> list[Path]:
        """The shards, whole or not."""
        return sorted(self.path.glob("*.parquet"))


@dataclass(frozen=True, slots=True)
class KnownVectors:
    """The vectors of T texts, found by digest; those of a few shards are held at a time.

    digests: (T,) sorted. shards, rows: (T,) where each vector lies among `files`. n_cut: texts that were cut.
    """

    files: tuple[Path, ...]
    digests: Digests
    shards: NDArray[np.int64]
    rows: NDArray[np.int64]
    n_cut: int

    @staticmethod
    def of(files: Sequence[Path]) -> KnownVectors:
        """The texts in some shards, each once. A shard that is damaged anywhere holds nothing."""
        whole, found, cut = [], [], []
        for path in files:
            for table in read_whole([path], None, EMBEDDINGS):
                whole.append(path)
                found.append(np.array(table["text_digest"].to_pylist(), f"S{_DIGEST_BYTES}"))
                cut.append(table["is_cut"].to_numpy())
        digests, first = np.unique(np.concatenate([np.zeros(0, f"S{_DIGEST_BYTES}"), *found]), return_index=True)
        sizes = [len(one) for one in found]
        shards = np.repeat(np.arange(len(sizes)), sizes)
        rows = np.concatenate([np.zeros(0, np.int64), *map(np.arange, sizes)])
        n_cut = int(np.concatenate([np.zeros(0, np.bool_), *cut])[first].sum())
        return KnownVectors(tuple(whole), digests, shards[first], rows[first], n_cut)

    def missing(self, digests: Digests) -> Digests:
        """Those of some digests, each once, that no vector is known of."""
        return np.setdiff1d(digests, self.digests)

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors (N, dimensions) of some texts. Raises KeyError for a text that is not among them."""
        asked = digests_of(texts)
        places = np.minimum(np.searchsorted(self.digests, asked), max(len(self.digests) - 1, 0))
        if not len(self.digests) or (self.digests[places] != asked).any():
            raise KeyError("a text that was not embedded")
        shards, rows = self.shards[places], self.rows[places]
        found: NDArray[np.float32] | None = None
        for shard in np.unique(shards).tolist():
            of_shard = _vectors_in(self.files[shard])
            if found is None:
                found = np.empty((len(texts), of_shard.shape[1]), np.float32)
            found[shards == shard] = of_shard[rows[shards == shard]]
        return np.zeros((0, 1), np.float32) if found is None else found


@lru_cache(_SHARDS_AT_ONCE)
def _vectors_in(path: Path) -> NDArray[np.float32]:
    """All vectors (N, dimensions) of a shard, which never changes. Raises KeyError where it can no longer be read."""
    tables = read_whole([path], ["vector"], EMBEDDINGS)
    if not tables:
        raise KeyError(f"{path} can no longer be read")
    column = tables[0]["vector"].combine_chunks()
    values = np.asarray(column.flatten().to_numpy(zero_copy_only=False), np.float32)
    return values.reshape(len(column), -1)


def _described(path: Path) -> EncoderInfo | None:
    """What embedded; None where it was not written by us, or not whole."""
    try:
        said = json.loads(path.read_text("utf-8"))
        return EncoderInfo(str(said["model"]), {str(name): str(value) for name, value in said["identity"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
