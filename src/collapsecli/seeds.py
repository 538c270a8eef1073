"""Seeds for draws that must be independent. Knows nothing of engines but that child i of a cell draws with base + i."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SMALLEST_SPAN = 1024  # a cell's base does not move while its number of samples stays below this
_LOW_BITS = 32  # a CPU generator looks at no more of a seed than this


def random_seed() -> int:
    """A fresh seed for a run: no two runs replay each other's noise by accident."""
    return secrets.randbits(62)


def hashed_seed(*parts: object) -> int:
    """A 62-bit seed from what the parts say, the same on every machine."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2


def cell_seeds(run_seed: int, samples: Mapping[str, int]) -> dict[str, int]:
    """The first seed of every cell: completion i of a cell is drawn with `cell_seeds[cell] + i`.

    `samples` gives the number of completions per cell id. The result depends on the seed of the run and on the set of
    cells only, never on their order, on batches, on replicas or on a resume. No two cells of a run share a seed, not
    even in the low 32 bits, as long as the run is small enough for 32 bits to hold it twice over.
    """
    widest = max(samples.values(), default=1)
    span = max(_SMALLEST_SPAN, 1 << (widest - 1).bit_length())
    slots = (1 << _LOW_BITS) // span
    bits = _LOW_BITS if len(samples) <= slots // 2 else 62
    taken: set[int] = set()
    bases: dict[str, int] = {}
    for cell_id in sorted(samples):
        base = _free_base(run_seed, cell_id, span, bits, taken)
        taken.add(base % (1 << bits))
        bases[cell_id] = base
    return bases


def _free_base(run_seed: int, cell_id: str, span: int, bits: int, taken: set[int]) -> int:
    attempt = 0
    while True:
        base = hashed_seed(run_seed, cell_id, attempt) // span * span
        if base % (1 << bits) not in taken:
            return base
        attempt += 1
