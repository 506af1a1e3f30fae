"""What a Kubernetes runtime knows of a container, by the Container Runtime Interface over its socket.

CRI is gRPC: one HTTP/2 POST with a length-prefixed message each way. Two calls with some dozen fields are all
that is needed, so this is httpx with `h2` (pure Python) and `protobuf.Message`, not grpcio and protobuf: those are
native libraries of 20 MiB with threads of their own. Field numbers are those of runtime/v1/api.proto
(https://github.com/kubernetes/cri-api); they never change.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import struct
import time
from typing import TYPE_CHECKING, Final

from sensor.container.base import mount_point
from sensor.container.protobuf import ProtobufError, ProtobufMessage, field

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

TIMEOUT: Final = 0.5
"""Seconds for one call: execs of other containers wait in the ring for so long."""
REST: Final = 5.0
"""Seconds without a call after one failed, so that a runtime that hangs is not waited for at each container."""
SERVICE: Final = "/runtime.v1.RuntimeService/"
CONTAINERD_NAMESPACE: Final = "k8s.io"
"""Of all that CRI makes on containerd, whose other services want it named; other runtimes ignore it."""
MAX_ANSWER: Final = 4 * 1024 * 1024
_PREFIX: Final = struct.Struct(">BI")
"""gRPC's length-prefixed message: not compressed, length."""


class CriError(Exception):
    """The runtime could not be queried, or its answer is not valid; one line."""


@dataclasses.dataclass(frozen=True)
class CriContainer:
    """From ContainerStatus. `labels` are the kubelet's, which name pod and container.

    `mounted_images` are the references of images that are mounted as volumes, by the path in the container.
    """

    name: str
    image: str
    user_image: str
    image_ref: str
    labels: dict[str, str]
    mounted_images: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class CriPod:
    """From ListPodSandbox. `labels` are those that the pod was started with."""

    name: str
    uid: str
    namespace: str
    labels: dict[str, str]


class Cri:
    """One runtime's socket. Any thread may call it; connects on first use, and again after a failure."""

    def __init__(self, socket: Path, *, timeout: float = TIMEOUT, rest: float = REST) -> None:
        self.socket = socket
        self._timeout, self._rest = timeout, rest
        self._idle: collections.deque[httpx.Client] = collections.deque()
        self._not_before = 0.0

    def container(self, container_id: str) -> CriContainer | None:
        """Return a container by its full id, None where the runtime has none; raises CriError."""
        answer = self.call("ContainerStatus", field(1, container_id))
        return _container(answer.message(1)) if answer is not None else None

    def described(self, container_id: str, sandbox_id: str) -> tuple[CriContainer | None, CriPod | None]:
        """Return a container and its pod, whose sandbox is looked up where it is ""; raises CriError."""
        status = self.container(container_id)
        sandbox_id = sandbox_id or self.sandbox_id(container_id)
        return status, self.pod(sandbox_id) if sandbox_id else None

    def sandbox_id(self, container_id: str) -> str:
        """Return the id of the sandbox that a container belongs to, "" where there is none; raises CriError."""
        answer = self.call("ListContainers", field(1, field(1, container_id)))
        listed = answer.messages(1) if answer is not None else []
        return next((each.text(2) for each in listed if each.text(1) == container_id), "")

    def pod(self, sandbox_id: str) -> CriPod | None:
        """Return a pod by its sandbox's full id, None where the runtime has none; raises CriError."""
        answer = self.call("ListPodSandbox", field(1, field(1, sandbox_id)))
        pods = answer.messages(1) if answer is not None else []
        return next((_pod(pod) for pod in pods if pod.text(1) == sandbox_id), None)

    def version(self) -> str:
        """Return the runtime's name and version, as in "containerd 1.7.2"; raises CriError."""
        answer = self.call("Version", b"")
        return f"{answer.text(2)} {answer.text(3)}" if answer is not None else "unknown"

    def call(
        self, method: str, request: bytes, *, timeout: float | None = None, namespace: str = CONTAINERD_NAMESPACE
    ) -> ProtobufMessage | None:
        """One unary call; None where the runtime does not have it. Raises CriError.

        `method` is one of CRI's, or the whole path of another service's on the same socket, which containerd answers
        for one of its namespaces.
        """
        if time.monotonic() < self._not_before:
            raise CriError(f"{self.socket} did not answer a moment ago")
        try:
            return self._call(method, request, namespace, self._timeout if timeout is None else timeout)
        except CriError:
            self._not_before = time.monotonic() + self._rest
            self.close()
            raise

    def close(self) -> None:
        """Close the connections that no call uses; the next call makes one."""
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _call(self, method: str, request: bytes, namespace: str, timeout: float) -> ProtobufMessage | None:
        import httpx

        client = self._connection()
        headers = {"content-type": "application/grpc", "te": "trailers", "containerd-namespace": namespace}
        body = _PREFIX.pack(0, len(request)) + request
        try:
            answer = client.post(
                method if method.startswith("/") else SERVICE + method, content=body, headers=headers, timeout=timeout
            )
        except (httpx.HTTPError, OSError) as error:
            client.close()
            raise CriError(f"{self.socket}: {error or type(error).__name__}") from None
        self._idle.append(client)
        return _message(answer.headers, answer.content)

    def _connection(self) -> httpx.Client:
        """Return a connection that no other thread uses: containers that start side by side are asked about at once."""
        import httpx

        with contextlib.suppress(IndexError):
            return self._idle.pop()
        # Without TLS nothing is negotiated: HTTP/2 alone makes httpx begin with it, as gRPC does.
        transport = httpx.HTTPTransport(uds=str(self.socket), http1=False, http2=True)
        return httpx.Client(transport=transport, base_url="http://localhost")


NOT_FOUND: Final = "5"
"""gRPC's status code; CRI-O and containerd give it for an id that they don't know."""


def _message(headers: httpx.Headers, content: bytes) -> ProtobufMessage | None:
    """Return the answer's one message. A refused call has none, and its status in the headers ("trailers only")."""
    status = headers.get("grpc-status")
    if status == NOT_FOUND:
        return None
    if status is not None and status != "0":
        raise CriError(f"refused: {headers.get('grpc-message', '')[:200]} (status {status})")
    if len(content) < _PREFIX.size or len(content) > MAX_ANSWER:
        raise CriError("no answer")
    compressed, length = _PREFIX.unpack_from(content)
    if compressed or length != len(content) - _PREFIX.size:
        raise CriError("a response of unexpected form")
    try:
        return ProtobufMessage(content[_PREFIX.size :])
    except ProtobufError as error:
        raise CriError(f"an unreadable response: {error}") from None


def _container(status: ProtobufMessage) -> CriContainer:
    """ContainerStatus: metadata 2, image 8, image_ref 9, labels 12, mounts 14 (container_path 1, image 9)."""
    image = status.message(8)
    mounts = [(mount_point(mount.text(1)), mount.message(9)) for mount in status.messages(14)]
    return CriContainer(
        name=status.message(2).text(1),
        image=image.text(1),
        user_image=image.text(18),
        image_ref=status.text(9),
        labels=status.texts(12),
        mounted_images={path: name for path, image in mounts if (name := image.text(18) or image.text(1))},
    )


def _pod(sandbox: ProtobufMessage) -> CriPod:
    """PodSandbox: metadata 2 (name 1, uid 2, namespace 3), labels 5."""
    metadata = sandbox.message(2)
    return CriPod(name=metadata.text(1), uid=metadata.text(2), namespace=metadata.text(3), labels=sandbox.texts(5))
