# Every command of Tieline. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help install web up demo test conformance check format bench soak docs shots lock clean
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
INSTALLED := $(VENV)/.installed
BUILT := src/tieline/web/built/index.html
WEB_SOURCE := $(shell find web -type f -not -path '*/node_modules/*' 2>/dev/null)

help: ## list every target with its line
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "  \033[1m%-11s\033[0m %s\n", $$1, $$2}'

install: $(INSTALLED) $(BUILT) ## a virtual environment in .venv with everything, and the page built

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tieline needs Python 3.11 or newer; name one: make install PYTHON=python3.12")'
	@echo "installing into $(VENV): about a minute"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

web: $(BUILT) ## build the page, with the Node that comes as a Python package

$(BUILT): $(WEB_SOURCE) | $(INSTALLED)
	$(BIN)/python web/build.py
	@touch $@

up: install ## run the platform with a simulated fleet of 200 homes; prints the page's address
	$(BIN)/tieline up --fleet 200 --speed 60 --development

demo: install ## an hour of a fleet in a minute, told in the terminal
	$(BIN)/tieline demo

test: install ## every test; finds or installs the servers and the browser they need
	$(BIN)/python tests/servers/needed.py
	$(BIN)/python -m tests.conformance.clients.environments
	$(BIN)/pytest -q -n 2 --dist worksteal

conformance: install ## what OpenADR asks, clause by clause, and the page that says what came of it
	$(BIN)/python -m tests.conformance.clients.environments
	$(BIN)/pytest -q -n 2 --dist worksteal --record-conformance tests/conformance
	$(BIN)/python -m docs.reference.generate

check: install ## format, lint, types, floors: all of it, fast
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/lint-imports --no-logo 2>&1 | tail -n 15; test $${PIPESTATUS[0]} -eq 0
	$(BIN)/mypy

format: install ## write the code the one way
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --fix --quiet .

bench: install ## every speed beside its limit, measured in one run
	$(BIN)/python -m tests.bench

soak: install ## long runs: kills at random moments for minutes
	$(BIN)/python tests/servers/needed.py
	$(BIN)/pytest -q -m soak --timeout 1800 tests

docs: install ## write the reference pages from the code
	$(BIN)/python -m docs.reference.generate

shots: install ## pictures of the running page, light and dark
	$(BIN)/python tests/servers/needed.py
	$(BIN)/python -m tests.e2e.shots

lock: $(INSTALLED) ## pin the newest allowed versions with their hashes (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--quiet --upgrade pyproject.toml --extra platform --group dev --output-file requirements.lock
	for client in oa3:3.11 elaad:3.12; do uv pip compile --universal --python-version $${client#*:} --generate-hashes \
		--no-emit-index-url --no-header --no-annotate --quiet --upgrade tests/conformance/clients/$${client%:*}.in \
		--output-file tests/conformance/clients/$${client%:*}.lock; done

clean: ## remove what was built (not the data)
	rm -rf $(VENV) web/node_modules src/tieline/web/built .mypy_cache .ruff_cache .pytest_cache .hypothesis
