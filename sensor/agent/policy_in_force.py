"""The policy in force: verified, compiled, kept on disk, swapped as a whole."""

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
from sensor.wire import Bundle, BundlePayload, PolicyStatus, PublicKey

LONGEST_ERROR: Final = 2_000

log = logging.getLogger(__name__)


class BundleRejected(Exception):
    """A bundle that this sensor does not obey; the message says why."""


@dataclass(frozen=True)
class AppliedPolicy:
    """A policy in force. An event is decided by one of these as a whole."""

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


class PolicyKeeper:
    """Holds the policy in force. `current` is one reference: readers see the old policy or the new one."""

    def __init__(self, state: StateDirectory, keys: Sequence[PublicKey]) -> None:
        """Load the policy applied last, if it is there and its signature holds. `keys` are those of enrolment."""
        self._state, self._keys = state, tuple(keys)
        self.current: AppliedPolicy | None = None
        self.considered: str | None = None
        """ETag of the bundle looked at last, obeyed or not."""
        stored = state.policy()
        if stored:
            self._keys = tuple(stored.keys) or self._keys
            self._load(stored)

    def _load(self, stored: StoredPolicy) -> None:
        try:
            self._swap(self._open(FetchedBundle(stored.bundle, stored.etag)))
        except BundleRejected as error:
            log.warning("The policy kept on disk is not used: %s", error)

    def _swap(self, applied: AppliedPolicy) -> None:
        self.current = applied
        self.considered = applied.etag
        self._keys = applied.keys

    @property
    def key_ids(self) -> list[str]:
        """Of the keys that are accepted now."""
        return [key.key_id for key in self._keys]

    def consider(self, fetched: FetchedBundle) -> PolicyStatus | None:
        """Obey a bundle or refuse it; the sensor then goes on with what it has.

        Returns what to tell the portal: None where the bundle is so broken that it has no number.
        """
        self.considered = fetched.etag
        try:
            applied = self._open(fetched)
            self._refuse_older(applied)
            self._state.save_policy(StoredPolicy(fetched.etag, fetched.bundle, list(applied.keys)))
        except (BundleRejected, OSError) as error:
            log.warning("Policy bundle refused: %s", error)
            return _rejected(fetched.bundle, str(error))
        self._swap(applied)
        log.info("Policy version %d applied", applied.number)
        return self.status()

    def status(self) -> PolicyStatus | None:
        """That the current policy is applied; None before the first."""
        applied = self.current
        if applied is None:
            return None
        return PolicyStatus(applied.number, applied.digest, "applied", etag=applied.etag)

    def _open(self, fetched: FetchedBundle) -> AppliedPolicy:
        """Verify, decode and compile. Raises Unacceptable."""
        payload = _payload(self._verified(fetched.bundle))
        if payload.created_at.tzinfo is None:
            raise BundleRejected("created_at has no time zone")
        try:
            document = normalise(payload.document)
        except PolicyInvalid as error:
            raise BundleRejected("; ".join(map(str, error.faults))) from None
        return AppliedPolicy(
            number=payload.number,
            digest=payload.digest,
            created_at=payload.created_at,
            etag=fetched.etag,
            blocking_stopped=payload.blocking_stopped,
            document=document,
            policy=Policy(document),
            detect=frozenset(document["detect"]),
            keys=self._keys_after(fetched.bundle.key_id, payload),
        )

    def _keys_after(self, signer: str, payload: BundlePayload) -> tuple[PublicKey, ...]:
        """The set that the payload names, in place of the one before. Raises Unacceptable.

        Without the key that signed it the next bundle of the same portal would be refused, here and after a start.
        """
        if not payload.keys:
            return self._keys
        known = {key.key_id: key for key in self._keys}
        if known[signer] not in payload.keys:
            raise BundleRejected(f"signed with {signer[:64]}, which is not among the keys that it names")
        return tuple(payload.keys)

    def _verified(self, bundle: Bundle) -> bytes:
        """The payload's bytes, signed by a key that enrolment or an accepted bundle gave. Raises Unacceptable."""
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

    def _refuse_older(self, applied: AppliedPolicy) -> None:
        current = self.current
        if current is None:
            return
        if applied.number < current.number:
            raise BundleRejected(f"version {applied.number} is older than the applied {current.number}")
        if applied.number == current.number and applied.created_at < current.created_at:
            raise BundleRejected(f"version {applied.number} was made before the one applied")


def _payload(data: bytes) -> BundlePayload:
    try:
        return msgspec.json.decode(data, type=BundlePayload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleRejected(f"payload: {error}") from None


def _rejected(bundle: Bundle, error: str) -> PolicyStatus | None:
    """The number and digest are only what the bundle claims."""
    try:
        payload = _payload(_unbase64(bundle.payload))
    except (BundleRejected, ValueError):
        return None
    return PolicyStatus(payload.number, payload.digest, "rejected", error[:LONGEST_ERROR])


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
