"""`manage.py audit`: verify the audit log's chain, seal entries, and print heads (docs/audit.md)."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.actions.audit_heads import publish_head
from accounts.actions.audit_seals import seal_entries
from accounts.audit_chain import Head
from accounts.queries.audit_verification import AuditVerification, verify_audit_log


class Command(BaseCommand):
    help = "Verify the audit log against its hash chain, or print the chain's head."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verify = verbs.add_parser("verify", help="exit status 1 if an entry was changed, removed or inserted")
        verify.add_argument("--head", type=_head, action="append", default=[], help="a head that was kept: N:SHA256")
        verify.add_argument("--heads", type=Path, help="file of heads, one a line (default: AUDIT_HEAD_FILE)")
        verbs.add_parser("seal", help="seal entries now; a task does it every 10 seconds")
        verbs.add_parser("head", help="seal entries, print the head, and append it to AUDIT_HEAD_FILE")

    def handle(self, *args: Any, **options: Any) -> str:
        """Return what was done. Raises CommandError, exit status 1, where the log is not intact."""
        verb = options["verb"]
        if verb == "seal":
            return f"{seal_entries(everywhere=True)} entries sealed"
        if verb == "head":
            seal_entries(everywhere=True)
            return str(publish_head())
        file = options["heads"] or (Path(settings.AUDIT_HEAD_FILE) if settings.AUDIT_HEAD_FILE else None)
        result = verify_audit_log([*options["head"], *(_heads_of(file) if file else [])])
        if not result.is_intact:
            raise CommandError("\n".join([f"NOT INTACT: {result.problem_count} problems", *result.problems]))
        return _summary(result)


def _head(text: str) -> Head:
    try:
        return Head.parse(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _heads_of(file: Path) -> list[Head]:
    """Return the heads of a file: the last word of each line. A file that does not exist yet has none."""
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        if str(file) == settings.AUDIT_HEAD_FILE:
            return []
        raise CommandError(f"{file} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {error}") from None
    try:
        return [Head.parse(line.split()[-1]) for line in lines if line.strip()]
    except ValueError as error:
        raise CommandError(f"{file}: {error}") from None


def _summary(result: AuditVerification) -> str:
    lines = [f"intact: {result.entries} entries, head {result.head}"]
    if result.expired:
        lines.append(f"{result.expired} older entries were deleted by retention; their seals are intact")
    if result.unsealed:
        lines.append(f"{result.unsealed} entries are not sealed yet, the oldest of {result.oldest_unsealed:%F %T} UTC")
    if result.sealed_late:
        lines.append(f"{result.sealed_late} entries were sealed more than an hour after the time they bear")
    return "\n".join(lines)
