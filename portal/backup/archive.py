"""The file of a backup: a ZIP with the dump and a signed manifest, readable with `unzip`, `age` and `pg_restore`.

With a passphrase the dump is encrypted for a key that is made for it (https://age-encryption.org/v1), and that key with
the passphrase: `age --decrypt -i identity.age database.dump.age` decrypts it without Driftwatch.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, cast

import pyrage  # type: ignore[import-untyped]

from portal.backup import tools
from portal.backup.errors import BackupError

MANIFEST: Final = "manifest.json"
IDENTITY: Final = "identity.age"
DUMP, SEALED_DUMP = "database.dump", "database.dump.age"
PURPOSE: Final = b"driftwatch backup 1:"
BLOCK: Final = 1024 * 1024


class _Hashing:
    """A file that hashes what it passes on. `error`: the first error of a write."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        self._file.flush()


def write_archive(file: Path, facts: dict[str, Any], passphrase: str, secret_key: str) -> None:
    """Dump the database into `file`, which must not exist. It is there only once it is complete. Raises BackupError."""
    if file.exists():
        raise BackupError(f"{file} exists.")
    partial: Path | None = None
    try:
        # Of mode 0600, and new: one that lies there may be another's, readable by all.
        opened, name = tempfile.mkstemp(dir=file.parent, prefix=f"{file.name}.", suffix=".partial")
        partial = Path(name)
        with os.fdopen(opened, "wb") as raw:
            with zipfile.ZipFile(raw, "w", zipfile.ZIP_STORED) as archive:
                digest = _write_dump(archive, passphrase)
                manifest = {**facts, "sha256": digest, "encrypted": bool(passphrase)}
                manifest["signature"] = _signature(manifest, secret_key)
                archive.writestr(MANIFEST, json.dumps(manifest, indent=2))
            raw.flush()
            os.fsync(raw.fileno())
        partial.rename(file)
    except OSError as error:
        raise BackupError(f"{file} cannot be written: {error.strerror or error}.") from None
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def read_manifest(file: Path) -> dict[str, Any]:
    """Return what a backup says of itself. Raises BackupError."""
    with _opened(file) as archive:
        manifest = json.loads(archive.read(MANIFEST))
    if not isinstance(manifest, dict) or not isinstance(manifest.get("migrations"), list):
        raise BackupError(f"{file} is not a backup of Driftwatch.")
    return manifest


def is_signed(manifest: dict[str, Any], secret_key: str) -> bool:
    """Return whether the manifest was written under this SECRET_KEY, and not changed since."""
    rest = {name: value for name, value in manifest.items() if name != "signature"}
    return hmac.compare_digest(str(manifest.get("signature")), _signature(rest, secret_key))


@contextlib.contextmanager
def opened_dump(file: Path, manifest: dict[str, Any], passphrase: str) -> Iterator[IO[bytes]]:
    """Yield the dump, decrypted, once all of it was found to be what the manifest says. Raises BackupError."""
    with _opened(file) as archive:
        name = SEALED_DUMP if manifest["encrypted"] else DUMP
        _check_digest(archive, name, manifest)
        with archive.open(name) as stored:
            if not manifest["encrypted"]:
                yield stored
                return
            # In a file without a name, which is gone however this ends.
            with tempfile.TemporaryFile(dir=file.parent) as clear:
                _decrypt(archive.read(IDENTITY), stored, cast("IO[bytes]", clear), passphrase)
                yield cast("IO[bytes]", clear)


def _write_dump(archive: zipfile.ZipFile, passphrase: str) -> str:
    """Add the dump to the archive and return its SHA-256 as stored."""
    identity = pyrage.x25519.Identity.generate() if passphrase else None
    if identity is not None:
        archive.writestr(IDENTITY, pyrage.passphrase.encrypt(f"{identity}\n".encode(), passphrase))
    # Where writing fails, the end of this block closes its pipes, and pg_dump ends with them.
    with tools.start_dump() as process:
        output = cast("IO[bytes]", process.stdout)
        with archive.open(SEALED_DUMP if identity else DUMP, "w", force_zip64=True) as stored:
            hashing = _Hashing(stored)
            if identity is not None:
                _encrypt(output, hashing, identity)
            else:
                while block := output.read(BLOCK):
                    hashing.write(block)
        tools.finish(process, "pg_dump")
    return hashing.digest.hexdigest()


def _encrypt(output: IO[bytes], stored: _Hashing, identity: Any) -> None:
    failure: Exception | None = None
    try:
        pyrage.encrypt_io(output, stored, [identity.to_public()])
    except pyrage.EncryptError as error:
        failure = error
    # pyrage hides an error of the last write: the backup would lack its end.
    if stored.error is not None:
        raise stored.error
    if failure is not None:
        raise BackupError(f"The dump cannot be encrypted: {failure}.")


def _check_digest(archive: zipfile.ZipFile, name: str, manifest: dict[str, Any]) -> None:
    digest = hashlib.sha256()
    with archive.open(name) as stored:
        while block := stored.read(BLOCK):
            digest.update(block)
    if digest.hexdigest() != manifest["sha256"]:
        raise BackupError("The backup was changed or is damaged: its content has another SHA-256.")


def _decrypt(identity: bytes, stored: IO[bytes], clear: IO[bytes], passphrase: str) -> None:
    """Decrypt into `clear`, and go back to its start. Raises BackupError."""
    try:
        text = pyrage.passphrase.decrypt(identity, passphrase).decode().strip()
    except pyrage.DecryptError:
        raise BackupError("The passphrase is not that of this backup.") from None
    try:
        pyrage.decrypt_io(stored, clear, [pyrage.x25519.Identity.from_str(text)])
        clear.seek(0)
    except (pyrage.DecryptError, OSError) as error:  # a full disk, or a dump that ends early
        raise BackupError(f"The dump cannot be decrypted: {getattr(error, 'strerror', None) or error}.") from None


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror or error}.") from None
    except (zipfile.BadZipFile, KeyError, ValueError):
        raise BackupError(f"{file} is not a backup of Driftwatch, or not all of it.") from None


def _signature(manifest: dict[str, Any], secret_key: str) -> str:
    message = PURPOSE + json.dumps(manifest, sort_keys=True).encode()
    return hmac.new(secret_key.encode(), message, hashlib.sha256).hexdigest()
