"""Errors of changes to users."""

from __future__ import annotations


class LastOwnerError(Exception):
    """The change would leave no active Owner, and so no user who can manage users."""


class StillActiveError(Exception):
    """The account is active: a person is erased after they were deactivated."""


SIGN_IN_FAILED = "Email or password is wrong."
"""One sentence for every reason, or strangers would learn which accounts exist and in which state."""


class TokenRefused(Exception):
    """The token cannot be created; the message has the reason."""


class ScopeRefused(Exception):
    """The scope or group cannot be changed so; the message has the reason."""


class LinkRefused(Exception):
    """A one-time link cannot be created or used; the message has the reason."""


class AddressTaken(Exception):
    """Another user has this email address."""
