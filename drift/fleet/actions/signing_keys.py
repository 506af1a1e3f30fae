"""Changing the key that signs, while sensors come and go.

    add ──▶ waiting ──promote──▶ signing ──(another is promoted)──▶ accepted ──retire──▶ retired

Each change makes new bundles, which carry the whole set of accepted keys under a signature that the
sensor knows. So a key signs only once sensors know it, and goes only once none needs it.
"""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift.fleet.actions import notify_gateway as gateway
from drift.fleet.actions.bundles import bundle_for, later_than, signing_key
from drift.fleet.actions.rollouts import asks_within, raise_epoch
from drift.fleet.domain import push_messages as push
from drift.fleet.domain import signing
from drift.fleet.errors import FleetError
from drift.fleet.models import FleetState, Sensor, SensorState, SigningKey
from drift.policy.models import PolicyVersion

MAX_KEYS: Final = 8
"""Accepted at once; sensors take twice as many."""


def unaware(key: SigningKey) -> QuerySet[Sensor]:
    """Active sensors that do not accept `key` yet; of older ones, which do not say, those enrolled before it."""
    does_not = ~Q(status__key_ids__contains=[key.key_id]) & Q(status__key_ids__isnull=False)
    cannot = Q(status__key_ids__isnull=True, enrolled_at__lt=key.created_at)
    return active().filter(does_not | cannot)


def active() -> QuerySet[Sensor]:
    """Live sensors in environments that are on, whether or not they are heard of now."""
    return Sensor.objects.filter(
        state=SensorState.LIVE, cluster__environment__sensor_enabled=True, cluster__environment__retired_at=None
    )


@transaction.atomic(durable=True)
def add_key(actor: User | None, pem: bytes | None = None) -> SigningKey:
    """A key that sensors learn now and that signs once it is promoted; made here, or given as PEM.

    Raises NotAKey; Refused 409 `key_waiting`, `too_many_keys` or `key_known`.
    """
    state, first = _locked(), signing_key()
    keys = SigningKey.objects.filter(retired_at=None)
    if keys.filter(promoted_at=None).exists():
        raise FleetError("key_waiting", "A key waits already: promote or retire it first.", status=409)
    if keys.count() >= MAX_KEYS:
        raise FleetError("too_many_keys", f"{MAX_KEYS} keys are accepted already: retire old ones first.", status=409)
    new = signing.new_key(settings.SECRET_KEY, pem)
    if SigningKey.objects.filter(key_id=new.key_id).exists():
        raise FleetError("key_known", f"The key {new.key_id} is or was here already.", status=409)
    key = SigningKey.objects.create(
        key_id=new.key_id,
        public_key=new.public,
        sealed_private_key=new.sealed,
        created_at=max(timezone.now(), first.created_at),
    )
    _changed(actor, "added", key, state)
    return key


@transaction.atomic(durable=True)
def promote_key(actor: User | None, key_id: str, *, force: bool = False) -> SigningKey:
    """Let this key sign from now on; those before stay accepted.

    Raises Refused 404 `no_such_key`, 409 `key_retired`, `key_signs`, `key_sealed`, and without `force`
    `key_unknown` while active sensors do not know it.
    """
    state, key = _locked(), _key(key_id)
    if key.key_id == signing_key().key_id:
        raise FleetError("key_signs", f"The key {key_id} signs already.", status=409)
    if not signing.can_unseal(bytes(key.sealed_private_key), settings.SECRET_KEY):
        raise FleetError("key_sealed", f"The key {key_id} was sealed under another SECRET_KEY.", status=409)
    _check_known(key, force=force, so="They would refuse what it signs")
    key.promoted_at = timezone.now()
    key.save(update_fields=["promoted_at"])
    _changed(actor, "promoted", key, state, forced=force)
    return key


@transaction.atomic(durable=True)
def retire_key(actor: User | None, key_id: str, *, force: bool = False) -> SigningKey:
    """Let sensors refuse what this key signs.

    Raises Refused 404 `no_such_key`, 409 `key_retired`, `key_signs`, and without `force` `key_unknown` while
    active sensors do not know the key that signs: this one may be all that they accept.
    """
    state, key, signer = _locked(), _key(key_id), signing_key()
    if key.key_id == signer.key_id:
        raise FleetError("key_signs", f"The key {key_id} signs now: promote another one first.", status=409)
    if key.promoted_at:
        _check_known(signer, force=force, so="They may accept nothing but the key that you retire")
    key.retired_at = timezone.now()
    key.save(update_fields=["retired_at"])
    _changed(actor, "retired", key, state, forced=force)
    return key


def _locked() -> FleetState:
    """Whoever changes keys does it alone."""
    state: FleetState = FleetState.objects.select_for_update().get()
    return state


def _key(key_id: str) -> SigningKey:
    key: SigningKey | None = SigningKey.objects.filter(key_id=key_id).first()
    if key is None:
        raise FleetError("no_such_key", f"There is no key {key_id[:64]!r}.", status=404)
    if key.retired_at:
        raise FleetError("key_retired", f"The key {key_id} is retired for good.", status=409)
    return key


def _check_known(key: SigningKey, *, force: bool, so: str) -> None:
    count = 0 if force else unaware(key).count()
    if count:
        plural = "sensors do" if count > 1 else "sensor does"
        message = f"{count} active {plural} not know the key {key.key_id} yet. {so}, and must enrol again."
        raise FleetError("key_unknown", message, status=409)


def _changed(actor: User | None, verb: str, key: SigningKey, state: FleetState, *, forced: bool = False) -> None:
    """New bundles, and a push, so that every sensor learns of it."""
    newest = PolicyVersion.objects.defer("document").order_by("-number").first()
    state.keys_changed_at = later_than(state, newest)
    state.save(update_fields=["keys_changed_at"])
    after = {"forced": True} if forced else None
    audit.record(actor, verb, "signing key", key.key_id, name=f"Key {key.key_id}", after=after)
    if newest is not None:
        etag = bundle_for(newest.number, state).etag
        gateway.push_on_commit(push.PushMessage(raise_epoch(), newest.number, etag, within=asks_within(Q())))
