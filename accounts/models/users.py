"""Users: the role determines what they may do."""

from __future__ import annotations

from typing import ClassVar

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
