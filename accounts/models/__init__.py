"""Users, what they see, their API tokens and sessions, and the append-only audit log."""

from __future__ import annotations

from accounts.models.audit import AuditEntry, AuditSeal
from accounts.models.links import OneTimeLink
from accounts.models.scope_digest import OwnOfScope, scope_digest
from accounts.models.scopes import ScopeEntry, ScopeGroup
from accounts.models.sessions import Session
from accounts.models.tokens import ApiToken
from accounts.models.users import User, UserManager, Viewer
from accounts.models.visibility import (
    Everybody,
    Own,
    ScopedBy,
    ScopedByEnvironment,
    ScopedPlace,
    ScopedThrough,
    WholeEstateOnly,
)
from accounts.models.visible_rows import VisibleQuerySet

__all__ = [
    "ApiToken",
    "AuditEntry",
    "AuditSeal",
    "Everybody",
    "OneTimeLink",
    "Own",
    "OwnOfScope",
    "ScopeEntry",
    "ScopeGroup",
    "ScopedBy",
    "ScopedByEnvironment",
    "ScopedPlace",
    "ScopedThrough",
    "Session",
    "User",
    "UserManager",
    "Viewer",
    "VisibleQuerySet",
    "WholeEstateOnly",
    "scope_digest",
]
