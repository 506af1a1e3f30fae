"""Pods of virtual clusters (vcluster.com), which carry their namespace and cluster at the end of their names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

CLUSTER_LABEL: Final = "vcluster.loft.sh/managed-by"
NAMESPACE_LABEL: Final = "vcluster.loft.sh/namespace"
MAX_NAME: Final = 63
_CUT: Final = re.compile(r"(.{52})-[0-9a-f]{10}")
"""What is left of a longer name, and the start of a hash."""


class VirtualPod(NamedTuple):
    """A pod's name in its own cluster, and what follows it in the cluster that runs it; "" for any other pod."""

    name: str
    ending: str


def virtual_pod(pod_name: str, labels: Mapping[str, str]) -> VirtualPod:
    """Return the pod by its name in the cluster that runs it: NAME-x-NAMESPACE-x-CLUSTER."""
    cluster, namespace = labels.get(CLUSTER_LABEL), labels.get(NAMESPACE_LABEL)
    if not cluster or not namespace:
        return VirtualPod(pod_name, "")
    ending = f"-x-{namespace}-x-{cluster}"
    if pod_name.endswith(ending):
        return VirtualPod(pod_name.removesuffix(ending), ending)
    cut = _CUT.fullmatch(pod_name)
    if cut is None or len(pod_name) != MAX_NAME:
        return VirtualPod(pod_name, "")
    return VirtualPod(without_start_of(ending, cut[1]), ending)


def without_start_of(ending: str, name: str) -> str:
    """Return a name that was cut in the middle of an ending, without what is left of that."""
    length = next((length for length in range(len(ending), 0, -1) if name.endswith(ending[:length])), 0)
    return name[: len(name) - length]
