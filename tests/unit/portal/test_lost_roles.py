"""An Owner who lost that while their request waited for another's change: it changes nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from accounts.actions import scopes
from accounts.actions.links import create_link
from accounts.actions.second_factor import reset_second_factor
from accounts.actions.tokens import create_token
from accounts.models import AuditEntry, ScopeEntry, ScopeGroup, User
from accounts.roles import Role
from accounts.tokens import TokenScope
from drift.fleet.actions import signing_keys
from drift.fleet.actions.bundles import ensure_signing_key

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]
Change = Callable[[User], Any]


def _group() -> ScopeGroup:
    return ScopeGroup.objects.get_or_create(name="east")[0]


def _part(holder: ScopeGroup) -> ScopeEntry:
    return ScopeEntry.objects.get_or_create(group=holder, namespace="shop")[0]


CHANGES: dict[str, Change] = {
    "limits a user": lambda actor: scopes.limit_user(actor, actor.pk, is_scoped=False, groups=[]),
    "changes a group": lambda actor: scopes.change_group(
        actor, _group().pk, name="west", whole_estate=True, members=[actor]
    ),
    "deletes a group": lambda actor: scopes.delete_group(actor, _group().pk),
    "gives a part": lambda actor: scopes.add_part(actor, _group(), ScopeEntry(namespace="bank")),
    "takes a part": lambda actor: scopes.remove_part(actor, _part(_group()).pk),
    "makes a link": lambda actor: create_link(actor, _somebody()),
    "resets second factors": lambda actor: reset_second_factor(actor, _somebody()),
    "makes a service account's token": lambda actor: create_token(
        actor, "ci", timezone.now() + dt.timedelta(days=1), scopes=[TokenScope.READ], user=_service()
    ),
    "adds a key": signing_keys.add_key,
    "promotes a key": lambda actor: signing_keys.promote_key(actor, _pending(), force=True),
    "retires a key": lambda actor: signing_keys.retire_key(actor, _pending(), force=True),
}


def _somebody() -> User:
    return User.objects.get_or_create(email="somebody@example.com", role=Role.OWNER)[0]


def _service() -> User:
    user = User(email="ci@service.invalid", name="ci", role=Role.READER, is_service=True)
    user.set_unusable_password()
    user.save()
    return user


def _pending() -> str:
    ensure_signing_key()
    return str(signing_keys.add_key(None).key_id)


@pytest.mark.parametrize("lost", [{"is_active": False}, {"role": Role.ADMIN}, {"is_scoped": True}], ids=str)
@pytest.mark.parametrize("change", CHANGES)
def test_it_changes_nothing(change: str, lost: dict[str, Any], owner: User, queued: list[Any]) -> None:
    User.objects.filter(pk=owner.pk).update(**lost)

    with pytest.raises(PermissionDenied):
        CHANGES[change](owner)

    assert not AuditEntry.objects.filter(actor=owner).exists()


@pytest.mark.parametrize("change", CHANGES)
def test_an_owner_changes_it(change: str, owner: User, queued: list[Any]) -> None:
    CHANGES[change](owner)
