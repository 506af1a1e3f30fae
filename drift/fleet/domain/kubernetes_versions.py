"""The Kubernetes versions on which sensors are supported: 1.29 or higher (docs/delivery.md#enrolment)."""

from __future__ import annotations

import re
from typing import Final

from drift.fleet.errors import FleetError

OLDEST: Final = (1, 29)
_VERSION: Final = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:\.\d{1,6})?(?:[-+].*)?", re.ASCII)


def parse_version(version: str) -> tuple[int, int] | None:
    """Return major and minor of `v1.29.3-gke.1`, `1.30+` or `v1.31.2`; None for anything else."""
    found = _VERSION.fullmatch(version)
    return (int(found[1]), int(found[2])) if found else None


def check_version(version: str | None, distribution: str) -> None:
    """Raise FleetError 422 where the version is too old, unreadable, or missing although the cluster needs one."""
    if version is None:
        if distribution != "other":
            raise _invalid("kubernetes_version_required", "Only plain hosts have no Kubernetes version.")
        return
    found = parse_version(version)
    if found is None:
        raise _invalid("kubernetes_version_invalid", f"{version!r} is not a valid Kubernetes version.")
    if found < OLDEST:
        raise _invalid("kubernetes_too_old", f"Kubernetes {version} is not supported: 1.29 or higher is required.")


def _invalid(code: str, message: str) -> FleetError:
    return FleetError(code, message, status=422, field="cluster.kubernetes_version")
