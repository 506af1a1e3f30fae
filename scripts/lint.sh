#!/bin/sh
# All static checks; stops at the first that fails.
set -eu
cd "$(dirname "$0")/.."
export SECRET_KEY=lint DATABASE_URL=postgresql://none@/none REDIS_URL=redis://127.0.0.1:1/0
bin=.venv/bin
step() { echo "— $1"; shift; "$@"; }
step "ruff check" $bin/ruff check .
step "ruff format" $bin/ruff format --check .
step "unused code" $bin/python scripts/unused_code.py
step "mypy" $bin/mypy
step "import contracts" $bin/lint-imports --cache-dir .import_linter_cache
step "architecture" $bin/python scripts/architecture.py --check
step "cited documents" $bin/python scripts/cited_docs.py
step "secrets" $bin/python -m scripts.secret_scan
step "migrations" $bin/python manage.py makemigrations --check --dry-run
schema=$(mktemp)
trap 'rm -f "$schema"' EXIT
step "OpenAPI schema" $bin/python manage.py spectacular --file "$schema" --validate --fail-on-warn
diff -u docs/openapi.yaml "$schema" || { echo "docs/openapi.yaml is out of date: run manage.py spectacular --file docs/openapi.yaml"; exit 1; }
step "settings table" $bin/python manage.py settings_table --check
step "health table" $bin/python manage.py health_table --check
step "metrics table" $bin/python manage.py metrics_table --check
step "permissions table" $bin/python manage.py permissions_table --check
step "detection table" $bin/python scripts/detection_table.py --check
step "policy tables" $bin/python scripts/policy_tables.py --check
step "image requirements" $bin/python scripts/image_requirements.py --check
step "priority table" $bin/python scripts/priority_table.py --check
step "command tables" $bin/python scripts/command_tables.py --check
