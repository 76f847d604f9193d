# `make demo` and `make test` set everything up by themselves: Linux, CPython 3.11 or later, make; no GPU needed.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
CPU := --constraint constraints/cpu.txt

.PHONY: help demo test test-fast lint bench setup setup-demo clean

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
	$(BIN)/zizmor --offline --quiet --persona auditor .github templates/init/.github
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml templates/init/.github/workflows/*.yml

bench: $(VENV)/.dev ## Measure merging against reading and writing the same bytes, and how soon commands answer.
	$(BIN)/python benchmarks/merge.py
	$(BIN)/python benchmarks/startup.py

setup-demo: $(VENV)/.demo ## Install what the demonstration needs.
setup: $(VENV)/.dev ## Install everything, for developing.

clean: ## Remove the environment and what the demonstration made.
	rm -rf $(VENV) demo

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
	$(PIP) $(CPU) --editable '.[demo,example]' --group dev
	touch $@
