"""What a sensor keeps on disk: its identity, the policy applied last, and a lock.

DIR/identity.json   who this node is to the portal, with its credential (mode 0600)
DIR/policy.json     the signed bundle applied last, as it came
DIR/revoked         there when the portal has revoked this sensor for good
DIR/lock            held by the one process that runs on this folder
DIR/spool/          events waiting to be sent (sensor.delivery.spool)
DIR/folds/          counts of the present window (sensor.delivery.aggregation)
DIR/set-aside.jsonl events that the portal refused (sensor.delivery.rejected_events)
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
from sensor.wire import Bundle, ClusterInfo, Provider, PublicKey

if TYPE_CHECKING:
    from pathlib import Path

Shape = TypeVar("Shape", bound=Struct)


class StateError(Exception):
    """The state directory can't be used; the message is one line for a person."""


class SensorIdentity(Struct, frozen=True):
    """What enrolment gave, and what it was given for."""

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
    """The bundle applied last, the ETag it came with, and the keys that are accepted since.

    In one file, so that no crash leaves a policy whose key is not known. No keys: those of enrolment.
    """

    etag: str
    bundle: Bundle
    keys: list[PublicKey] = []


class StateDirectory:
    """The folder of one sensor."""

    def __init__(self, path: Path) -> None:
        """Make `path` (mode 0700) where it is missing. Raises StateError where that can't be done."""
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"cannot create the state directory {path}: {error.strerror}") from None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Make this process the only one on the folder for a while. Raises StateError where another one is."""
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
        """Who this node is; None before enrolment. Raises StateError where the file can't be read."""
        return self._read("identity.json", SensorIdentity)

    def save_identity(self, identity: SensorIdentity) -> None:
        """Keep what enrolment gave, its keys in place of all others; a new enrolment lifts a revocation."""
        stored = self.policy()
        if stored and stored.keys:
            self.save_policy(msgspec.structs.replace(stored, keys=[]))
        write_atomically(self.path / "identity.json", msgspec.json.encode(identity))
        (self.path / "revoked").unlink(missing_ok=True)

    def policy(self) -> StoredPolicy | None:
        """The bundle applied last, if any; its signature is checked by whoever loads it."""
        try:
            return self._read("policy.json", StoredPolicy)
        except StateError:  # the portal has it too
            return None

    def save_policy(self, stored: StoredPolicy) -> None:
        write_atomically(self.path / "policy.json", msgspec.json.encode(stored))

    @property
    def revoked(self) -> bool:
        return (self.path / "revoked").exists()

    def revoke(self) -> None:
        """Remember that the portal has revoked this sensor."""
        write_atomically(self.path / "revoked", b"")

    def _read(self, name: str, shape: type[Shape]) -> Shape | None:
        try:
            return msgspec.json.decode((self.path / name).read_bytes(), type=shape)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f"cannot read {self.path / name}: {error.strerror}") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise StateError(f"{self.path / name} is damaged; enrol this node again") from None
