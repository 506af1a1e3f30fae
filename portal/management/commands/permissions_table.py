"""`manage.py permissions_table [--check]`: docs/permissions.md from the one permission table."""

from __future__ import annotations

from portal.access import TABLE, Access, Who
from portal.management.generated import GeneratedPage

HEAD = """# Permissions

Who may read (GET) and who may change (any other method), for every URL. A role may do all that the ones
before it may: Security Reader, Security Operator, Security Admin, Owner. Made from `portal/access.py` by
`manage.py permissions_table`.

| URL name | read | change |
|---|---|---|
"""


class Command(GeneratedPage):
    help = "Write docs/permissions.md, or with --check say whether it is up to date."
    page = "permissions.md"

    def text(self) -> str:
        return HEAD + "".join(_row(name, access) for name, access in TABLE.items())


def _row(name: str, access: Access) -> str:
    return f"| `{name}` | {_who(access.read)} | {_who(access.change)} |\n"


def _who(who: Who | None) -> str:
    return "–" if who is None else str(who.label)
