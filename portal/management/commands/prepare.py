"""`manage.py prepare`: apply migrations, collect static files and create the first rows, in one process."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from portal import first_rows


class Command(BaseCommand):
    help = "Update the database and static files; at the first start, create users."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--credentials", type=Path, help="file for the first users' passwords (mode 0600)")
        parser.add_argument("--demo", action="store_true", help="one user per role, environments and tokens")

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        file: Path | None = options["credentials"]
        if file and options["demo"]:
            first_rows.make_demo(file)
        elif file:
            first_rows.make_owner(file)
