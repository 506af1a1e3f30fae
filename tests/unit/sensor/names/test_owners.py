"""Both orders of the owner labels, side by side: neither may change alone, because stored events depend on it."""

from __future__ import annotations

import pytest

from sensor.names.owners import controller_owner, fingerprint_owner

STATEFUL = {"statefulset.kubernetes.io/pod-name": "db-0", "controller-revision-hash": "x"}


@pytest.mark.parametrize(
    ("pod", "labels", "sensor", "portal"),
    [
        ("cart-7d9f-x2kfz", {"pod-template-hash": "7d9f"}, ("Deployment", "cart"), ("Deployment", "cart")),
        ("a-7d9f-b-7d9f-x2kfz", {"pod-template-hash": "7d9f"}, ("Deployment", "a-7d9f-b"), ("Deployment", "a-7d9f-b")),
        ("db-0", STATEFUL, ("StatefulSet", "db"), ("StatefulSet", "db")),
        ("agent-x2kfz", {"controller-revision-hash": "6f7"}, ("DaemonSet", "agent"), ("DaemonSet", "agent")),
        ("nightly-29120340-x2kfz", {"job-name": "nightly-29120340"}, ("CronJob", "nightly"), ("CronJob", "nightly")),
        ("migrate-x2kfz", {"batch.kubernetes.io/job-name": "migrate"}, ("Job", "migrate"), ("Job", "migrate")),
        # From here on the two differ.
        ("cart", {"pod-template-hash": "7d9f"}, None, ("Deployment", "cart")),
        ("cart-7d9f-LONG", {"pod-template-hash": "7d9f"}, None, ("Deployment", "cart")),
        ("cart-7d9f-x2kfz", {"pod-template-hash": "7d9f", "job-name": "j"}, ("Job", "j"), ("Deployment", "cart")),
        ("n-29120340123-x", {"job-name": "n-29120340123"}, ("Job", "n-29120340123"), ("CronJob", "n")),
        ("agent", {"controller-revision-hash": "6f7"}, None, ("DaemonSet", "agent")),
        ("db-0", {"statefulset.kubernetes.io/pod-name": ""}, None, ("StatefulSet", "db")),
        ("db-main", {"statefulset.kubernetes.io/pod-name": "x"}, ("StatefulSet", "db-main"), ("StatefulSet", "db")),
        ("bare", {"app": "bare"}, None, ("Pod", "bare")),
        ("", {"job-name": "migrate"}, ("Job", "migrate"), ("", "")),
    ],
)  # fmt: skip
def test_sensor_and_portal_read_each_owner_in_their_established_order(
    pod: str, labels: dict[str, str], sensor: tuple[str, str] | None, portal: tuple[str, str]
) -> None:
    assert (controller_owner(pod, labels), fingerprint_owner(pod, labels)) == (sensor, portal)
