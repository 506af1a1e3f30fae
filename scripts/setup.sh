#!/bin/sh
# Create .venv from uv.lock with a Python that works, and fetch the front-end assets. Quick if nothing changed.
set -eu
UV_VERSION=0.13.9

fail() { echo "driftwatch: $*" >&2; exit 1; }

# Each candidate is run, newest first: a shim on PATH (pyenv) may exist without working.
works() { "$1" -c 'import sys, ssl, ctypes, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for version in 3.14 3.13 3.12 3.11; do
        for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version"*/bin/python; do
            if command -v "$candidate" >/dev/null 2>&1 && works "$candidate"; then echo "$candidate"; return; fi
        done
    done
    for candidate in python3 python; do
        if command -v "$candidate" >/dev/null 2>&1 && works "$candidate"; then echo "$candidate"; return; fi
    done
    fail "no working Python 3.11 or newer (with venv) was found. Install one, for example: apt install python3 python3-venv"
}

cd "$(dirname "$0")/.."
stamp=.venv/.driftwatch-setup
wanted=$(cat uv.lock package-lock.json scripts/setup.sh scripts/assets.py | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && [ -f static/vendor/uplot.esm.js ] && .venv/bin/python -c '' 2>/dev/null; then exit 0; fi

if ! .venv/bin/python -c '' 2>/dev/null; then
    python=$(find_python)
    echo "Creating .venv with $("$python" --version) …"
    rm -rf .venv
    "$python" -m venv .venv || fail "$python could not create a virtual environment"
fi
if [ "$(.venv/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$UV_VERSION" ]; then
    echo "Fetching uv $UV_VERSION …"
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" ||
        fail "uv could not be installed: is the Python package index reachable?"
fi
echo "Installing the locked packages …"
VIRTUAL_ENV=$PWD/.venv .venv/bin/uv sync --quiet --frozen --inexact --python .venv/bin/python ||
    fail "the locked packages could not be installed: is the Python package index reachable?"
echo "Fetching front-end assets …"
.venv/bin/python scripts/assets.py
echo "$wanted" > "$stamp"
