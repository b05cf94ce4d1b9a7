# Two commands: `make train` and `make test`. Both set up .venv first; either may come first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help train reproduce test lock
help:
	@echo "make train      the tutorial's first 10 epochs: a few minutes"
	@echo "make reproduce  the whole tutorial, 200 epochs, checked against the published result"
	@echo "make test       every test"

train: .venv/ready
	$(BIN)/lenet-keras train --recipe first

reproduce: .venv/ready
	$(BIN)/lenet-keras train --recipe tutorial

test: .venv/ready
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/pytest

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	{ echo "Python 3.11 to 3.13 with its venv module is needed; name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# After a change of dependencies. --universal: one lock for every Python and system we support.
lock: .venv/ready
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --fork-strategy fewest --extra all \
	  --upgrade --generate-hashes --no-emit-index-url --no-header -o requirements.lock pyproject.toml
