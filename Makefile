# Coulance: everything a newcomer or a developer types. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
DATA ?=

.DEFAULT_GOAL := help
.PHONY: help demo up test bench lint lock clean

help: ## What you can type here
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Two stamps: running needs only base.txt; tests, benchmarks and linting need dev.txt, which contains it.
$(VENV)/.base: requirements/base.txt pyproject.toml scripts/bootstrap
	@PYTHON=$(PYTHON) scripts/bootstrap $(VENV) requirements/base.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml scripts/bootstrap
	@PYTHON=$(PYTHON) scripts/bootstrap $(VENV) requirements/dev.txt
	@touch $(VENV)/.base $@

demo: $(VENV)/.base ## Set up, run three months of a made-up provider, show the result (ARGS=--no-serve, DATA=dir)
	@$(BIN)/coulance demo $(if $(DATA),--data $(DATA)) $(ARGS)

up: $(VENV)/.base ## Run the real thing here (coulance up)
	@$(BIN)/coulance up $(ARGS)

test: $(VENV)/.dev ## Run every test
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: $(VENV)/.dev ## Format check, lint, types, the house's arrows
	@$(BIN)/ruff check src tests benchmarks
	@$(BIN)/ruff format --check src tests benchmarks
	@$(BIN)/lint-imports
	@$(BIN)/mypy

bench: $(VENV)/.dev ## Measure ours beside its rivals
	@$(BIN)/python -m benchmarks $(ARGS)

lock: ## Refresh the hashed locks from pyproject.toml
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 --custom-compile-command 'make lock' pyproject.toml -o requirements/base.txt
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 --custom-compile-command 'make lock' --extra dev pyproject.toml -o requirements/dev.txt

clean: ## Remove the demo's data and the virtual environment
	@rm -rf $(VENV) var
