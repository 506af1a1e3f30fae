"""`manage.py migrate`: Django's, as the owner of the tables; afterwards the portal's role gets what it needs."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate

from accounts.database_roles import as_database_owner, as_portal_role, has_owner_role, require_same_database
from accounts.queries.storage_warnings import role_problems
from portal.database_grants import current_role, grant_to_portal_role
from portal.management.lock_timeouts import LockTimeoutExecutor

# Django's command has no other way to name its executor.
migrate.MigrationExecutor = LockTimeoutExecutor  # type: ignore[attr-defined]


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate, then grant. Without MIGRATION_DATABASE_URL one role does both, with a warning."""
        if not has_owner_role():
            super().handle(*args, **options)
            self._warn(role_problems())
            return
        require_same_database()
        with as_portal_role():
            role = current_role()
        with as_database_owner():
            super().handle(*args, **options)
            if not options["check_unapplied"] and not options["plan"]:
                for warning in grant_to_portal_role(role):
                    self.stderr.write(f"database roles: {warning}")
        with as_portal_role():
            self._warn(role_problems())

    def _warn(self, problems: list[str]) -> None:
        if problems:
            self.stderr.write(
                f"database roles: the portal's is not limited: {'; '.join(problems)}."
                " See docs/operators.md#two-database-roles."
            )
