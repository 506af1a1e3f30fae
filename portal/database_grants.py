"""What the portal's role may do in the database: granted by the owner after each migration, never more than is used.

The portal's role owns nothing: it cannot change a table, switch a trigger off, or set a sequence. Tables that only grow
accept its INSERT and neither UPDATE nor DELETE. Partitions come and go by functions that run as the owner.
"""

from __future__ import annotations

from typing import Final

from django.db import connection, transaction
from psycopg import sql

READ_ONLY: Final = frozenset({"django_content_type", "django_migrations"})
"""Written by migrations alone."""
ADD_ONLY: Final = frozenset(
    {"accounts_auditentry", "accounts_auditseal", "policy_policyversion", "policy_proposalcomment"}
)
"""Never changed nor deleted; retention drops partitions, and expires audit entries, by functions."""
CHANGED_COLUMNS: Final = {"alerts_driftevent": "fingerprint"}
"""What alone changes of an event: the alert that counts it, once its container is flooding."""
NEVER_CHANGED: Final = frozenset({"alerts_alertactivity"})
"""Deleted with their alert."""
GIVEN_BY_THE_DATABASE: Final = {"accounts_auditentry": "id"}
"""Columns that the portal's role must not choose: an entry with a huge id would hide others from the sealer."""


def grant_to_portal_role(role: str) -> list[str]:
    """Grant `role` what the portal needs, and revoke everything else. Returns warnings, empty where all is well.

    Runs as the owner. Tables that others own in the same schema are left alone.
    """
    name, schema = sql.Identifier(role), _identifier("current_schema()")
    with transaction.atomic():
        for table, kind in _relations():
            relation = sql.SQL("{}.{}").format(schema, sql.Identifier(table))
            target = sql.SQL("SEQUENCE {}" if kind == "S" else "TABLE {}").format(relation)
            _execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(target, name))
            for privilege in _privileges(table, kind):
                _execute(sql.SQL("GRANT {} ON {} TO {}").format(privilege, target, name))
        for function in _definer_functions():
            _execute(sql.SQL("REVOKE ALL ON FUNCTION {} FROM PUBLIC").format(function))
            _execute(sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(function, name))
    database = _identifier("current_database()")
    may_use, may_create, may_stage = (
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, name),
        sql.SQL("REVOKE CREATE ON SCHEMA {} FROM PUBLIC, {}").format(schema, name),
        sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}").format(database, name),
    )
    return [
        *_ensure("has_schema_privilege(%s, current_schema(), 'USAGE')", role, may_use),
        *_ensure("NOT has_schema_privilege(%s, current_schema(), 'CREATE')", role, may_create),
        *_ensure("has_database_privilege(%s, current_database(), 'TEMPORARY')", role, may_stage),
    ]


def current_role() -> str:
    """Return the role that the portal's connections have."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return str(cursor.fetchone()[0])


def _relations() -> list[tuple[str, str]]:
    """Return the names and kinds of the owner's tables, views and sequences, without partitions."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, relkind::text FROM pg_class"
            " WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')"
            " AND NOT relispartition AND pg_has_role(relowner, 'USAGE') ORDER BY relkind DESC, relname"
        )
        return [(str(name), str(kind)) for name, kind in cursor.fetchall()]


def _privileges(table: str, kind: str) -> list[sql.SQL | sql.Composed]:
    if kind == "S":
        return [sql.SQL("USAGE")]
    if kind in "vm" or table in READ_ONLY:
        return [sql.SQL("SELECT")]
    insert: sql.SQL | sql.Composed = sql.SQL("INSERT")
    if table in GIVEN_BY_THE_DATABASE:
        insert = sql.SQL("INSERT ({})").format(_columns_without(table, GIVEN_BY_THE_DATABASE[table]))
    found: list[sql.SQL | sql.Composed] = [sql.SQL("SELECT"), insert]
    if table in CHANGED_COLUMNS:
        found.append(sql.SQL("UPDATE ({})").format(sql.Identifier(CHANGED_COLUMNS[table])))
    elif table in NEVER_CHANGED:
        found.append(sql.SQL("DELETE"))
    elif table not in ADD_ONLY:
        found.append(sql.SQL("UPDATE, DELETE"))
    return found


def _columns_without(table: str, column: str) -> sql.Composable:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
            " AND attname <> %s ORDER BY attnum",
            [table, column],
        )
        return sql.SQL(", ").join([sql.Identifier(name) for (name,) in cursor.fetchall()])


def _definer_functions() -> list[sql.SQL]:
    """Return the owner's SECURITY DEFINER functions with their argument types, as PostgreSQL writes them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT oid::regprocedure::text FROM pg_proc"
            " WHERE pronamespace = current_schema()::regnamespace AND prosecdef AND pg_has_role(proowner, 'USAGE')"
        )
        return [sql.SQL(text) for (text,) in cursor.fetchall()]


def _ensure(holds: str, role: str, statement: sql.Composable) -> list[str]:
    """Execute `statement` unless `holds` is true of the role; return a warning where it changed nothing.

    Without the right to grant, PostgreSQL warns and changes nothing.
    """
    with connection.cursor() as cursor:
        for attempt in range(2):
            cursor.execute(f"SELECT {holds}", [role])
            if cursor.fetchone()[0]:
                return []
            if attempt == 0:
                _execute(statement)
    return [f"run as the owner of the database: {statement.as_string()};"]


def _identifier(function: str) -> sql.Identifier:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}")
        return sql.Identifier(cursor.fetchone()[0])


def _execute(statement: sql.Composable) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string())
