"""Users, their API tokens, and the append-only audit log."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.roles import Role


class UserManager(BaseUserManager["User"]):
    """Create and find users by email address."""

    def create_user(self, email: str, name: str, role: Role, password: str | None = None) -> User:
        """Store an active user; without a password they cannot sign in."""
        user = User(email=email.strip(), name=name, role=role)
        user.set_password(password)
        user.save()
        return user

    def get_by_natural_key(self, username: str | None) -> User:
        """Return the user with this email address, case-insensitively."""
        return self.get(email__iexact=username)


class User(AbstractBaseUser):
    """A user who signs in. The role determines all permissions."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=128)
    role = models.CharField(max_length=16, choices=Role)
    is_active = models.BooleanField(default=True)
    must_change_password = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("email"), name="one_user_per_email"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="user_role_is_known"),
        ]

    def __str__(self) -> str:
        return self.name

    def has_role(self, role: Role) -> bool:
        """Return whether this user is active and has the permissions of `role`."""
        return self.is_active and Role(self.role).includes(role)

    @property
    def can_triage(self) -> bool:
        return self.has_role(Role.OPERATOR)

    @property
    def can_edit_policy(self) -> bool:
        return self.has_role(Role.ADMIN)

    @property
    def can_manage_users(self) -> bool:
        return self.has_role(Role.OWNER)


Viewer = User | AnonymousUser


class VisibleQuerySet(models.QuerySet[Any]):
    """Rows that a user may see. One deployment serves one organisation, so a role sees all or nothing."""

    def visible_to(self, user: Viewer) -> VisibleQuerySet:
        """Return all rows to an active user, none to anybody else."""
        return self.all() if isinstance(user, User) and user.has_role(Role.READER) else self.none()


class ApiToken(models.Model):
    """A user's API token: a public prefix to look it up, a keyed digest to compare."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=128)
    prefix = models.CharField(max_length=16, unique=True)
    digest = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"


class AuditEntry(models.Model):
    """One change: actor, verb, object, values before and after. A trigger rejects UPDATE, DELETE and TRUNCATE."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    actor_name = models.CharField(max_length=256)
    verb = models.CharField(max_length=64)
    object_type = models.CharField(max_length=64)
    object_id = models.CharField(max_length=64)
    object_name = models.CharField(max_length=256, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    objects = VisibleQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["object_type", "object_id"], name="audit_by_object")]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.verb} {self.object_name or self.object_id}"
