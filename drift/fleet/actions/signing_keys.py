"""Changes of the signing key, while sensors come and go.

    add ──▶ pending ──promote──▶ active ──(another is promoted)──▶ accepted ──retire──▶ retired

Each change makes new bundles, which carry all accepted keys under a signature that the sensors know. So a key becomes
active only once sensors know it, and is retired only once no sensor needs it. PermissionDenied for an actor who is no
Owner any more once the change has its turn.
"""

from __future__ import annotations

from typing import Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts import audit
from accounts.encryption import secret_keys
from accounts.models import User
from accounts.queries.current_role import check_current_role
from accounts.roles import Role
from drift.fleet.actions.bundles import ensure_signing_key, signed_bundle
from drift.fleet.actions.pushes import push_on_commit, raise_epoch
from drift.fleet.domain import signing
from drift.fleet.domain.push_messages import PushMessage
from drift.fleet.errors import FleetError
from drift.fleet.models import FleetState, SigningKey
from drift.fleet.queries.bundles import next_bundle_date
from drift.fleet.queries.sensors import live_fetch_seconds
from drift.fleet.queries.signing_keys import unaware_sensors
from drift.policy.models import PolicyVersion

MAX_KEYS: Final = 8
"""Accepted at the same time; sensors accept twice as many."""


@transaction.atomic(durable=True)
def add_key(actor: User | None, pem: bytes | None = None) -> SigningKey:
    """Add a pending key, new or from PEM, which sensors start to accept.

    Raises NotAKey; FleetError 409 `key_pending`, `too_many_keys` or `key_known`.
    """
    state, active = _locked_state(actor), ensure_signing_key()
    keys = SigningKey.objects.filter(retired_at=None)
    if keys.filter(promoted_at=None).exists():
        raise FleetError("key_pending", "Another key is pending: promote or retire it first.", status=409)
    if keys.count() >= MAX_KEYS:
        raise FleetError("too_many_keys", f"{MAX_KEYS} keys are accepted already: retire old ones first.", status=409)
    new = signing.new_key(secret_keys(), pem)
    if SigningKey.objects.filter(key_id=new.key_id).exists():
        raise FleetError("key_known", f"The key {new.key_id} has already been added.", status=409)
    key = SigningKey.objects.create(
        key_id=new.key_id,
        public_key=new.public,
        sealed_private_key=new.sealed,
        created_at=max(timezone.now(), active.created_at),
    )
    _announce(actor, "added", key, state)
    return key


@transaction.atomic(durable=True)
def promote_key(actor: User | None, key_id: str, *, force: bool = False) -> SigningKey:
    """Make this key the active one; the one before stays accepted.

    Raises FleetError 404 `no_such_key`, 409 `key_retired`, `key_active`, `key_sealed`, and without `force`
    `key_unknown` while active sensors do not accept it.
    """
    state, key = _locked_state(actor), _key(key_id)
    if key == ensure_signing_key():
        raise FleetError("key_active", f"The key {key_id} is already active.", status=409)
    if not signing.can_unseal(bytes(key.sealed_private_key), secret_keys()):
        raise FleetError("key_sealed", f"The key {key_id} was encrypted under another SECRET_KEY.", status=409)
    if not force:
        _check_known(key, "They would reject its signatures and have to enrol again.")
    key.promoted_at = timezone.now()
    key.save(update_fields=["promoted_at"])
    _announce(actor, "promoted", key, state, forced=force)
    return key


@transaction.atomic(durable=True)
def retire_key(actor: User | None, key_id: str, *, force: bool = False) -> SigningKey:
    """Make sensors reject what this key signs.

    Raises FleetError 404 `no_such_key`, 409 `key_retired`, `key_active`, and without `force` `key_unknown` while active
    sensors do not accept the active key: the key to retire may be the only one that they accept.
    """
    state, key, active = _locked_state(actor), _key(key_id), ensure_signing_key()
    if key == active:
        raise FleetError("key_active", f"The key {key_id} is active: promote another one first.", status=409)
    if key.promoted_at and not force:
        _check_known(active, "They may accept only the key that you retire, and would have to enrol again.")
    key.retired_at = timezone.now()
    key.save(update_fields=["retired_at"])
    _announce(actor, "retired", key, state, forced=force)
    return key


def _locked_state(actor: User | None) -> FleetState:
    # The lock makes changes of keys wait for each other.
    state: FleetState = FleetState.objects.select_for_update().get()
    if actor is not None:
        check_current_role(actor, Role.OWNER)
    return state


def _key(key_id: str) -> SigningKey:
    key: SigningKey | None = SigningKey.objects.filter(key_id=key_id).first()
    if key is None:
        raise FleetError("no_such_key", f"Key {key_id[:64]!r} not found.", status=404)
    if key.retired_at:
        raise FleetError("key_retired", f"The key {key_id} is permanently retired.", status=409)
    return key


def _check_known(key: SigningKey, consequence: str) -> None:
    count = unaware_sensors(key).count()
    if count:
        sensors = "sensors do" if count > 1 else "sensor does"
        message = f"{count} active {sensors} not accept the key {key.key_id} yet. {consequence}"
        raise FleetError("key_unknown", message, status=409)


def _announce(actor: User | None, verb: str, key: SigningKey, state: FleetState, *, forced: bool = False) -> None:
    """Record the change, date new bundles, and push them to every sensor."""
    newest = PolicyVersion.objects.defer("document").order_by("-number").first()
    state.keys_changed_at = next_bundle_date(state, newest)
    state.save(update_fields=["keys_changed_at"])
    after = {"forced": True} if forced else None
    audit.record(actor, verb, "signing key", key.key_id, name=f"Key {key.key_id}", after=after)
    if newest is not None:
        etag = signed_bundle(newest.number, state).etag
        push_on_commit(PushMessage(raise_epoch(), newest.number, etag, within=live_fetch_seconds(Q())))


@transaction.atomic
def encrypt_keys_again() -> tuple[int, int]:
    """Encrypt every private key under SECRET_KEY; return how many, and how many no key of the portal decrypts."""
    rows = list(SigningKey.objects.select_for_update().order_by("pk"))
    lost = 0
    for row in rows:
        try:
            row.sealed_private_key = signing.seal_again(bytes(row.sealed_private_key), secret_keys())
        except signing.CannotUnseal:
            lost += 1
        else:
            row.save(update_fields=["sealed_private_key"])
    return len(rows) - lost, lost
