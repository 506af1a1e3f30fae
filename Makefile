# Driftwatch. `make help` lists what there is; every target does its own set-up.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
# Emptied, which Python takes for unset: without bytecode each of a dozen programs compiles Django again, for 5 s.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo run dev test test-fast lint bench

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: ## Make .venv from uv.lock and fetch the page's assets
	@sh scripts/setup.sh

demo: setup ## Everything with a sample estate, on PORT (8000), kept in DATA_DIR (.data)
	@exec $(PYTHON) -m portal.serve --demo

run: setup ## Everything without the sample estate; the first start makes one Owner
	@exec $(PYTHON) -m portal.serve

dev: setup ## Like demo, with changed code loaded again and error pages
	@DEBUG=true exec $(PYTHON) -m portal.serve --demo --reload

test: setup ## Every test; as root on Debian it installs what is missing
	@sh scripts/system-packages.sh
	@failed=0; \
	$(PYTHON) -m pytest -n 2 --dist loadfile -m 'not serial' || failed=1; \
	$(PYTHON) -m pytest -m serial || failed=1; \
	exit $$failed

test-fast: setup ## Tests that need no services, under 60 s
	@DRIFTWATCH_TEST_NO_SERVICES=1 $(PYTHON) -m pytest -n 2 -m 'not services and not browser and not container' tests/unit

lint: setup ## Format, lint, types, import contracts, migrations, generated files
	@sh scripts/lint.sh

bench: setup ## Measure; prints tables with ratios (docs/benchmarks.md keeps the last)
	@.venv/bin/uv sync --quiet --frozen --inexact --group bench
	@$(PYTHON) -m bench
