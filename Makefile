# quantd's commands for a checkout. They need make and a Python from 3.11 to 3.13; everything else is fetched by pip,
# pinned with hashes. Another interpreter: make run PYTHON=python3.12

VENV ?= .venv
BENCH_VENV ?= .venv-bench
TRADELOCKER_VENV ?= .venv-tradelocker
CONFIG ?= config/paper.yaml config/control.yaml
PYTEST_ARGS ?=
# One more than the smallest machine has processors: tests wait more than they compute.
WORKERS ?= 3
UV ?= uv
# Tried in this order; the first one that is new enough makes the environment.
PYTHON ?= python3 python3.13 python3.12 python3.11

BIN := $(VENV)/bin
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-input
PEERS := nautilus-trader ccxt basana backtesting aiolimiter hummingbot-api-client v20

.DEFAULT_GOAL := help
.PHONY: help run test check assessment bench campaign hunt dashboards demo-venues pictures ops ops-tools tradelocker-client fmt lock clean
.DELETE_ON_ERROR:

help:
	@echo "make run       start the paper daemon (CONFIG=$(CONFIG)); Ctrl-C ends it"
	@echo "make test      run the tests (PYTEST_ARGS='-k gate' narrows them, WORKERS=1 runs one by one)"
	@echo "make check     format, lint, types, imports, tidiness"
	@echo "make fmt       format the code and sort the imports"
	@echo "make assessment  run the tests behind each risk control, write docs/risk-assessment.md (JUNIT=report.xml: of a run made)"
	@echo "make bench     measure quantd beside its peers, write benchmarks/RESULTS.md"
	@echo "make campaign  the long runs: kills, simulated days with faults, inverted controls"
	@echo "make hunt      new seeds of the simulated days, from where the last hunt ended (MINUTES=30)"
	@echo "make demo-venues  one daemon at five simulated venues (DATA=folder of recorded prices, MINUTES=5)"
	@echo "make ops       check image, chart, unit, alerts and dashboards with the real tools (fetched into .ops/)"
	@echo "make tradelocker-client  install TradeLocker's client in $(TRADELOCKER_VENV); make test then runs it too"
	@echo "make pictures  take the web page's pictures in docs/images again (needs a Chromium)"
	@echo "make dashboards   write the dashboards' JSON again"
	@echo "make lock      resolve requirements/*.lock again (needs uv; UPGRADE=1 takes the newest versions)"
	@echo "make clean     remove the environments and the caches"

run: $(VENV)/.run-installed var/operator.token
	@$(BIN)/python scripts/foreground.py $(BIN)/quantd run $(CONFIG)

var/operator.token:
	@mkdir -p var
	@umask 077 && python=$(BIN)/python && { [ -x $$python ] || python=python3; } && \
	  $$python -c 'import secrets; print(secrets.token_urlsafe(24))' > $@

test: $(VENV)/.dev-installed
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

check: $(VENV)/.dev-installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_tidy.py

assessment: $(VENV)/.dev-installed
	$(BIN)/python -m tests.assessment $(if $(JUNIT),--junit $(JUNIT))

demo-venues: $(VENV)/.run-installed
	$(BIN)/python demo/venues.py --minutes $(or $(MINUTES),5) $(if $(DATA),--data $(DATA))

pictures: $(VENV)/.dev-installed
	$(BIN)/python -m scripts.page_pictures

fmt: $(VENV)/.dev-installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --select I --fix .

bench: $(BENCH_VENV)/.bench-installed
	$(BENCH_VENV)/bin/python benchmarks/run.py

# Fetches the real tools into .ops/ (once) and checks with them what operators install. As root it also builds and runs the
# image and boots the unit. REPORT names a page for the table of results.
ops: ops-tools
	QUANTD_OPS=$(or $(REPORT),.ops/results.md) $(BIN)/python -m pytest -q -p no:randomly --tb=short tests/deploy $(PYTEST_ARGS)

# TOOLS names some of them; each is fetched once.
ops-tools: $(VENV)/.dev-installed
	$(BIN)/python -m scripts.ops_tools $(TOOLS)

dashboards:
	@test -x .ops/venv/bin/python || { echo "make dashboards: run make ops once; it fetches the builder" >&2; exit 2; }
	.ops/venv/bin/python -m scripts.dashboards.build helm/quantd/dashboards

campaign: $(VENV)/.dev-installed $(TRADELOCKER_VENV)/.client-installed
	TRADELOCKER_VENV=$(abspath $(TRADELOCKER_VENV)) $(BIN)/python -m tests.campaign

hunt: $(VENV)/.dev-installed
	$(BIN)/python -m tests.sim.hunting --minutes $(or $(MINUTES),30)

