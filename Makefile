# `make demo` and `make test` need Python 3.11 or newer and nothing else.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?=
export DO_NOT_TRACK := 1

.PHONY: demo test browser lint services ui doctor chaos profile bench

demo: .venv/installed  ## the whole course with the settings of params.yaml, then a comparison
	@$(BIN)/python -m flows.reproduce $(if $(WORKERS),--set defaults.workers=$(WORKERS))

# One process more than there are cores: many tests wait for servers.
test: .venv/installed browser  ## every test, real servers included
	$(BIN)/python -m pytest -n $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )) --dist loadfile --no-loadscope-reorder --durations 10

# The report is opened in a browser by a test: the machine's own Chromium, else one that playwright installs.
browser: .venv/installed
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
		|| $(BIN)/playwright install --with-deps chromium-headless-shell

lint: .venv/installed
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright

services: .venv/installed  ## Prefect, MLflow and Ray on 127.0.0.1, until Ctrl-C
	@$(BIN)/python -m flows.services

ui: .venv/installed  ## MLflow's pages on 127.0.0.1:5000
	@$(BIN)/python -m flows.ui

doctor: .venv/installed  ## what is wrong here, and the remedy; FIX=1 mends what is safe
	@$(BIN)/python -m flows.doctor $(if $(FIX),--fix)

chaos: .venv/installed  ## TRIALS kill trials, written to benchmarks/chaos_*.md; SEED=S draws the same ones again
	@$(BIN)/python -m benchmarks.chaos --trials $(or $(TRIALS),20) $(if $(SEED),--seed $(SEED))

bench: .venv/installed  ## every ratio of benchmarks/ again, on a machine left alone; MIRROR=DIR CAMVID=DIR give real data
	@$(BIN)/python -m benchmarks $(if $(MIRROR),--mirror $(MIRROR)) $(if $(CAMVID),--camvid $(CAMVID))

profile: .venv/installed  ## where the time of RUN's steps goes: profile/RUN/summary.md, and a trace for Perfetto
	@$(BIN)/python -m tasks.profile $(RUN)

# The hashed lock is installed by uv, which pip brings into the environment. Bytecode is compiled at once:
# each stage is a process of its own, and must not compile what it imports.
# The place of `dvc` is taken by the same DVC, made to wait its turn: flows/stages/patient_dvc.py.
.venv/installed: requirements.lock Makefile
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Regatta needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@echo "installing requirements.lock into .venv (about a minute) …"
	@$(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --python $(BIN)/python -r requirements.lock
	@printf '#!/bin/sh\nexec "%s" -P "%s" "$$@"\n' "$(CURDIR)/$(BIN)/python" "$(CURDIR)/flows/stages/patient_dvc.py" > $(BIN)/dvc
	@$(BIN)/python -m regatta.blank_databases
	@touch $@
