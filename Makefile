# `make test` is the one test command; it prepares what is missing first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_VENV := .venv-demo
PYTEST_ARGS ?= -n auto --dist worksteal

.PHONY: test demo bench format prepare lint clean
.DELETE_ON_ERROR:

test: lint
	$(BIN)/python -m pytest $(PYTEST_ARGS) --cov --cov-report=term

lint: prepare
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict nptables
	$(BIN)/lint-imports

prepare:
	@PYTHON='$(PYTHON)' scripts/prepare $(VENV)

demo:
	@PYTHON='$(PYTHON)' scripts/demo $(DEMO_VENV)

bench: prepare
	$(BIN)/python benchmarks/run.py

format: prepare
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(DEMO_VENV) build dist .coverage .coverage.* .hypothesis
	rm -rf .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find nptables tests -type d -name __pycache__ -prune -exec rm -rf {} +
