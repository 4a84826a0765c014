# `make demo` and `make test` do all their own set-up; everything else is for those who work on the agent.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv

.PHONY: help demo test unit test-compiled nightly lint format types bench lock clean

help:
	@echo "make demo     the sandbox network on this machine, its story told live (Ctrl-C ends it)"
	@echo "make test     linters, types and all tests"
	@echo "make nightly  the longer proofs, and all tests against the compiled modules"
	@echo "make bench    ratios against well-known programs (needs nginx and wrk), compiled; COMPILED=0: not"
	@echo "make lock     renew requirements/*.txt from pyproject.toml"

# --- set-up: one virtual environment, installed from the hashed lock -------------------------------------------------

$(UV): requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Python 3.11 to 3.13 is needed, and %s is %s; say make PYTHON=…" % (sys.executable, sys.version.split()[0]))'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(VENV)/demo.stamp: $(UV) requirements/demo.txt pyproject.toml
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/demo.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

$(VENV)/dev.stamp: $(UV) requirements/dev.txt pyproject.toml
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@ $(VENV)/demo.stamp

# --- the two commands of the README -----------------------------------------------------------------------------------

demo: $(VENV)/demo.stamp
	@$(BIN)/ocn-permission-agent demo $(DEMO)

test: $(VENV)/dev.stamp lint types
	$(BIN)/pytest -m "not nightly" --numprocesses=2 --dist=loadscope $(PYTEST)

# --- for those who work on the agent ----------------------------------------------------------------------------------

# with another Python beside the usual one: make unit VENV=.cache/venv-other PYTHON=…
unit: $(VENV)/dev.stamp
	$(BIN)/pytest tests/unit --numprocesses=2 --dist=loadscope $(PYTEST)

# in a copy of this folder with extension modules beside their sources: needs a C compiler and Python's headers
IN_COMPILED := $(BIN)/python -m tests.compiled_tree $(CURDIR)/$(BIN)/python -m

test-compiled: $(VENV)/dev.stamp
	$(IN_COMPILED) pytest -m "not nightly" --numprocesses=2 --dist=loadscope $(PYTEST)

nightly: $(VENV)/dev.stamp test-compiled
	$(BIN)/pytest -m nightly --timeout=7200 $(PYTEST)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/lint-imports --no-cache > $(VENV)/imports.log || (cat $(VENV)/imports.log; exit 1)
	$(BIN)/hadolint Dockerfile

types: $(VENV)/dev.stamp
	$(BIN)/mypy

format: $(VENV)/dev.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# what the container runs
COMPILED ?= 1
bench: $(VENV)/dev.stamp
	$(if $(filter 0,$(COMPILED)),$(BIN)/python -m,$(IN_COMPILED)) benchmarks

COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock"
lock: $(UV)
	$(COMPILE) pyproject.toml -o requirements/agent.txt
	$(COMPILE) --extra demo pyproject.toml -o requirements/demo.txt
	$(COMPILE) --extra compile pyproject.toml -o requirements/compile.txt
	$(COMPILE) --extra dev pyproject.toml -o requirements/dev.txt
	$(COMPILE) tests/peers/extrawest/requirements.in -o tests/peers/extrawest/requirements.txt

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
