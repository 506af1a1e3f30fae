"""Writes docs/detection.md's table from what the tests of every line have seen; --check says whether it is current.

`DETECTION_TIMES=3 DETECTION_RESULTS=docs/detection.json python -m pytest tests/system/capture` makes the results.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.system.capture import lines  # noqa: E402 - from the checkout, wherever it is run

RESULTS = ROOT / "docs" / "detection.json"
PAGE = ROOT / "docs" / "detection.md"
START, END = "<!-- made by scripts/detection_table.py -->\n", "<!-- end -->\n"
COLUMNS = [(runtime, backend) for runtime in ("podman", "containerd") for backend in ("ebpf", "fanotify")]
CAUGHT = (*lines.CAUGHT, *lines.OF_PODMAN)
QUIET = (*lines.QUIET, *lines.QUIET_OF_PODMAN)
NONE = "–"
"""Of a line that is run in podman alone, or for one backend."""


class Result(NamedTuple):
    """The kinds that a line must be reported as, how many of its runs were, and of how many."""

    kinds: list[str]
    hits: int
    times: int


Seen = dict[tuple[str, str, str], Result]


def read(path: Path = RESULTS) -> Seen:
    """Return the results by (line, runtime, backend)."""
    return {(line, runtime, backend): Result(*rest) for line, runtime, backend, *rest in json.loads(path.read_text())}


def missing(seen: Seen) -> list[str]:
    """Return the lines that were not run on every runtime and for every backend that they are for."""
    both = [(line.name, *column) for line in lines.LINES for column in COLUMNS]
    podman = [(line.name, *column) for line in (*CAUGHT, *QUIET) for column in COLUMNS[:2]]
    others = [(name, *COLUMNS[0]) for name in (*lines.OTHERS_CAUGHT, *lines.OTHERS_QUIET)]
    return sorted({key[0] for key in (*both, *podman, *others) if key not in seen})


def rendered(seen: Seen) -> str:
    """The two tables, as Markdown."""
    caught = _table("caught", (*map(_title, CAUGHT), *_titles(lines.OTHERS_CAUGHT)), seen)
    quiet = _table("not reported", (*map(_title, QUIET), *_titles(lines.OTHERS_QUIET)), seen)
    return "\n".join([*caught, "", *quiet, ""])


def _title(line: lines.Line) -> tuple[str, str]:
    """Return a line's name, and how the table shows it."""
    name = f"privileged: {line.name}" if line.privileged else line.name
    return line.name, f"{name} (fanotify: {line.why})" if line.why else name


def _titles(names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(name, name) for name in names]


def _table(title: str, rows: tuple[tuple[str, str], ...], seen: Seen) -> Iterator[str]:
    yield f"| {title} | podman, eBPF | podman, fanotify | pod of containerd, eBPF | pod, fanotify |"
    yield "|---|---|---|---|---|"
    for name, shown in rows:
        yield f"| {shown} | {' | '.join(_cell(seen.get((name, *column))) for column in COLUMNS)} |"


def _cell(result: Result | None) -> str:
    if result is None:
        return NONE
    kinds = ", ".join(f"`{kind}`" for kind in dict.fromkeys(result.kinds)) or "not reported"
    return f"{kinds} {result.hits} of {result.times}"


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
