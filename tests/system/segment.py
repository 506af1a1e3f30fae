"""A network of its own: programs in network namespaces on one bridge, of which each can be cut off."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from typing import Final

import pytest

PREFIX: Final = "dwn"
"""Of the names of namespaces and interfaces, which have 15 characters at most."""


class Segment:
    """This machine is `host`; each place gets an address and a namespace."""

    def __init__(self) -> None:
        if os.geteuid() != 0 or not shutil.which("ip"):
            pytest.skip("needs root and iproute2, for network namespaces")
        taken = _run("-oneline", "-4", "address").stdout
        number = random.choice([each for each in range(256) if f" 10.213.{each}.1/" not in taken])
        self._name, self._net = f"{PREFIX}{number:02x}{os.getpid() % 4096:03x}", f"10.213.{number}"
        self._places: list[str] = []
        if _run("link", "add", self._name, "type", "bridge", check=False).returncode:
            pytest.skip("needs a kernel with bridges that may be used here")
        _run("address", "add", f"{self.host}/24", "dev", self._name)
        _run("link", "set", self._name, "up")

    @property
    def host(self) -> str:
        return f"{self._net}.1"

    @property
    def network(self) -> str:
        return f"{self._net}.0/24"

    def add(self, place: str) -> str:
        """Add a place; return its address."""
        number = len(self._places) + 2
        self._places.append(place)
        namespace, cable = self._namespace(place), self._cable(place)
        _run("netns", "add", namespace)
        _run("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _run("link", "set", cable, "master", self._name, "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("address", "add", f"{self._net}.{number}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
        ):
            _run("-n", namespace, *words)
        return f"{self._net}.{number}"

    def command(self, place: str) -> list[str]:
        """Return what a command line begins with that runs there."""
        return ["ip", "netns", "exec", self._namespace(place)]

    def cut(self, *places: str) -> None:
        """Let nothing through, either way: no reset, no ICMP error, as a dead switch does."""
        for place in places:
            _run("link", "set", self._cable(place), "down")

    def mend(self, *places: str) -> None:
        for place in places:
            _run("link", "set", self._cable(place), "up")

    def remove(self) -> None:
        """Remove it, after the programs have ended."""
        for place in self._places:
            _run("link", "delete", self._cable(place), check=False)
            _run("netns", "delete", self._namespace(place), check=False)
        _run("link", "delete", self._name, check=False)

    def _namespace(self, place: str) -> str:
        return f"{self._name}-{place}"

    def _cable(self, place: str) -> str:
        return f"{self._name}{self._places.index(place)}"


def _run(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True)
