"""The vectors of a run's answers: those kept beside it, and an encoder for what is missing. Compares no two of them."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass
from itertools import compress, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from collapsecli import modes
from collapsecli.engines.encoder import folder_state
from collapsecli.engines.encoding import EncoderProcess, require_encoder
from collapsecli.errors import UsageError
from collapsecli.judge import read_answer
from collapsecli.runs.embeddings import SHARD_TEXTS, EmbeddingsFolder, digests_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from collapsecli.records import Cell, EncoderInfo
    from collapsecli.runs import RunFolder
    from collapsecli.runs.embeddings import Digests, KnownVectors


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What encoders make of a run's answers, by the encoder as cells call it: what embedded, and its vectors."""

    known: Mapping[str, tuple[EncoderInfo, KnownVectors]]

    def of(self, encoder: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors (N, dimensions) that an encoder gives to N texts, each of length 1.

        Raises KeyError for a text that it was not given.
        """
        return self.known[encoder][1].vectors(texts)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of them."""
        return tuple(
            f"{vectors.n_cut:,} of {len(vectors.digests):,} texts are longer than the {info.identity.get('context')} "
            f"tokens that {encoder} reads, and are compared by their beginnings"
            for encoder, (info, vectors) in self.known.items()
            if vectors.n_cut
        )


def is_embedded(cell: Cell) -> bool:
    """Whether an encoder says which answers of a cell are the same."""
    return cell.equivalence == "embedding" and cell.answer.kind == "text"


def require_encoders(cells: Iterable[Cell]) -> bool:
    """Make sure, as far as is known without loading any, that the encoders of some cells can be started.

    False where there are none. Raises EngineStartError and UsageError as `require_encoder` does.
    """
    encoders = dict.fromkeys(cell.encoder for cell in cells if is_embedded(cell))
    for encoder in encoders:
        require_encoder(encoder)
    return bool(encoders)


def embeddings_of(run: RunFolder, cells: Iterable[Cell], say: Callable[[str], None] | None = None) -> Embeddings | None:
    """The vectors of all answers of some cells of a run; None where no encoder says which are the same.

    What is kept beside the run is not embedded again. For the rest the encoder is started, in a process of its own, and
    `say` is told (stderr unless given). Raises EngineStartError where it cannot be, UsageError where its vectors cannot
    be kept, and IncompleteError where its process dies or another one writes to the run.
    """
    by_encoder: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        if is_embedded(cell):
            by_encoder[cell.encoder].append(cell)
    if not by_encoder:
        return None
    told = say or _to_stderr
    return Embeddings({encoder: _known(run, encoder, of_it, told) for encoder, of_it in by_encoder.items()})


def _known(
    run: RunFolder, encoder: str, cells: Sequence[Cell], say: Callable[[str], None]
) -> tuple[EncoderInfo, KnownVectors]:
    """What embedded all answers of some cells, and their vectors: all of them by one and the same encoder."""
    asked = _digests(run, cells)
    for folder in EmbeddingsFolder.of(run.path, encoder):
        if _is_unchanged(folder.info):
            vectors = folder.read()
            if not vectors.missing(asked).size:
                return folder.info, vectors
    say(f"starting {encoder}, which embeds answers of {run.path}; its own words: {run.log_path}")
    try:
        with run.locked(), EncoderProcess(encoder, run.log_path) as process:
            folder = EmbeddingsFolder(run.path, process.info)
            folder.begin()
            owed = _owed(run, cells, folder.read().missing(asked))
            while texts := list(islice(owed, SHARD_TEXTS)):
                vectors_of_texts, is_cut = process.embed(texts)
                folder.add(digests_of(texts), vectors_of_texts, is_cut)
    except PermissionError as error:
        raise UsageError(
            f"the embeddings of {run.path} cannot be kept: {error.strerror}",
            hint="copy the run to where you may write, or compare by words: --equivalence lexical",
        ) from error
    return folder.info, folder.read()


def _is_unchanged(info: EncoderInfo) -> bool:
    """Whether an encoder is what it was, as far as is known without it: its folder, if it is still there."""
    folder = Path(info.model).expanduser()
    return not folder.is_dir() or folder_state(folder) == info.identity.get("revision")


# ----------------------------------------------------------------------------------------------------------- texts


def _texts(run: RunFolder, cells: Sequence[Cell]) -> Iterator[list[str]]:
    """The distinct answers of each cell, in the form in which they are compared; an empty one is not embedded."""
    for cell, completions in run.completions(cells):
        said = (read_answer(cell, completion) for completion in completions)
        yield [text for text in dict.fromkeys(modes.canonical(one) for one in said if one is not None) if text]


def _digests(run: RunFolder, cells: Sequence[Cell]) -> Digests:
    found = [digests_of(texts) for texts in _texts(run, cells)]
    return np.unique(np.concatenate([digests_of([]), *found]))


def _owed(run: RunFolder, cells: Sequence[Cell], missing: Digests) -> Iterator[str]:
    """The texts that are missing, each once."""
    for texts in _texts(run, cells):
        digests = digests_of(texts)
        yield from compress(texts, np.isin(digests, missing))
        missing = np.setdiff1d(missing, digests)


def _to_stderr(what: str) -> None:
    sys.stderr.write(f"{what}\n")
