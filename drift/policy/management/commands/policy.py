"""Policy as code: `manage.py policy export | check | diff | import | backtest` (docs/policy-as-code.md)."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from drift.policy.actions import drafts as actions
from drift.policy.domain.diff import Change, diff
from drift.policy.domain.document_files import FORMATS, format_of, parse, write
from drift.policy.domain.edits import Document, checked
from drift.policy.errors import Conflict, DocumentInvalid, NewerVersion
from drift.policy.models import PolicyVersion
from drift.policy.queries.draft_state import latest_version
from sensor.policy import Fault, check, digest
from sensor.policy.cli import UnreadableError

FINE, FAULTS, UNREADABLE, CONFLICT, FORBIDDEN = 0, 1, 2, 3, 4
DIFFERENT: Final = 1
"""What `diff` exits with, as diff(1) does."""


class Command(BaseCommand):
    help = (
        "The policy as a file. Exit status: 0 fine, 1 faults (diff: differences), 2 unreadable, invalid for diff, "
        "or no such version, 3 not the latest version, 4 not allowed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="do", required=True)
        exporting = commands.add_parser("export", help="print a version's document")
        exporting.add_argument("--format", choices=FORMATS, default="json")
        exporting.add_argument("--version", dest="number", type=_number, metavar="N", help="default: the latest")
        comparing = commands.add_parser("diff", help="what a document would change")
        comparing.add_argument("--version", dest="number", type=_number, metavar="N", help="default: the latest")
        comparing.add_argument("--json", action="store_true", help="the changes as JSON, as the API gives them")
        importing = commands.add_parser("import", help="save a document as the next version")
        importing.add_argument("--base", type=_number, required=True, metavar="vN", help="the version it started from")
        importing.add_argument("--comment", default="", help="what to say of the version")
        importing.add_argument("--user", required=True, metavar="EMAIL", help="who saves: a Security Admin or Owner")
        trying = commands.add_parser("backtest", help="decide stored events by a document, and print what changes")
        trying.add_argument("--days", type=int, default=7, help="how far back (default: 7)")
        for each in (
            commands.add_parser("check", help="say what is wrong: rule, field, why"),
            comparing,
            importing,
            trying,
        ):
            each.add_argument("file", metavar="FILE", help="JSON or YAML, by its name's ending; - is standard input")

    def handle(self, *args: Any, **options: Any) -> str | None:
        """Run one of them; returns what it prints."""
        do = {
            "export": self._export,
            "check": self._check,
            "diff": self._diff,
            "import": self._import,
            "backtest": self._backtest,
        }[options["do"]]
        try:
            return do(options)
        except UnreadableError as error:
            raise CommandError(f"{options['file']}: {error}", returncode=UNREADABLE) from error
        except DocumentInvalid as error:
            raise _faulty(error.faults, UNREADABLE if options["do"] == "diff" else FAULTS) from error
        except Conflict as error:
            raise CommandError(_conflict(error), returncode=CONFLICT) from error

    def _export(self, options: dict[str, Any]) -> str:
        return write(_version(options["number"]).document, options["format"]).removesuffix("\n")

    def _check(self, options: dict[str, Any]) -> str:
        document = _read(options["file"])
        if faults := check(document):
            raise _faulty(faults, FAULTS)
        return f"Fine. {len(checked(document)['rules'])} rules, digest {digest(document)}"

    def _diff(self, options: dict[str, Any]) -> None:
        version, document = _version(options["number"]), checked(_read(options["file"]))
        changes = diff(version.document, document)
        if options["json"]:
            self.stdout.write(json.dumps([change.as_json() for change in changes], ensure_ascii=False))
        else:
            self.stdout.write("\n".join(lines(changes)) or f"No difference from {version}.")
        if changes:
            sys.exit(DIFFERENT)

    def _import(self, options: dict[str, Any]) -> str:
        user = _admin(options["user"])
        comment = options["comment"].replace("\0", "").strip()[:1_000]
        saved = actions.save_document(user, _read(options["file"]), options["base"], comment)
        if not saved.is_new:
            return f"Nothing to save: {saved.version} is the same."
        return f"Saved as {saved.version}, digest {saved.version.digest}"

    def _backtest(self, options: dict[str, Any]) -> None:
        """By name, as actions reach tasks: the policy knows nothing of events."""
        document: Document = checked(_read(options["file"]))
        call_command("backtest", json.dumps(document), days=options["days"], stdout=self.stdout)


def lines(changes: list[Change]) -> list[str]:
    """A diff for people: a line a change, and below it one a field."""
    said = []
    for change in changes:
        said.append(f"{change.kind:<8} {_one_line(change.name)}")
        for each in change.fields:
            before, after = (json.dumps(value, ensure_ascii=False) for value in (each.before, each.after))
            said.append(f"         {each.field}: {before} → {after}")
    return said


def _number(text: str) -> int:
    """12 or v12."""
    return int(text.removeprefix("v"))


def _read(file: str) -> object:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    return parse(data, format_of(file))


def _version(number: int | None) -> PolicyVersion:
    if number is None:
        return latest_version()
    found: PolicyVersion | None = PolicyVersion.objects.filter(number=number).first()
    if found is None:
        raise CommandError(f"There is no v{number}.", returncode=UNREADABLE)
    return found


def _admin(email: str) -> User:
    """The user who acts, by the same rule as the page and the API."""
    user = User.objects.filter(email__iexact=email).first()
    if user is None or not user.can_edit_policy:
        raise CommandError(f"{email} is no active Security Admin or Owner. Nothing was saved.", returncode=FORBIDDEN)
    return user


def _faulty(faults: list[Fault], status: int) -> CommandError:
    return CommandError("\n".join(_one_line(str(fault)) for fault in faults), returncode=status)


def _conflict(error: Conflict) -> str:
    said = str(error.detail)
    if isinstance(error, NewerVersion):
        said += f"\nSaved since v{error.base}:\n" + "\n".join(lines(error.theirs))
        if error.twice:
            said += "\nAdded on both sides, theirs and yours:\n" + "\n".join(lines(error.twice))
    return said


def _one_line(text: str) -> str:
    """Names may hold line breaks and control codes, which a terminal obeys."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
