# Everything a person runs. `make help` lists it. AURA_VENV moves the environment, AURA_HOME what runs produce. AURA_LOCK says
# what is installed: `cuda` (everything, from PyPI), `cpu` (Linux, with a CPU-only torch) or `serve` (what a Bento needs).
SHELL := /bin/bash
PYTHON ?= python3
AURA_VENV ?= .venv
VAR := $(or $(AURA_HOME),var)
BIN := $(AURA_VENV)/bin
AURA_LOCK ?= cuda
LOCK_FILE := requirements-$(AURA_LOCK).lock
$(if $(wildcard $(LOCK_FILE)),,$(error AURA_LOCK is cuda, cpu or serve, not $(AURA_LOCK)))
STAMP := $(AURA_VENV)/.installed-$(shell sha256sum $(LOCK_FILE) pyproject.toml | sha256sum | cut -c1-16)
PYTHONS := 3.11 3.12 3.13
export PATH := $(abspath $(BIN)):$(PATH)
export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || sysctl -n hw.physicalcpu)
PROFILE ?= $(or $(AURA_PROFILE),sample)

.DEFAULT_GOAL := help
.PHONY: help setup nightly serve up down status logs ui client test test-all lint format lock bench bench-gate bench-chat bench-chat-serving bench-detection bench-outfits bench-serving bench-switches bench-loading bench-bentos bench-people clean bench-hostile bench-away bench-week bench-colours

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make the environment from a lock file (AURA_LOCK: cuda, cpu or serve)

# $(call supported,COMMAND): stop in words unless the interpreter is one that the lock files were compiled for.
supported = version=$$($(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])') \
  && case " $(PYTHONS) " in *" $$version "*) ;; *) false ;; esac \
  || { echo "Aura runs on Python $(PYTHONS); $(1) is $${version:-not there}. Name one, and a new folder if $(AURA_VENV) has another:" \
  "make setup PYTHON=python3.12 AURA_VENV=.venv-3.12" >&2; exit 2; }

# GB that an environment takes (README.md has the exact figures): pip itself finds a full disk after minutes, in the middle.
NEEDS_GB := $(if $(filter cpu,$(AURA_LOCK)),4,9)

# Made again where an environment was left without pip, as by a Python without ensurepip.
$(BIN)/pip:
	@$(call supported,$(PYTHON))
	@mkdir -p $(AURA_VENV) && free=$$(df -Pk $(AURA_VENV) | awk 'NR == 2 {print int($$4 / 1048576)}') && [ $$free -ge $(NEEDS_GB) ] \
	|| { echo "An environment takes $(NEEDS_GB) GB, and the disk of $(AURA_VENV) has $$free GB free: make room, or name another \
	folder: make setup AURA_VENV=FOLDER" >&2; exit 2; }
	@$(PYTHON) -m venv $(AURA_VENV) || { echo "$(PYTHON) cannot make an environment with pip: install its venv package \
	(Debian: python3-venv) and run make again" >&2; exit 2; }

PIP_INSTALL := $(BIN)/python -m pip install --quiet --no-deps
LOCKED_TORCH := $(shell sed -nE 's/^(torch|torchvision)==([^ ]*).*/\1==\2+cpu/p' requirements-cuda.lock)

# --no-deps: a lock file is complete, and one wheel asks for libraries that Aura does not use. setuptools first: the one package
# without a wheel, antlr4-python3-runtime of OmegaConf, is built with it and not with what the registry has at the moment.
$(STAMP): $(LOCK_FILE) pyproject.toml | $(BIN)/pip
	@$(call supported,$(BIN)/python)
	@echo "Installing $$(grep -c == $(LOCK_FILE)) packages into $(AURA_VENV) (README.md says how many GB and minutes)"
ifeq ($(AURA_LOCK),cpu)
	@$(PIP_INSTALL) $(LOCKED_TORCH) || { echo "No CPU-only torch here. PyPI has none for Linux: name PyTorch's own index in \
	PIP_EXTRA_INDEX_URL, or take AURA_LOCK=cuda, which runs without a GPU as well" >&2; exit 2; }
endif
	@$(PIP_INSTALL) --require-hashes --requirement <(sed -n '/^setuptools==/,/[^\]$$/p' $(LOCK_FILE))
	@$(PIP_INSTALL) --require-hashes --no-build-isolation --use-pep517 --requirement $(LOCK_FILE)
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@rm -f $(AURA_VENV)/.installed-* && touch $@

nightly: setup ## Run one night (PROFILE=sample); the first on a bare machine takes minutes
	@$(BIN)/aura nightly --profile $(PROFILE)

serve: setup ## Start the services from the champions
	@$(BIN)/aura serve --profile $(PROFILE)