tradelocker-client: $(TRADELOCKER_VENV)/.client-installed

# The locks agree with each other: run.lock is cut out of dev.lock. The peers of the benchmarks and TradeLocker's client
# pin some versions of their own, so bench.lock and tradelocker.lock are resolved for themselves.
UV_COMPILE = $(UV) pip compile --no-config --quiet --universal --python-version 3.11 --generate-hashes --no-header \
  --no-annotate --no-strip-extras --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

lock:
	@command -v $(UV) >/dev/null || { echo "make lock: uv is missing; name it: make lock UV=/path/to/uv" >&2; exit 2; }
	$(UV_COMPILE) pyproject.toml requirements/build.in --extra uvloop --extra parquet --extra dev -o requirements/dev.lock
	$(UV_COMPILE) pyproject.toml requirements/build.in -c requirements/dev.lock -o requirements/run.lock
	$(UV_COMPILE) pyproject.toml requirements/build.in --extra uvloop --extra bench -o requirements/bench.lock
	$(UV_COMPILE) requirements/tradelocker.in -o requirements/tradelocker.lock

clean:
	rm -rf $(VENV) $(BENCH_VENV) $(TRADELOCKER_VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# ---------------------------------------------------------------------------------------------------- environments

$(VENV)/bin/python $(BENCH_VENV)/bin/python $(TRADELOCKER_VENV)/bin/python:
	@for python in $(PYTHON); do \
	  if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then \
	    echo "Making $(patsubst %/bin/python,%,$@) with $$("$$python" --version)"; \
	    "$$python" -m venv --clear $(patsubst %/bin/python,%,$@) && exit 0; \
	    rm -rf $(patsubst %/bin/python,%,$@); \
	    echo "quantd: $$python cannot make a virtual environment; on Debian install python3-venv." >&2; \
	    exit 2; \
	  fi; \
	done; \
	found=$$(for python in $(PYTHON); do "$$python" --version 2>&1; done | grep '^Python' | sort -u | paste -sd ',' -); \
	echo "quantd needs Python 3.11, 3.12 or 3.13; found $${found:-none} (looked for: $(PYTHON))." >&2; \
	echo "Name another one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
	exit 2

# dev.lock holds all of run.lock in the same versions, so an environment made for the tests also runs the daemon.
$(VENV)/.run-installed: requirements/run.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the pinned requirements (once)"
	@$(BIN)/python $(PIP_INSTALL) --require-hashes -r requirements/run.lock
	@$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev-installed: requirements/dev.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the pinned requirements of the tests (once)"
	@$(BIN)/python $(PIP_INSTALL) --require-hashes -r requirements/run.lock
	@$(BIN)/python $(PIP_INSTALL) --require-hashes --no-build-isolation -r requirements/dev.lock
	@$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.run-installed $@

# Not quantd, whose requirements the client's contradict: tests speak to a process in here.
$(TRADELOCKER_VENV)/.client-installed: requirements/tradelocker.lock | $(TRADELOCKER_VENV)/bin/python
	@echo "Installing TradeLocker's client (once)"
	@$(TRADELOCKER_VENV)/bin/python $(PIP_INSTALL) --only-binary :all: --require-hashes -r $<
	@touch $@

# Each peer is installed by itself, so that one without a wheel for this machine is missing from the table, not fatal.
# v20 comes as source only; the locked setuptools builds it.
$(BENCH_VENV)/.bench-installed: requirements/bench.lock pyproject.toml | $(BENCH_VENV)/bin/python
	@echo "Installing the pinned requirements of the benchmarks (once)"
	@awk -v peers="$(PEERS)" 'BEGIN { n = split(peers, names, " "); for (i = 1; i <= n; i++) peer[names[i]] = 1 } \
	  /^[A-Za-z]/ { name = $$1; sub(/==.*/, "", name); shared = !(name in peer) } shared' \
	  requirements/bench.lock > $(BENCH_VENV)/shared.txt
	@$(BENCH_VENV)/bin/python $(PIP_INSTALL) --require-hashes -r $(BENCH_VENV)/shared.txt
	@for peer in $(PEERS); do \
	  awk -v name="$$peer" '/^[A-Za-z]/ { wanted = index($$1, name "==") == 1 } wanted' \
	    requirements/bench.lock > $(BENCH_VENV)/peer.txt; \
	  $(BENCH_VENV)/bin/python $(PIP_INSTALL) --no-deps --only-binary :all: --no-binary v20 --no-build-isolation --require-hashes -r $(BENCH_VENV)/peer.txt \
	    || echo "$$peer does not install here; the results will list it as absent"; \
	done
	@$(BENCH_VENV)/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
