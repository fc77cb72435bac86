# Two commands: `make demo` and `make test`. Each makes .venv on its first call.
PYTHON ?= python3
# Pins are for Python 3.11; with another one only torch is pinned.
PINS := $(shell $(PYTHON) -c "import sys; print('--constraint constraints.txt' if sys.version_info[:2] == (3, 11) else '')")
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# A worker that has nothing left to do takes tests from the other one; tests of a file stay together, and so do their fixtures.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal -rs

.PHONY: demo test test-slow test-all grid odd lint copies providers interchange dist docs clean

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

# Runs of copied code in the package, and how many there are per 1,000 lines: at most 1. A run is at least 50 tokens on 5 lines (the
# limits that jscpd has by itself) with the same names and values; comments and line breaks do not count. jscpd is an npm package, so
# that this needs Node. It finds runs within one file and those that begin or end inside a line; pylint's symilar, which compares whole
# lines of two files, sees none of what it finds here.
copies:
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && \
	npx --yes jscpd@4.0.5 --mode weak --format python --reporters json --output "$$folder" qlstm_qiskit >"$$folder/said" \
	|| { cat "$$folder/said"; exit 1; } && \
	$(PYTHON) -c 'import json, sys; found = json.load(open(sys.argv[1])); total = found["statistics"]["total"]; \
	[print(*("{name}:{start}-{end}".format(**run[key]) for key in ("firstFile", "secondFile"))) for run in found["duplicates"]]; \
	share = 1000 * total["clones"] / total["lines"]; \
	print("{clones} runs of copied code in {lines:,} lines: {share:.2f} per 1,000".format(share=share, **total)); \
	sys.exit(share > 1)' "$$folder/jscpd-report.json"

# Exports read by other tools, each in an environment of its own in build/interchange; not a part of CI.
interchange: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.interchange

# Devices of other makers, each package in an environment of its own under build/providers, and the table of docs/how-to/providers.md;
# then the tools that read exports. Needs the package index and half an hour; not in CI. `make providers MAKERS="iqm aqt"` takes some.
providers: $(VENV)/.installed
	$(BIN)/python -m benchmarks.providers $(MAKERS)
	$(if $(MAKERS),,$(MAKE) interchange)

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
