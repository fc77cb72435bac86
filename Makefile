# Two commands: `make demo` and `make test`. Each makes .venv on its first call.
PYTHON ?= python3
# Pins are for Python 3.11; with another one only torch is pinned.
PINS := $(shell $(PYTHON) -c "import sys; print('--constraint constraints.txt' if sys.version_info[:2] == (3, 11) else '')")
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# A worker that has nothing left to do takes tests from the other one; tests of a file stay together, and so do their fixtures.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal -rs

.PHONY: demo test test-slow test-all grid odd lint dist docs clean

demo: $(VENV)/.installed
	@n=1; while [ -e runs/demo-$$n ]; do n=$$((n + 1)); done; \
	$(BIN)/qlstm train --dataset damped_shm --model diffqas --hidden-size 3 --depth 1 --epochs 60 --out runs/demo-$$n

# A part of everything, in minutes. At its end it names the tests that took longest: one that is not marked slow shows there.
test: $(VENV)/.installed-dev
	$(PYTEST) -m "not slow and not grid and not odd" --durations 10 --durations-min 3

# Of many slow cases of one test, and of odd inputs, every how many-th is tried; 1 tries all.
EVERY ?= 1

# What is marked slow, and the parity grid.
test-slow: $(VENV)/.installed-dev
	EVERY=$(EVERY) $(PYTEST) -m "(slow or grid) and not odd" --durations 15 --durations-min 3

test-all: test test-slow odd

grid: $(VENV)/.installed-dev
	$(PYTEST) -m grid tests/parity

# Damaged and odd inputs by the thousand; `python -m tests.odd all` prints a table of what they come to.
odd: $(VENV)/.installed-dev
	EVERY=$(EVERY) $(PYTEST) -m odd tests/odd

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file= --strict examples/typed_project.py

# Wheel and source distribution, checked as the index would, and the wheel used from another folder.
dist: $(VENV)/.installed-dev
	rm -rf dist build/wheel
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(PIP) install --quiet --no-deps --target build/wheel dist/*.whl
	cd build && PYTHONPATH=$(CURDIR)/build/wheel $(CURDIR)/$(BIN)/python $(CURDIR)/tests/use_wheel.py

docs: $(VENV)/.installed-docs
	$(BIN)/sphinx-build -W --keep-going -n -b html docs build/docs

# torch comes first and pinned: an unpinned one may bring gigabytes of GPU libraries with it.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet torch==$$(sed -n "s/^torch==//p" constraints.txt)
	@touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml
	$(PIP) install --quiet $(PINS) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.torch pyproject.toml
	$(PIP) install --quiet $(PINS) --editable ".[dev]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: $(VENV)/.torch pyproject.toml
	$(PIP) install --quiet $(PINS) --editable ".[docs]"
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist docs/generated .pytest_cache .mypy_cache .ruff_cache
