"""API tokens of users and service accounts."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar, Final

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q, Value
from django.utils import timezone

from accounts.models.users import User
from accounts.models.visibility import Own
from accounts.roles import Role
from accounts.tokens import TokenScope

MAX_LIFETIME: Final = dt.timedelta(days=366)
DEFAULT_REQUESTS_PER_MINUTE: Final = 600
MAX_REQUESTS_PER_MINUTE: Final = 6000
LOWEST_ROLE: Final = {
    TokenScope.READ: Role.READER,
    TokenScope.TRIAGE: Role.OPERATOR,
    TokenScope.PROPOSE: Role.OPERATOR,
    TokenScope.POLICY: Role.ADMIN,
    TokenScope.FLEET: Role.ADMIN,
    TokenScope.ADMIN: Role.ADMIN,
    TokenScope.KUBERNETES_AUDIT: Role.OPERATOR,
}
"""The lowest role whose users may give a token this scope: no lower role has a call that needs it."""


def scopes_of_role(role: Role) -> list[TokenScope]:
    """Return the scopes that a user of `role` may give to a token."""
    return [scope for scope in TokenScope if role.includes(LOWEST_ROLE[scope])]


class ApiToken(models.Model):
    """An API token: a public prefix to look it up, a keyed digest to compare, scopes, an expiry and a rate limit.

    A trigger revokes the tokens of a user who is deactivated; a revoked token stays revoked. With `is_scoped` it sees
    only what its scope entries and its user's scope have in common.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=128)
    prefix = models.CharField(max_length=16, unique=True)
    digest = models.BinaryField(max_length=32)
    scopes = ArrayField(models.CharField(max_length=16), default=list, db_default=Value("{}"))
    """Values of TokenScope. The user's role applies as well: a call needs both."""
    requests_per_minute = models.PositiveIntegerField(
        default=DEFAULT_REQUESTS_PER_MINUTE, db_default=DEFAULT_REQUESTS_PER_MINUTE
    )
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    """Who has seen it: the user, or of a service account the Owner who made it. Null: made before this was recorded."""
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_address = models.GenericIPAddressField(null=True, blank=True)
    is_scoped = models.BooleanField(default=False, db_default=False)

    visibility: ClassVar = Own("user")

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(scopes__contained_by=[scope.value for scope in TokenScope]), name="token_scopes_are_known"
            ),
            models.CheckConstraint(
                condition=Q(requests_per_minute__range=(1, MAX_REQUESTS_PER_MINUTE)), name="token_rate_is_bounded"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"

    def has_scope(self, scope: TokenScope) -> bool:
        """Return whether the token may send calls that need `scope`, if its user's role allows them too."""
        return scope.value in self.scopes

    def limited_user(self) -> User:
        """Return the user with no more permissions than the token's scopes need, and with its part of the estate."""
        if self.is_scoped:
            self.user.narrowed_by = self.pk
        roles = [LOWEST_ROLE[TokenScope(scope)] for scope in self.scopes]
        self.user.limit_role(max(roles, key=list(Role).index, default=Role.READER))
        return self.user

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()
