"""Errors of changes to users."""

from __future__ import annotations


class LastOwnerError(Exception):
    """The change would leave no active Owner, and so no user who can manage users."""


class TokenRefused(Exception):
    """The token cannot be created; the message has the reason."""
