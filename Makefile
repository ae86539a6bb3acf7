# Set-up and the everyday commands. Each target is complete on a fresh machine with git, make and
# Python 3.11 or later; `SOURCES=path/to/sources.yaml make run` loads your own data.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# EXTRAS=platform,scrub,dev adds recognition of names.
EXTRAS ?= platform,dev
STAMP := $(VENV)/.installed
# Containers often set it; each process would then compile every module it imports, 10 s of a run.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup run up test lint bench eval-live clean
.DEFAULT_GOAL := run

setup: $(STAMP)

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed; name it with PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@command -v uv >/dev/null 2>&1 || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	@echo "installing (a few minutes the first time)"
	@PATH="$(CURDIR)/$(BIN):$$PATH" uv pip install --quiet --python $(BIN)/python \
		--constraint requirements.lock --editable '.[$(EXTRAS)]'
	@touch $(STAMP)

run: setup
	@$(BIN)/analytics-assets run $(if $(SOURCES),--sources $(SOURCES))

up: setup
	@$(BIN)/analytics-assets up

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Files of tests run three at a time; `.venv/bin/pytest FILE` runs one alone.
test: setup
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

# ARGS="--only growth" measures ten times the events too.
bench: setup
	$(BIN)/analytics-assets bench $(ARGS)

# Puts 300 made-up conversations to the configured model (a few cents) and judges its answers.
eval-live: setup
	@$(BIN)/analytics-assets insights eval --live $(ARGS)

clean:
	rm -rf $(VENV) dbt/target
