# Driftwatch. `make help` lists the targets; each does its own setup.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
# Empty, which Python treats as unset: without bytecode each of a dozen programs would compile Django again, for 5 s.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo run dev test test-fast long lint audit sbom bench

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: ## Create .venv from uv.lock and fetch front-end assets
	@sh scripts/setup.sh

demo: setup ## Run everything with sample data, on PORT (8000), stored in DATA_DIR (.data)
	@exec $(PYTHON) -m portal.serve --demo

run: setup ## Run everything without sample data; the first start creates an Owner
	@exec $(PYTHON) -m portal.serve

dev: setup ## Like demo, with code reloading and debug pages
	@DEBUG=true exec $(PYTHON) -m portal.serve --demo --reload

test: setup ## Run all tests; as root on Debian, install what they need
	@sh scripts/system-packages.sh
	@bash scripts/test.sh

test-fast: setup ## Run the tests that need no services, in under 60 s
	@DRIFTWATCH_TEST_NO_SERVICES=1 $(PYTHON) -m pytest -n 2 -m 'not services and not browser and not container' tests/unit

long: setup ## Run what takes too long for CI, with a table of figures (ONLY=soak,images picks parts)
	@sh scripts/system-packages.sh long
	@$(PYTHON) -m scripts.long_run

lint: setup ## Check format, lint, types, import contracts, migrations, generated files
	@sh scripts/lint.sh

audit: setup ## Check dependencies for known vulnerabilities (offline: ADVISORIES=DIR), and the history for secrets
	@failed=0; \
	$(PYTHON) -m scripts.audit || failed=1; \
	$(PYTHON) -m scripts.secret_scan --history || failed=1; \
	exit $$failed

sbom: setup ## Print a bill of materials of all that is locked, as CycloneDX
	@$(PYTHON) -m scripts.sbom

bench: setup ## Measure (ONLY=policy,sensor picks); as root on Debian it installs what is missing
	@case ",$(ONLY)," in ,, | *,sensor,*) sh scripts/system-packages.sh bench ;; esac
	@.venv/bin/uv sync --quiet --frozen --inexact --group bench
	@$(PYTHON) -m bench
