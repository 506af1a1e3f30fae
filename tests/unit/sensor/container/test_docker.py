"""Docker's containers, read from the files that dockerd 20.10 and cri-dockerd write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sensor.container.docker import DockerRuntime
from sensor.wire import Owner

ID, SANDBOX, IMAGE, LAYER = "a1" * 32, "b2" * 32, f"sha256:{'c3' * 32}", "d4" * 32
POD = {
    "io.kubernetes.pod.name": "cart-7d9f-x2kfz",
    "io.kubernetes.pod.namespace": "shop",
    "io.kubernetes.pod.uid": "uid-1",
}
OF_CONTAINER = {
    **POD,
    "io.kubernetes.container.name": "app",
    "io.kubernetes.docker.type": "container",
    "io.kubernetes.sandbox.id": SANDBOX,
}
OF_SANDBOX = {
    **POD,
    "io.kubernetes.docker.type": "podsandbox",
    "io.kubernetes.container.name": "POD",
    "annotation.kubernetes.io/config.source": "api",
    "app": "cart",
    "pod-template-hash": "7d9f",
}


NAME, SANDBOX_NAME = "/k8s_app_cart-7d9f-x2kfz_shop_uid-1_0", "/k8s_POD_cart-7d9f-x2kfz_shop_uid-1_2"


class Docker:
    """The directories of a dockerd, optionally with those of a cri-dockerd."""

    def __init__(self, directory: Path) -> None:
        self.root, self.tasks, self.checkpoints = directory / "docker", directory / "moby", directory / "sandbox"
        self.runtime = DockerRuntime(self.root, (self.tasks,), (self.checkpoints,))

    def checkpoint(self, sandbox: str, pod: str = "cart-7d9f-x2kfz", namespace: str = "shop") -> None:
        self.checkpoints.mkdir(exist_ok=True)
        record = {"version": "v1", "name": pod, "namespace": namespace, "data": {"host_network": False}, "checksum": 1}
        (self.checkpoints / sandbox).write_text(json.dumps(record))

    def pod_of(self, identifier: str) -> str | None:
        found = self.runtime.find(identifier)
        assert found is not None
        return found.container.pod_name

    @property
    def image_name(self) -> str:
        found = self.runtime.find(ID)
        assert found is not None
        return found.container.image_name or ""

    def write(self, path: str, content: Any) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))

    def container(
        self, identifier: str = ID, name: str = "/web", labels: dict[str, str] | None = None, image: str = "nginx:1.27"
    ) -> None:
        state = {"ID": identifier, "Image": IMAGE, "Name": name, "Driver": "overlay2"}
        self.write(f"containers/{identifier}/config.v2.json", {**state, "Config": {"Image": image, "Labels": labels}})

    def layers(self) -> None:
        self.write(f"image/overlay2/layerdb/mounts/{ID}/mount-id", LAYER)
        self.write(f"overlay2/{LAYER}/lower", "l/ONE:l/TWO")


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker(tmp_path)


def test_a_container_has_its_name_image_layers_and_bundle(docker: Docker) -> None:
    docker.container()
    docker.layers()
    (docker.tasks / ID).mkdir(parents=True)
    found = docker.runtime.find(ID)
    assert found is not None
    assert (found.container.name, found.container.runtime) == ("web", "docker")
    assert found.container.image_name == "docker.io/library/nginx:1.27"
    overlay = docker.root / "overlay2"
    assert found.merged == overlay / LAYER / "merged"
    assert found.layers is not None
    assert found.layers.lowers == (bytes(overlay / "l/ONE"), bytes(overlay / "l/TWO"))
    assert found.layers.upper == bytes(overlay / LAYER / "diff")
    assert (found.bundle, found.complete) == (docker.tasks / ID, True)


@pytest.mark.parametrize("typed", [IMAGE, IMAGE[7:], IMAGE[7:19], IMAGE[7:10]])
def test_an_image_that_was_started_by_its_id_has_the_name_that_it_has_else(docker: Docker, typed: str) -> None:
    docker.container(image=typed)
    assert docker.image_name == ""
    names = {f"nginx@sha256:{'e5' * 32}": IMAGE, "nginx:1.27": IMAGE, "redis:7": "sha256:other"}
    docker.write("image/overlay2/repositories.json", {"Repositories": {"nginx": names}})
    assert docker.image_name == "docker.io/library/nginx:1.27"


def test_the_digest_is_the_registry_manifest_s(docker: Docker) -> None:
    docker.container()
    names = {"nginx:1.27": IMAGE, f"nginx@sha256:{'e5' * 32}": IMAGE, f"nginx@sha256:{'f6' * 32}": "sha256:other"}
    docker.write("image/overlay2/repositories.json", {"Repositories": {"nginx": names}})
    found = docker.runtime.find(ID)
    assert found is not None
    assert found.container.image_digest == f"sha256:{'e5' * 32}"


def test_in_kubernetes_a_container_has_its_pod_s_name_and_the_sandbox_s_labels(docker: Docker) -> None:
    docker.container(name=NAME, labels=OF_CONTAINER)
    docker.container(SANDBOX, SANDBOX_NAME, labels=OF_SANDBOX)
    found = docker.runtime.find(ID)
    assert found is not None
    container = found.container
    assert (container.name, container.namespace, container.pod_name) == ("app", "shop", "cart-7d9f-x2kfz")
    assert (container.pod_uid, container.owner) == ("uid-1", Owner("Deployment", "cart"))
    assert container.pod_labels == {"app": "cart", "pod-template-hash": "7d9f"}


def test_a_sandbox_has_the_pod_s_names_and_no_container_name(docker: Docker) -> None:
    docker.container(SANDBOX, SANDBOX_NAME, labels=OF_SANDBOX)
    found = docker.runtime.find(SANDBOX)
    assert found is not None
    assert (found.container.name, found.container.pod_name) == (None, "cart-7d9f-x2kfz")
    assert found.container.pod_labels["app"] == "cart"


def test_without_its_sandbox_a_container_has_no_labels(docker: Docker) -> None:
    docker.container(name=NAME, labels=OF_CONTAINER)
    found = docker.runtime.find(ID)
    assert found is not None
    assert (found.container.pod_name, found.container.pod_labels) == ("cart-7d9f-x2kfz", {})


@pytest.mark.parametrize(
    "name",
    [
        "/web",
        "/k8s_app_cart",
        "/k8s_app_other_shop_uid-1_0",
        "/k8s_app_cart-7d9f-x2kfz_prod_uid-1_0",
        "/k8s_app_cart-7d9f-x2kfz_shop_uid-1_x",
    ],
)
def test_labels_that_contradict_cri_dockerd_s_naming_do_not_make_a_pod(docker: Docker, name: str) -> None:
    """An image can have any labels, and anyone who starts a container can add some."""
    docker.container(name=name, labels=OF_CONTAINER)
    found = docker.runtime.find(ID)
    assert found is not None
    container = found.container
    assert (container.name, container.namespace, container.pod_name) == (name.removeprefix("/"), None, None)
    assert (container.pod_labels, container.owner) == ({}, None)


def test_a_name_that_was_taken_has_a_random_suffix(docker: Docker) -> None:
    docker.container(name=f"{NAME}_8c1f00ab", labels=OF_CONTAINER)
    assert docker.pod_of(ID) == "cart-7d9f-x2kfz"


def test_if_cri_dockerd_keeps_records_only_its_own_pods_count(docker: Docker) -> None:
    docker.container(name=NAME, labels=OF_CONTAINER)
    docker.container(SANDBOX, SANDBOX_NAME, labels=OF_SANDBOX)
    docker.checkpoint("other")
    assert [docker.pod_of(ID), docker.pod_of(SANDBOX)] == [None, None]
    docker.checkpoint(SANDBOX, namespace="prod")
    assert [docker.pod_of(ID), docker.pod_of(SANDBOX)] == [None, None]
    docker.checkpoint(SANDBOX)
    assert [docker.pod_of(ID), docker.pod_of(SANDBOX)] == ["cart-7d9f-x2kfz"] * 2


def test_a_container_that_only_claims_to_be_the_sandbox_does_not_label_the_pod(docker: Docker) -> None:
    docker.container(name=NAME, labels=OF_CONTAINER)
    docker.container(SANDBOX, "/web", labels={**OF_SANDBOX, "app": "payments"})
    found = docker.runtime.find(ID)
    assert found is not None
    assert found.container.pod_labels == {}


def test_a_label_that_is_not_a_valid_path_hides_no_container(docker: Docker) -> None:
    docker.container(name=NAME, labels={**OF_CONTAINER, "io.kubernetes.sandbox.id": "\0"})
    docker.checkpoint(SANDBOX)
    assert docker.pod_of(ID) is None


def test_a_root_filesystem_is_recognised_by_its_mount_point(docker: Docker) -> None:
    docker.container()
    docker.layers()
    root = docker.root
    assert docker.runtime.mounted_container_id(bytes(root / "overlay2" / LAYER / "merged")) == ID
    assert docker.runtime.mounted_container_id(bytes(root / "rootfs/overlayfs" / ID)) == ID
    assert docker.runtime.mounted_container_id(bytes(root / "overlay2/other/merged")) is None
    assert docker.runtime.mounted_container_id(b"/merged") is None


def test_images_kept_by_containerd_are_mounted_elsewhere(docker: Docker) -> None:
    docker.container()
    found = docker.runtime.find(ID)
    assert found is not None
    assert (found.merged, found.layers) == (docker.root / "rootfs/overlayfs" / ID, None)


@pytest.mark.parametrize(("manifest", "digest"), [({"digest": f"sha256:{LAYER}", "size": 7}, IMAGE), (None, None)])
def test_an_image_kept_by_containerd_has_its_digest_as_its_id(
    docker: Docker, manifest: Any, digest: str | None
) -> None:
    state = {"Image": IMAGE, "ImageManifest": manifest, "Name": "/web", "Config": {"Image": "web:1"}}
    docker.write(f"containers/{ID}/config.v2.json", state)
    found = docker.runtime.find(ID)
    assert found is not None
    assert found.container.image_digest == digest


@pytest.mark.parametrize("content", ["", "[]", '{"Name": 7}', '{"more":' + "[" * 100_000])
def test_unknown_or_unreadable_values_are_none(docker: Docker, content: str) -> None:
    assert docker.runtime.find(ID) is None
    docker.write(f"containers/{ID}/config.v2.json", content)
    assert docker.runtime.find(ID) is None


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("/shop-web-2", Owner("ComposeService", "shop/web")),
        ("/bold_bohr", Owner("Image", "docker.io/library/nginx")),
        ("/web", None),
    ],
)
def test_an_owner_stands_for_a_name_that_a_tool_made(docker: Docker, name: str, owner: Owner | None) -> None:
    docker.container(name=name, labels={"com.docker.compose.project": "shop", "com.docker.compose.service": "web"})
    found = docker.runtime.find(ID)
    assert found is not None
    assert (found.container.name, found.container.owner) == (name[1:], owner)
