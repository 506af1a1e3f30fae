"""The option of backup and restore that names a passphrase: from a file, never from the command line."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Final

from django.core.management.base import CommandError

SHORTEST: Final = 12


def add_passphrase_option(parser: ArgumentParser) -> None:
    """Add `--passphrase-file`."""
    parser.add_argument("--passphrase-file", type=Path, metavar="FILE", help="file with the passphrase of the backup")


def given_passphrase(file: Path | None) -> str:
    """Return the passphrase of the file, empty without one. Raises CommandError."""
    if file is None:
        return ""
    try:
        text = file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise CommandError(f"{file} (--passphrase-file) cannot be read.") from None
    if len(text) < SHORTEST:
        raise CommandError(f"A passphrase needs at least {SHORTEST} characters.")
    return text
