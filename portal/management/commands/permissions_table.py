"""`manage.py permissions_table [--check]`: docs/permissions.md from the one permission table."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from portal.access import TABLE, Access, Who

HEAD = """# Permissions

Who may read (GET) and who may change (any other method), for every URL. A role may do all that the ones
before it may: Security Reader, Security Operator, Security Admin, Owner. Made from `portal/access.py` by
`manage.py permissions_table`.

| URL name | read | change |
|---|---|---|
"""


class Command(BaseCommand):
    help = "Write docs/permissions.md, or with --check say whether it is up to date."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        file = Path(settings.BASE_DIR) / "docs" / "permissions.md"
        text = HEAD + "".join(_row(name, access) for name, access in TABLE.items())
        if not options["check"]:
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            raise CommandError("docs/permissions.md is out of date: run manage.py permissions_table")


def _row(name: str, access: Access) -> str:
    return f"| `{name}` | {_who(access.read)} | {_who(access.change)} |\n"


def _who(who: Who | None) -> str:
    return "–" if who is None else str(who.label)
