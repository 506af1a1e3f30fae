"""The policy in force: verified, compiled, kept on disk, replaced as a whole (docs/sensor.md#policy)."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sensor.delivery.client import FetchedBundle
from sensor.operations.state_directory import StateDirectory, StoredPolicy
from sensor.policy import Policy, PolicyInvalid, normalise
from sensor.policy.document import with_lineage_rules
from sensor.wire import BundlePayload, PolicyStatus, PublicKey, SignedPolicy, json_bytes

MAX_ERROR_CHARACTERS: Final = 2_000
"""The wire's bound on `PolicyStatus.error`."""

log = logging.getLogger(__name__)


class BundleRejected(Exception):
    """This sensor does not apply the bundle; the message has the reason."""


@dataclass(frozen=True)
class AppliedPolicy:
    """A policy in force. Each event is decided by one of these as a whole."""

    number: int
    digest: str
    created_at: dt.datetime
    etag: str
    blocking_stopped: bool
    document: dict[str, Any]
    """Normalised."""
    policy: Policy
    detect: frozenset[str]
    keys: tuple[PublicKey, ...]
    """Those that bundles may be signed with from then on."""
    expires_at: dt.datetime | None = None

    def is_expired(self, now: dt.datetime) -> bool:
        """Return whether a newer bundle should have arrived: the portal dates its bundles anew every day."""
        return self.expires_at is not None and now > self.expires_at


class PolicyKeeper:
    """Holds the policy in force. `current` is one reference: other threads see the old policy or the new one."""

    def __init__(self, state: StateDirectory, keys: Sequence[PublicKey]) -> None:
        """Load the policy applied last, if there is one and its signature holds. `keys` are those of enrolment."""
        self._state, self._keys = state, tuple(keys)
        self.current: AppliedPolicy | None = None
        self.considered: str | None = None
        """ETag of the latest bundle fetched, whether applied or rejected."""
        stored = state.policy()
        if stored:
            self._keys = tuple(stored.keys) or self._keys
            try:
                self._swap(self._opened(FetchedBundle(stored.bundle, stored.etag)))
            except BundleRejected as error:
                log.warning("The stored policy is not used: %s", error)

    def _swap(self, applied: AppliedPolicy) -> None:
        self.current = applied
        self.considered = applied.etag
        self._keys = applied.keys

    @property
    def key_ids(self) -> list[str]:
        """The ids of the keys that are accepted now."""
        return [key.key_id for key in self._keys]

    def consider(self, fetched: FetchedBundle) -> PolicyStatus | None:
        """Apply a bundle or reject it; after a rejection the sensor continues with its current policy.

        Returns the status to report to the portal; None where the bundle is too broken to have a number.
        """
        self.considered = fetched.etag
        try:
            applied = self._opened(fetched)
            self._reject_older(applied)
            # On disk first: after a crash the sensor must not run an older policy than the one it acknowledged.
            self._state.save_policy(StoredPolicy(fetched.etag, fetched.bundle, list(applied.keys)))
        except (BundleRejected, OSError) as error:
            log.warning("Policy bundle rejected: %s", error)
            return _rejected_status(fetched.bundle, str(error))
        self._swap(applied)
        log.info("Policy version %d applied", applied.number)
        return self.status()

    def status(self) -> PolicyStatus | None:
        """Return the acknowledgement of the current policy; None before the first."""
        applied = self.current
        if applied is None:
            return None
        return PolicyStatus(applied.number, applied.digest, "applied", etag=applied.etag)

    def applied_bundle(self) -> SignedPolicy | None:
        """Return the signed bundle of the current policy, as it is on disk; None before the first."""
        stored = self._state.policy()
        return stored.bundle if stored and self.current and stored.etag == self.current.etag else None

    def _opened(self, fetched: FetchedBundle) -> AppliedPolicy:
        """Verify, decode and compile a bundle. Raises BundleRejected."""
        payload = _decoded(self._verified(fetched.bundle))
        if payload.created_at.tzinfo is None:
            raise BundleRejected("created_at has no time zone")
        if payload.expires_at is not None and payload.expires_at.tzinfo is None:
            raise BundleRejected("expires_at has no time zone")
        try:
            document = with_lineage_rules(normalise(payload.document), payload.lineage_rules or ())
        except PolicyInvalid as error:
            raise BundleRejected("; ".join(map(str, error.errors))) from None
        return AppliedPolicy(
            number=payload.number,
            digest=payload.digest,
            created_at=payload.created_at,
            etag=fetched.etag,
            blocking_stopped=payload.blocking_stopped,
            document=document,
            policy=Policy(document),
            detect=frozenset(document["detect"]),
            keys=self._next_keys(fetched.bundle.key_id, payload),
            expires_at=payload.expires_at,
        )

    def _next_keys(self, signer: str, payload: BundlePayload) -> tuple[PublicKey, ...]:
        """Return the keys that the payload names, which replace those before. Raises BundleRejected.

        A set without the signing key is rejected: the next bundle of the same portal, and after a restart this one
        on disk, could not be verified any more.
        """
        if not payload.keys:
            return self._keys
        known = {key.key_id: key for key in self._keys}
        if known[signer] not in payload.keys:
            raise BundleRejected(f"signed with {signer[:64]}, which is not among the keys that it names")
        return tuple(payload.keys)

    def _verified(self, bundle: SignedPolicy) -> bytes:
        """Return the payload, signed by a key from enrolment or from an accepted bundle. Raises BundleRejected."""
        # Imported here: cryptography takes a good part of the sensor's start, and not every command needs it.
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        key = next((key.public_key for key in self._keys if key.key_id == bundle.key_id), None)
        if key is None:
            raise BundleRejected(f"signed with the unknown key {bundle.key_id[:64]}; enrol this node again")
        try:
            payload, signature = _unbase64(bundle.payload), _unbase64(bundle.signature)
            Ed25519PublicKey.from_public_bytes(_unbase64(key)).verify(signature, payload)
        except (InvalidSignature, ValueError):
            raise BundleRejected("bad signature") from None
        return payload

    def _reject_older(self, applied: AppliedPolicy) -> None:
        """Raise BundleRejected for an older bundle than the current one: a replayed one has a valid signature too."""
        current = self.current
        if current is None:
            return
        if applied.number < current.number:
            raise BundleRejected(f"version {applied.number} is older than the applied {current.number}")
        # One version has several bundles: a new one when blocking is stopped, or when keys change.
        if applied.number == current.number and applied.created_at < current.created_at:
            raise BundleRejected(f"version {applied.number} was made before the one applied")


def _decoded(payload: bytes) -> BundlePayload:
    try:
        return json_bytes.decode(payload, BundlePayload)
    except msgspec.DecodeError as error:
        raise BundleRejected(f"payload: {error}") from None


def _rejected_status(bundle: SignedPolicy, error: str) -> PolicyStatus | None:
    """Return the status of a rejected bundle; number and digest are the unverified bundle's own claims."""
    try:
        payload = _decoded(_unbase64(bundle.payload))
    except (BundleRejected, ValueError):
        return None
    return PolicyStatus(payload.number, payload.digest, "rejected", error[:MAX_ERROR_CHARACTERS])


def _unbase64(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
