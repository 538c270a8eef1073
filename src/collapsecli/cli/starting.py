"""How a command starts engines: with which arguments, in which process, and who is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import yaml

from collapsecli.cli.options import EngineChoice
from collapsecli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collapsecli.cli.progress import ProgressDisplay
    from collapsecli.engines import Engine, EngineName, EngineOptions
    from collapsecli.records import Model


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts the engine of any model.

    Where a command needs several, one after the other, each has a process of its own: only when that ends is its memory
    surely given back. `options` are the same for all of them but for the model and its adapters.
    """

    engine: EngineName
    options: EngineOptions
    own_process: bool

    def require(self, model: Model) -> None:
        """Make sure that a model is where it is said to be. Raises UsageError."""
        from collapsecli.engines import require_files

        require_files(self.engine, self._options(model))

    def start(self, model: Model, display: ProgressDisplay, log: Path) -> Engine:
        """The engine of a model, once it is ready."""
        from collapsecli.engines import start_engine

        display.starting(self.engine, model.name, str(log))
        return start_engine(self.engine, self._options(model), own_process=self.own_process)

    def _options(self, model: Model) -> EngineOptions:
        return replace(self.options, model=model.location, adapters=model.adapters)


def engine_chosen(engine: EngineChoice | None, endpoint: str | None) -> EngineChoice:
    """The engine that the command line means: an endpoint is one of a server.

    Raises UsageError where the two differ.
    """
    if endpoint and engine not in {None, EngineChoice.server}:
        raise UsageError(f"--endpoint is for a server, and --engine says {engine}", hint="leave --engine out")
    if engine is EngineChoice.server and not endpoint:
        raise UsageError("--engine server needs to know where it is", hint="--endpoint http://HOST:PORT/v1")
    return EngineChoice.server if endpoint else engine or EngineChoice.vllm


def engine_options(
    engine: EngineChoice,
    pairs: Sequence[str] = (),
    *,
    endpoint: str | None = None,
    key_file: Path | None = None,
    replicas: int = 1,
    tensor_parallel: int = 1,
    trust_remote_code: bool = False,
) -> EngineOptions:
    """How engines of a kind are asked for, whatever their model.

    Raises UsageError for an option that the kind of engine does not have.
    """
    from collapsecli.engines import EngineOptions

    if engine is EngineChoice.server:
        for option, is_given in (
            ("--replicas", replicas > 1),
            ("--tp", tensor_parallel > 1),
            ("--trust-remote-code", trust_remote_code),
        ):
            if is_given:
                raise UsageError(f"{option} is the server's own affair", hint="give it where the server is started")
    elif key_file is not None:
        raise UsageError("--key-file is for a server, and none is named", hint="--endpoint URL")
    if engine is EngineChoice.scripted and tensor_parallel > 1:
        raise UsageError("--tp divides a model, and the scripted engine has none", hint="leave --tp out")
    return EngineOptions(
        model="",
        arguments=_engine_arguments(engine, pairs),
        trust_remote_code=trust_remote_code,
        endpoint=endpoint or "",
        key_file=str(key_file or ""),
        replicas=replicas,
        tensor_parallel=tensor_parallel,
    )


def _engine_arguments(engine: EngineChoice, pairs: Sequence[str]) -> dict[str, object]:
    """What `-e KEY=VALUE` asks for, the values read as YAML."""
    if pairs and engine is EngineChoice.scripted:
        raise UsageError(f"-e sets arguments of vLLM, and the engine is {engine.value}", hint="leave -e out")
    arguments: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"-e {pair!r} is no KEY=VALUE", hint="for example `-e max_model_len=4096`")
        try:
            arguments[name.replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"-e {name}: {value!r} is no YAML value") from error
    return arguments
