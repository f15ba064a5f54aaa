# Two commands for a machine that has Python 3.11 or newer and make, and nothing else:
#
#   make demo   analyse the sample images and say where the results are
#   make test   run the whole test suite
#
# Both make their own environment in .venv; the second call is instant.
# On Linux, torch comes as a large CUDA build. If you do not want that, install the CPU build
# of torch into .venv first, as torch's own page says; what is installed and fits is kept.

VENV ?= .venv
DEMO_OUT ?= demo_results
PYTEST_ARGS ?=
# Workers of pytest; each computes on one thread.
WORKERS ?= 2

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif

# The first Python that is new enough.
FIND_PYTHON = for p in python3 python3.11 python3.12 python3.13 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done
PYTHON ?= $(shell $(FIND_PYTHON))

PIP = $(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt

.PHONY: help demo test check validate screenshots constraints clean

help:
	@echo "make demo   analyse the sample images and say where the results are"
	@echo "make test   run the whole test suite"
	@echo "make check  lint and type-check"
	@echo "make validate DATA=FOLDER  print most figures of docs/validation.md and docs/performance.md"
	@echo "make clean  remove the environment and the demo's results"

demo: $(VENV)/.installed
	@$(BIN)/histo demo -o $(DEMO_OUT)

test: $(VENV)/.installed-test
	@.ci/gui-packages
	@if [ "$$(uname -s)" = Linux ] && [ -z "$$DISPLAY" ] && command -v xvfb-run >/dev/null; \
	then run="xvfb-run -a"; else run=""; fi; \
	OMP_NUM_THREADS=1 MPLBACKEND=Agg $$run $(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The scores; those on annotated images need the folder that holds them.
validate: $(VENV)/.installed-test
	@[ -n "$(DATA)" ] || { echo "histo: say where the annotated images are: make validate DATA=FOLDER"; exit 2; }
	@for script in ki67_points nuclei_sets mif_lung compartments_real lung_lesion; do echo; echo "## $$script"; \
		$(BIN)/python tests/benchmarks/$$script.py "$(DATA)" || exit 1; done
	@for script in painted_samples robustness engines end_to_end regions_cost; do echo; echo "## $$script"; \
		$(BIN)/python tests/benchmarks/$$script.py || exit 1; done

# The pictures of docs/napari.md.
screenshots: $(VENV)/.installed-test
	@.ci/gui-packages
	@if [ "$$(uname -s)" = Linux ] && [ -z "$$DISPLAY" ]; \
	then run='xvfb-run -a -s "-screen 0 1600x1000x24"'; else run=""; fi; \
	eval "$$run $(BIN)/python plugins/screenshots.py docs/images"

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "histo needs Python 3.11 or newer; none was found."; exit 1; }
	@echo "histo: making the environment $(VENV)"
	@"$(PYTHON)" -m venv $(VENV) || { echo "histo: $(PYTHON) cannot make an environment;" \
		"on Debian and Ubuntu, install python3-venv."; exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "histo: installing (a few minutes the first time)"
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "histo: installing with what the tests need (a few minutes the first time)"
	@$(PIP) -e '.[test,all]'
	@touch $(VENV)/.installed $@

$(VENV)/.installed-dev: $(VENV)/.installed-test
	@$(PIP) -e '.[dev]'
	@touch $@

# Renew the pins from fresh ranges; torch keeps its pin, since a newer one can be a CUDA build.
constraints:
	@tools=$$(mktemp -d) && "$(PYTHON)" -m venv $$tools && \
	grep '^torch==' constraints.txt > $$tools/keep.txt && \
	$$tools/bin/python -m pip install -q -c $$tools/keep.txt '.[dev,all]' && \
	{ grep '^#' constraints.txt; $$tools/bin/python -m pip freeze | sed 's/+cpu$$//' | \
	grep -v -E '^(napari-histo|pip|setuptools)\b'; } > constraints.new && \
	mv constraints.new constraints.txt && rm -rf $$tools

clean:
	rm -rf $(VENV) $(DEMO_OUT)
