# `make demo` sets up and runs the main job; `make check` style, types and the fast tests;
# `make test` all tests; `make goldens` says which known values moved.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := Testing/setup.sh
# Test files side by side on all cores; `make test JOBS=` runs one after another.
JOBS ?= -n auto --dist loadfile
PINS := pyproject.toml Testing/constraints.lock $(SETUP)

.PHONY: demo check test test-versions lint types goldens floors fuzz mutate bench bench-locate bench-panel bench-cohort screenshots format clean

demo: $(VENV)/.ready-demo
	$(BIN)/python Testing/Python/demo.py --output build/demo

check: lint types
	$(BIN)/python -m pytest $(JOBS) -m "not slow and not gui" $(PYTEST_ARGS)

test: $(VENV)/.ready-test
	$(BIN)/python -m pytest $(JOBS) $(PYTEST_ARGS)

# The oldest and the newest packages on each Python that is here; says what could not be tried.
test-versions:
	$(PYTHON) Testing/Python/versions.py $(VERSIONS_ARGS)

lint: $(VENV)/.ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready-test
	$(BIN)/mypy

goldens: $(VENV)/.ready-test
	$(BIN)/python Testing/Python/goldens.py

floors: $(VENV)/.ready-test
	$(BIN)/python Testing/Python/floors.py

# 20,000 damaged inputs; `make test` has 500 of them.
fuzz: $(VENV)/.ready-test
	$(BIN)/python -m Testing.fuzz --processes 2

mutate: $(VENV)/.ready-mutate
	$(BIN)/python Testing/Python/mutate.py

format: $(VENV)/.ready-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.ready-test
	$(BIN)/python Testing/Python/benchmark.py

bench-cohort: $(VENV)/.ready-test
	$(BIN)/python Testing/Python/benchmark_cohort.py

bench-locate: $(VENV)/.ready-test
	$(BIN)/python Testing/Python/benchmark_locate.py

bench-panel: $(VENV)/.ready-demo
	$(BIN)/python Testing/Python/benchmark_panel.py

# The pictures of the README; panel at 350 px, dark and at scale 1.5 go to build/screenshots.
screenshots: $(VENV)/.ready-demo
	$(BIN)/python Testing/Python/screenshots.py

$(VENV)/.ready-demo: $(PINS)
	PYTHON="$(PYTHON)" bash $(SETUP) $(VENV) demo
	touch $@

$(VENV)/.ready-test: $(PINS)
	PYTHON="$(PYTHON)" bash $(SETUP) $(VENV) demo,test,train,cohort,archive
	touch $(VENV)/.ready-demo $@

$(VENV)/.ready-mutate: $(PINS)
	PYTHON="$(PYTHON)" bash $(SETUP) $(VENV) demo,test,train,cohort,archive,mutate
	touch $(VENV)/.ready-demo $(VENV)/.ready-test $@

clean:
	rm -rf $(VENV) build
