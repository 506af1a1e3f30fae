"""Writes docs/detection.md's table from what the tests of every line have seen; --check says whether it is current.

`DETECTION_RESULTS=docs/detection.json python -m pytest tests/system/capture/test_lines.py` makes the results.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.system.capture.lines import CAUGHT, LINES, QUIET, Line  # noqa: E402 - from the checkout, wherever it is run

RESULTS = ROOT / "docs" / "detection.json"
PAGE = ROOT / "docs" / "detection.md"
START, END = "<!-- made by scripts/detection_table.py -->\n", "<!-- end -->\n"
COLUMNS = [(runtime, backend) for runtime in ("podman", "containerd") for backend in ("ebpf", "fanotify")]
Seen = dict[tuple[str, str, str], list[str]]


def read(path: Path = RESULTS) -> Seen:
    """Return the kinds seen, by (line, runtime, backend)."""
    return {(line, runtime, backend): kinds for line, runtime, backend, kinds in json.loads(path.read_text())}


def missing(seen: Seen) -> list[str]:
    """Return the lines that were not run on every runtime and for every backend."""
    return [line.name for line in LINES if not all((line.name, *column) in seen for column in COLUMNS)]


def rendered(seen: Seen) -> str:
    """The two tables, as Markdown."""
    return "\n".join([*_table("caught", CAUGHT, seen), "", *_table("not reported", QUIET, seen), ""])


def _table(title: str, lines: tuple[Line, ...], seen: Seen) -> Iterator[str]:
    yield f"| {title} | podman, eBPF | podman, fanotify | pod of containerd, eBPF | pod, fanotify |"
    yield "|---|---|---|---|---|"
    for line in lines:
        name = f"privileged: {line.name}" if line.privileged else line.name
        note = f" (fanotify {line.why})" if line.why else ""
        yield f"| {name}{note} | {' | '.join(_cell(seen[line.name, *column]) for column in COLUMNS)} |"


def _cell(kinds: list[str]) -> str:
    return ", ".join(f"`{kind}`" for kind in dict.fromkeys(kinds)) or "not reported"


def main() -> int:
    """Return 0, or 1 with --check if the page does not match the results."""
    seen = read()
    if unseen := missing(seen):
        sys.stderr.write(f"{RESULTS.name} lacks: {', '.join(unseen)}\n")
        return 1
    before = PAGE.read_text()
    head, _, rest = before.partition(START)
    after = head + START + rendered(seen) + END + rest.partition(END)[2]
    if "--check" in sys.argv:
        return 0 if after == before else 1
    PAGE.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
