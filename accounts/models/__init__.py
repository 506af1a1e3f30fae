"""Users, their API tokens, and the append-only audit log."""

from __future__ import annotations

from accounts.models.audit import AuditEntry
from accounts.models.tokens import ApiToken
from accounts.models.users import User, UserManager, Viewer
from accounts.models.visibility import VisibleQuerySet

__all__ = ["ApiToken", "AuditEntry", "User", "UserManager", "Viewer", "VisibleQuerySet"]
