# My Images: `make run` starts everything, `make test` tests everything, `make test-fast` what takes two minutes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test test-fast soak lint format lock bench screenshots

run: $(VENV)/.installed
	@exec $(BIN)/python -m console.local --stop-with-parent

test: $(VENV)/.installed-dev
	@bash .ci/tools
	@bash .ci/clients
	@$(MAKE) --no-print-directory lint
	@bash .ci/pytest

# For while one writes: no linters, and no test with one of these marks (pyproject.toml says what each is, and
# tests/support/marks.py which files have it). A database is started where a test needs one.
NOT_FAST := browser or engine or faults or fuzz or product or registry or slow
test-fast: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest --numprocesses $(or $(TEST_PROCESSES),auto) --maxprocesses 4 --dist loadfile -m "not ($(NOT_FAST))"

# The long part of the tests: faults at random under load for SOAK_MINUTES, and long fuzzing. FAULT_SEED repeats a run.
soak: export SOAK = 1
soak: export SOAK_MINUTES ?= 30
soak: $(VENV)/.installed-dev
	@bash .ci/tools
	@$(BIN)/python -m pytest -s $(wildcard tests/faults tests/fuzz)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/djlint templates --lint --quiet
	@mkdir -p .cache
	@$(BIN)/lint-imports --no-logo --cache-dir .cache/import_linter >.cache/imports || { cat .cache/imports >&2; exit 1; }
	@DATA_DIR=.cache/lint $(BIN)/python -W ignore manage.py makemigrations --check --dry-run
	@# On standard error it only says where an exception on a line was not needed by each of its tests.
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive console registry_client manage.py .ci 2>.cache/bandit \
		|| { cat .cache/bandit >&2; exit 1; }
	@$(BIN)/python .ci/advisories.py requirements.txt requirements-dev.txt

# Side by side with what else one would use, in the same run.
bench: $(VENV)/.installed-dev
	@bash .ci/tools benchmarks
	@$(BIN)/python -m benchmarks

# Pictures of every page and dialog, with what axe-core finds and what does not fit: tests/browser/screenshots.py says how
# to choose some (ONLY, WIDTHS, THEMES, STATES). README=1 takes those of the README.
screenshots: $(VENV)/.installed-dev
	@bash .ci/tools
	@$(BIN)/python -m pytest -q -s -p no:randomly -p no:cacheprovider --tb=line tests/browser/screenshots.py

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

# What the two lock files are made with, by the oldest Python that is supported, and checked for all of them afterwards. No
# index address goes into them. Extras stay in: without them an older pip takes the newest release for "name[extra]", not
# the one that is locked, as soon as there is a newer one.
LOCK := $(BIN)/pip-compile --quiet --no-strip-extras --allow-unsafe --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host
# pip-compile leaves out the marker of a requirement of an extra.
ATHERIS := python_version < "3.14" and sys_platform == "linux" and platform_machine == "x86_64"
lock: $(VENV)/.installed-dev
	$(LOCK) --output-file requirements.txt pyproject.toml
	@mkdir -p .cache && sed -E 's/^([^ []+)\[[^]]*\]==/\1==/' requirements.txt >.cache/constraints.txt
	$(LOCK) --extra dev --constraint .cache/constraints.txt --output-file requirements-dev.txt pyproject.toml
	@sed -i -E 's/^(atheris==[^ ]+) \\$$/\1 ; $(ATHERIS) \\/' requirements-dev.txt
	@$(BIN)/python .ci/pythons.py requirements.txt requirements-dev.txt

# Made again where it is broken: an upgrade of the system replaces its Python by one that sees none of the packages.
ifneq ($(shell $(BIN)/python -c "import pip" 2>/dev/null && echo works),works)
.PHONY: $(VENV)/bin/python
endif
$(VENV)/bin/python:
	@bash .ci/venv "$(PYTHON)" "$(VENV)"

# .installing is there while pip works: an environment that has it was interrupted, and .ci/venv makes it anew.
$(VENV)/.installed: requirements.txt $(VENV)/bin/python
	@bash .ci/venv "$(PYTHON)" "$(VENV)"
	@touch $(VENV)/.installing
	@$(BIN)/python .ci/install.py "what My Images needs" requirements.txt
	@rm $(VENV)/.installing
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@if [ -e $(VENV)/.installing ]; then rm $(VENV)/.installed && $(MAKE) --no-print-directory $(VENV)/.installed; fi
	@touch $(VENV)/.installing
	@$(BIN)/python .ci/install.py "what the tests need" requirements-dev.txt
	@rm $(VENV)/.installing
	@touch $@
