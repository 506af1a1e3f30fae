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
from accounts.models.users import has_address
from drift.policy.actions.versions import save_document
from drift.policy.domain.conflicts import NewerVersion
from drift.policy.domain.default_blocking import BLOCK_BY_DEFAULT
from drift.policy.domain.detection import DETECT_NOTHING
from drift.policy.domain.diff import Change, diff
from drift.policy.domain.document_files import FORMATS, write
from drift.policy.domain.edits import Document, checked
from drift.policy.errors import (
    ApproverRequired,
    DefaultBlocks,
    DetectsNothing,
    DocumentInvalid,
    PolicyConflict,
    SensorsLack,
)
from drift.policy.models import PolicyVersion
from drift.policy.queries.lacking_sensors import LEAVE_BEHIND
from drift.policy.queries.versions import find_version, latest_version
from sensor.policy import DocumentError, check, digest
from sensor.policy.cli import one_line
from sensor.policy.document_errors import UnreadableError
from sensor.policy.document_text import file_format, parse_document
from sensor.policy.lint import lint

INVALID, UNREADABLE, CONFLICT, FORBIDDEN = 1, 2, 3, 4
DIFFERENT: Final = 1
"""Exit status of `diff` where there are differences, as of diff(1)."""


class Command(BaseCommand):
    help = (
        "Export, check, compare and import the policy as a file. Exit status: 0 OK, 1 errors in the document (diff: "
        "differences), 2 unreadable file, invalid document (diff), or unknown version, 3 base is not the latest "
        "version or a confirmation is missing, 4 permission denied."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="do", required=True)
        export = commands.add_parser("export", help="print a version's document")
        export.add_argument("--format", choices=FORMATS, default="json", help="default: json")
        export.add_argument("--version", dest="number", type=_number, metavar="N", help="default: the latest")
        compare = commands.add_parser("diff", help="print what a document would change")
        compare.add_argument("--version", dest="number", type=_number, metavar="N", help="default: the latest")
        compare.add_argument("--json", action="store_true", help="print the changes as JSON, in the API's format")
        import_ = commands.add_parser("import", help="save a document as the next version")
        import_.add_argument(
            "--base", type=_number, required=True, metavar="vN", help="the version that the document started from"
        )
        import_.add_argument("--comment", default="", help="a comment on the version")
        import_.add_argument(
            "--user", required=True, metavar="EMAIL", help="the user to save as: a Security Admin or Owner"
        )
        import_.add_argument(
            "--detects-nothing", action="store_true", help="confirm that the policy reports no kind of drift"
        )
        import_.add_argument(
            "--leave-sensors-behind",
            action="store_true",
            help="confirm that live sensors reject the policy, or disable rules of it",
        )
        import_.add_argument(
            "--block-by-default", action="store_true", help="confirm that the default rule begins to block"
        )
        backtest = commands.add_parser("backtest", help="decide stored events by a document and print the differences")
        backtest.add_argument("--days", type=int, default=7, help="days of events (default: 7)")
        checking = commands.add_parser("check", help="print every error, else every warning: rule, field, message")
        checking.add_argument("--strict", action="store_true", help="fail on warnings too")
        for each in (
            checking,
            compare,
            import_,
            backtest,
        ):
            each.add_argument(
                "file", metavar="FILE", help="JSON or YAML, by the file name's extension; - is standard input"
            )

    def handle(self, *args: Any, **options: Any) -> str | None:
        """Run one subcommand and return its output."""
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
            raise _invalid(error.errors, UNREADABLE if options["do"] == "diff" else INVALID) from error
        except ApproverRequired as error:
            advice = "Import it on the policy page, or put it in your draft by the API, and propose it."
            raise CommandError(f"{error.detail} {advice}", returncode=FORBIDDEN) from error
        except DetectsNothing as error:
            message = "This policy reports no kind of drift. Add --detects-nothing to save it. Nothing was saved."
            raise CommandError(message, returncode=CONFLICT) from error
        except SensorsLack as error:
            raise CommandError(f"{error.detail} Or add --leave-sensors-behind.", returncode=CONFLICT) from error
        except DefaultBlocks as error:
            raise CommandError(f"{error.detail} Or add --block-by-default.", returncode=CONFLICT) from error
        except PolicyConflict as error:
            raise CommandError(_conflict(error), returncode=CONFLICT) from error

    def _export(self, options: dict[str, Any]) -> str:
        return write(_version(options["number"]).document, options["format"]).removesuffix("\n")

    def _check(self, options: dict[str, Any]) -> str:
        document = _read(options["file"])
        if errors := check(document):
            raise _invalid(errors, INVALID)
        normalised = checked(document)
        warnings = lint(normalised)
        for each in warnings:
            self.stdout.write(one_line(each.line))
        if warnings and options["strict"]:
            sys.exit(INVALID)
        return f"Valid. {len(normalised['rules'])} rules, digest {digest(document)}"

    def _diff(self, options: dict[str, Any]) -> None:
        version, document = _version(options["number"]), checked(_read(options["file"]))
        changes = diff(version.document, document)
        if options["json"]:
            self.stdout.write(json.dumps([change.as_json() for change in changes], ensure_ascii=False))
        else:
            self.stdout.write("\n".join(lines(changes)) or f"No differences from {version}.")
        if changes:
            sys.exit(DIFFERENT)

    def _import(self, options: dict[str, Any]) -> str:
        user = _admin(options["user"])
        comment = options["comment"].replace("\0", "").strip()[:1_000]
        said = {
            DETECT_NOTHING: options["detects_nothing"],
            LEAVE_BEHIND: options["leave_sensors_behind"],
            BLOCK_BY_DEFAULT: options["block_by_default"],
        }
        confirmation = ", ".join(phrase for phrase, is_said in said.items() if is_said)
        document = _read(options["file"])
        saved = save_document(user, document, options["base"], comment, confirmation)
        for each in lint(saved.version.document):
            self.stderr.write(one_line(each.line))
        if not saved.is_new:
            return f"Nothing to save: {saved.version} is the same."
        return f"Saved as {saved.version}, digest {saved.version.digest}"

    def _backtest(self, options: dict[str, Any]) -> None:
        # Called by name, as actions enqueue tasks: this app does not import the apps that know events.
        document: Document = checked(_read(options["file"]))
        call_command("backtest", json.dumps(document), days=options["days"], stdout=self.stdout)


