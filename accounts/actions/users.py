"""Add and change users and service accounts."""

from __future__ import annotations

import secrets
from typing import Any

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q

from accounts import audit
from accounts.actions.links import create_link, revoke_link
from accounts.actions.sessions import end_sessions
from accounts.actions.tokens import revoke_tokens_of
from accounts.errors import AddressTaken, LastOwnerError
from accounts.models import OneTimeLink, User
from accounts.models.users import SERVICE_DOMAIN, has_address
from accounts.queries.current_role import check_current_role
from accounts.roles import Role
from accounts.signals import account_changed


@transaction.atomic
def create_user(
    actor: User | None, *, email: str, name: str, role: Role, password: str | None = None, one_time: bool = True
) -> tuple[User, str]:
    """Add a user. Without a password one is generated.

    Returns the user and the password, to be shown once; a one-time password must be changed at the first sign-in.
    """
    password = password or secrets.token_urlsafe(12)
    user = User.objects.create_user(email, name, role, password)
    if one_time:
        user.must_change_password = True
        user.save(update_fields=["must_change_password"])
    audit.record(actor, "created", "user", user.pk, name=user.email, after={"name": name, "role": role})
    return user, password


def invite_user(actor: User | None, *, email: str, name: str, role: Role) -> tuple[User, str]:
    """Add a user who has no password yet. Returns the user and the URL with which they choose one.

    Raises AddressTaken if there is a user with this address.
    """
    try:
        with transaction.atomic():
            user = User.objects.create_user(email, name, role, None)
            audit.record(actor, "invited", "user", user.pk, name=user.email, after={"name": name, "role": role})
            return user, create_link(actor, user)
    except IntegrityError:
        raise AddressTaken from None


def create_service_account(actor: User, *, name: str, role: Role) -> User:
    """Add an account without a person: it has API tokens and nothing to sign in with.

    `name` is of lower-case letters, digits and hyphens. Raises AddressTaken if there is one of this name.
    """
    user = User(email=f"{name}@{SERVICE_DOMAIN}", name=name, role=role, is_service=True)
    user.set_unusable_password()
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            audit.record(actor, "created", "service account", user.pk, name=user.email, after={"role": role})
    except IntegrityError:
        raise AddressTaken from None
    return user


def can_act_as_owner() -> Q:
    """Return the condition of Owners who can get in.

    An invitation that nobody has accepted does not count, nor a password where only the issuer signs people in.
    """
    able = ~Q(password__startswith="!") | Q(last_login__isnull=False)  # noqa: S106 - Django's mark of no password
    if settings.OIDC_ISSUER and not settings.LOCAL_SIGN_IN:
        linked = SocialAccount.objects.filter(user=OuterRef("pk"), provider=settings.OIDC_ISSUER)
        able &= Exists(linked) | Q(has_address(settings.BREAK_GLASS_OWNER))
    return Q(role=Role.OWNER, is_active=True, is_scoped=False) & able


def change_user(
    actor: User,
    user_id: int,
    *,
    role: Role,
    is_active: bool,
    email: str | None = None,
    name: str | None = None,
) -> User:
    """Change a user's role, address or name, or deactivate or reactivate the account.

    Raises LastOwnerError if no Owner who can sign in would remain, AddressTaken if another user has the address,
    PermissionDenied if the actor is no longer an Owner.
    """
    try:
        with transaction.atomic(durable=True):
            return _change_user(actor, user_id, role=role, is_active=is_active, email=email, name=name)
    except IntegrityError:
        raise AddressTaken from None


def _change_user(actor: User, user_id: int, **changes: Any) -> User:
    # Locked before anything is read: two Owners who demote each other at the same time would both see one remain.
    # In one order, with the user: of two changes at once none must hold what the other waits for.
    list(User.objects.select_for_update().filter(can_act_as_owner() | Q(pk=user_id)).order_by("pk").values_list("pk"))
    owners = User.objects.filter(can_act_as_owner()).exists()
    user = User.objects.get(pk=user_id)
    check_current_role(actor, Role.OWNER)
    after = {key: value for key, value in changes.items() if value is not None}
    before = {key: getattr(user, key) for key in after}
    changed = {key: value for key, value in after.items() if value != before[key]}
    if not changed:
        return user
    for key, value in changed.items():
        setattr(user, key, value)
    user.save(update_fields=list(changed))
    if "is_active" in changed:
        # An Owner has decided since the issuer's groups did: they bring back only whom they ended themselves.
        SocialAccount.objects.filter(user=user).update(extra_data={})
    # Another address ends what BREAK_GLASS_OWNER gives.
    if owners and not User.objects.filter(can_act_as_owner()).exists():
        raise LastOwnerError
    keys = {"role", "is_active"} | set(changed)
    audit.record(
        actor,
        "changed",
        "user",
        user.pk,
        name=user.email,
        before={key: before[key] for key in keys},
        after={key: after[key] for key in keys},
    )
    if "email" in changed:
        # A link that was sent to the old address must not open the account of the new one.
        revoke_link(actor, user)
        change = f"An Owner changed your address to {user.email}"
        account_changed.send(User, user=user, change=change, address=before["email"])
    return user


@transaction.atomic(durable=True)
def change_password(user: User, password: str, *, session: int | None, revoke_tokens: bool = False) -> None:
    """Set a password that the form has validated, and end the user's sessions but `session`.

    The caller keeps that one signed in.
    """
    user.set_password(password)
    user.must_change_password = False
    user.save(update_fields=["password", "must_change_password"])
    audit.record(user, "changed password of", "user", user.pk, name=user.email)
    OneTimeLink.objects.filter(user=user).delete()
    end_sessions(user, user, keep=session)
    if revoke_tokens:
        revoke_tokens_of(user, user)
    account_changed.send(User, user=user, change="Your password was changed")


def record_superuser(sender: Any, instance: User, *, created: bool, **kwargs: Any) -> None:
    """Audit an Owner that `manage.py createsuperuser` creates."""
    if created and instance.made_by_command:
        after = {"name": instance.name, "role": instance.role}
        audit.record(None, "created", "user", instance.pk, name=instance.email, after=after)
