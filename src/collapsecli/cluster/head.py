"""A Ray of our own on this machine, in a session of its own, which ends with us, whatever ended us."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from collapsecli.errors import EngineStartError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Only numbers of slices and small outcomes pass through Ray; completions never do.
_OBJECT_STORE_BYTES = 256 * 2**20
# Ray takes 127.0.0.1 for "this machine" and talks over its outward address; this one is loopback as well. What listens
# on all addresses in spite of it asks for a token that only our own processes know.
_LOOPBACK = "127.0.0.2"
_SECONDS_TO_END = 20.0


@contextmanager
def own_ray() -> Iterator[str]:
    """The address of a Ray on this machine, gone with all its processes at the end of the block.

    Raises EngineStartError when it cannot start.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray would keep one in the home folder
    # A session of its own: what a terminal sends to our group is ours to pass on. Files of the folder that we happen
    # to be in are no modules of ours (-P). Its standard input is the lifeline: it ends with this process.
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", "from collapsecli.cluster.head import serve; serve()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        said = process.stdout.readline() if process.stdout else b""
        if not said:
            raise EngineStartError("Ray could not start on this machine", hint="COLLAPSE_DEBUG=1 shows more")
        yield json.loads(said)
    finally:
        if process.stdin:
            process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_END)
        kill_session(process.pid)
        process.wait()
        if process.stdout:
            process.stdout.close()


def serve() -> None:
    """Start Ray, say its address on stdout, and end it with everything of it when stdin ends."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):  # to the parent as well, which knows what to save
        signal.signal(number, signal.SIG_IGN)
    answer = os.dup(1)
    os.dup2(2, 1)
    # A folder of its own: the usual /tmp/ray belongs to whoever used it first. Sockets below it want a short name.
    folder = Path(tempfile.mkdtemp(prefix="collapse-ray-", dir="/tmp"))
    try:
        import ray

        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            _node_ip_address=_LOOPBACK,
            _temp_dir=str(folder),
        )
        os.write(answer, (json.dumps(ray.get_runtime_context().gcs_address) + "\n").encode())
        os.close(answer)
        while os.read(0, 1):
            pass
        # No farewell to Ray: who works for us has been heard, and what does not know that we are gone would linger.
    finally:
        kill_session(os.getpid())
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)  # what Ray registered for a tidy exit is gone already


def kill_session(leader: int) -> None:
    """Kill every process of the session that `leader` leads, itself excepted where it is this process."""
    while members := [pid for pid in _members(leader) if pid != os.getpid()]:
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _members(session: int) -> list[int]:
    """The processes of a session that are not dead yet."""
    pids = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended while we looked
            # pid (name, which may hold anything) state ppid pgrp session …
            state, _, _, of, *_ = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
            if int(of) == session and state not in "ZX":
                pids.append(int(stat.parent.name))
    return pids
