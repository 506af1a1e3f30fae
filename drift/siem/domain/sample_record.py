"""The record of a test: like that of a new alert, and about nothing."""

from __future__ import annotations

from typing import Any


def sample_record(uid: str, at: str, portal: str) -> dict[str, Any]:
    """Return a record of the kind `test`, informational, whose alert says that it is one."""
    process = {"name": "test", "path": "/test", "argv": ["/test"], "pid": 1, "uid": 0, "size": 0, "sha256": None}
    alert = {
        "uid": uid,
        "url": portal,
        "id": 0,
        "revision": 1,
        "name": "This is a test",
        "description": "An administrator of Driftwatch requested this message.",
        "what": "test",
        "severity": "informational",
        "status": "active",
        "verdict": None,
        "assignee": None,
        "quiet_until": None,
        "sample": True,
        "first_seen": at,
        "last_seen": at,
        "updated_at": at,
        "closed_at": None,
        "count": 1,
        "outcome": "none",
        "fingerprint": uid,
        "previous": None,
        "incident": None,
        "entered_by": None,
        "resource": {
            "provider": "test",
            "account": "test",
            "environment": "test",
            "cluster": "test",
            "namespace": None,
            "pod": None,
            "image": None,
        },
        "policy": {"number": None, "action": "alert", "reason": "default", "rule": None},
        "event": {"kind": "new_file", "process": process, "container": {"id": "", "name": "test"}},
    }
    facts = {"actor": None, "before": None, "after": None, "comment": None}
    return {"id": uid, "kind": "test", "at": at, **facts, "portal": portal, "alert": alert}
