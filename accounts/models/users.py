"""Users: the role determines what they may do, the scope where."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, Final

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models.functions import Lower
from django.db.models.lookups import Exact
from django.utils import timezone

from accounts.addresses import is_same_address
from accounts.models.scopes import effective_scope
from accounts.models.visibility import WholeEstateOnly
from accounts.roles import Role
from accounts.scope import EstateScope


def has_address(email: str) -> Exact[str]:
    """Return the condition of the user with this email address, as the unique constraint compares them: never two.

    `iexact` compares capitals, in which "ı" is the same letter as "i".
    """
    return Exact(Lower("email"), Lower(models.Value(email)))


class UserManager(BaseUserManager["User"]):
    """Create and find users by email address."""

    def create_user(self, email: str, name: str, role: Role, password: str | None = None) -> User:
        """Store an active user; without a password they cannot sign in."""
        user = User(email=email.strip(), name=name, role=role)
        user.set_password(password)
        user.save()
        return user

    def create_superuser(self, email: str, name: str, password: str | None = None) -> User:
        """Store an Owner, for `manage.py createsuperuser`."""
        user = User(email=email.strip(), name=name, role=Role.OWNER)
        user.made_by_command = True
        user.set_password(password)
        user.save()
        return user

    def get_by_natural_key(self, username: str | None) -> User:
        """Return the user with this email address, case-insensitively."""
        return self.get(has_address(username or ""))


SERVICE_DOMAIN: Final = "service.invalid"
"""Domain of the addresses of service accounts: reserved (RFC 2606), so that no mail ever reaches anybody."""


class User(AbstractBaseUser):
    """A person who signs in, or a service account, which only has API tokens. The role determines what they may do.

    With `is_scoped` they see only the union of their own and their groups' scope entries, and nothing without any.
    """

    is_service = models.BooleanField(default=False, db_default=False)
    email = models.EmailField(unique=True)
    verified_email = models.EmailField(blank=True, default="", db_default="")
    """The address that the user has proved to be theirs. After a change of `email` the two differ."""
    name = models.CharField(max_length=128)
    role = models.CharField(max_length=16, choices=Role)
    is_active = models.BooleanField(default=True)
    must_change_password = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    is_scoped = models.BooleanField(default=False, db_default=False)
    rights_changed_at = models.DateTimeField(null=True, editable=False)
    """When role, state or scope last changed, by a trigger: what the user asked for before no longer stands."""

    narrowed_by: int | None = None
    """The id of the scoped token that this request came with."""

    visibility: ClassVar = WholeEstateOnly("addresses and roles of all users are for Owners")
    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("email"), name="one_user_per_email"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="user_role_is_known"),
            models.CheckConstraint(
                condition=models.Q(is_service=False)
                | models.Q(password__startswith="!", email__endswith=f"@{SERVICE_DOMAIN}")  # noqa: S106 - Django's mark
                & ~models.Q(role=Role.OWNER),
                name="service_account_cannot_sign_in",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def has_role(self, role: Role) -> bool:
        """Return whether this user is active and has the permissions of `role`.

        A user or token with a scope has at most those of an Operator: Admins and Owners act on the whole estate.
        """
        if not self.is_active or not Role(self.role).includes(role):
            return False
        if self._token_limit is not None and not self._token_limit.includes(role):
            return False
        return Role.OPERATOR.includes(role) or not self.is_limited

    made_by_command = False
    """Whether `manage.py createsuperuser` has just created it, which is audited as a whole."""

    _token_limit: Role | None = None

    def limit_role(self, limit: Role) -> None:
        """Give this instance, which is never saved, no permission above `limit`: that of a token."""
        self._token_limit = limit

    @property
    def is_email_verified(self) -> bool:
        """Whether the user has proved that the address is theirs: a reset is mailed to no other."""
        return bool(self.email) and is_same_address(self.verified_email, self.email)

    @property
    def is_limited(self) -> bool:
        """Whether the account or the token of this request has a scope."""
        return self.is_scoped or self.narrowed_by is not None

    @cached_property
    def scope(self) -> EstateScope:
        """What this user sees, read once: a request has its own instance of the user."""
        return effective_scope(self.pk, is_scoped=self.is_scoped, token_id=self.narrowed_by)

    @property
    def sees_whole_estate(self) -> bool:
        return self.scope.is_whole_estate

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
