"""A syslog receiver as a program: `python -m tests.unit.drift.siem.kill_receiver PORT FILE`.

It stores the id of each message that it has read whole, and reads slowly, so that it is killed in the middle of one.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from pathlib import Path

from tests.unit.drift.siem.receiver import frames


def main(port: int, file: Path) -> None:
    listener = socket.create_server(("127.0.0.1", port))
    with file.open("a") as stored:
        # The line that the one before was killed in.
        stored.write("\n")
        while True:
            connection, _ = listener.accept()
            rest = b""
            while data := connection.recv(65_536):
                messages, rest = frames(rest + data)
                time.sleep(0.02)
                for message in messages:
                    stored.write(json.loads(message[message.index(b"{") :])["id"] + "\n")
                stored.flush()
            connection.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
