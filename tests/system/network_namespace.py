"""HTTP from inside another network namespace: of containers that have a network of their own."""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import httpx

CLONE_NEWNET: Final = 0x40000000


class InNamespace(httpx.BaseTransport):
    """Sends requests from the network namespace of a process: a thread of its own enters it and makes the sockets."""

    def __init__(self, pid: int, transport: httpx.BaseTransport) -> None:
        self._transport = transport
        self._thread = ThreadPoolExecutor(1, initializer=_enter, initargs=(pid,))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._thread.submit(self._transport.handle_request, request).result()

    def close(self) -> None:
        self._thread.shutdown()
        self._transport.close()


def _enter(pid: int) -> None:
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(namespace)
