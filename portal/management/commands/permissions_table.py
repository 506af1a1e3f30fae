"""`manage.py permissions_table [--check]`: generate docs/permissions.md from portal/access.py."""

from __future__ import annotations

from portal.access import TABLE, Access, Who
from portal.management.generated import GeneratedPage

HEAD = """# Permissions

The role that each URL requires, for reading (GET) and for changing (POST, PUT, PATCH, DELETE). Each role includes the
ones before it: Security Reader, Security Operator, Security Admin, Owner. A dash: the method is not allowed.

Scope: *whole estate* is only for users and tokens that see the whole estate; elsewhere everybody sees the part of their
scope ([scopes.md](scopes.md)).

*Token* is the scope that an API token needs beside its user's role. What every user may read needs `read`; all other
methods need the scope of the row. Without a scope tokens are not accepted ([people.md](people.md#api-tokens)).
*Only*: nothing but a token is accepted.

*Confirmed*: a change from a session needs a proof of identity within five minutes ([sign-in](sign-in.md#confirming)).
Generated from `portal/access.py` by `manage.py permissions_table`.

| URL name | read | change | scope | token | confirmed |
|---|---|---|---|---|---|
"""


class Command(GeneratedPage):
    help = "Write docs/permissions.md, or with --check fail if it is out of date."
    page = "permissions.md"

    def text(self) -> str:
        return HEAD + "".join(_row(name, access) for name, access in TABLE.items())


def _row(name: str, access: Access) -> str:
    cells = (_label(access.read), _label(access.change), _scope(access), _token(access), _recent(access))
    return f"| `{name}` | {' | '.join(cells)} |\n"


def _token(access: Access) -> str:
    return f"{access.token or ''}{', only' * access.programs_only}"


def _recent(access: Access) -> str:
    if isinstance(access.recent, bool):
        return "yes" if access.recent else ""
    return access.recent.__name__.replace("_", " ")


def _scope(access: Access) -> str:
    return "whole estate" if access.whole_estate else ""


def _label(who: Who | None) -> str:
    return "–" if who is None else str(who.label)
