"""Give and take scopes: who sees which part of the estate (docs/scopes.md).

Users' and groups' are changed by Owners alone: PermissionDenied for who is none any more once the change has its turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction

from accounts import audit
from accounts.errors import ScopeRefused
from accounts.models import ApiToken, ScopeEntry, ScopeGroup, User
from accounts.queries.current_role import check_current_role
from accounts.roles import Role

Holder = User | ScopeGroup


@transaction.atomic(durable=True)
def limit_user(actor: User, user_id: int, *, is_scoped: bool, groups: Iterable[ScopeGroup]) -> User:
    """Limit a user to their scope, or let them see the whole estate, and set their groups.

    Raises ScopeRefused for an Admin or Owner: they act on the whole estate.
    """
    user = User.objects.select_for_update().get(pk=user_id)
    check_current_role(actor, Role.OWNER)
    if is_scoped and not user.is_scoped and Role(user.role).includes(Role.ADMIN):
        raise ScopeRefused(
            f"{user.get_role_display()}s act on the whole estate. Make {user} a Security Operator first."
        )
    before = _user_as_json(user)
    user.is_scoped = is_scoped
    user.save(update_fields=["is_scoped"])
    user.scope_groups.set(groups)
    _record(actor, "changed scope of", user, before)
    return user


@transaction.atomic(durable=True)
def create_group(actor: User, name: str) -> ScopeGroup:
    """Create a group without members and parts. Raises ScopeRefused where another has the name."""
    group = ScopeGroup(name=name)
    _save_group(group)
    _record(actor, "created", group, None)
    return group


@transaction.atomic(durable=True)
def change_group(actor: User, group_id: int, *, name: str, whole_estate: bool, members: Iterable[User]) -> ScopeGroup:
    """Rename a group, set its members, and whether it gives the whole estate. Raises ScopeRefused as above."""
    group = ScopeGroup.objects.select_for_update().get(pk=group_id)
    check_current_role(actor, Role.OWNER)
    before = _group_as_json(group)
    group.name, group.whole_estate = name, whole_estate
    _save_group(group)
    group.members.set(members)
    _record(actor, "changed", group, before)
    return group


@transaction.atomic(durable=True)
def delete_group(actor: User, group_id: int) -> ScopeGroup:
    """Delete a group: its members no longer see what only it gave them."""
    group = ScopeGroup.objects.select_for_update().get(pk=group_id)
    check_current_role(actor, Role.OWNER)
    audit.record(actor, "deleted", "scope group", group.pk, name=group.name, before=_group_as_json(group))
    ScopeGroup.objects.filter(pk=group.pk).delete()
    return group


@transaction.atomic(durable=True)
def add_part(actor: User, holder: Holder, entry: ScopeEntry) -> ScopeEntry:
    """Give a user or group a part of the estate. Raises ScopeRefused where they have it already."""
    holder = _locked(holder)
    check_current_role(actor, Role.OWNER)
    before = _as_json(holder)
    entry.user, entry.group = (holder, None) if isinstance(holder, User) else (None, holder)
    try:
        with transaction.atomic():
            entry.save(force_insert=True)
    except IntegrityError:
        raise ScopeRefused(f"{holder} has this part already.") from None
    _record(actor, "changed scope of", holder, before)
    return entry


@transaction.atomic(durable=True)
def remove_part(actor: User, entry_id: int) -> Holder:
    """Take a part from the user or group that has it, and return them."""
    entry = ScopeEntry.objects.select_related("user", "group").get(pk=entry_id, token=None)
    found = entry.user or entry.group
    assert found is not None, "an entry of no token has a user or a group"  # noqa: S101 - a constraint of the table
    holder = _locked(found)
    check_current_role(actor, Role.OWNER)
    before = _as_json(holder)
    ScopeEntry.objects.filter(pk=entry_id).delete()
    _record(actor, "changed scope of", holder, before)
    return holder


@transaction.atomic(durable=True)
def narrow_token(actor: User, token: ApiToken, entry: ScopeEntry) -> ScopeEntry:
    """Limit a token to its parts, and give it this one. Raises ScopeRefused where it has the part already.

    A token that is limited stays so: without its parts it sees nothing.
    """
    token = ApiToken.objects.select_for_update().get(pk=token.pk)
    before = _token_as_json(token)
    entry.token = token
    try:
        with transaction.atomic():
            entry.save(force_insert=True)
    except IntegrityError:
        raise ScopeRefused(f"{token.name} has this part already.") from None
    token.is_scoped = True
    token.save(update_fields=["is_scoped"])
    after = _token_as_json(token)
    audit.record(actor, "changed scope of", "token", token.pk, name=token.name, before=before, after=after)
    return entry


@transaction.atomic(durable=True)
def take_from_token(actor: User, entry: ScopeEntry) -> None:
    """Take a part from a token."""
    token = ApiToken.objects.select_for_update().get(scope_entries=entry.pk)
    before = _token_as_json(token)
    ScopeEntry.objects.filter(pk=entry.pk).delete()
    after = _token_as_json(token)
    audit.record(actor, "changed scope of", "token", token.pk, name=token.name, before=before, after=after)


def _token_as_json(token: ApiToken) -> dict[str, Any]:
    return {"is_scoped": token.is_scoped, "parts": _parts(ScopeEntry.objects.filter(token=token))}


def _locked(holder: Holder) -> Holder:
    # So that `before` and `after` of two changes at once do not mix.
    return type(holder).objects.select_for_update().get(pk=holder.pk)


def _save_group(group: ScopeGroup) -> None:
    try:
        with transaction.atomic():
            group.save()
    except IntegrityError:
        raise ScopeRefused("Another group has this name.") from None


def _record(actor: User, verb: str, holder: Holder, before: dict[str, Any] | None) -> None:
    after = _as_json(holder)
    if before == after:
        return
    kind, name = ("user", holder.email) if isinstance(holder, User) else ("scope group", holder.name)
    audit.record(actor, verb, kind, holder.pk, name=name, before=before, after=after)


def _as_json(holder: Holder) -> dict[str, Any]:
    return _user_as_json(holder) if isinstance(holder, User) else _group_as_json(holder)


def _user_as_json(user: User) -> dict[str, Any]:
    groups = user.scope_groups.order_by("name").values_list("name", flat=True)
    return {"is_scoped": user.is_scoped, "parts": _parts(ScopeEntry.objects.filter(user=user)), "groups": list(groups)}


def _group_as_json(group: ScopeGroup) -> dict[str, Any]:
    members = group.members.order_by("email").values_list("email", flat=True)
    parts = _parts(ScopeEntry.objects.filter(group=group))
    return {"name": group.name, "whole_estate": group.whole_estate, "parts": parts, "members": list(members)}


def _parts(entries: Any) -> list[str]:
    return [str(each) for each in entries.select_related("environment", "cluster__environment").order_by("pk")]
