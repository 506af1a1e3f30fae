"""Redis servers and Sentinels that speak TLS alone: the server of Debian's redis-tools, as Valkey's wheel cannot."""

from __future__ import annotations

import ipaddress
import shutil
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509

from tests.certificates import self_signed

HOST: Final = "127.0.0.1"


class RedisTls:
    """Command lines of servers whose certificate is valid for HOST; `authority` is the file that clients trust."""

    def __init__(self, directory: Path) -> None:
        found = shutil.which("redis-check-rdb")
        if found is None:
            pytest.skip("needs redis-tools (scripts/system-packages.sh)")
        # The same program, which does what its name says.
        self._program = directory / "redis-server"
        self._program.symlink_to(found)
        certificate, key = self_signed("redis", x509.IPAddress(ipaddress.ip_address(HOST)))
        self.authority, self._key = directory / "redis.crt", directory / "redis.key"
        self.authority.write_bytes(certificate)
        self._key.write_bytes(key)

    def server(self, port: int, data: Path, *words: str) -> list[str]:
        """Return the command line of a server."""
        options = [word for line in self._lines(port) for word in f"--{line}".split(" ", 1)]
        return [str(self._program), *options, "--dir", str(data), "--save", "", *words]

    def sentinel(self, port: int, file: Path, *lines: str) -> list[str]:
        """Return the command line of a Sentinel; its configuration is written to `file`, which it changes."""
        file.write_text("\n".join([*self._lines(port), *lines]) + "\n")
        return [str(self._program), str(file), "--sentinel"]

    def _lines(self, port: int) -> list[str]:
        return [
            "port 0",
            f"tls-port {port}",
            f"bind {HOST}",
            f"tls-cert-file {self.authority}",
            f"tls-key-file {self._key}",
            f"tls-ca-cert-file {self.authority}",
            "tls-auth-clients no",
            "tls-replication yes",
        ]
