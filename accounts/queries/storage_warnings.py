"""What is wrong with how the portal stores what it must protect: its database role, and the audit log's sealing."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.db import connection
from django.db.models import Max
from django.utils import timezone

from accounts.models import AuditEntry, AuditSeal

SEALED_WITHIN: Final = dt.timedelta(minutes=10)
"""A task seals every ten seconds."""


def role_problems() -> list[str]:
    """Return, in sentences, what the connected role may do that the portal's should not; empty where it is safe."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        is_superuser, creates_roles, _ = cursor.fetchone()
        cursor.execute(
            "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('accounts_auditentry')"
        )
        owns = (cursor.fetchone() or (False,))[0]
        cursor.execute("SELECT has_schema_privilege(current_schema(), 'CREATE')")
        creates = cursor.fetchone()[0]
    found = (
        (is_superuser, "it is a superuser"),
        (creates_roles, "it may create roles"),
        (owns, "it owns the tables, and so could switch off the triggers that protect the audit log"),
        (creates and not owns, "it may create objects in the schema"),
    )
    return [text for applies, text in found if applies]


def unsealed_since() -> dt.datetime | None:
    """Return the time of the first entry that is overdue for sealing; None where the sealer keeps up."""
    newest = AuditSeal.objects.aggregate(newest=Max("entry_id"))["newest"] or 0
    overdue = AuditEntry.objects.filter(pk__gt=newest, at__lt=timezone.now() - SEALED_WITHIN).order_by("pk")
    return overdue.values_list("at", flat=True).first()
