"""Signing keys from the command line: list them, and rotate the active key without losing a sensor."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from drift.fleet.actions.bundles import ensure_signing_key
from drift.fleet.actions.signing_keys import add_key, promote_key, retire_key
from drift.fleet.domain.signing import NotAKey
from drift.fleet.errors import FleetError
from drift.fleet.queries.signing_keys import key_lines


class Command(BaseCommand):
    help = "List the keys that sign policy bundles; add, promote or retire one (docs/security.md)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="list each key, its role and how many active sensors accept it")
        add = verbs.add_parser("add", help="add a key, which sensors accept at once and which signs once promoted")
        add.add_argument("--pem", type=Path, help="this Ed25519 private key (PEM, no password) instead of a new one")
        for verb, does in (("promote", "make it the active key"), ("retire", "make sensors reject its signatures")):
            one = verbs.add_parser(verb, help=does)
            one.add_argument("key_id", metavar="KEY", help="the key's id, as `list` prints it")
            one.add_argument("--force", action="store_true", help="even if sensors must then enrol again")

    def handle(self, *args: Any, **options: Any) -> str:
        """Return one line for each key, or what was done."""
        try:
            return _do(options)
        except FleetError as error:
            raise CommandError(str(error.detail)) from None
        except NotAKey:
            raise CommandError(f"{options['pem']} is not an Ed25519 private key in PEM without a password.") from None
        except OSError as error:
            raise CommandError(f"cannot read {options['pem']}: {error.strerror}") from None


def _do(options: dict[str, Any]) -> str:
    verb = options["verb"]
    if verb == "list":
        ensure_signing_key()
        lines = key_lines()
        return "\n".join(
            f"{line.key.key_id}  {line.role:<8}  accepted by {line.known} of {line.total}" for line in lines
        )
    if verb == "add":
        return f"{add_key(None, options['pem'].read_bytes() if options['pem'] else None).key_id} was added"
    if verb == "promote":
        return f"{promote_key(None, options['key_id'], force=options['force']).key_id} is active"
    return f"{retire_key(None, options['key_id'], force=options['force']).key_id} is retired"
