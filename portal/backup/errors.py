"""Why a backup could not be made or restored, in one line for the operator."""

from __future__ import annotations


class BackupError(Exception):
    """The message has the reason."""
