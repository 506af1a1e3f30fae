"""The audit log as CSV or JSON lines, without holding it in memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from django.db.models import QuerySet

from accounts.models import AuditEntry, Viewer
from accounts.queries import audit
from accounts.queries.audit import ShownEntry, open_entry, shown_entry
from sensor.names.visible_text import visible_text

COLUMNS: Final = (
    "position", "at_utc", "actor", "action", "object_type", "object_id", "object_name", "before", "after", "origin",
    "address", "agent", "session", "token", "request_id", "digest",
)  # fmt: skip
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""Spreadsheets evaluate a cell that starts with one of these, so it gets an apostrophe."""
CHUNK: Final = 2_000
Lines = Callable[[Iterable[ShownEntry]], Iterator[str]]


def json_lines(entries: Iterable[ShownEntry]) -> Iterator[str]:
    """Yield each entry as one JSON object."""
    for entry in entries:
        yield json.dumps(_as_dict(entry)) + "\n"


def csv_lines(entries: Iterable[ShownEntry]) -> Iterator[str]:
    """Yield a row of names, then one per entry, safe to open in a spreadsheet."""
    writer = csv.writer(_CsvLine())
    yield writer.writerow(COLUMNS)
    for entry in entries:
        yield writer.writerow([_cell(value) for value in _as_dict(entry).values()])


def exported_lines(entries: QuerySet[AuditEntry], viewer: Viewer, lines: Lines) -> Iterator[str]:
    """Yield the newest MAX_EXPORTED entries, and a last line that says so where there are more."""
    rows = entries[: audit.MAX_EXPORTED + 1].iterator(CHUNK)
    yield from lines(shown_entry(entry, viewer) for entry in islice(rows, audit.MAX_EXPORTED))
    if next(rows, None) is not None:
        limit = f"the {audit.MAX_EXPORTED:,} newest entries that match; older ones are missing"
        yield f'"{limit}"\r\n' if lines is csv_lines else json.dumps({"truncated": limit}) + "\n"


def all_lines(lines: Lines) -> Iterator[str]:
    """Yield every entry, oldest first, with everything in it: for commands on the portal's host."""
    entries = AuditEntry.objects.select_related("seal").order_by("pk")
    return lines(open_entry(entry) for entry in entries.iterator(CHUNK))


class _CsvLine:
    """A file whose `write` returns the string, for csv.writer."""

    def write(self, text: str) -> str:
        return text


def _cell(value: Any) -> str:
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    text = "" if value is None else visible_text(str(value), several_lines=True)
    # Some spreadsheets skip blanks before a formula.
    return f"'{text}" if text.startswith(FORMULA) or text.lstrip().startswith(FORMULA) else text


def _as_dict(shown: ShownEntry) -> dict[str, Any]:
    entry, seal, source = shown.entry, shown.seal, shown.source
    values = (
        seal.position if seal else None, entry.at.isoformat(), shown.actor_name, entry.verb, entry.object_type,
        entry.object_id, shown.object_name, shown.before, shown.after, entry.origin, source.get("address", ""),
        source.get("agent", ""), source.get("session", ""), source.get("token", ""), entry.request_id,
        bytes(seal.digest).hex() if seal else None,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))
