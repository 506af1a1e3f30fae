"""`manage.py audit`: verify the audit log's chain, export entries, seal them, and print heads (docs/audit.md)."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import ProgrammingError

from accounts.actions.audit_erasure import erase_person
from accounts.actions.audit_heads import publish_head
from accounts.actions.audit_seals import seal_entries
from accounts.audit_chain import Head
from accounts.database_roles import as_database_owner, require_same_database
from accounts.errors import StillActiveError
from accounts.models import User
from accounts.models.users import has_address
from accounts.queries.audit_export import all_lines, csv_lines, json_lines
from accounts.queries.audit_verification import AuditVerification, verify_audit_log
from accounts.roles import Role

FORMATS: Final = {"jsonl": json_lines, "csv": csv_lines}


class Command(BaseCommand):
    help = "Verify the audit log against its hash chain, export it, erase a person from it, or print the chain's head."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verify = verbs.add_parser("verify", help="exit status 1 if an entry was changed, removed or inserted")
        verify.add_argument("--head", type=_head, action="append", default=[], help="a head that was kept: N:SHA256")
        verify.add_argument("--heads", type=Path, help="file of heads, one a line (default: AUDIT_HEAD_FILE)")
        erase = verbs.add_parser("erase", help="erase a deactivated user's name and addresses; the chain stays intact")
        erase.add_argument("--user", required=True, metavar="EMAIL", help="the person to erase")
        erase.add_argument("--as", required=True, dest="actor", metavar="EMAIL", help="the Owner who does it")
        export = verbs.add_parser("export", help="print all entries, oldest first")
        export.add_argument("--format", choices=FORMATS, default="jsonl", help="default: jsonl, an object per line")
        verbs.add_parser("seal", help="seal entries now; a task does it every 10 seconds")
        verbs.add_parser("head", help="seal entries, print the head, and append it to AUDIT_HEAD_FILE")

    def handle(self, *args: Any, **options: Any) -> str:
        """Return what was done. Raises CommandError, exit status 1, where the log is not intact."""
        verb = options["verb"]
        if verb == "seal":
            return f"{seal_entries(everywhere=True)} entries sealed"
        if verb == "export":
            for line in all_lines(FORMATS[options["format"]]):
                self.stdout.write(line, ending="")
            return ""
        if verb == "erase":
            return _erase(options["user"], options["actor"])
        if verb == "head":
            seal_entries(everywhere=True)
            return str(publish_head())
        file = options["heads"] or (Path(settings.AUDIT_HEAD_FILE) if settings.AUDIT_HEAD_FILE else None)
        result = verify_audit_log([*options["head"], *(_read_heads(file) if file else [])])
        if not result.is_intact:
            raise CommandError("\n".join([f"NOT INTACT: {result.problem_count} problems", *result.problems]))
        return _summary(result)


def _erase(email: str, actor_email: str) -> str:
    require_same_database()
    with as_database_owner():
        actor = User.objects.filter(has_address(actor_email)).first()
        if actor is None or not actor.has_role(Role.OWNER):
            raise CommandError(f"{actor_email} is not an active Owner.")
        person = User.objects.filter(has_address(email)).first()
        if person is None:
            raise CommandError(f"{email} is not a user.")
        try:
            return f"erased from {erase_person(actor, person)} audit entries; user {person.pk} has no name now"
        except StillActiveError:
            raise CommandError(f"{email} is active. Deactivate the account first.") from None
        except ProgrammingError:
            raise CommandError("This needs MIGRATION_DATABASE_URL: only the tables' owner may erase.") from None


def _head(text: str) -> Head:
    try:
        return Head.parse(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _read_heads(file: Path) -> list[Head]:
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
    if result.erased:
        lines.append(f"{result.erased} entries have values that were erased for a person, as recorded")
    if result.unsealed:
        lines.append(f"{result.unsealed} entries are not sealed yet, the oldest of {result.oldest_unsealed:%F %T} UTC")
    if result.sealed_late:
        lines.append(f"{result.sealed_late} entries were sealed more than an hour after the time they bear")
    return "\n".join(lines)
