"""Who the issuer says the user is becomes a user here: found, linked, added, changed, or denied (docs/sign-in.md)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.db import IntegrityError, transaction

from accounts import audit
from accounts.actions.email_verification import record_verified_email
from accounts.actions.sessions import check_session_lives, end_sessions, lock_user
from accounts.actions.users import can_act_as_owner
from accounts.addresses import is_same_address
from accounts.issuer import Identity
from accounts.models import ScopeGroup, User
from accounts.models.users import SERVICE_DOMAIN, has_address
from accounts.queries.local_sign_in import is_break_glass, linked_account
from accounts.roles import Role
from accounts.signals import account_changed

DENIED: Final = "denied"
"""Key in a link's data: the account was deactivated because its groups had no role, and returns when they have one."""
NO_ROLE: Final = "Your groups have no role in Driftwatch. Ask an Owner."
UNVERIFIED: Final = "Your email address is not verified there."
EXISTS: Final = "A user with this email exists. Sign in with your password and link the accounts, or ask an Owner."
INACTIVE: Final = "Your account is deactivated. Ask an Owner."
LAST_OWNER: Final = "You are the last Owner, and your groups give you another role. Make another user Owner first."
TAKEN: Final = "This account is linked to another user."
BREAK_GLASS: Final = "The break-glass Owner cannot be linked: it must work without the issuer."


@dataclass(frozen=True)
class Outcome:
    """The user to sign in, or why nobody is."""

    user: User | None
    refusal: str = ""


def role_of(groups: Collection[str]) -> Role | None:
    """Return the highest role that OIDC_ROLES gives to any of the groups."""
    roles = {settings.OIDC_ROLES[group] for group in groups if group in settings.OIDC_ROLES}
    return next((role for role in reversed(Role) if role in roles), None)


def settle_identity(identity: Identity) -> Outcome:
    """Return the user of an identity, with the role and scope that its groups give now; or why there is none.

    A user whose groups have no role any more is deactivated, which ends their sessions and tokens.
    """
    try:
        return _settle(identity)
    except IntegrityError:
        return _settle(identity)  # Another first sign-in of this user, or of this address, was a moment earlier.


@transaction.atomic(durable=True)
def _settle(identity: Identity) -> Outcome:
    _lock_owners()
    link = SocialAccount.objects.filter(provider=identity.issuer, uid=identity.subject).first()
    user = link.user if link else None
    role = role_of(identity.groups)
    if role is None:
        return _deny(identity, link)
    if link is None or user is None:
        user, refusal = _new_user(identity, role)
        if user is None:
            return _refuse(identity, refusal)
        link = SocialAccount.objects.create(user=user, provider=identity.issuer, uid=identity.subject)
        audit.record(user, "linked", "user", user.pk, name=user.email, after=_facts(identity))
    if not user.is_active and not link.extra_data.get(DENIED):
        return _refuse(identity, INACTIVE, user)
    if role != Role.OWNER and _is_last_owner(user):
        return _refuse(identity, LAST_OWNER, user)
    _apply(user, role, identity)
    link.extra_data = {}
    link.save()
    if is_same_address(identity.email, user.email):
        record_verified_email(user)
    audit.record(user, "was identified by the issuer", "user", user.pk, name=user.email, after=_facts(identity))
    return Outcome(user)


@transaction.atomic(durable=True)
def link_identity(user: User, identity: Identity) -> str:
    """Link a signed-in user to their account at the issuer. Returns why not, or "".

    From then on the issuer alone signs them in, and its groups decide their role. Raises SessionInterrupted if
    the session that asks was ended meanwhile.
    """
    _lock_owners()
    lock_user(user)
    check_session_lives()
    if is_break_glass(user):
        return BREAK_GLASS
    if SocialAccount.objects.filter(provider=identity.issuer, uid=identity.subject).exists() or linked_account(user):
        return TAKEN
    SocialAccount.objects.create(user=user, provider=identity.issuer, uid=identity.subject)
    audit.record(user, "linked", "user", user.pk, name=user.email, after=_facts(identity))
    account_changed.send(User, user=user, change=f"Your account was linked to {settings.OIDC_NAME}")
    return ""


