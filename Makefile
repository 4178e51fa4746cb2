# `make demo` sets up and runs the main job; `make test` sets up and runs the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := Testing/setup.sh
PINS := pyproject.toml Testing/constraints.lock $(SETUP)

.PHONY: demo test lint bench bench-locate format clean

demo: $(VENV)/.ready-demo
	$(BIN)/python Testing/Python/demo.py --output build/demo

test: $(VENV)/.ready-test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.ready-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.ready-test
	$(BIN)/python Testing/Python/benchmark.py

bench-locate: $(VENV)/.ready-test
	$(BIN)/python Testing/Python/benchmark_locate.py

$(VENV)/.ready-demo: $(PINS)
	PYTHON="$(PYTHON)" bash $(SETUP) $(VENV) demo
	touch $@

$(VENV)/.ready-test: $(PINS)
	PYTHON="$(PYTHON)" bash $(SETUP) $(VENV) demo,test,train
	touch $(VENV)/.ready-demo $@

clean:
	rm -rf $(VENV) build
