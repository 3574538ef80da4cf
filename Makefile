# Everything runs from .venv, which the first target that needs it creates from requirements.lock.
# Needed beforehand: Python 3.11 or later, make, and the package registries.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PY := .venv/bin/python
N ?= 2000
ARGS ?=

.PHONY: help demo test bench faults schedules mutants dev lint lock .venv

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: .venv  ## a real storm day from Kafka to simulated phones, audited, in about a minute
	@.venv/bin/fanfare demo $(ARGS)

test: .venv  ## the whole test suite, with a real Kafka
	@.ci/get-prometheus
	@$(PY) -m pytest $(ARGS)

bench: .venv  ## a campaign against a raw copy loop, a paced list, codes beside campaigns; ends with one line of JSON
	@$(PY) -m tests.load.bench $(ARGS)

faults: .venv  ## kills, pauses and take-overs on real Kafka; ends with one line of JSON
	@.ci/get-prometheus
	@$(PY) -m tests.faults.run $(ARGS)

schedules: .venv  ## N=2000 seeded fault schedules of the real shells; ends with one line of JSON
	@$(PY) -m tests.pure.schedules.run $(N) $(ARGS)

mutants: .venv  ## plants each known bug in a copy and runs what must catch it; ends with one line of JSON
	@$(PY) -m tests.mutants.run $(ARGS)

dev: .venv  ## everything on loopback until Ctrl-C
	@.venv/bin/fanfare dev $(ARGS)

lint: .venv  ## ruff and mypy
	@$(PY) -m ruff check .
	@$(PY) -m mypy

lock: .venv  ## renew requirements.lock from pyproject.toml
	@python="$$(./.ci/find-python)"; scratch="$$(mktemp -d)"; trap 'rm -rf "$$scratch"' EXIT; \
	"$$python" -m venv "$$scratch" && "$$scratch/bin/python" -m pip install --quiet uv && \
	"$$scratch/bin/uv" pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	    --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	    --upgrade --quiet --output-file requirements.lock

.venv: .venv/installed

# The stamp is written last, so an interrupted installation is taken up again.
.venv/installed: requirements.lock pyproject.toml
	@.ci/make-venv
	@touch $@
