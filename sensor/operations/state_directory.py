"""What a sensor keeps on disk: its identity, the policy applied last, and a lock.

DIR/identity.json   this node's identity at the portal, with its credential (mode 0600)
DIR/policy.json     the signed bundle applied last, as received
DIR/revoked         exists once the portal has revoked this sensor permanently
DIR/lock            held by the one process that uses the directory
DIR/spool/          events waiting for upload (sensor.delivery.spool)
DIR/folds/          counts of the current window (sensor.delivery.aggregation)
DIR/set-aside.jsonl events that the portal rejected (sensor.delivery.rejected_events)
"""

from __future__ import annotations

import contextlib
import fcntl
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct

from sensor.files.durable import write_atomically
from sensor.wire import ClusterInfo, Provider, PublicKey, SignedPolicy, json_bytes

if TYPE_CHECKING:
    from pathlib import Path

Shape = TypeVar("Shape", bound=Struct)


class StateError(Exception):
    """The state directory cannot be used; the message is one line for an administrator."""


class SensorIdentity(Struct, frozen=True):
    """The portal's answer to the enrolment, and the node and cluster that were enrolled."""

    sensor_id: uuid.UUID
    credential: str
    provider: Provider
    account: str
    cluster_name: str
    keys: list[PublicKey]
    api_url: str
    node: str
    cluster: ClusterInfo


class StoredPolicy(Struct, frozen=True):
    """The bundle applied last, its ETag, and the keys accepted since; no keys: those of enrolment.

    All in one file, so that a crash never leaves a policy without the key that verifies it.
    """

    etag: str
    bundle: SignedPolicy
    keys: list[PublicKey] = []


class StateDirectory:
    """The state directory of one sensor."""

    def __init__(self, path: Path) -> None:
        """Create `path` (mode 0700) where it is missing. Raises StateError."""
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"cannot create the state directory {path}: {error.strerror}") from None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the directory against other processes. Raises StateError where another one holds it."""
        try:
            file = (self.path / "lock").open("ab")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateError(f"another sensor is running on {self.path}") from None
        except OSError as error:
            raise StateError(f"cannot use the state directory {self.path}: {error.strerror}") from None
        with file:
            yield

    def identity(self) -> SensorIdentity | None:
        """Return this node's identity; None before enrolment. Raises StateError where the file is unreadable."""
        return self._read("identity.json", SensorIdentity)

    def save_identity(self, identity: SensorIdentity) -> None:
        """Save the identity of an enrolment; it lifts a revocation, and its keys replace all others."""
        stored = self.policy()
        if stored and stored.keys:
            self.save_policy(msgspec.structs.replace(stored, keys=[]))
        # After the old keys are gone: a crash in between must not leave them accepted with the new identity.
        write_atomically(self.path / "identity.json", msgspec.json.encode(identity))
        (self.path / "revoked").unlink(missing_ok=True)

    def policy(self) -> StoredPolicy | None:
        """Return the bundle applied last, if any; the caller verifies its signature."""
        try:
            return self._read("policy.json", StoredPolicy)
        except StateError:  # damaged: it is fetched from the portal again
            return None

    def save_policy(self, stored: StoredPolicy) -> None:
        """Save the bundle that is about to be applied."""
        write_atomically(self.path / "policy.json", msgspec.json.encode(stored))

    @property
    def revoked(self) -> bool:
        """Whether the portal has revoked this sensor."""
        return (self.path / "revoked").exists()

    def revoke(self) -> None:
        """Record that the portal has revoked this sensor."""
        write_atomically(self.path / "revoked", b"")

    def _read(self, name: str, shape: type[Shape]) -> Shape | None:
        try:
            return json_bytes.decode((self.path / name).read_bytes(), shape)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f"cannot read {self.path / name}: {error.strerror}") from None
        except msgspec.DecodeError:
            raise StateError(f"{self.path / name} is damaged; enrol this node again") from None
