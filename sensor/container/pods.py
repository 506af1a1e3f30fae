"""A pod's and a container's labels and annotations: names, and the workload that the pod belongs to."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Final

from sensor.names.images import full_reference
from sensor.names.owners import pod_owner
from sensor.wire import MAX_LABELS, Container, Owner

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sensor.container.cri import CriContainer, CriPod
    from sensor.names.owners import OwnerName

MAX_NAME: Final = 256
MAX_REFERENCE: Final = 1_024
MAX_LABEL_NAME: Final = 317

_NO_NAME: Final = re.compile(
    r"sha(?:256|384|512):|[0-9a-f]{12,64}(?:@|$)|<none>|(?:docker\.io/library/)?(?:moby-dangling|overlayfs|import-\d{4}-\d\d-\d\d)@"
)
"""Ids of images, and what dockerd, nerdctl and ctr call one that nobody has named."""
_KUBELETS: Final = frozenset(
    f"io.kubernetes.{name}" for name in ("pod.name", "pod.namespace", "pod.uid", "container.name")
)
"""Labels that kubelets and CRI-O add to a sandbox's: names, in fields of their own (pkg/kubelet/types/labels.go)."""


@dataclasses.dataclass(frozen=True)
class OnDisk:
    """A container's facts from the runtime's own files; "" where they are missing."""

    name: str = ""
    image: str = ""
    sandbox: str = ""
    pod: str = ""
    namespace: str = ""
    uid: str = ""
    is_sandbox: bool = False


def described(
    container_id: str, runtime: str, disk: OnDisk, status: CriContainer | None, pod: CriPod | None, *, node: str = ""
) -> Container:
    """Return a container as on the wire, from its files and from what CRI knows of it and its pod.

    The image's name is what the pod's author wrote, where that is known; else what the runtime calls it. `node` is the
    node's name, which ends the names of its static pods.
    """
    images = [status.user_image, disk.image, status.image] if status else [disk.image]
    pod_name = pod.name if pod else disk.pod
    return Container(
        id=container_id,
        name=((status.name if status else "") or disk.name)[:MAX_NAME] or None,
        runtime=runtime,
        image_name=image_name(images),
        image_digest=image_digest([status.image_ref, *images]) if status else None,
        namespace=(pod.namespace if pod else disk.namespace)[:MAX_NAME] or None,
        pod_name=pod_name[:MAX_NAME] or None,
        pod_uid=(pod.uid if pod else disk.uid)[:MAX_NAME] or None,
        pod_labels=bounded_labels(pod.labels) if pod else {},
        owner=owner_on_wire(pod_owner(pod_name, pod.labels, node)) if pod else None,
    )


def owner_on_wire(owner: OwnerName) -> Owner | None:
    """Return an owner as on the wire; None for one without a name (docs/alerts.md#owner)."""
    return Owner(owner.kind, owner.name) if owner.name else None


def bounded_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """At most 64 of the pod's own labels, sorted by name, none longer than Kubernetes allows (docs/wire.md#bounds)."""
    fitting = [
        (name, value)
        for name, value in sorted(labels.items())
        if name not in _KUBELETS and len(name) <= MAX_LABEL_NAME and len(value) <= MAX_NAME
    ]
    return dict(fitting[:MAX_LABELS])


def image_name(candidates: Iterable[str]) -> str | None:
    """Return the first that is a name, as a full reference without digest; an image's id, or part of it, is not."""
    for candidate in candidates:
        name = candidate.partition("@")[0]
        if name and not _NO_NAME.match(candidate):
            return full_reference(name)[:MAX_REFERENCE]
    return None


def image_digest(candidates: Iterable[str]) -> str | None:
    """Return the first digest of a manifest, as in `name@sha256:…`; an image's id alone is none."""
    return next((digest for name, _, digest in (each.partition("@") for each in candidates) if name and digest), None)
