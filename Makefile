# `make demo` and `make test` need Python 3.11 or later and nothing else; both work in .venv, which they make once.
#
#   PYTHON       the interpreter that .venv is made from
#   TORCH_INDEX  one more index for torch; give that of the CPU wheels to do without gigabytes of CUDA
#   PIP_ARGS     more options for every pip install
#   PYTEST_ARGS  more options for pytest
#   BENCHMARK    what `make bench` runs, with its options
#   STUDY        options of `make study`
#   GPU          options of `make gpu`

PYTHON ?= python3
TORCH_INDEX ?=
PIP_ARGS ?=
PYTEST_ARGS ?=
BENCHMARK ?= benchmarks/roformer.py
STUDY ?=
GPU ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_ARGS) --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test coverage quick lint format docs site bench gpu study clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  \1\t/' | expand -t 12

demo: $(VENV)/.package ## train a small model on an embedded sample and extract entities with it
	$(BIN)/hf-ext demo --output-dir demo_output --overwrite

test: lint ## check the style and the types, then run every test
	$(BIN)/python -m pytest -n 2 --durations=10 $(PYTEST_ARGS)

coverage: $(VENV)/.development ## run every test, and say what none of them runs, which takes half as long again
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term-missing:skip-covered $(PYTEST_ARGS)

quick: $(VENV)/.development ## run the tests that are not slow, in a few minutes
	$(BIN)/python -m pytest -n 2 -m "not slow" $(PYTEST_ARGS)

lint: $(VENV)/.development ## check the style and the types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.development ## put the sources into their style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.package ## write docs/api.md, the model cards and the notebooks from what they are made of
	$(BIN)/python docs/make_api.py
	$(BIN)/python docs/make_cards.py
	$(BIN)/python docs/make_notebooks.py

site: $(VENV)/.site ## make the documents into pages to browse and search, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/.benchmarks ## measure against the peers
	$(BIN)/python $(BENCHMARK)

gpu: $(VENV)/.development ## test and measure everything that needs a GPU, in eight minutes
	$(BIN)/python benchmarks/gpu.py $(GPU)

study: $(VENV)/.package ## make the runs of the study that are missing, its plots and tables
	$(BIN)/python -m studies $(STUDY)

clean: ## remove everything that was made
	rm -rf $(VENV) build dist site demo_output .pytest_cache .mypy_cache .ruff_cache .coverage *.egg-info

# torch first and by itself, so that TORCH_INDEX says where it comes from and nothing else does.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	touch $@

$(VENV)/.package: $(VENV)/.torch pyproject.toml
	$(PIP) --editable ".[all]"
	touch $@

# Triton, for its interpreter in which the kernels are tested without a GPU, stands beside the environment and not in it:
# a process that imports TensorFlow and then Triton dies of their two LLVMs, and PyTorch imports Triton where it finds it.
$(VENV)/.development: $(VENV)/.torch pyproject.toml
	$(PIP) --editable ".[dev]"
	if [ "$$(uname)" = Linux ]; then $(PIP) --no-deps --upgrade --target $(VENV)/triton triton; fi
	touch $@ $(VENV)/.package

$(VENV)/.site: $(VENV)/.package
	$(PIP) --editable ".[docs]"
	touch $@

$(VENV)/.benchmarks: $(VENV)/.development
	$(PIP) --editable ".[bench]"
	touch $@
