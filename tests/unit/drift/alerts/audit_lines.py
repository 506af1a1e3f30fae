"""Kubernetes audit events as an API server writes them."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from tests.unit.drift.alerts.conftest import merge, now


def audit_event(*command: str, **changes: Any) -> dict[str, Any]:
    """A request of alice to execute a command in the pod of `conftest.EVENT`, just now; `a__b` reaches into it."""
    at = changes.pop("at", now())
    kind, container = changes.pop("kind", "exec"), changes.pop("container", "app")
    arguments = [*(("command", each) for each in command or ("sh",)), ("container", container), ("stdin", "true")]
    base = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": str(uuid.uuid4()),
        "stage": "ResponseStarted",
        "requestURI": f"/api/v1/namespaces/shop/pods/cart-7d9f-abcde/{kind}?{urlencode(arguments)}",
        "verb": "create",
        "user": {"username": "alice@example.com", "groups": ["dev", "system:authenticated"]},
        "sourceIPs": ["203.0.113.9", "10.0.0.7"],
        "userAgent": "kubectl/v1.31.2",
        "objectRef": {
            "resource": "pods",
            "namespace": "shop",
            "name": "cart-7d9f-abcde",
            "apiVersion": "v1",
            "subresource": kind,
        },
        "responseStatus": {"metadata": {}, "code": 101},
        "requestReceivedTimestamp": at.isoformat(),
        "stageTimestamp": at.isoformat(),
        "annotations": {"authorization.k8s.io/decision": "allow"},
    }
    return merge(base, changes)
