"""Files of one run put among those of another. Knows nothing of what is in them; takes nothing away."""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
from itertools import count
from typing import TYPE_CHECKING

from collapsecli.runs.durable import synced
from collapsecli.runs.embeddings import EmbeddingsFolder
from collapsecli.runs.shards import broken_files
from collapsecli.runs.tables import EMBEDDINGS, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collapsecli.runs.folder import RunFolder
    from collapsecli.runs.tables import Column

# What a file system says where a file cannot have a second name: on another disk, or none at all.
_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS})


def bring_shards(theirs: RunFolder, ours: RunFolder, prefix: str) -> list[Path]:
    """Put another run's completions among ours, under names that begin so; each file once, however often it is asked.

    A file is linked where the disk allows it, else copied; a kill leaves a part of them, each whole. Where shards are
    gone, were set aside or cannot be read, the compacted file comes, too. Returns the files that could not be read.
    """
    shards = sorted(theirs.parts_path.glob("*.parquet"))
    set_aside = any(theirs.parts_path.glob("*.broken-*"))
    ours.parts_path.mkdir(exist_ok=True)
    broken = _bring(shards, ours.parts_path, prefix, SAMPLES)
    if (broken or set_aside or not shards) and theirs.samples_path.is_file():
        broken += _bring([theirs.samples_path], ours.parts_path, prefix, SAMPLES)
    synced(ours.parts_path)
    return broken


def bring_embeddings(theirs: RunFolder, ours: RunFolder, prefix: str) -> list[Path]:
    """Put the vectors of another run's answers beside ours, as `bring_shards` does with completions.

    Those of one encoder lie together where all that can change a vector is the same. Returns the files that could not
    be read.
    """
    broken = []
    for folder in EmbeddingsFolder.of(theirs.path):
        among = EmbeddingsFolder(ours.path, folder.info)
        among.begin()
        broken += _bring(folder.files, among.path, prefix, EMBEDDINGS)
        synced(among.path)
    return broken


def _bring(files: Sequence[Path], folder: Path, prefix: str, known: Sequence[Column]) -> list[Path]:
    broken = []
    for file in files:
        place = _place(file, folder, prefix)
        if place is None:
            continue
        if broken_files([file], known):
            broken.append(file)
        else:
            _link_or_copy(file, place)
    return broken


def _place(file: Path, folder: Path, prefix: str) -> Path | None:
    """A free name for a file, None where it is there already; another one of its name may be, of an earlier try."""
    for again in count(1):
        place = folder / f"{prefix}-{file.stem}{f'-{again}' if again > 1 else ''}.parquet"
        if not place.exists():
            return place
        if place.samefile(file) or filecmp.cmp(place, file, shallow=False):
            return None
    raise AssertionError


def _link_or_copy(file: Path, place: Path) -> None:
    try:
        os.link(file, place)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        return
    aside = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    shutil.copyfile(file, aside)
    synced(aside)
    aside.replace(place)
