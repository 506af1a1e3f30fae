"""The settings of a plain host, for whoever calls `driftwatch-portal` there in a shell.

systemd gives the processes the same files (deploy/portal/systemd). They are read in systemd's way, not by a shell: a
`$` in a password is a `$`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from portal.program.needs import NeedMissing

DIRECTORY: Final = "/etc/driftwatch"
"""Where SETTINGS_DIRECTORY names no other: for a second portal on one host."""
PORTAL_FILE: Final = "portal.env"
OWNER_FILE: Final = "owner.env"
"""Has the role that owns the tables; only root reads it."""
ASSIGNMENT: Final = re.compile(r"""([A-Za-z_]\w*)=\s*(?:'([^']*)'|"([^"\\]*)"|([^'"\\]*?))\s*""", re.ASCII)


def add_settings_of_host() -> None:
    """Add what the host's files set to the environment; a variable that is set stays.

    A process that has its SECRET_KEY already has its settings: nothing is read. The owner's file belongs to the
    database of the portal's: where DATABASE_URL is set to another, it is left out with a line, or `migrate` would
    change a database that nobody named. Raises NeedMissing where the portal's file cannot be read or has a line that
    is not NAME=VALUE.
    """
    if os.environ.get("SECRET_KEY") or os.environ.get("SECRET_KEY_FILE"):
        return
    directory = Path(os.environ.get("SETTINGS_DIRECTORY") or DIRECTORY)
    found = _settings(directory / PORTAL_FILE)
    if found and (owner := _settings(directory / OWNER_FILE, is_secret=True)):
        given = _place(os.environ)
        if given is None or given == _place(found):
            found |= owner
        else:
            sys.stderr.write(
                f"driftwatch-portal: {directory / OWNER_FILE} is not used: DATABASE_URL is set to another database than"
                f" that of {PORTAL_FILE}. Where its tables belong to another role, set MIGRATION_DATABASE_URL too.\n"
            )
    for name, value in found.items():
        # A secret that was given in the other way stays the only one.
        if not {name, f"{name}_FILE", name.removesuffix("_FILE")} & os.environ.keys():
            os.environ[name] = value


def _place(values: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return host, port and name of the database that DATABASE_URL leads to; None where it is not set."""
    url = values.get("DATABASE_URL", "")
    if not url and (file := values.get("DATABASE_URL_FILE")):
        with suppress(OSError, UnicodeDecodeError):  # named when the settings are loaded
            url = Path(file).read_text().strip()
    if not url:
        return None
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:
        return (url,)
    port = str(parts.get("port") or "5432")
    return (str(parts.get("host") or ""), port, str(parts.get("dbname") or parts.get("user") or ""))


def _settings(file: Path, *, is_secret: bool = False) -> dict[str, str]:
    try:
        lines = file.read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError:
        if is_secret:
            return {}
        raise NeedMissing(f"{file} cannot be read: run this as root") from None
    except (OSError, UnicodeDecodeError) as error:
        raise NeedMissing(f"{file} cannot be read: {error}") from None
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        assignment = ASSIGNMENT.fullmatch(line.strip())
        if assignment is None:
            raise NeedMissing(
                f"{file}, line {number}: this is not NAME=VALUE; quote a value with ' where it has \" or \\"
            )
        name, *values = assignment.groups()
        found[name] = next(value for value in values if value is not None)
    return found
