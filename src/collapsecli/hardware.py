"""What this machine is, in words, for the record of a run."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def processor_name() -> str:
    """The processor as its maker names it, with the number of cores that the system sees."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line.split(":", 1) for line in cpuinfo.read_text("utf-8", "replace").splitlines() if ":" in line]
        name = next((value.strip() for key, value in lines if key.strip() == "model name"), name)
    return f"{os.cpu_count()} cores of {name}"
