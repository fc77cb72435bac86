# Two commands: `make demo` and `make test`. Each makes .venv on its first call.
PYTHON ?= python3
# Pins are for Python 3.11; with another one only torch is pinned.
PINS := $(shell $(PYTHON) -c "import sys; print('--constraint constraints.txt' if sys.version_info[:2] == (3, 11) else '')")
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test grid odd lint dist docs clean

demo: $(VENV)/.installed
	@n=1; while [ -e runs/demo-$$n ]; do n=$$((n + 1)); done; \
	$(BIN)/qlstm train --dataset damped_shm --model diffqas --hidden-size 3 --depth 1 --epochs 60 --out runs/demo-$$n

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 -m "not grid and not odd"

grid: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 -m grid

# Damaged and odd inputs by the thousand; `python -m tests.odd all` prints a table of what they come to.
odd: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 -m odd tests/odd

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
