# make install                                  installs the project into .venv
# make train                                    trains the ogbg workload on its built-in data
# make train ARGS="--config=configs/mnist.py"   trains something else
# make test                                     everything that continuous integration runs
# make test PYTEST_ARGS="-k clock"              the same with some of the tests
# make check                                    style, types and the fast tests of what changed since main
# make docs                                     builds the site into site/
# make pictures                                 makes the pictures of the documents from real runs, in ten minutes
#
# All keep what they install in .venv. PYTHON chooses the interpreter that .venv is made with.

PYTHON ?= python3
ARGS ?= --config=configs/ogbg.py
PYTEST_ARGS ?=
SINCE ?= main

BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DELETE_ON_ERROR:
.PHONY: install train test check docs pictures

install: .venv/installed

train: .venv/installed
	$(BIN)/python -m algoperf_jax.main $(ARGS)

test: .venv/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/python -m pytest -n auto --dist=worksteal $(PYTEST_ARGS)

check: .venv/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/python -m pytest -q -x -m "not slow" $(PYTEST_ARGS) $$($(BIN)/python -m tests.affected --since=$(SINCE))

docs: .venv/installed-docs
	$(BIN)/python -m docs.generate --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

pictures: .venv/installed
	$(BIN)/python -m docs.generate.pictures

.venv/installed: pyproject.toml | $(BIN)/pip
	@echo "Installing pinned dependencies into .venv; this takes a minute."
	@$(BIN)/python -m pip install -qq -e .
	@touch $@

.venv/installed-test: pyproject.toml | $(BIN)/pip
	@echo "Installing pinned dependencies and test tools into .venv; this takes a minute."
	@$(BIN)/python -m pip install -qq -e ".[test]"
	@touch .venv/installed $@

.venv/installed-docs: pyproject.toml | $(BIN)/pip
	@echo "Installing pinned dependencies and what builds the site into .venv; this takes a minute."
	@$(BIN)/python -m pip install -qq -e ".[docs]"
	@touch .venv/installed $@

# pip comes last when a virtual environment is made, so an interrupted one is made again.
$(BIN)/pip:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
	  { echo "error: $(PYTHON) is not Python 3.11 or newer; choose one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv .venv
