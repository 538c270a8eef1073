"""The seam to whatever draws completions: requests in, rows out. No type of any engine library passes through here."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol

from collapsecli.errors import CollapseError, EngineStartError, IncompleteError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from collapsecli.records import Cell, Completion, EngineInfo


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """Draw the completions `indices` of `cell`; completion i draws with the seed `seed + i`."""

    cell: Cell
    seed: int
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Score the tokens `token_ids` after the prompt of `cell`, as the untouched model sees them (temperature 1)."""

    score_id: str
    cell: Cell
    token_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Log-probabilities (nats) of given tokens after a prompt, one per token; or an `error` and none."""

    score_id: str
    token_logprobs: tuple[float, ...]
    error: str | None = None


class Engine(Protocol):
    """Draws completions, and scores given tokens. Rows come back one by one, in any order, as soon as they are done.

    The contract that every engine's tests check: draws are independent; a (seed, index) gives the same draw whatever
    is drawn beside it; every planned index comes back exactly once, as a completion or as an error row; after `stop`,
    which may be called from a signal handler, the iterator ends soon and what was not drawn is simply missing.
    """

    @property
    def info(self) -> EngineInfo:
        """What this engine is."""

    @property
    def room(self) -> int:
        """How many completions it draws at once: with fewer in flight it would idle."""

    def check(self, cells: Sequence[Cell]) -> None:
        """Refuse, before anything is drawn for them, cells that cannot be served: raises UsageError and names them."""

    def sample(self, requests: Iterable[SampleRequest | None]) -> Generator[Completion, None, None]:
        """Draw what is asked; requests are pulled as they are needed.

        A None among them means "nothing for now": more may be asked once more rows have come back. It is not given
        while nothing is in flight.
        """

    def tokens(self, cell: Cell, text: str) -> tuple[int, ...]:
        """The tokens of a text that follows the prompt of a cell, without an end; empty where it has none."""

    def score(self, requests: Iterable[ScoreRequest]) -> Generator[Score, None, None]:
        """Score what is asked."""

    def stop(self) -> None:
        """Admit nothing more and abandon what is in flight."""

    def close(self) -> None:
        """Give back what the engine holds."""


EngineName = Literal["vllm", "server", "scripted"]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine is asked for.

    `model` is a hub id[@revision], a path or a bundled name; `arguments` are the engine's own. `adapters` are loaded on
    the model: by the name that cells give, where each lies (a path or a hub id[@revision]). A server is asked at
    `endpoint`, with the key that `key_file` holds, if that is given. `replicas` are that many engines side by side,
    each on `tensor_parallel` devices of its own.
    """

    model: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    trust_remote_code: bool = False
    adapters: Mapping[str, str] = field(default_factory=dict)
    endpoint: str = ""
    key_file: str = ""
    replicas: int = 1
    tensor_parallel: int = 1


def _vllm(options: EngineOptions) -> Engine:
    from collapsecli.engines.vllm import VllmEngine

    return VllmEngine(options)


def _server(options: EngineOptions) -> Engine:
    from collapsecli.engines.server import ServerEngine

    return ServerEngine(options)


def _scripted(options: EngineOptions) -> Engine:
    from collapsecli.engines.scripted import ScriptedEngine

    return ScriptedEngine.open(options.model, options.adapters)


ENGINES: Mapping[EngineName, Callable[[EngineOptions], Engine]] = {
    "vllm": _vllm,
    "server": _server,
    "scripted": _scripted,
}


def require_engine(name: EngineName) -> None:
    """Make sure that an engine can be imported, without importing it.

    Raises EngineStartError with the way to install it and the way on without it.
    """
    if name == "vllm" and find_spec("vllm") is None:
        raise EngineStartError(
            "vLLM is not installed",
            hint="`pip install 'collapsecli[vllm]'` (Linux with an NVIDIA GPU; the README says how on a CPU), "
            "or go on without it: `--endpoint URL` of a server, `--engine scripted`",
        )
    if name == "server" and find_spec("aiohttp") is None:
        raise EngineStartError("aiohttp is not installed", hint="`pip install 'collapsecli[server]'`")


def require_options(name: EngineName, options: EngineOptions) -> None:
    """Make sure that an engine can be had as it is asked for: on which devices, from which server.

    Raises UsageError.
    """
    if name == "server":
        from collapsecli.engines.server.settings import settings_of

        settings_of(options)
    elif options.replicas > 1 or options.tensor_parallel > 1:
        from collapsecli.engines.devices import shares

        shares(name, options)


def require_files(name: EngineName, options: EngineOptions) -> None:
    """Make sure that a model and its adapters are where they are said to be, as far as that is known without an engine.

    Raises UsageError: where several are sampled, the last one's place should not be found wrong after hours.
    """
    if name == "scripted":
        from collapsecli.engines.scripted import ScriptedEngine

        ScriptedEngine.require(options.model, options.adapters)
    elif name == "vllm":
        from collapsecli.engines.adapters import require_folder
        from collapsecli.engines.places import model_location

        model_location(options.model)
        for adapter, location in options.adapters.items():
            require_folder(adapter, location)


@contextmanager
def dying_engine(at: str) -> Iterator[None]:
    """Raises IncompleteError where an engine dies of anything: what came back before stays, and another can go on."""
    try:
        yield
    except CollapseError:
        raise
    except Exception as error:  # an engine can die of anything, and the run must outlive it
        raise IncompleteError(f"the engine died while {at}: {type(error).__name__}: {error}") from error


def start_engine(name: EngineName, options: EngineOptions, *, own_process: bool = False) -> Engine:
    """Start an engine by name, here or in a process of its own that ends when the engine is closed.

    Raises EngineStartError when it is not installed, has no memory or cannot load the model; UsageError for options
    that it does not have.
    """
    require_engine(name)
    if options.replicas > 1:
        from collapsecli.engines.replicas import Replicas

        return Replicas(name, options)
    # The workers of a divided model are processes that outlive a killed parent, unless one watches over them.
    if own_process or options.tensor_parallel > 1:
        from collapsecli.engines.process import EngineProcess

        return EngineProcess(name, options)
    return ENGINES[name](options)
