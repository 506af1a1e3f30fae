"""The settings of a plain host, for whoever calls `driftwatch-portal` there in a shell.

systemd gives the processes the same files (deploy/portal/systemd). They are read in systemd's way, not by a shell: a
`$` in a password is a `$`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from portal.program.needs import NeedMissing

DIRECTORY: Final = "/etc/driftwatch"
"""Where SETTINGS_DIRECTORY names no other: for a second portal on one host."""
PORTAL_FILE: Final = "portal.env"
OWNER_FILE: Final = "owner.env"
"""Has the role that owns the tables; only root reads it."""
ASSIGNMENT: Final = re.compile(r"""([A-Za-z_]\w*)=\s*(?:'([^']*)'|"([^"\\]*)"|([^'"\\]*?))\s*""", re.ASCII)


def add_settings_of_host() -> None:
    """Add what the host's files set to the environment; a variable that is set stays.

    A process that has its SECRET_KEY already has its settings: nothing is read. Raises NeedMissing where the portal's
    file cannot be read or has a line that is not NAME=VALUE.
    """
    if os.environ.get("SECRET_KEY") or os.environ.get("SECRET_KEY_FILE"):
        return
    directory = Path(os.environ.get("SETTINGS_DIRECTORY") or DIRECTORY)
    found = _settings(directory / PORTAL_FILE)
    if found:
        found |= _settings(directory / OWNER_FILE, is_secret=True)
    for name, value in found.items():
        # A secret that was given in the other way stays the only one.
        if not {name, f"{name}_FILE", name.removesuffix("_FILE")} & os.environ.keys():
            os.environ[name] = value


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
