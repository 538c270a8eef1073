"""To Ray and back: the cluster that RAY_ADDRESS names, else one of our own. Says nothing about what runs on it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from collapsecli.cluster.head import own_ray
from collapsecli.errors import EngineStartError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    # What Ray will do in a later version anyway: leave the GPUs of a process alone that asked for none.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def require_ray() -> None:
    """Make sure that Ray can be imported and reached as asked, without importing it.

    Raises EngineStartError, or UsageError for an address that a driver of ours cannot use.
    """
    if find_spec("ray") is None:
        raise EngineStartError("Ray is not installed", hint="`pip install 'collapsecli[ray]'`, here and on every node")
    address = os.environ.get("RAY_ADDRESS", "")
    if "://" in address:
        raise UsageError(
            "RAY_ADDRESS names a Ray client, through which workers cannot be reached",
            hint="run the command on a node of the cluster, with RAY_ADDRESS=HOST:6379 or auto",
        )
    if not address and sys.platform != "linux":
        raise UsageError("a Ray of our own is started on Linux only", hint="`ray start --head`, and RAY_ADDRESS=auto")


@contextmanager
def connected() -> Iterator[None]:
    """A connection to Ray. Where no cluster is named, a Ray of our own lives as long as the block.

    To be entered in the main thread. Raises EngineStartError when no Ray can be reached. Handlers of signals stay as
    they are.
    """
    require_ray()
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with ExitStack() as stack:
        address = os.environ.get("RAY_ADDRESS") or stack.enter_context(own_ray())
        stack.callback(_disconnect)
        _connect(address)
        yield


def _connect(address: str) -> None:
    """Connect in a thread of its own: in the main thread Ray would put its handler of SIGTERM in place of ours."""
    import ray

    failures: list[Exception] = []

    def connect() -> None:
        try:
            ray.init(address=address, log_to_driver=False)
        except Exception as error:  # noqa: BLE001 - raised below, where somebody listens
            failures.append(error)

    thread = threading.Thread(target=connect, name="ray", daemon=True)
    thread.start()
    thread.join()
    # Below Python, Ray has put a handler in place all the same, which aborts the process three seconds after a SIGTERM.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    signal.alarm(0)
    if failures:
        said = (str(failures[0]).splitlines() or [""])[0]
        raise EngineStartError(
            f"no Ray can be reached at {address}: {said}", hint="`ray status` says whether it is up; RAY_ADDRESS, where"
        ) from failures[0]


def _disconnect() -> None:
    import ray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what was still under way
        ray.shutdown()
