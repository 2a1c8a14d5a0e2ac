# Everything that is done with this tree. `make` alone lists it.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Which Python makes .venv: 3.11 where there is one. Say another with `make run PYTHON=/path/to/python`.
PYTHON ?= $(shell for name in python3.11 python3 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$name" && break; done)

READY := .venv/.installed

# Settings that start no servers and reach nothing: for what only reads the code.
OFFLINE = DATABASE_URL=postgresql://u@h/d REDIS_URL=redis://h SECRET_KEY=x ENCRYPTION_KEYS=x

# What production would be, with secrets that live as long as one command.
PRODUCTION = DATABASE_URL=postgresql://nobody@127.0.0.1:9/none REDIS_URL=redis://127.0.0.1:9 \
	ALLOWED_HOSTS=panel.example.org DEBUG=0 PYTHONWARNINGS=ignore::RuntimeWarning \
	SECRET_KEY="$$(.venv/bin/python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
	ENCRYPTION_KEYS="$$(.venv/bin/python -c 'from cryptography import fernet as f; print(f.Fernet.generate_key().decode())')"

.PHONY: help run test lint check bench chaos fuzz

help: ## list these commands
	@echo "Usage: make COMMAND   (settings: PORT=8000 HOST=127.0.0.1 VAR_DIR=var DEMO=1)"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1 \2/p' Makefile | while read -r name text; do printf '  %-7s %s\n' "$$name" "$$text"; done

run: $(READY) ## run the panel with a demo shop; Ctrl-C stops all of it
	@exec .venv/bin/python manage.py run_all

test: $(READY) ## run the tests on two cores, on servers of their own
	@.venv/bin/python -m pytest -n 2 --ignore=tests/benchmarks

lint: $(READY) ## check style, format and types
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@$(OFFLINE) .venv/bin/mypy .

check: lint test ## all of the above, and what Django says about production and migrations
	@$(PRODUCTION) .venv/bin/python manage.py check --deploy --fail-level WARNING
	@$(PRODUCTION) .venv/bin/python manage.py makemigrations --check --dry-run

bench: $(READY) ## measure what LIMITS asks to be measured
	@.venv/bin/python -m pytest tests/benchmarks -s

chaos: $(READY) ## kill everything under load (SEED=7 ORDERS=1000 MINUTES=5); 1 where a promise is broken
	@.venv/bin/python -m tests.chaos --seed $(or $(SEED),7) --orders $(or $(ORDERS),1000) --minutes $(or $(MINUTES),5)

fuzz: $(READY) ## send /api/v2 what nobody should (SEED=7 REQUESTS=100000); 1 where a promise is broken
	@.venv/bin/python -m tests.fuzz --seed $(or $(SEED),7) --requests $(or $(REQUESTS),100000)

# Made again only when the lock is newer. Debian's python3 may lack what `venv` needs to bring pip, so a pip from outside
# or uv may do the installing; all three read the same lock and refuse what its hashes do not name.
$(READY): requirements.lock
	@if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 or newer is needed; install it, or name it: make PYTHON=/path/to/python" >&2; exit 1; fi
	@.venv/bin/python -c '' 2>/dev/null || { echo "Making .venv with $(PYTHON) ..."; rm -rf .venv; \
		"$(PYTHON)" -m venv .venv >/dev/null 2>&1 || "$(PYTHON)" -m venv --without-pip .venv 2>/dev/null \
		|| uv venv --quiet --python "$(PYTHON)" .venv 2>/dev/null \
		|| { echo "Cannot make .venv with $(PYTHON): install Debian's python3-venv, or uv." >&2; exit 1; }; }
	@echo "Installing what requirements.lock names into .venv ..."; \
	export PIP_DISABLE_PIP_VERSION_CHECK=1; \
	if .venv/bin/python -m pip --version >/dev/null 2>&1; then \
		.venv/bin/python -m pip install --require-hashes -r requirements.lock; \
	elif uv --version >/dev/null 2>&1; then \
		uv pip install --python .venv/bin/python --require-hashes -r requirements.lock; \
	elif "$(PYTHON)" -m pip --version >/dev/null 2>&1; then \
		"$(PYTHON)" -m pip --python .venv/bin/python install --require-hashes -r requirements.lock; \
	else \
		echo "No pip: install Debian's python3-venv (or pip, or uv), then say make again." >&2; exit 1; \
	fi
	@touch $@
