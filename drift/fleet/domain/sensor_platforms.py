"""Where sensors run: the platforms that the onboarding page offers, and what each means for manifests and charts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Platform:
    """A kind of Kubernetes: what the portal calls it, and the runtime whose directories the sensor reads."""

    name: str
    label: str
    distribution: str
    runtime: str


PLATFORMS: Final = {
    each.name: each
    for each in (
        Platform("aks", "AKS", "aks", "containerd"),
        Platform("eks", "EKS", "eks", "containerd"),
        Platform("gke", "GKE", "gke", "containerd"),
        Platform("k3s", "k3s", "other", "k3s"),
        Platform("rke2", "RKE2", "other", "rke2"),
        Platform("k0s", "k0s", "other", "k0s"),
        Platform("microk8s", "MicroK8s", "other", "microk8s"),
        Platform("crio", "CRI-O, OpenShift", "other", "crio"),
        Platform("docker", "Docker (cri-dockerd)", "other", "docker"),
        Platform("other", "Other, with containerd", "other", "containerd"),
    )
}
MANAGED: Final = {"azure": "aks", "aws": "eks", "gcp": "gke"}
"""The platform that an environment's cloud suggests."""
RUNTIME_DIRECTORIES: Final = {
    "containerd": ("/run/containerd", "/var/lib/containerd"),
    "crio": ("/run/crio", "/run/containers", "/var/lib/containers"),
    "docker": ("/run/docker", "/run/containerd", "/var/lib/docker"),
    "k3s": ("/run/k3s", "/var/lib/rancher"),
    "rke2": ("/run/k3s", "/var/lib/rancher"),
    "k0s": ("/run/k0s", "/var/lib/k0s"),
    "microk8s": ("/var/snap/microk8s/common",),
}
"""As the chart's: a test compares the two."""
ENGINE_DIRECTORIES: Final = {
    "docker": ("/run/docker", "/run/containerd", "/var/lib/docker"),
    "podman": ("/run/containers", "/var/lib/containers"),
}
"""On a host without Kubernetes."""
CAPABILITIES: Final = ("BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH", "SYS_ADMIN")
"""Of the sensor as a container of Docker or podman: as the unit of a plain host, without what only fanotify takes."""
