"""`manage.py backup`: the whole database in one file (docs/operators.md#backup-and-restore)."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from accounts import audit
from accounts.database_roles import as_database_owner, require_same_database
from portal.backup.archive import write_archive
from portal.backup.errors import BackupError
from portal.management.passphrase import add_passphrase_option, given_passphrase
from sensor.version import VERSION


class Command(BaseCommand):
    help = "Write a consistent backup of the database to a file, while the portal runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the file to write, which must not exist (mode 0600)")
        add_passphrase_option(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the backup. Raises CommandError, and leaves no file behind, where that fails."""
        file: Path = options["file"]
        passphrase = given_passphrase(options["passphrase_file"])
        require_same_database()
        # Before: whoever has the backup finds in it that it was made.
        audit.record(None, "backed up", "database", "", after={"encrypted": bool(passphrase)})
        try:
            with as_database_owner():
                facts = {
                    "driftwatch": VERSION,
                    "created_at": timezone.now().isoformat(),
                    "migrations": sorted(map(list, MigrationRecorder(connection).applied_migrations())),
                }
                write_archive(file, facts, passphrase, settings.SECRET_KEY)
        except BackupError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{file}: {file.stat().st_size:,} bytes{', encrypted' if passphrase else ''}")
        self.stdout.write(
            "SECRET_KEY belongs to this backup and is not in it: keep it, at another place. Without it sensors must"
            " enrol again, and webhooks, second factors and signing keys are lost."
        )
