"""An encoder in a process of its own: what it holds is surely given back when that ends. Loads no library itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from contextlib import nullcontext, suppress
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from collapsecli.engines.places import model_location
from collapsecli.engines.process import packed, unpacked
from collapsecli.errors import CollapseError, EngineStartError, IncompleteError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from collapsecli.engines.encoder import Embedded
    from collapsecli.records import EncoderInfo

_SECONDS_TO_CLOSE = 10.0
_STDERR = 2


def require_encoder(model: str) -> None:
    """Make sure that texts can be embedded, as far as that is known without loading anything.

    Raises EngineStartError without vLLM, and UsageError for a path that is not there.
    """
    if find_spec("vllm") is None:
        raise EngineStartError(
            f"vLLM, which embeds texts with {model}, is not installed",
            hint="`pip install 'collapsecli[vllm]'`, or compare texts by their words: `--equivalence lexical` "
            "(in a suite `equivalence: lexical`)",
        )
    model_location(model)


class EncoderProcess:
    """An encoder that a child runs, for the length of a `with` block. Its own words go to `log`, or to stderr.

    Raises what loading it raises, and EngineStartError where its process dies of it.
    """

    def __init__(self, model: str, log: Path | None = None) -> None:
        require_encoder(model)
        self._log = log
        read_words, write_words = os.pipe()
        read_answers, write_answers = os.pipe()
        self._words = Connection(write_words, readable=False)
        self._answers = Connection(read_answers, writable=False)
        try:
            self._process = self._spawn(read_words, write_answers)
        finally:
            os.close(read_words)
            os.close(write_answers)
        try:
            self.info: EncoderInfo = self._asked((write_answers, model), EngineStartError)
        except BaseException:
            self._end(0)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(_SECONDS_TO_CLOSE if error is None else 0)

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed N texts. Raises IncompleteError where the process dies."""
        embedded: Embedded = self._asked(list(texts), IncompleteError)
        return embedded

    def _end(self, patience_s: float) -> None:
        """Let the child end, make it end after a while, and leave nothing of its group behind."""
        self._words.close()  # the child reads that nothing more is asked
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._answers.close()

    def _asked(self, words: object, death: type[CollapseError]) -> Any:
        """What the child answers; if it dies instead, an error of the kind `death`."""
        try:
            self._words.send(words)
            is_answer, value = self._answers.recv()
        except (EOFError, OSError) as error:
            said = f"; its own words are in {self._log}" if self._log else ""
            raise death(f"the encoder's process ended{self._how()}", hint=f"free memory{said}") from error
        if not is_answer:
            raise unpacked(value)
        return value

    def _how(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS_TO_CLOSE)
        code = self._process.poll()
        if code is not None and code < 0:
            return f": it was killed by {signal.Signals(-code).name}"
        return f" with exit code {code}" if code else ""

    def _spawn(self, words: int, answers: int) -> subprocess.Popen[bytes]:
        """A session of its own: what a terminal sends to the parent's group is the parent's to pass on."""
        with nullcontext(_STDERR) if self._log is None else self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-c", "from collapsecli.engines.encoding import serve; serve()"],
                stdin=words,
                stdout=log,
                stderr=log,
                pass_fds=(answers,),
                start_new_session=True,
            )


def serve() -> None:
    """The child: load the encoder that the parent names, embed what it sends, and end when it wants no more.

    The first words give the descriptor, inherited, of the answers. A parent that is gone is found out at the next
    answer or word.
    """
    words = Connection(os.dup(0), writable=False)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    descriptor, model = words.recv()
    answers = Connection(descriptor, readable=False)
    with suppress(EOFError, BrokenPipeError):
        _answer(words, answers, model)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # nothing is left to save, and libraries may take their time over tidying up


def _answer(words: Connection, answers: Connection, model: str) -> None:
    from collapsecli.engines.encoder import Encoder

    try:
        encoder = Encoder(model)
        answers.send((True, encoder.info))
        while True:
            answers.send((True, encoder.embed(words.recv())))
    except CollapseError as error:
        traceback.print_exc()  # for the log: what is told does not hold what it died of
        answers.send((False, packed(error)))
