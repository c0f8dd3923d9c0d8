# `make help` lists the targets. Everything runs in .venv, which make creates and keeps current.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Two workers: the suite must pass on a two-core machine.
JOBS   ?= 2

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help venv fmt lint type imports docs test oracles oracles-tried cover golden demo bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- environment: one stamp file per set of packages, so that a rerun is instant ---------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'Python 3.11 or newer is needed; choose one with: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	       then apt-get update -qq && apt-get install -y -qq python3-venv; \
	       else echo 'The venv module is missing; as root: apt-get install python3-venv' >&2; exit 1; fi; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing the tool into $(VENV) ...'
	@$(PIP) install -c constraints.txt hatchling editables
	@$(PIP) install -c constraints.txt --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo 'installing the development tools into $(VENV) ...'
	@$(PIP) install -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

$(VENV)/.bench: $(VENV)/.run
	@echo 'installing what the benchmarks compare against into $(VENV) ...'
	@$(PIP) install -c constraints.txt --no-build-isolation -e '.[bench]'
	@touch $@

venv: $(VENV)/.dev ## create .venv with everything a developer needs

# --- checks -------------------------------------------------------------------------------------------------------

fmt: $(VENV)/.dev ## format the code and apply the safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only --quiet .

lint: $(VENV)/.dev ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(VENV)/.dev ## check types (mypy, strict)
	$(BIN)/mypy

imports: $(VENV)/.dev ## check the import contracts of ARCHITECTURE.md
	$(BIN)/lint-imports

docs: $(VENV)/.dev ## check that the documents say what the code does
	$(BIN)/python -m pytest -q tests/test_docs.py

test: $(VENV)/.dev oracles-tried ## run the whole test suite, oracles made where they can be
	$(BIN)/python -m pytest -n $(JOBS)

# Independent implementations that tests/oracles compares with; a test whose oracle is absent skips, and says so.
ORACLES := build/oracles

$(ORACLES)/nca/.made: | $(BIN)/python
	@echo 'installing network-config-analyzer into $(ORACLES)/nca ...'
	@$(PYTHON) -m venv $(ORACLES)/nca
	@$(ORACLES)/nca/bin/python -m pip --disable-pip-version-check --quiet install network-config-analyzer==2.1.0
	@touch $@

$(ORACLES)/cilium: $(wildcard tests/oracles/cilium/*.go) tests/oracles/cilium/go.mod tests/oracles/cilium/go.sum
	@echo 'building the oracle of Cilium (some minutes the first time) ...'
	@mkdir -p $(ORACLES)
	@cd tests/oracles/cilium && go build -o $(abspath $(ORACLES))/cilium .

oracles: $(ORACLES)/nca/.made $(if $(shell command -v go),$(ORACLES)/cilium) ## install and build the oracles of tests/oracles (Go only where it is there)

oracles-tried:
	@timeout 900 $(MAKE) --no-print-directory --keep-going oracles \
	  || echo 'not every oracle could be made here: the tests of the others say so and skip' >&2

cover: $(VENV)/.dev ## run the suite and show uncovered lines
	$(BIN)/python -m pytest -n $(JOBS) --cov

golden: $(VENV)/.dev ## rewrite expected outputs and the generated pages of docs/; review with `git diff`
	$(BIN)/python docs/build_cli.py
	$(BIN)/python docs/build_lake.py
	$(BIN)/python docs/build_system.py
	$(BIN)/python docs/build_capture.py
	PYTHONPATH=. $(BIN)/python docs/build_peers.py
	$(BIN)/python -m pytest -q -n $(JOBS) -k golden --update-golden

# --- use ----------------------------------------------------------------------------------------------------------

demo: $(VENV)/.run ## learn policies from sample_flows/ into demo-output/ and show the summary
	$(BIN)/discover suggest sample_flows/shop-hubble.jsonl --inventory sample_flows/inventory.yaml -o demo-output
	@echo
	@cat demo-output/summary.md

bench: $(VENV)/.bench ## measure speed and memory against peers and limits
	$(BIN)/python benchmarks/run.py

clean: ## remove everything that make and the tools created
	rm -rf $(VENV) build dist demo-output htmlcov .coverage .coverage.* \
	  .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
