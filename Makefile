# `make test` is the one test command; it prepares what is missing first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_VENV := .venv-demo
PYTEST_ARGS ?= -n auto --dist worksteal

.PHONY: test quick coverage test-lowest test-newest upgrade demo docs playground bench format prepare lint wasm dist mutants \
	clean
.DELETE_ON_ERROR:

# The tests start nptables thousands of times: without its bytecode it is compiled each time, which
# takes twice as long as the rest of a start.
unexport PYTHONDONTWRITEBYTECODE

test: lint
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# Lint, types, and tests that need neither root, a network, a browser nor much time: a minute of one core, so
# about half a minute on two. Tracing, effects, the kernel, the laboratory and the agent are in `make test`.
QUICK := tests/model tests/iptables tests/translation tests/checks tests/rendering tests/evidence tests/graphs \
	tests/conformance/test_named.py tests/cli/test_all_nodes.py tests/cli/test_check.py \
	tests/cli/test_effects.py tests/cli/test_help.py tests/cli/test_ignoring.py \
	tests/cli/test_markdown.py tests/cli/test_render.py tests/cli/test_rule.py \
	tests/cli/test_settings.py tests/test_architecture.py tests/test_contributing.py \
	tests/test_examples.py tests/test_imports.py
quick: lint
	NPTABLES_EXAMPLES=10 $(BIN)/python -m pytest -q -n 2 --dist worksteal $(QUICK)

# By itself: before Python 3.12 counting lines makes the tests take more than twice as long.
coverage: prepare
	$(BIN)/python -m pytest $(PYTEST_ARGS) --cov --cov-report=term

# The pure packages where there are no processes, threads or IPv6 sockets; `make test` has them too.
wasm: prepare
	$(BIN)/python -m pytest $(PYTEST_ARGS) tests/node

dist: prepare
	scripts/dist $(BIN)/python

# The oldest and the newest versions that pyproject.toml allows (PRE=1: pre-releases too). Warnings
# of packages are no errors here: those that this project can mend show in the locked run.
# What runs in WebAssembly is locked by itself, and the same here.
test-lowest test-newest: test-%: prepare
	@PYTHON='$(PYTHON)' scripts/bounds $(BIN)/uv $* .venv-$*
	.venv-$*/bin/python -m pytest $(PYTEST_ARGS) -W default --ignore tests/node

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
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	$(BIN)/zizmor --offline --quiet --no-progress .github/workflows action.yml
	@if [ -d playground/node_modules ]; then cd playground && npm run --silent check; fi

prepare:
	@PYTHON='$(PYTHON)' scripts/prepare $(VENV)

demo:
	@PYTHON='$(PYTHON)' scripts/demo $(DEMO_VENV)

# The site, into build/site. Commands in the pages run meanwhile; a warning is an error.
docs: prepare
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --nitpicky --quiet \
		--doctree-dir build/doctrees docs build/site
	@if [ -d build/playground ]; then rm -rf build/site/playground && cp -r build/playground build/site/playground; fi

# The page that runs all of it in a browser tab, into build/playground: any static server can show it.
playground: prepare
	scripts/playground $(BIN)/python

bench: prepare
	$(BIN)/python benchmarks/run.py

# Random changes to single expressions that no test notices: SAMPLE of them, by SEED. What is found
# is kept in build/mutants, so that it can be stopped and goes on where it was.
SAMPLE ?= 100
SEED ?= 1
mutants: prepare
	$(BIN)/python scripts/mutants.py --sample $(SAMPLE) --seed $(SEED)

format: prepare
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	@if [ -d playground/node_modules ]; then cd playground && npm run --silent format; fi

clean:
	rm -rf $(VENV) $(DEMO_VENV) .venv-lowest .venv-newest .venv-wasm tests/node/node_modules tests/mermaid/node_modules playground/node_modules build dist .coverage .coverage.* .hypothesis
	rm -rf .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find nptables tests -type d -name __pycache__ -prune -exec rm -rf {} +
