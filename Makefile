# `make test` is the one test command; it prepares what is missing first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_VENV := .venv-demo
PYTEST_ARGS ?= -n auto --dist worksteal
PYODIDES ?= 3.12 3.13 3.14

.PHONY: test coverage test-lowest test-newest upgrade demo docs bench format prepare lint wasm dist mutants clean
.DELETE_ON_ERROR:

# In WebAssembly the newest Python alone, which is enough to see that nothing of the machine is needed;
# `make wasm` takes all of them.
test: lint
	@scripts/wasm $(BIN) 3.14
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# By itself: before Python 3.12 counting lines makes the tests take more than twice as long.
coverage: prepare
	$(BIN)/python -m pytest $(PYTEST_ARGS) --cov --cov-report=term

# The pure packages where there are no processes, threads or IPv6 sockets.
wasm: prepare
	@scripts/wasm $(BIN) $(PYODIDES)

dist: prepare
	scripts/dist $(BIN)/python

# The oldest and the newest versions that pyproject.toml allows (PRE=1: pre-releases too). Warnings
# of packages are no errors here: those that this project can mend show in the locked run.
test-lowest test-newest: test-%: prepare
	@PYTHON='$(PYTHON)' scripts/bounds $(BIN)/uv $* .venv-$*
	.venv-$*/bin/python -m pytest $(PYTEST_ARGS) -W default

# The newest versions into the lock, and everything that could show that they do not fit.
upgrade: prepare
	scripts/lock $(BIN)/uv --upgrade
	$(MAKE) test demo

lint: prepare
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict nptables
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/zizmor --offline --quiet --no-progress .github/workflows

prepare:
	@PYTHON='$(PYTHON)' scripts/prepare $(VENV)

demo:
	@PYTHON='$(PYTHON)' scripts/demo $(DEMO_VENV)

# The site, into build/site. Commands in the pages run meanwhile; a warning is an error.
docs: prepare
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --nitpicky --quiet \
		--doctree-dir build/doctrees docs build/site

bench: prepare
	$(BIN)/python benchmarks/run.py

# Random changes to single expressions that no test notices: SAMPLE of them, by SEED.
SAMPLE ?= 100
SEED ?= 1
mutants: prepare
	$(BIN)/python scripts/mutants.py --sample $(SAMPLE) --seed $(SEED)

format: prepare
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(DEMO_VENV) .venv-lowest .venv-newest .venv-wasm tests/node/node_modules tests/mermaid/node_modules build dist .coverage .coverage.* .hypothesis
	rm -rf .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find nptables tests -type d -name __pycache__ -prune -exec rm -rf {} +
