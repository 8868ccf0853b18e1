# `make demo` and `make test` do all the set-up on a fresh machine: Python >= 3.11, git and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXTRAS := detect,train,masks,similar,dev
# Nothing that make runs contacts a model hub.
export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help demo test check lint type bench interop toy schemas golden clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "groundprep needs Python 3.11 or newer: make PYTHON=python3.11")'
	@echo "setting up $(VENV) (once; several GB with torch)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(READY)  ## the main job end to end on toy data: candidates, checks, TSV, parquet, pictures, GRPO
	@rm -rf demo demo.groundprep
	@$(BIN)/groundprep run pipelines/rexthinker_toy.yaml

test: $(READY)  ## all tests, with branch coverage
	@$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

check: lint type  ## lint and types

lint: $(READY)  ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

type: $(READY)  ## mypy, strict
	@$(BIN)/mypy

bench: $(READY)  ## speed, as ratios to baselines measured in the same run
	@$(BIN)/python -m benchmarks

interop: $(READY)  ## other people's readers judge our output, each from the package index; writes docs/interop.md
	@$(BIN)/python -m tests.interop

toy: $(READY)  ## draw the toy data again
	@$(BIN)/python -m toy_data.build

schemas: $(READY)  ## write schemas/ from the code
	@$(BIN)/python -m groundprep.api.schema schemas

golden: toy schemas  ## every committed file that is made by code; review the difference by eye
	@git status --short toy_data schemas

clean:  ## remove what make made, .venv included
	@rm -rf $(VENV) .venv-interop demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* htmlcov
