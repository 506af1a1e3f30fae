"""The sensor imports without the portal's libraries, and loads no native library at import."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import sensor

ROOT = Path(sensor.__file__).parent

STARTS = re.compile(r"\b(subprocess|multiprocessing|os\.(fork|forkpty|posix_spawnp?|exec[lv]\w*|system|popen))\b")

PROGRAM = """
import ctypes, importlib, pkgutil, sys

for name in ("django", "rest_framework", "celery", "redis", "psycopg", "portal", "drift", "accounts"):
    sys.modules[name] = None

def refuse(*arguments, **_):
    raise AssertionError(f"a native library was loaded at import: {arguments}")

ctypes.CDLL = ctypes.cdll.LoadLibrary = refuse
import sensor
names = [m.name for m in pkgutil.walk_packages(sensor.__path__, "sensor.") if not m.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT.parent, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_module_imports_without_the_portals_libraries_and_loads_nothing() -> None:
    found = run(PROGRAM)
    modules = [path for path in ROOT.rglob("*.py") if path.name not in {"__init__.py", "__main__.py"}]
    assert int(found) >= len(modules)


def test_start_up_imports_neither_http_nor_cryptography_before_they_are_needed() -> None:
    heavy = "('httpx', 'cryptography', 'msgspec')"
    assert run(f"import sys, sensor.commands.main; print([n for n in {heavy} if n in sys.modules])") == "[]"


def test_only_the_watchdog_the_hold_server_and_the_canary_are_started_as_processes() -> None:
    """Nothing forks for an exec, a read or an event, however many there are."""
    found = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if STARTS.search(path.read_text())}
    assert found == {
        "blocking/hold_client.py",
        "blocking/watchdog.py",
        "operations/canary/keeper.py",
        "operations/canary/__main__.py",
    }
