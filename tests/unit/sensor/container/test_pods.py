"""A pod's owner, an image's name and digest, from labels and references."""

from __future__ import annotations

import pytest

from sensor.container.pods import bounded_labels, image_digest, image_name, pod_owner
from sensor.wire import MAX_LABELS, Owner

ID = "ab" * 32


@pytest.mark.parametrize(
    ("pod", "labels", "owner"),
    [
        ("cart-7d9f5c6b4-x2kfz", {"pod-template-hash": "7d9f5c6b4"}, Owner("Deployment", "cart")),
        ("my-cart-v2-7d9f-x2kfz", {"pod-template-hash": "7d9f"}, Owner("Deployment", "my-cart-v2")),
        ("cart", {"pod-template-hash": "7d9f"}, None),
        (
            "db-0",
            {"statefulset.kubernetes.io/pod-name": "db-0", "controller-revision-hash": "x"},
            Owner("StatefulSet", "db"),
        ),
        ("agent-x2kfz", {"controller-revision-hash": "6f7"}, Owner("DaemonSet", "agent")),
        ("migrate-x2kfz", {"job-name": "migrate"}, Owner("Job", "migrate")),
        ("migrate-x2kfz", {"batch.kubernetes.io/job-name": "migrate"}, Owner("Job", "migrate")),
        ("nightly-29120340-x2kfz", {"job-name": "nightly-29120340"}, Owner("CronJob", "nightly")),
        ("bare", {"app": "bare"}, None),
    ],
)
def test_the_owner_is_the_workload_that_the_labels_name(pod: str, labels: dict[str, str], owner: Owner | None) -> None:
    assert pod_owner(pod, labels) == owner


@pytest.mark.parametrize(
    ("candidates", "name"),
    [
        (["nginx:1.25"], "docker.io/library/nginx:1.25"),
        (["", "ghcr.io/team/app:1"], "ghcr.io/team/app:1"),
        ([f"sha256:{ID}", ID, "team/app"], "docker.io/team/app"),
        ([f"quay.io/team/app@sha256:{ID}"], "quay.io/team/app"),
        ([f"sha256:{ID}", ""], None),
    ],
)
def test_an_image_s_name_is_the_first_candidate_that_is_a_name(candidates: list[str], name: str | None) -> None:
    assert image_name(candidates) == name


def test_a_digest_is_a_manifest_s_and_never_an_image_id() -> None:
    assert image_digest([f"sha256:{ID}", f"quay.io/app@sha256:{ID}"]) == f"sha256:{ID}"
    assert image_digest([f"sha256:{ID}", "quay.io/app:1"]) is None


def test_labels_past_the_limits_are_left_out() -> None:
    labels = {f"l{number:03}": "x" for number in range(MAX_LABELS + 9)} | {"a": "y" * 257}
    assert bounded_labels(labels) == {f"l{number:03}": "x" for number in range(MAX_LABELS)}


def test_labels_that_the_kubelet_adds_are_left_out() -> None:
    added = {f"io.kubernetes.{name}": "x" for name in ("pod.name", "pod.namespace", "pod.uid", "container.name")}
    own = {"app": "cart", "io.kubernetes.own": "y"}
    assert bounded_labels(added | own) == own
