"""A folder and its copy in an object store (s3://, gs://, file://, …). Knows files of a run by their names only."""

from __future__ import annotations

import secrets
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from collapsecli.errors import IncompleteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARTS = "parts"
_STATE = "state.json"
# Left behind: what is of one machine alone, and what its shards hold already.
_LEFT_BEHIND = frozenset({".lock", "samples.parquet"})
_SECONDS_BETWEEN_PUSHES = 1.0
_FILES_AT_ONCE = 256  # asked of a store in one go: it takes its time over each, but serves many side by side

Mark = tuple[int, int]  # size and time of change of a file, by which it is seen to be another


def checked_store(url: str) -> str:
    """A store's URL without a slash at its end.

    Raises UsageError where it holds a secret, or no filesystem of that kind is installed.
    """
    place = urlsplit(url)
    if place.password is not None:
        raise UsageError(
            f"--store {place.scheme}://…: a secret must not be on a command line",
            hint="leave it to the environment, as the store's own tools do",
        )
    if not place.scheme:
        raise UsageError(f"--store {url!r} is no URL", hint="for example s3://bucket/runs, or file:///mnt/runs")
    _opened(url)
    return url.rstrip("/")


class Mirror:
    """One folder of a run (a slice, or the run without its slices) and where the store keeps it.

    Objects are put whole, shards before the state that speaks of them. A shard that was written here gets a name of its
    own in the store, so that two workers which both believe that a slice is theirs never overwrite each other's rows.
    `own` are files that the store has for others to read, and that are never taken from it.
    """

    def __init__(self, folder: Path, url: str, own: frozenset[str] = frozenset()) -> None:
        self._folder = folder
        self._files, self._root = _opened(url)
        self._token = secrets.token_hex(4)
        self._pushed: dict[str, Mark] = {}
        self._own = set(own)  # names in the store of what came from this folder

    def pull(self) -> None:
        """Bring what the store has and the folder has not; all but shards may have changed there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        lacking = [name for name in self._stored() if name not in self._own and not self._has_shard(name)]
        for first in range(0, len(lacking), _FILES_AT_ONCE):
            names = lacking[first : first + _FILES_AT_ONCE]
            paths = [self._folder / name for name in names]
            asides = [path.with_name(f".{path.name}.tmp") for path in paths]
            for path in paths:
                path.parent.mkdir(exist_ok=True)
            self._files.get([f"{self._root}/{name}" for name in names], list(map(str, asides)))
            for name, path, aside in zip(names, paths, asides, strict=True):
                aside.replace(path)
                self._pushed[name] = _mark(path)

    def _has_shard(self, name: str) -> bool:
        return name.startswith(f"{_PARTS}/") and (self._folder / name).is_file()

    def push(self) -> None:
        """Put what is new or has changed here since."""
        state = self._folder / _STATE
        # Read before the shards are looked at: what it says of them must not run ahead of what the store has.
        marked = _mark(state) if state.is_file() else None
        content = state.read_bytes() if marked else b""
        for path in self._local():
            name, mark = str(path.relative_to(self._folder)), _mark(path)
            if self._pushed.get(name) != mark:
                self._put(self._name_there(name), path)
                self._pushed[name] = mark
        if marked is not None and self._pushed.get(_STATE) != marked:
            self._files.pipe_file(f"{self._root}/{_STATE}", content)
            self._pushed[_STATE] = marked

    @contextmanager
    def kept_up(self) -> Iterator[None]:
        """Push every second while the block runs, and all at its end.

        Raises IncompleteError when the store does not take the last of it.
        """
        over = threading.Event()
        thread = threading.Thread(target=self._push_until, args=(over,), name="mirror", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            try:
                self.push()
            except Exception as error:  # a store's client can raise anything
                raise IncompleteError(f"cannot write to the store: {type(error).__name__}: {error}") from error

    def _push_until(self, over: threading.Event) -> None:
        while not over.wait(_SECONDS_BETWEEN_PUSHES):
            try:
                self.push()
            except Exception as error:  # noqa: BLE001 - it is tried again, and at last by who is told
                print(f"the store took nothing for now: {type(error).__name__}: {error}", flush=True)  # noqa: T201 - to the log

    def _stored(self) -> list[str]:
        """Names of what the store has of this folder."""
        try:
            found = [*self._files.ls(self._root, detail=False), *self._listed(f"{self._root}/{_PARTS}")]
        except FileNotFoundError:
            return []
        names = [path.removeprefix("/").removeprefix(self._root.removeprefix("/")).strip("/") for path in found]
        # A kill may leave what was being put aside; everything else is whole.
        return sorted(name for name in names if Path(name).suffix not in {"", ".tmp"})

    def _listed(self, place: str) -> list[str]:
        try:
            names: list[str] = self._files.ls(place, detail=False)
        except FileNotFoundError:
            return []
        return names

    def _local(self) -> list[Path]:
        """The files to be kept in the store, shards first; not the state, which goes last."""
        parts = sorted((self._folder / _PARTS).glob("*.parquet"))
        others = sorted(path for path in self._folder.glob("*") if path.is_file())
        kept = [path for path in others if path.name not in _LEFT_BEHIND | {_STATE}]
        return [path for path in [*parts, *kept] if not path.name.startswith(".")]

    def _name_there(self, name: str) -> str:
        path = Path(name)
        if path.parent.name == _PARTS and path.stem.isdigit():
            name = f"{_PARTS}/{path.stem}-{self._token}{path.suffix}"
        self._own.add(name)
        return name

    def _put(self, name: str, path: Path) -> None:
        place = f"{self._root}/{name}"
        if "file" in _protocols(self._files):  # a plain copy, which a kill may leave half
            aside = f"{place}.tmp"
            self._files.makedirs(aside.rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(path), aside)
            self._files.mv(aside, place)
        else:
            self._files.put_file(str(path), place)


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def _mark(path: Path) -> Mark:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _opened(url: str) -> tuple[Any, str]:
    """The filesystem of a URL and the path in it.

    Raises UsageError where no such filesystem is installed.
    """
    from fsspec.core import url_to_fs

    try:
        files, root = url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise UsageError(
            f"--store {urlsplit(url).scheme}://…: {error}",
            hint="install what it needs here and on every node (s3fs, gcsfs, adlfs, …)",
        ) from error
    return files, root.rstrip("/")
