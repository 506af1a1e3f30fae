"""Owners and labels of pods as the cluster's API server has them: an option, where the cluster grants it.

Labels that a controller sets say whose a pod is for the controllers that this release knows; owner references say it
for all. The sensor's service account needs `get` on pods and replicasets, and nothing else (deploy/sensor/components).
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from sensor.container.pod_spec import PodSpec, Spec, pod_spec
from sensor.container.pods import bounded_labels, owner_on_wire
from sensor.container.recent import Recent
from sensor.names.owners import MAX_OWNER, OwnerName, pod_owner
from sensor.wire import json_bytes

if TYPE_CHECKING:
    import httpx

    from sensor.container.base import Found, Runtime
    from sensor.wire import Container

CREDENTIALS: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a kubelet puts a service account's token, which it renews, and the certificate authority of the API server."""
TIMEOUT: Final = 0.5
"""Seconds for one call: a container's first exec waits for two, and a second at most."""
REST: Final = 30.0
"""Seconds without a call after one got no answer: an API server that is away must not delay each container."""
_NO_SERVER: Final = frozenset({401, 429})
"""Answers that say nothing of the pod, as those from 500 on: the token is not valid, or the server is overloaded."""
REMEMBERED: Final = 4_096
MAX_ANSWER: Final = 2 * 1024 * 1024
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
"""A name of Kubernetes (RFC 1123): what a runtime reports goes into a URL."""

log = logging.getLogger(__name__)


class ClusterApiError(Exception):
    """The API server did not answer, or not with this pod; one line, without the token."""


class NoServer(ClusterApiError):
    """The API server did not answer, or answers nobody for now."""


class _Reference(msgspec.Struct):
    kind: str = ""
    name: str = ""
    controller: bool = False


class _Metadata(msgspec.Struct, rename="camel"):
    uid: str = ""
    labels: dict[str, str] | None = None
    owner_references: list[_Reference] | None = None


