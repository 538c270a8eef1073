#!/bin/sh
# Resolve all locks again with uv: versions and hashes, no index addresses. Read the diff before you commit it.
set -eu
cd "$(dirname "$0")/.."
here=requirements
resolve() { uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url "$@"; }
linux="--python-version 3.11 --python-platform x86_64-manylinux_2_28"

# The engine for CPUs is a list of exact versions known to work without the packages that break it: kept as it is.
resolve $linux --no-deps -o $here/engine-cpu.txt $here/engine-cpu.in
resolve --upgrade --universal --python-version 3.11 -c $here/engine-cpu.txt -o $here/dev.txt pyproject.toml --group dev
resolve --upgrade $linux -c $here/engine-cpu.txt -c $here/dev.txt -o $here/torch-cuda.txt $here/torch.in
resolve --upgrade $linux -c $here/dev.txt -o $here/engine-gpu.txt $here/engine-gpu.in
# What vLLM's own server and Ray need beside the engine; no pin of the engine changes for them.
resolve $linux --no-deps -o $here/server-cpu.txt $here/server-cpu.in
resolve $linux -c $here/engine-cpu.txt -c $here/dev.txt -o $here/ray.txt $here/ray.in