def lines(changes: list[Change]) -> list[str]:
    """Return a diff as text: one line per change, followed by one per changed field."""
    output = []
    for change in changes:
        output.append(f"{change.kind:<8} {_one_line(change.name)}")
        for each in change.fields:
            before, after = (json.dumps(value, ensure_ascii=False) for value in (each.before, each.after))
            output.append(f"         {each.field}: {before} → {after}")
    return output


def _number(text: str) -> int:
    """Parse `12` or `v12`."""
    return int(text.removeprefix("v"))


def _read(file: str) -> object:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    return parse_document(data, file_format(file))


def _version(number: int | None) -> PolicyVersion:
    if number is None:
        return latest_version()
    found = find_version(number)
    if found is None:
        raise CommandError(f"Version {number} does not exist.", returncode=UNREADABLE)
    return found


def _admin(email: str) -> User:
    """Return the user to save as; they need the same role as on the page and in the API."""
    user = User.objects.filter(has_address(email)).first()
    if user is None or not user.can_edit_policy:
        raise CommandError(
            f"{email} is not an active Security Admin or Owner. Nothing was saved.", returncode=FORBIDDEN
        )
    return user


def _invalid(errors: list[DocumentError], status: int) -> CommandError:
    return CommandError("\n".join(_one_line(str(error)) for error in errors), returncode=status)


def _conflict(error: PolicyConflict) -> str:
    output = str(error.detail)
    if isinstance(error, NewerVersion):
        output += f"\nSaved since v{error.base}:\n" + "\n".join(lines(error.theirs))
        if error.twice:
            output += "\nAdded on both sides, theirs and yours:\n" + "\n".join(lines(error.twice))
    return output


def _one_line(text: str) -> str:
    """Escape line breaks and control codes: a name could use them to forge lines or drive the terminal."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
