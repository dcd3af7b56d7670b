# Two commands try everything: `make demo` and `make test`. Both install what they need into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo dev test lint types bench snapshots clean

help: ## Show what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "  make %-10s %s\n", $$1, $$2}'

demo: $(VENV)/.installed ## The whole product on this machine; ARGS=--once proves it and ends
	@$(BIN)/dbsync demo $(ARGS)

dev: $(VENV)/.installed ## Dagster on your databases (DBSYNC_*), or on embedded ones
	@$(BIN)/dbsync dev $(ARGS)

test: $(VENV)/.installed ## The whole test suite, on real Postgres and ClickHouse engines; ARGS go to pytest
	@$(BIN)/python -m pytest --numprocesses 3 --dist worksteal $(ARGS)

lint: $(VENV)/.installed ## Style and format, by ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.installed ## Types, by pyright in strict mode
	@$(BIN)/pyright

bench: $(VENV)/.installed ## Measure, each thing beside its rival; ARGS="--json", ARGS="--only sequencer"
	@$(BIN)/python -m benchmarks $(ARGS)

snapshots: $(VENV)/.installed ## Rewrite the snapshot files of generated SQL and definitions; review the diff
	@DBSYNC_WRITE_SNAPSHOTS=1 $(BIN)/python -m pytest -q dbsync_pipeline_tests/snapshots
	@$(BIN)/python -m dbsync_pipeline_tests.defs.test_definitions

clean: ## Remove the virtual environment and what tools left behind
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .tmp_dagster_home_* build ./*.egg-info

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; name it with: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "Python's venv module is missing; on Debian: apt install python3-venv"; exit 1; }
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