up: setup ## Start everything on this machine: stores, MLflow, Prefect, services, gateway (docs/operations.md)
	@$(BIN)/aura up --profile $(PROFILE)

down: setup ## Stop everything that `make up` started
	@$(BIN)/aura down

status: setup ## Show what runs, and what serves
	@$(BIN)/aura parts
	@$(BIN)/aura status --profile $(PROFILE)

logs: setup ## Follow the logs of what `make up` started
	@$(BIN)/aura logs

ui: setup ## Start the MLflow and Prefect pages
	@$(BIN)/aura ui

client: setup ## Generate the typed Python client of all services (aura_client) into $(VAR)/client
	@AURA_AUTH=off $(BIN)/python -m flows.api_client "$(VAR)/client"

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

# uv reads the registry's metadata for every Python and platform at once, and keeps what a lock file already holds.
UV ?= $(or $(wildcard $(BIN)/uv),uv)
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --fork-strategy fewest \
  --custom-compile-command "make lock" $(UPGRADE)
CUDA_LIBRARIES = $(shell sed -nE '/^nvidia-ml-py/d; s/^((nvidia|cuda|triton)[a-z0-9-]*)==.*/\1/p' requirements-cuda.lock)

lock: ## Compile the lock files from pyproject.toml (UPGRADE="--upgrade-package NAME", see CONTRIBUTING.md)
	@$(COMPILE) pyproject.toml --extra dev --output-file requirements-cuda.lock
	@$(COMPILE) pyproject.toml --extra dev --constraints requirements-cuda.lock --output-file requirements-cpu.lock \
	  $(foreach name,torch torchvision $(CUDA_LIBRARIES),--no-emit-package $(name))
	@$(COMPILE) --group serve --constraints requirements-cuda.lock --output-file requirements-serve.lock

bench: setup ## Measure the searches of the index side by side
	@$(BIN)/python benchmarks/retrieval_fusion.py

bench-gate: setup ## Retrain 41 detectors with other seeds and count what the gate promotes (docs/benchmarks/gate.md)
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.gate

bench-detection: setup ## Train the detector on both backbones with three seeds each (docs/benchmarks/detection.md; CCP imported)
	@OMP_NUM_THREADS=2 $(BIN)/python -m benchmarks.detection

bench-chat: setup ## Train the chat adapter and ask it every held-out question (docs/benchmarks/chat.md)
	@OMP_NUM_THREADS=2 $(BIN)/python -m benchmarks.chat

bench-chat-serving: setup ## Measure the chat under load, from the champion of a finished night (docs/benchmarks/chat_serving.md)
	@$(BIN)/python -m benchmarks.chat_serving --profile $(PROFILE)

bench-people: setup ## Ask the accounts service among 10,000 people's data, beside somebody alone
	@$(BIN)/python -m benchmarks.people

bench-outfits: setup ## Train the outfit model and ask it with titles and without (docs/benchmarks/outfits.md)
	@OMP_NUM_THREADS=2 $(BIN)/python -m benchmarks.outfits

bench-serving: setup ## Put the services under load, beside a plain server (docs/benchmarks/serving.md; PROFILE with champions)
	@OMP_NUM_THREADS=2 $(BIN)/python -m benchmarks.serving --profile $(PROFILE)

bench-switches: setup ## Change releases under load, on the champions of AURA_HOME (docs/benchmarks/switches.md)
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.switches

bench-loading: setup ## Time what a runner loads between two releases, on the champions of AURA_HOME (docs/benchmarks/loading.md)
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.loading

bench-bentos: setup ## Change the night's Bentos under load, on the champions of AURA_HOME (docs/benchmarks/bento_changes.md)
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.bento_changes

bench-hostile: setup ## Send running services 1,000 hostile uploads and JSON bodies (docs/benchmarks/hostile.md; after a night)
	@$(BIN)/python -m benchmarks.hostile

bench-away: setup ## Kill and freeze MLflow and Redis while callers ask the services (docs/benchmarks/away.md; after a night)
	@$(BIN)/python -m benchmarks.away

bench-colours: setup ## Name the colours of garments in street photos, beside outlines drawn by people (docs/benchmarks/colours.md; CCP imported)
	@$(BIN)/python -m benchmarks.colours

bench-week: setup ## Live through seven nights on schedule, and a maintenance (docs/benchmarks/week.md)
	@$(BIN)/python -m benchmarks.week

clean: ## Remove what can be made again; models, nights, reports and imported photos stay
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache "$(VAR)/cache"
	@echo "Caches are gone. Models, nights, reports and photos stay in $(VAR); 'aura tidy' removes those that nothing needs."
