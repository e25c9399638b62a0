# Everything a fresh machine needs is Python >= 3.11 with pip; each target sets up what it uses.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
WORKERS ?= 3
RUNS   ?= 50

# Tests and benchmarks start smr hundreds of times: Python keeps what it compiled.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup setup-test demo test test-long check crash bench clean

help:            ## this list
	@awk -F ':.*## *' '/^[a-z-]+:.*##/ {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("smr needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11 demo" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

setup: $(VENV)/.ready            ## virtual environment with pinned dependencies
setup-test: $(VENV)/.ready-test  ## the same, with what the tests need

demo: setup      ## the main job on real purchases, in ./demo
	@$(BIN)/smr demo

test: setup-test ## all tests, on SQLite and on a real PostgreSQL that they start
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q

test-long: setup-test ## the same, with ten times as many random examples: an hour or two
	SMR_TEST_EXAMPLES=10 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q

check: setup-test ## ruff, mypy and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

crash: setup-test ## kills, restarts, full disks, cuts on both databases, against the providers' own logs; RUNS=200 for a release
	$(BIN)/python -m tests.crash --full --runs $(RUNS)

bench: setup-test ## speed, as ratios against hand-written references in the same run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks

bench-timing: setup-test ## when supplies run out: smr beside what others do, on real purchases
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[timing]'
	$(BIN)/python -m benchmarks.timing

clean:           ## remove what the targets made
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
