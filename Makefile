# Two commands: `make train` and `make test`. Both set up .venv first; either may come first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help train reproduce lab lab-zh notebooks test web site build/site bench lock
help:
	@echo "make train      the network, trained in half a minute"
	@echo "make reproduce  the whole tutorial, 200 epochs, laid beside the published result"
	@echo "make lab        the course: opens its first notebook in JupyterLab (make lab-zh: in Chinese)"
	@echo "make site       the course to read, and all the rest, as a site in the browser (needs Node)"
	@echo "make test       every test, the notebooks among them"
	@echo "make notebooks  run the notebooks and keep what comes out, in both languages"
	@echo "make web        draw digits on a page in the browser (needs Node)"
	@echo "make bench      how fast it is"

train: .venv/ready
	$(BIN)/lenet-keras train --recipe fast

reproduce: RUN := runs/tutorial-$(shell date +%Y%m%d-%H%M%S)
reproduce: .venv/ready
	$(BIN)/lenet-keras train --recipe tutorial --out $(RUN)
	$(BIN)/python results/compare.py $(RUN)

# the plugin that asks about news is switched off, in .venv alone: a lesson opens, and nothing else
lab: FIRST := notebooks/00_overview.ipynb
lab-zh: FIRST := notebooks/zh/00_overview.ipynb
lab lab-zh: .venv/ready
	@$(BIN)/jupyter labextension disable --level=sys_prefix \
	  @jupyterlab/apputils-extension:announcements 2>/dev/null || true
	$(BIN)/jupyter lab $(FIRST)

notebooks: .venv/ready
	$(BIN)/python notebooks/build.py run
	$(BIN)/python notebooks/build.py carry

web:
	cd export/web && npm ci --no-audit --no-fund && npm run build
	@echo "Open http://localhost:8000 and draw a digit; Ctrl-C ends it."
	@$(PYTHON) -m http.server --directory export/web/dist --bind 127.0.0.1 8000

build/site: .venv/ready
	cd export/web && npm ci --no-audit --no-fund && npm run build
	cd docs/site && npm ci --no-audit --no-fund
	$(BIN)/python docs/site/pages.py

site: build/site
	@echo "Open http://localhost:8000; Ctrl-C ends it."
	@$(PYTHON) -m http.server --directory build/site --bind 127.0.0.1 8000

bench: .venv/ready
	$(BIN)/python benchmarks/training.py

test: .venv/ready
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile
	$(BIN)/pytest --nbval --nbval-current-env notebooks/*.ipynb

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	{ echo "Python 3.11 to 3.13 with its venv module is needed; name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# After a change of dependencies. --universal: one lock for every Python and system we support.
lock:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --fork-strategy fewest --extra all \
	  --upgrade --generate-hashes --no-emit-index-url --no-header -o requirements.lock pyproject.toml
