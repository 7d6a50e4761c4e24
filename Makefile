# Each target does all its own set-up: Python 3.11 or newer and make are enough.
# uv is taken from PATH, else installed into .venv-uv; the packages go into .venv.
# ARGS is handed on: make demo ARGS=--fresh, make test ARGS='tests/unit -x'

# Run, not just looked up: a version manager's shim may stand for a Python that is not there.
IS_NEW_ENOUGH := import sys; print(sys.executable) if sys.version_info >= (3, 11) else sys.exit(1)
PYTHON := $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$name" -c '$(IS_NEW_ENOUGH)' 2>/dev/null && break; done)
UV := $(shell command -v uv 2>/dev/null)
ifeq ($(UV),)
UV := .venv-uv/bin/uv
OWN_UV := $(UV)
endif
RUN := $(UV) run
ARGS ?=

unexport VIRTUAL_ENV
export UV_PYTHON := $(PYTHON)
export UV_PYTHON_DOWNLOADS := never

.PHONY: help demo test faults check bench python
.DEFAULT_GOAL := help

help:
	@echo 'make demo    the whole service with a made-up borough, in this terminal (Ctrl-C ends it)'
	@echo 'make test    every test, on real PostgreSQL and Redis'
	@echo 'make faults  every fault many times on both databases: 1,000 killed processes (40 minutes)'
	@echo 'make bench   speed, beside something simpler that does the same work (20 minutes)'
	@echo 'make check   format, lint, types and the direction of imports'

demo: python $(OWN_UV)
	@$(RUN) --no-dev --extra push notifier demo --stand-ins "python -m tests.fakes" $(ARGS)

# Forty processes are started: compile the packages once, even where the machine forbids it by default.
test: export PYTHONDONTWRITEBYTECODE :=
test: python $(OWN_UV)
	@$(RUN) pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

bench: python $(OWN_UV)
	@$(RUN) --extra speed python -m benchmarks $(ARGS)

# One line for each test as it ends, and the table of faults at the end.
faults: export PYTHONDONTWRITEBYTECODE :=
faults: python $(OWN_UV)
	@$(RUN) pytest tests/faults --faults=all -v -n 2 --dist load --timeout 1800 $(ARGS)

check: python $(OWN_UV)
	@$(RUN) ruff format --check
	@$(RUN) ruff check
	@$(RUN) mypy
	@$(RUN) lint-imports

python:
	@"$(PYTHON)" -c '$(IS_NEW_ENOUGH)' >/dev/null 2>&1 || { \
	echo "Python 3.11 or newer is needed; here is $$($(or $(PYTHON),python3) --version 2>&1)." >&2; \
	echo "If there is another one: make PYTHON=/its/path …" >&2; exit 2; }

.venv-uv/bin/uv: | python
	@echo 'Installing uv into .venv-uv'
	@rm -rf .venv-uv
	@"$(PYTHON)" -m venv .venv-uv || { echo "Python's venv module is needed (Debian: apt-get install python3-venv)." >&2; exit 2; }
	@.venv-uv/bin/python -m pip install --quiet uv
