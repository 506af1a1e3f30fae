"""`python scripts/priority_table.py [--check]`: generate the table of docs/priority.md from the signals."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from drift.alerts.domain.priority_signals import SIGNALS

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "priority.md"
BLOCK: Final = re.compile(r"(<!-- signals: [^\n]*-->\n)(.*?)(<!-- end -->)", re.DOTALL)


def table() -> str:
    """Return the Markdown table of the signals."""
    rows = ["| signal | points | in words | where it is found |", "|---|---:|---|---|"]
    for name, each in SIGNALS.items():
        points = f"{each.points:+d}".replace("-", "−")
        rows.append(f"| `{name}` | {points} | {each.words.replace('{}', '…')} | {each.meaning} |")
    return "\n".join(rows) + "\n"


def main() -> int:
    """Return 0, or 1 with --check if the page is out of date."""
    before = PAGE.read_text(encoding="utf-8")
    after = BLOCK.sub(lambda block: block[1] + table() + block[3], before)
    if "--check" not in sys.argv:
        PAGE.write_text(after, encoding="utf-8")
        return 0
    if before == after:
        return 0
    sys.stderr.write("docs/priority.md is out of date: run scripts/priority_table.py\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
