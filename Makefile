# `make demo` and `make test` set everything up by themselves: Linux, CPython 3.11 or later, make; no GPU needed.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)
# Hundreds of processes are started here, and none is to compile again what another has compiled.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
CPU := --constraint constraints/cpu.txt
# Only compared with, never imported: it has a venv of its own, so that its dependencies and ours do not meet.
MERGEKIT := .venv-mergekit
PIP_MERGEKIT := $(BIN)/python -m pip --python $(MERGEKIT)/bin/python --disable-pip-version-check install --quiet --no-compile

.PHONY: help demo test test-fast lint bench mergekit setup setup-demo clean

help: ## Show what there is.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

demo: $(VENV)/.demo ## Run the whole road offline, on an embedded Hub; prints where card, plots and page are.
	$(BIN)/ramekin demo --dir demo

test: $(VENV)/.dev ## Install what the tests need, and run them all.
	$(BIN)/python -m pytest -n 2 --dist worksteal -q

test-fast: $(VENV)/.dev ## Run the tests that take less than five seconds each.
	$(BIN)/python -m pytest -n 2 --dist worksteal -q -m "not slow"

lint: $(VENV)/.dev ## Formatter, linter, strict types, workflows.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python .ci/workflows.py

# More for benchmarks/merge.py, such as BENCH="--sizes 0.5 --mergekit ram,ties --dir /big/disk".
BENCH ?=
bench: $(VENV)/.dev $(MERGEKIT)/.ready ## Measure merging against reading and writing the same bytes and against mergekit, tracing, and how soon commands answer.
	$(BIN)/python benchmarks/merge.py $(BENCH)
	$(BIN)/python benchmarks/tracing.py
	$(BIN)/python benchmarks/startup.py

mergekit: $(MERGEKIT)/.ready ## Install mergekit, which tests and benchmarks compare with, in a venv of its own.

setup-demo: $(VENV)/.demo ## Install what the demonstration needs.
setup: $(VENV)/.dev ## Install everything, for developing.

clean: ## Remove the environments and what the demonstration made.
	rm -rf $(VENV) $(MERGEKIT) demo

$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade 'pip>=25.1'
	touch $@

# torch first: the build without CUDA packages is only taken where nothing else has asked for torch yet.
$(VENV)/.torch: constraints/cpu.txt $(VENV)/.python
	$(PIP) $(CPU) torch
	touch $@

$(VENV)/.demo: pyproject.toml $(VENV)/.torch
	$(PIP) $(CPU) --editable '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.demo
	$(PIP) $(CPU) --no-compile --editable '.[action,demo,eval,example,sign]' --group dev
	touch $@

$(MERGEKIT)/.ready: constraints/cpu.txt constraints/mergekit.txt $(VENV)/.python
	$(PYTHON) -m venv --clear --without-pip $(MERGEKIT)
	$(PIP_MERGEKIT) $(CPU) torch
	$(PIP_MERGEKIT) $(CPU) --requirement constraints/mergekit.txt
	$(PIP_MERGEKIT) --no-deps mergekit==0.1.5
	touch $@
