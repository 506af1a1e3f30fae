"""Which Kubernetes versions sensors run on (DESIGN: Words)."""

from __future__ import annotations

import re
from typing import Final

from drift.fleet.errors import FleetError

OLDEST: Final = (1, 29)
_VERSION: Final = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:\.\d{1,6})?(?:[-+].*)?", re.ASCII)
_FIELD: Final = "cluster.kubernetes_version"


def parse_version(version: str) -> tuple[int, int] | None:
    """Major and minor of `v1.29.3-gke.1`, `1.30+`, `v1.31.2`; None for anything else."""
    found = _VERSION.fullmatch(version)
    return (int(found[1]), int(found[2])) if found else None


def check_version(version: str | None, distribution: str) -> None:
    """Raise Refused (422) for what is too old, unreadable, or missing where there must be one."""
    if version is None:
        if distribution != "other":
            raise FleetError(
                "kubernetes_version_required", "Only plain hosts have no Kubernetes version.", status=422, field=_FIELD
            )
        return
    found = parse_version(version)
    if found is None:
        raise FleetError(
            "kubernetes_version_invalid", f"{version!r} is no Kubernetes version.", status=422, field=_FIELD
        )
    if found < OLDEST:
        raise FleetError(
            "kubernetes_too_old",
            f"Kubernetes {version} is too old: 1.29 or higher is needed.",
            status=422,
            field=_FIELD,
        )
