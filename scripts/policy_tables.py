"""Writes the tables of properties and drift kinds in docs/policy-semantics.md; --check fails if they are outdated.

They are made from `sensor.policy.properties` and `sensor.policy.drift_kinds`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sensor.policy.drift_kinds import DRIFT_KINDS  # noqa: E402 - from the checkout, wherever it is run
from sensor.policy.properties import OPERATORS, TABLE, Property  # noqa: E402

PAGE = ROOT / "docs" / "policy-semantics.md"
BLOCK = re.compile(r"(<!-- (\w+): made by scripts/policy_tables\.py -->\n).*?(<!-- end -->\n)", re.DOTALL)


def property_table() -> Iterator[str]:
    """Return the Markdown lines of the table of properties."""
    yield "| property | called | scope | operators | letter case | in the event |"
    yield "|---|---|---|---|---|---|"
    for each in TABLE:
        yield f"| `{each.name}` | {each.label} | {_scope(each)} | {_operators(each)} | {_case(each)} | {_event(each)} |"


def _scope(each: Property) -> str:
    return f"`{each.scope}`"


def _operators(each: Property) -> str:
    if not each.operators:
        return "by exact value"
    if each.values:
        return "`equals` " + " or ".join(f"`{value}`" for value in each.values)
    return "all five" if each.operators == OPERATORS else ", ".join(f"`{name}`" for name in each.operators)


def _case(each: Property) -> str:
    return "ignored" if each.folds_case else "counts"


def _event(each: Property) -> str:
    """Where the wire's event has it: `process.path`, or the sensor's credential."""
    paths = [path.replace("?", "").removeprefix("event.") for path in each.event]
    if paths[0].startswith("credential."):
        return "from the sensor's credential"
    return " with `@` and ".join(f"`{path}`" for path in paths)


def kind_table() -> Iterator[str]:
    """Return the Markdown lines of the table of drift kinds."""
    yield "| kind | called | what it is | reported by default | blocked only if a rule names it |"
    yield "|---|---|---|---|---|"
    for kind in DRIFT_KINDS:
        marks = f"{'yes' if kind.is_reported else 'no'} | {'yes' if kind.is_routine else 'no'}"
        yield f"| `{kind.name}` | {kind.label} | {kind.definition} | {marks} |"


TABLES = {"properties": property_table, "kinds": kind_table}


def rendered(page: str) -> str:
    """Return the page with up-to-date tables."""
    return BLOCK.sub(lambda block: block[1] + "\n".join(TABLES[block[2]]()) + "\n" + block[3], page)


def main() -> int:
    """Return 0, or 1 with --check if the page is out of date."""
    before = PAGE.read_text(encoding="utf-8")
    after = rendered(before)
    if "--check" not in sys.argv:
        PAGE.write_text(after, encoding="utf-8")
        return 0
    if before == after:
        return 0
    sys.stderr.write("docs/policy-semantics.md is out of date: run scripts/policy_tables.py\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