class _Object(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    spec: Spec = msgspec.field(default_factory=Spec)


@dataclasses.dataclass(frozen=True)
class ClusterPod:
    """A pod as the cluster has it now. `owner` is its controller's, None where it has none."""

    labels: dict[str, str]
    owner: OwnerName | None
    spec: PodSpec = dataclasses.field(default_factory=PodSpec)


class ClusterApi:
    """One API server. Any thread may call it."""

    def __init__(self, address: str, credentials: Path = CREDENTIALS, *, timeout: float = TIMEOUT) -> None:
        """`address` is https://HOST:PORT; the token is read for each call, as a kubelet replaces it."""
        self._address, self._credentials, self._timeout = address, credentials, timeout
        self._owners: Recent[tuple[str, str], OwnerName] = Recent(REMEMBERED)
        self._refused: Recent[str, float] = Recent(REMEMBERED)
        self._client: httpx.Client | None = None
        self._not_before = 0.0
        self._lock = threading.Lock()

    def pod(self, namespace: str, name: str, uid: str) -> ClusterPod | None:
        """Return a pod, None where the cluster has none of this name and uid; raises ClusterApiError."""
        found = self._get("api/v1", namespace, "pods", name)
        # A pod of a StatefulSet that was made again has the name of the one before.
        if found is None or (uid and found.metadata.uid != uid):
            return None
        return ClusterPod(found.metadata.labels or {}, self._owner(namespace, found.metadata), pod_spec(found.spec))

    def _owner(self, namespace: str, metadata: _Metadata) -> OwnerName | None:
        reference = _controller(metadata)
        if reference is None or reference.kind != "ReplicaSet":
            return OwnerName(reference.kind, reference.name[:MAX_OWNER]) if reference is not None else None
        known = self._owners.get((namespace, reference.name))
        if known is not None:
            return known
        replica_set = self._get("apis/apps/v1", namespace, "replicasets", reference.name)
        above = _controller(replica_set.metadata) if replica_set is not None else None
        owner = OwnerName((above or reference).kind, (above or reference).name[:MAX_OWNER])
        if replica_set is not None:
            self._owners.put((namespace, reference.name), owner)
        return owner

    def _get(self, group: str, namespace: str, resource: str, name: str) -> _Object | None:
        if not _NAME.fullmatch(namespace) or not _NAME.fullmatch(name):
            raise ClusterApiError(f"not a name in Kubernetes: {namespace!r}, {name!r}")
        url = f"{self._address}/{group}/namespaces/{namespace}/{resource}/{name}"
        with self._lock:
            if time.monotonic() < max(self._not_before, self._refused.get(url) or 0.0):
                raise ClusterApiError("the API server did not answer a moment ago")
        try:
            return self._answer(url)
        except NoServer:
            with self._lock:
                self._not_before = time.monotonic() + REST
            raise
        except ClusterApiError:
            # Of this object alone: the right to read it may be missing, or it may be too large.
            with self._lock:
                self._refused.put(url, time.monotonic() + REST)
            raise

    def _answer(self, url: str) -> _Object | None:
        import httpx

        try:
            token = (self._credentials / "token").read_text().strip()
            headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
            with self._connected().stream("GET", url, headers=headers) as answer:
                if answer.status_code == httpx.codes.NOT_FOUND:
                    return None
                if answer.status_code != httpx.codes.OK:
                    is_of_all = answer.status_code >= 500 or answer.status_code in _NO_SERVER
                    raise (NoServer if is_of_all else ClusterApiError)(f"{url} answers {answer.status_code}")
                return json_bytes.decode(_bounded(answer), _Object)
        except msgspec.DecodeError:
            raise ClusterApiError(f"{url} has an answer that is not valid") from None
        except (httpx.HTTPError, OSError) as error:
            # Not the error's text: of a header that is not valid it would hold the token.
            raise NoServer(f"{url} cannot be read: {type(error).__name__}") from None

    def _connected(self) -> httpx.Client:
        import httpx

        with self._lock:
            if self._client is None:
                # The cluster's own authority alone: a public one says nothing of an API server.
                context = ssl.create_default_context(cafile=self._credentials / "ca.crt")
                self._client = httpx.Client(verify=context, timeout=self._timeout, trust_env=False)
            return self._client


class ClusterRuntime:
    """A runtime whose pods have their owner and labels from the cluster; where that does not answer, the runtime's."""

    def __init__(self, runtime: Runtime, api: ClusterApi) -> None:
        self._runtime, self._api = runtime, api
        self.name = runtime.name
        self._was_silent = False

    def find(self, container_id: str) -> Found | None:
        """Return what the runtime knows, and the cluster of its pod."""
        found = self._runtime.find(container_id)
        if found is None or not found.container.namespace or not found.container.pod_name:
            return found
        container = found.container
        try:
            pod = self._api.pod(container.namespace or "", container.pod_name or "", container.pod_uid or "")
            self._was_silent = False
        except ClusterApiError as error:
            if not self._was_silent:
                log.warning("Pods have owners and labels as their runtime knows them: %s", error)
            self._was_silent = True
            return found
        if pod is None:
            return found
        return dataclasses.replace(found, container=_described(container, pod), pod_spec=pod.spec)

    def mounted_container_id(self, point: bytes) -> str | None:
        """Return the id of the container whose root filesystem the runtime mounts there on the host, or None."""
        return self._runtime.mounted_container_id(point)


def api_of_cluster() -> ClusterApi | None:
    """Return the API server of the cluster that this process is a pod of; None outside of one, or without a token."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (CREDENTIALS / "token").exists():
        return None
    return ClusterApi(f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}")


def _described(container: Container, pod: ClusterPod) -> Container:
    values = {name: getattr(container, name) for name in container.__struct_fields__}
    owner = _better(pod, container)
    return type(container)(**values | {"pod_labels": bounded_labels(pod.labels), "owner": owner})


def _better(pod: ClusterPod, container: Container) -> object:
    """Return the owner: a node owns only its static pods, and a Job's own controller is known by labels alone."""
    if pod.owner is None or pod.owner.kind == "Node":
        return container.owner
    by_labels = pod_owner(container.pod_name or "", pod.labels)
    if pod.owner.kind == "Job" and by_labels.kind not in {"", "Job", "Pod"}:
        return owner_on_wire(by_labels)
    return owner_on_wire(pod.owner)


def _controller(metadata: _Metadata) -> _Reference | None:
    return next((each for each in metadata.owner_references or [] if each.controller and each.name), None)


def _bounded(answer: httpx.Response) -> bytes:
    data = b""
    for part in answer.iter_bytes():
        data += part
        if len(data) > MAX_ANSWER:
            raise ClusterApiError("an answer of more than 2 MiB")
    return data
