"""How a command starts engines: with which arguments, in which process, and who is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from collapsecli.cli.options import EngineChoice
from collapsecli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from collapsecli.cli.progress import ProgressDisplay
    from collapsecli.engines import Engine, EngineName, EngineOptions
    from collapsecli.records import Model


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts the engine of any model.

    Where a command needs several, one after the other, each has a process of its own: only when that ends is its memory
    surely given back.
    """

    engine: EngineName
    arguments: Mapping[str, object]
    trust_remote_code: bool
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
        from collapsecli.engines import EngineOptions

        return EngineOptions(model.location, self.arguments, self.trust_remote_code, model.adapters)


def engine_arguments(engine: EngineChoice, pairs: Sequence[str]) -> dict[str, object]:
    """What `-e KEY=VALUE` asks for, the values read as YAML.

    Raises UsageError for what is no such pair, and for an engine that takes none.
    """
    if pairs and engine is not EngineChoice.vllm:
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