def _new_user(identity: Identity, role: Role) -> tuple[User | None, str]:
    """Return the user to link at a first sign-in, found by a verified address if that is allowed, else a new one."""
    if not identity.email or identity.email.casefold().endswith(f"@{SERVICE_DOMAIN}"):
        return None, UNVERIFIED
    user = User.objects.filter(has_address(identity.email)).first()
    if user is None and settings.BREAK_GLASS_OWNER and is_same_address(identity.email, settings.BREAK_GLASS_OWNER):
        return None, BREAK_GLASS
    if user is None:
        user = User.objects.create_user(identity.email, identity.name or identity.email, role)
        audit.record(user, "created", "user", user.pk, name=user.email, after={"role": role, **_facts(identity)})
        return user, ""
    is_same = is_same_address(user.email, identity.email)
    may_link = is_same and settings.OIDC_LINK_BY_EMAIL and not user.is_service and not is_break_glass(user)
    if not may_link or linked_account(user) is not None:
        return None, EXISTS
    return user, ""


def _apply(user: User, role: Role, identity: Identity) -> None:
    """Give the user the role and scope groups of their groups."""
    is_scoped = bool(settings.OIDC_SCOPE_GROUPS) and not role.includes(Role.ADMIN)
    before = {"role": user.role, "is_active": user.is_active, "is_scoped": user.is_scoped}
    after = {"role": str(role), "is_active": True, "is_scoped": is_scoped}
    if not settings.OIDC_SCOPE_GROUPS:
        del after["is_scoped"], before["is_scoped"]
    if before != after:
        for field, value in after.items():
            setattr(user, field, value)
        user.save(update_fields=list(after))
        audit.record(user, "changed", "user", user.pk, name=user.email, before=before, after=after)
    if settings.OIDC_SCOPE_GROUPS:
        _apply_scope_groups(user, identity)


def _apply_scope_groups(user: User, identity: Identity) -> None:
    """Make the user a member of exactly those mapped scope groups; their other groups are the Owners' affair."""
    mapped = {name.casefold() for name in settings.OIDC_SCOPE_GROUPS.values()}
    wanted = {name.casefold() for group, name in settings.OIDC_SCOPE_GROUPS.items() if group in identity.groups}
    groups = {group.name.casefold(): group for group in ScopeGroup.objects.all()}
    present = {group.name.casefold() for group in user.scope_groups.all()}
    before = sorted(present)
    user.scope_groups.remove(*(groups[name] for name in present & mapped - wanted))
    user.scope_groups.add(*(groups[name] for name in (wanted - present) & set(groups)))
    after = sorted((present - (mapped - wanted)) | (wanted & set(groups)))
    if before != after:
        old, new = {"scope_groups": before}, {"scope_groups": after}
        audit.record(user, "changed the scope of", "user", user.pk, name=user.email, before=old, after=new)


def _deny(identity: Identity, link: SocialAccount | None) -> Outcome:
    """Deactivate the user whose groups have no role any more, unless they are the last Owner."""
    user: User | None = link.user if link else None
    if link is None or user is None:
        return _refuse(identity, NO_ROLE)
    end_sessions(user, user)
    if user.is_active and not _is_last_owner(user):
        user.is_active = False
        user.save(update_fields=["is_active"])
        link.extra_data = {DENIED: True}
        link.save()
        before, after = {"is_active": True}, {"is_active": False, **_facts(identity)}
        audit.record(user, "deactivated", "user", user.pk, name=user.email, before=before, after=after)
    return _refuse(identity, NO_ROLE, user)


def _refuse(identity: Identity, refusal: str, user: User | None = None) -> Outcome:
    after = _facts(identity) | {"reason": refusal}
    name = user.email if user else identity.email
    audit.record(user, "failed to sign in as", "user", user.pk if user else "", name=name, after=after)
    return Outcome(None, refusal)


def _facts(identity: Identity) -> dict[str, object]:
    return {"issuer": identity.issuer, "subject": identity.subject, "groups": list(identity.groups[:100])}


def _lock_owners() -> None:
    """Make changes to who is linked or Owner wait for each other, as `actions.users.change_user` does."""
    list(User.objects.select_for_update().filter(can_act_as_owner()).order_by("pk").values_list("pk"))


def _is_last_owner(user: User) -> bool:
    owners = User.objects.filter(can_act_as_owner())
    return set(owners.values_list("pk", flat=True)) == {user.pk}


def end_sessions_of_subject(subject: str) -> int:
    """End the sessions of the user whom the issuer has signed out; return how many. Nobody has to be linked to it."""
    account = SocialAccount.objects.filter(provider=settings.OIDC_ISSUER, uid=subject).select_related("user").first()
    return end_sessions(None, account.user) if account else 0
