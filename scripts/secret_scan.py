"""Search the files that git knows, and with `--history` every commit, for passwords, keys and tokens.

kingfisher has the rules, scripts/secret_rules.yml those of our own tokens. It needs no network: what it finds is not
tried anywhere. Exit status 1 where something is found; it is named by file and line, not quoted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "scripts" / "secret_rules.yml"
EXAMPLE = "OHsxcBtDUhND3auNy45q9G96RMb38k0T90"
"""Of a token in the history that was made as an example of one, and never opened anything."""
KINGFISHER = Path(sys.executable).with_name("kingfisher")


def secrets_in(place: Path, *, history: bool = False) -> list[str]:
    """Return `path:line: rule` of each secret below a directory, or in the history of a repository."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [
            *(str(KINGFISHER), "scan", str(place), "--rules-path", str(RULES)),
            *(
                "--skip-word",
                EXAMPLE,
                "--no-validate",
                "--no-update-check",
                "--git-history",
                "full" if history else "none",
            ),
            *("--format", "json", "--output", report.name),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"})
        # 200: found something; 205: and it is valid.
        if done.returncode not in {0, 200, 205}:
            raise RuntimeError(f"kingfisher failed ({done.returncode}): {done.stderr[-2_000:]}")
        found = json.loads(Path(report.name).read_text().splitlines()[0])["findings"]
    return sorted({_line(place, each) for each in found})


def _line(place: Path, found: dict[str, Any]) -> str:
    path = Path(found["finding"]["path"])
    shown = path.relative_to(place) if path.is_relative_to(place) else path
    commit = found["finding"].get("git_metadata", {}).get("commit", {}).get("id", "")
    return f"{f'{commit[:12]}:' if commit else ''}{shown}:{found['finding']['line']}: {found['rule']['name']}"


def main() -> int:
    if "--history" in sys.argv:
        directory = subprocess.run(
            ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        found = secrets_in(Path(directory), history=True)
    else:
        found = _in_tree()
    print("\n".join(found) or "no secrets found")
    return 1 if found else 0


def _in_tree() -> list[str]:
    """Search a copy of what git knows: beside it are virtual environments and data of running portals."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory() as scratch:
        for name in filter(None, names.split("\0")):
            if (source := ROOT / name).is_file():
                target = Path(scratch, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
        return secrets_in(Path(scratch))


if __name__ == "__main__":
    sys.exit(main())
