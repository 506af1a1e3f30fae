"""`manage.py restore`: a backup into an empty database (docs/operators.md#backup-and-restore)."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from accounts import audit
from accounts.actions.audit_seals import seal_entries
from accounts.database_roles import as_database_owner, as_portal_role, require_same_database
from accounts.queries.audit_verification import verify_audit_log
from portal.backup import tools
from portal.backup.archive import is_signed, opened_dump, read_manifest
from portal.backup.errors import BackupError
from portal.management.passphrase import add_passphrase_option, given_passphrase


class Command(BaseCommand):
    help = "Restore a backup into an empty database, apply newer migrations, and verify the audit log."
    # The checks of a database that is still empty would fail.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the backup")
        add_passphrase_option(parser)
        parser.add_argument(
            "--other-secret-key",
            action="store_true",
            help="the SECRET_KEY of the backup is lost: sensors enrol again, secrets are lost, and nothing shows that"
            " the backup was not changed",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Restore the backup, or change nothing. Raises CommandError."""
        try:
            manifest = self._restore(options["file"], given_passphrase(options["passphrase_file"]), options)
        except BackupError as error:
            raise CommandError(str(error)) from None
        call_command("migrate", interactive=False, verbosity=0)
        with as_portal_role():
            audit.record(None, "restored", "database", "", after={"backup": manifest["created_at"]})
            seal_entries(everywhere=True)
            result = verify_audit_log([])
        if not result.is_intact:
            raise CommandError("\n".join(["The audit log is not intact.", *result.problems]))
        self.stdout.write(f"restored the backup of {manifest['created_at']}, made by {manifest['driftwatch']}")
        self.stdout.write(f"the audit log is intact: {result.entries} entries, head {result.head}")
        self.stdout.write("Sessions and one-time links have ended. Revoke again what was revoked since the backup.")

    def _restore(self, file: Path, passphrase: str, options: dict[str, Any]) -> dict[str, Any]:
        manifest = read_manifest(file)
        if not options["other_secret_key"] and not is_signed(manifest, settings.SECRET_KEY):
            raise BackupError(
                "SECRET_KEY is not the one of this backup, or the backup was changed. If the key is lost, restore with"
                " --other-secret-key: sensors must then enrol again."
            )
        if manifest["encrypted"] and not passphrase:
            raise BackupError("The backup is encrypted: give --passphrase-file.")
        require_same_database()
        with as_database_owner():
            _check_target(manifest)
            with opened_dump(file, manifest, passphrase) as dump:
                connection.close()
                tools.load(dump)
        return manifest


def _check_target(manifest: dict[str, Any]) -> None:
    if tables := connection.introspection.table_names():
        raise BackupError(f"The database is not empty: it has {len(tables)} tables. Restore into a new one.")
    known = MigrationLoader(None).disk_migrations
    unknown = [f"{app} {name}" for app, name in manifest["migrations"] if (app, name) not in known]
    if unknown:
        raise BackupError(f"The backup is of a newer version, {manifest['driftwatch']}: it has {unknown[0]}.")
