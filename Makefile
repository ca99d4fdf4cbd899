# Works from a fresh clone with Python 3.11, git and make. `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help demo test fuzz check fix lock bench docs clean

bin := .venv/bin
ARGS :=

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

demo: .venv/.run ## a throw-away repository becomes a ledger, answers and a report
	@$(bin)/ledger demo $(ARGS)

test: .venv/.dev ## the full suite, on SQLite and PostgreSQL; ARGS="-k merkle" picks
	@$(bin)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

fuzz: .venv/.dev ## look for ten minutes for bytes that break a parser; ARGS="-max_total_time=60"
	@mkdir -p .fuzz
	@$(bin)/python tests/fuzz/target.py .fuzz/corpus -timeout=10 -artifact_prefix=.fuzz/ \
		-max_total_time=600 $(ARGS)

check: .venv/.dev ## style, types and import contracts
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/lint-imports --no-logo

fix: .venv/.dev ## repair style where that is safe
	$(bin)/ruff check --fix
	$(bin)/ruff format

lock: .venv/.dev ## write the lock files again; ARGS=--upgrade moves to newer releases
	.ci/lock $(ARGS)

bench: .venv/.dev ## measure speed, memory and size; ARGS="ingest --rounds 3" picks
	@$(bin)/python -m benchmarks $(ARGS)

docs: .venv/.dev ## write the generated reference pages again
	$(bin)/python docs/generate.py

clean: ## remove everything that can be made again
	rm -rf .venv .fuzz .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build demo dist ledger-demo*

.venv/.run: requirements.lock pyproject.toml .ci/bootstrap
	@.ci/bootstrap requirements.lock
	@touch $@

.venv/.dev: requirements-dev.lock pyproject.toml .ci/bootstrap
	@.ci/bootstrap requirements-dev.lock
	@touch .venv/.run $@
