"""`manage.py settings_table [--check]`: generate docs/settings.md from portal/settings.py."""

from __future__ import annotations

from django.conf import settings

from portal.config import SETTINGS, Setting
from portal.management.generated import GeneratedPage

HEAD = """# Settings

Environment variables, read when a process starts. `make demo` and `make run` set the required ones; your own deployment
sets them itself. A secret may come from a file instead: `NAME_FILE=/run/secrets/name`.
This table is generated from `portal/settings.py` by `manage.py settings_table`.

| name | type | default | description |
|---|---|---|---|
"""
TAIL = """
Embedded mode only: `PORT` (8000), `DATA_DIR` (`.data`), `PG_BIN` (a directory with other PostgreSQL binaries).
On a plain host: `SETTINGS_DIRECTORY` (`/etc/driftwatch`), where [its files](operators.md#on-a-plain-host) are.
"""


class Command(GeneratedPage):
    help = "Write docs/settings.md, or with --check fail if it is out of date."
    page = "settings.md"

    def text(self) -> str:
        return HEAD + "".join(_row(setting) for setting in SETTINGS.values()) + TAIL


def _row(setting: Setting) -> str:
    shown = "required" if setting.default is None else f"`{_portable(setting.default)}`" if setting.default else "empty"
    return f"| `{setting.name}` | {setting.kind}{', secret' if setting.secret else ''} | {shown} | {setting.help} |\n"


def _portable(default: str) -> str:
    """Return the default relative to the checkout: the page must not depend on where it was generated."""
    return default.replace(str(settings.BASE_DIR) + "/", "")
