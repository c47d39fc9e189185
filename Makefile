# Everything a person runs. `make help` lists it. AURA_VENV moves the environment, AURA_HOME what runs produce.
SHELL := /bin/bash
PYTHON ?= python3
AURA_VENV ?= .venv
VAR := $(or $(AURA_HOME),var)
BIN := $(AURA_VENV)/bin
LOCK := requirements.lock
STAMP := $(AURA_VENV)/.installed-$(shell sha256sum $(LOCK) pyproject.toml | sha256sum | cut -c1-16)
export PATH := $(abspath $(BIN)):$(PATH)
export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || sysctl -n hw.physicalcpu)
PROFILE ?= $(or $(AURA_PROFILE),sample)

.DEFAULT_GOAL := help
.PHONY: help setup nightly serve ui test test-all lint format lock bench clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make the environment from the lock file

# --no-deps: the lock file is complete, and one wheel asks for a compiled library that Aura does not use.
$(STAMP): $(LOCK) pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(AURA_VENV)
	@echo "Installing $$(grep -c == $(LOCK)) packages into $(AURA_VENV) (several GB the first time)"
	@$(BIN)/python -m pip install --quiet --no-deps --requirement $(LOCK)
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@rm -f $(AURA_VENV)/.installed-* && touch $@

nightly: setup ## Run one night (PROFILE=sample); the first on a bare machine takes minutes
	@$(BIN)/aura nightly --profile $(PROFILE)

serve: setup ## Start the three services from the champions
	@$(BIN)/aura serve --profile $(PROFILE)

ui: setup ## Start the MLflow and Prefect pages
	@$(BIN)/aura ui

test: setup ## Run the tests: offline, CPU, minutes
	@$(BIN)/python -m pytest -n 2 --dist loadfile --ignore=tests/e2e
	@$(BIN)/python -m pytest tests/e2e

test-all: setup ## Run every test, also the exhaustive, GPU and network ones
	@$(BIN)/python -m pytest -m ""

lint: setup ## Check style, types, import directions and spelling
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/codespell

format: setup ## Format the code and fix what ruff can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: ## Write the lock file from the environment (see CONTRIBUTING.md)
	@echo "# Exact versions; made by 'make lock'. Install with pip install --no-deps -r requirements.lock" > $(LOCK).new
	@$(BIN)/python -m pip freeze --all --exclude-editable | sed -E '/^(pip|aura-ai-platform)==/d' \
	  | sed -E 's/^((nvidia|cuda|triton)[a-z0-9-]*==.*)$$/\1 ; sys_platform == "linux" and platform_machine == "x86_64"/' \
	  | sed -E '/^nvidia-ml-py/s/ ;.*//' >> $(LOCK).new
	@mv $(LOCK).new $(LOCK)

bench: setup ## Measure speed and quality side by side (see benchmarks/)
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean: ## Remove what can be made again; models, nights, reports and imported photos stay
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache "$(VAR)/cache"
	@echo "Caches are gone. Models, nights, reports and photos stay in $(VAR); 'aura tidy' removes those that nothing needs."
