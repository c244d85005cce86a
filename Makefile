# Two commands for newcomers: `make demo` and `make test`. Both make .venv first.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DEMO_ARGS ?=
export OMP_NUM_THREADS ?= 1

.PHONY: demo test slow lint clean

demo: $(INSTALLED)
	$(BIN)/gazegan demo --out demo $(DEMO_ARGS)

test: $(INSTALLED)
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow and not gpu" --cov --cov-report=term:skip-covered --cov-fail-under=90

slow: $(INSTALLED)
	$(BIN)/pytest -n 2 --dist worksteal -m "slow and not gpu"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv build *.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --constraint constraints.txt --editable '.[dev]'
	touch $(INSTALLED)
