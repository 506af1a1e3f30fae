"""`manage.py settings_table [--check]`: docs/settings.md from what settings.py asks for."""

from __future__ import annotations

from django.conf import settings

from portal.config import SETTINGS, Setting
from portal.management.generated import GeneratedPage

HEAD = """# Settings

Read from the environment when a process starts. `make demo` and `make run` set those that are required;
a deployment of your own sets them all. A secret may come from a file instead: `NAME_FILE=/run/secrets/name`.
This table is made from the code by `manage.py settings_table`.

| name | kind | default | what it is |
|---|---|---|---|
"""
TAIL = """
Embedded mode only: `PORT` (8000), `DATA_DIR` (`.data`), `PG_BIN` (a folder with other PostgreSQL binaries).
"""


class Command(GeneratedPage):
    help = "Write docs/settings.md, or with --check say whether it is up to date."
    page = "settings.md"

    def text(self) -> str:
        return HEAD + "".join(_row(setting) for setting in SETTINGS.values()) + TAIL


def _row(setting: Setting) -> str:
    shown = "required" if setting.default is None else f"`{_general(setting.default)}`" if setting.default else "empty"
    return f"| `{setting.name}` | {setting.kind}{', secret' if setting.secret else ''} | {shown} | {setting.help} |\n"


def _general(default: str) -> str:
    """Defaults without this machine's folder."""
    return default.replace(str(settings.BASE_DIR) + "/", "")
