# The two commands of the README and what a developer needs besides. Everything runs in .venv, which
# is made on first use from pinned versions.

PYTHON ?= python3
# Those that this process may use, whatever libraries are told: nproc heeds what is meant for OpenMP.
CORES ?= $(shell env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
GPUS ?= 1
STUDY ?= demo
# More words for Snakemake, such as ARGS="--config 'sources={cifar10: /data/cifar10}'".
ARGS ?=

VENV := .venv
READY := $(VENV)/.ready
BIN := $(VENV)/bin
CONFIG := $(if $(filter paper,$(STUDY)),,--configfile studies/$(STUDY).yaml)
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES) --resources gpu=$(GPUS) $(CONFIG) $(ARGS)
REPORT := results/report/$(STUDY).html

# Why .venv is of no use any more: its programs name the place where it was made, its libraries belong
# to one Python. A PYTHON that was named counts; the usual one only chooses what it is made with.
VERSION := -c 'import sys; print("%d.%d" % sys.version_info[:2])'
ifneq ($(wildcard $(READY)),)
  RUNS := $(shell sed -n '1s/^\#! *//p' $(BIN)/snakemake 2>/dev/null)
  MADE := $(shell sed -n 's/^version[_a-z]* *= *\([0-9]*\.[0-9]*\).*/\1/p' $(VENV)/pyvenv.cfg 2>/dev/null)
  NOW := $(shell $(BIN)/python $(VERSION) 2>/dev/null)
  ifneq ($(filter-out file default undefined,$(origin PYTHON)),)
    NOW += $(shell $(PYTHON) $(VERSION) 2>/dev/null)
  endif
  ifneq ($(RUNS),)
    ifeq ($(wildcard $(RUNS)),)
      STALE := was made in another place
    endif
  endif
  ifneq ($(MADE),$(if $(MADE),$(sort $(NOW))))
    STALE := was made with Python $(MADE), and it is $(lastword $(NOW)) now
  endif
endif

.PHONY: demo env study report test test-long lint format
.DEFAULT_GOAL := demo

## make demo: every figure on a small embedded data set, on the CPU, in minutes
demo:
	@$(MAKE) --no-print-directory report STUDY=demo

## make env: .venv with pinned versions, and nothing else
env: $(READY)

## make study STUDY=name: the figures of studies/name.yaml
study: $(READY)
	$(SNAKEMAKE)

## make report STUDY=name: the figures, and one HTML page with all of them
report: study
	@if [ ! -e $(REPORT) ] || [ -n "$$(find results/figures/$(STUDY) results/summary/$(STUDY) results/claims \
	    -type f -newer $(REPORT) -print -quit)" ]; then \
	  mkdir -p $(dir $(REPORT)) && $(SNAKEMAKE) --report $(REPORT); fi
	@echo; echo "Report:  $(REPORT)"; echo "Claims:  results/claims/$(STUDY).html"; echo "Tables:  results/summary/$(STUDY)/"; echo "Figures:"
	@ls results/figures/$(STUDY)/*.png | sed 's/^/  /'

## make test: the test suite
test: $(READY)
	@# One more than there are cores: some tests wait for a cluster or a process most of the time.
	@# The longest files come first (tests/conftest.py), not those with the most tests.
	$(BIN)/python -m pytest -n $$(($(CORES) + 1)) --dist loadfile --no-loadscope-reorder -m "not long"

## make test-long: the tests that take longer, which `make test` leaves out
test-long: $(READY)
	$(BIN)/python -m pytest -n $(CORES) -m long

## make lint: formatter, linter, import contract, type checker, Snakemake's own linter
lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/snakemake --lint

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile workflow

ifdef STALE
.PHONY: $(READY)
endif
$(READY): requirements.txt constraints.txt
	$(if $(STALE),@echo "$(VENV) $(STALE): making it anew")
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: name one, such as make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(if $(STALE),--clear )$(VENV) || { echo "No virtual environment: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r requirements.txt
	@touch $@
