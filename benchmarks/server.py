"""How many completions must be in flight at a server? Until more of them bring no more tokens per second.

vLLM's own OpenAI-compatible server on this machine, asked by our engine with more and more in flight, beside the engine
in this process on the same model. Steady state: rows are counted for some seconds after the first have come back. The
arms take turns, and every rate also stands as a ratio to the in-process rate of its round.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from figures import store

from collapsecli import demo
from collapsecli.cli.streams import libraries_log_to
from collapsecli.engines import EngineOptions, SampleRequest
from collapsecli.engines.server import ServerEngine
from collapsecli.engines.vllm import VllmEngine
from collapsecli.records import Cell, Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collapsecli.engines import Engine

MODEL = "demo-base"
BEGINNINGS = ("Once upon", "Once upon a time", "Once upon a time there", "Once upon a time there was")
IN_PROCESS = "in this process"
_SECONDS_TO_START = 300
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}


class Arm(NamedTuple):
    """One way of asking: completions in flight, and how many of them one request asks for."""

    concurrency: int
    choices: int

    def __str__(self) -> str:
        return f"{self.concurrency} in flight, {self.choices} per request"


ARMS = (Arm(1, 1), Arm(4, 4), Arm(16, 16), Arm(64, 32), Arm(256, 32), Arm(1024, 32), Arm(64, 1), Arm(256, 1))


def cell_of(text: str, number: int) -> Cell:
    """A cell that is sampled as the model is, 64 tokens at most."""
    return Cell(
        cell_id=f"{text}-{number}@t1.0", suite="server", prompt_id=text, variant="", injection="", temperature=1.0,
        model=MODEL, adapter="", text=text, messages=(), injected="", sampling=Sampling(samples=256, max_tokens=64),
    )  # fmt: skip


def endless() -> Iterator[SampleRequest]:
    """More than any arm can draw, every cell with noise of its own."""
    number = 0
    while True:
        for text in BEGINNINGS:
            number += 1
            yield SampleRequest(cell_of(text, number), number << 20, tuple(range(256)))


def tokens_per_second(engine: Engine, seconds: float) -> float:
    """The rate between the first row and the last one of so many seconds."""
    tokens, began = 0, 0.0
    with closing(engine.sample(endless())) as rows:
        for row in rows:
            if row.error_kind:
                sys.exit(f"a request failed: {row.error}")
            if not began:
                began = time.perf_counter()
                continue
            tokens += len(row.token_ids)
            if (took := time.perf_counter() - began) > seconds:
                return tokens / took
    sys.exit("the engine ended before its time")


@contextmanager
def served(log: Path) -> Iterator[str]:
    """The address of a server that runs inside the block, and of which nothing is left behind it."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    with log.open("w") as file:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(demo.model_path(MODEL)),
                "--served-model-name", MODEL, "--dtype", "float32", "--host", "127.0.0.1", "--port", str(port),
                "--enforce-eager", "--gpu-memory-utilization", "0.1", "--no-enable-chunked-prefill",
                "--logprobs-mode", "processed_logprobs", "--generation-config", "vllm",
            ],
            stdout=file, stderr=file, start_new_session=True, env={**os.environ, **_ENVIRONMENT},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + _SECONDS_TO_START
        while not _answers(f"http://127.0.0.1:{port}/health"):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the server did not start: see {log}")
            time.sleep(1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5):  # noqa: S310 - our own address
            return True
    except (URLError, OSError):
        return False


def measure(address: str, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Tokens per second of every arm and round."""
    taken: dict[str, list[float]] = {IN_PROCESS: [], **{str(arm): [] for arm in ARMS}}
    in_process = VllmEngine(EngineOptions(MODEL))
    tokens_per_second(in_process, 1.0)
    for _ in range(rounds):
        taken[IN_PROCESS].append(tokens_per_second(in_process, seconds))
        for arm in ARMS:
            engine = ServerEngine(EngineOptions(MODEL, arm._asdict(), endpoint=address))
            taken[str(arm)].append(tokens_per_second(engine, seconds))
            engine.close()
    in_process.close()
    return taken


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="for every arm of a round")
    asked = parser.parse_args()
    with (
        libraries_log_to(Path(os.devnull)),
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder) / "log.txt") as address,
    ):
        taken = measure(address, asked.rounds, asked.seconds)
    ratios = {
        name: statistics.median(one / other for one, other in zip(rates, taken[IN_PROCESS], strict=True))
        for name, rates in taken.items()
    }
    for name, rates in taken.items():
        print(f"{name:>34}: {statistics.median(rates):8,.0f} tokens/s, {ratios[name]:.2f} of the in-process rate")
    store(
        "server",
        {
            "rounds": asked.rounds, "seconds": asked.seconds, "load_average_5_min": os.getloadavg()[1],
            "tokens_per_second": taken, "median_ratio_to_in_process": ratios,
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
