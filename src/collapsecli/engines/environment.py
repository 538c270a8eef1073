"""In what surroundings vLLM runs in a process of ours: set before it is imported. Imports no part of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from collapsecli import demo

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENVIRONMENT = {
    # In this process: three times the tokens per second on two cores, and no engine process that outlives a kill.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "2",  # GiB; read on a CPU only
    "TOKENIZERS_PARALLELISM": "false",
}
# A bundled model is so small that threads spend their time waiting for each other: on two cores one thread gives three
# quarters of the speed of two, and on a machine with other work thirteen times their speed.
_TINY = {"OMP_NUM_THREADS": "1"}
# On a CPU `gpu_memory_utilization` is a share of the machine's memory, compiling takes longer than most runs, and a
# prompt whose prefill is cut in two cannot have a seed: vLLM then rewinds the generator, which a CPU's cannot.
CPU_ARGUMENTS: Mapping[str, object] = {
    "dtype": "float32",
    "enforce_eager": True,
    "gpu_memory_utilization": 0.3,
    "enable_chunked_prefill": False,
}


def set_environment(model: str) -> None:
    """Set what vLLM reads when it is imported, where nobody has set it otherwise."""
    for name, value in {**_ENVIRONMENT, **(_TINY if demo.model_path(model) else {})}.items():
        os.environ.setdefault(name, value)
