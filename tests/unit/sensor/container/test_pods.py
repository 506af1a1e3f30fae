"""A pod's owner, an image's name and digest, from labels and references."""

from __future__ import annotations

import pytest

from sensor.container.pods import bounded_labels, image_digest, image_name, owner_on_wire
from sensor.names.owners import OwnerName
from sensor.wire import MAX_LABELS, Owner

ID = "ab" * 32


def test_an_owner_without_a_name_is_not_reported() -> None:
    assert owner_on_wire(OwnerName("Deployment", "cart")) == Owner("Deployment", "cart")
    assert owner_on_wire(OwnerName("Pod", "")) is None


@pytest.mark.parametrize(
    ("candidates", "name"),
    [
        (["nginx:1.25"], "docker.io/library/nginx:1.25"),
        (["", "ghcr.io/team/app:1"], "ghcr.io/team/app:1"),
        ([f"sha256:{ID}", ID, "team/app"], "docker.io/team/app"),
        ([f"quay.io/team/app@sha256:{ID}"], "quay.io/team/app"),
        ([f"sha256:{ID}", ""], None),
        ([ID[:12], f"sha512:{ID * 2}", "sha256:abab", "<none>:<none>", f"<none>@sha256:{ID}"], None),
        ([f"moby-dangling@sha256:{ID}", f"overlayfs@sha256:{ID}", f"import-2026-01-31@sha256:{ID}"], None),
        ([f"docker.io/library/import-2026-01-31@sha256:{ID}", "import-2026:1"], "docker.io/library/import-2026:1"),
        (["cafe", ID], "docker.io/library/cafe"),
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
