"""A mail server for tests that talk SMTP."""

from __future__ import annotations

import mailbox
import socket
import subprocess
import sys
import time
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

PATIENCE = 30.0


class MailServer:
    """A mail server process that stores received messages in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        argv = [sys.executable, "-m", "aiosmtpd", "--nosetuid", "--listen", f"127.0.0.1:{self.port}"]
        self._process = subprocess.Popen([*argv, "--class", "aiosmtpd.handlers.Mailbox", str(self.directory)])
        deadline = time.monotonic() + PATIENCE
        while not self._greets():
            assert time.monotonic() < deadline, "the mail server did not start"
            time.sleep(0.02)

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
                return connection.recv(3) == b"220"
        except ConnectionError:
            return False

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def messages(self) -> list[EmailMessage]:
        parser = BytesParser(policy=policy.default)
        found: list[Any] = [parser.parsebytes(bytes(each)) for each in mailbox.Maildir(self.directory)]
        return found
