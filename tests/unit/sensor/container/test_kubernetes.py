"""containerd and CRI-O: what their files contain, what the runtime adds, and what happens if it does not answer."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.container.containerd import TASKS, ContainerdRuntime
from sensor.container.cri import Cri, CriContainer, CriError, CriPod
from sensor.container.crio import CrioRuntime
from sensor.container.podman import PodmanRuntime
from sensor.wire import Owner

ID, SANDBOX = "a1" * 32, "b2" * 32
STATUS = CriContainer("app", "docker.io/library/cart:1", "", f"docker.io/library/cart@sha256:{ID}", {})
POD = CriPod("cart-7d9f-x2kfz", "uid-1", "shop", {"app": "cart", "pod-template-hash": "7d9f"})
ANNOTATIONS = {
    "container-type": "container",
    "container-name": "app",
    "image-name": "ghcr.io/shop/cart:1",
    "sandbox-id": SANDBOX,
    "sandbox-name": POD.name,
    "sandbox-namespace": "shop",
    "sandbox-uid": "uid-1",
}


class FakeCri(Cri):
    """A runtime with one container in one pod; optionally it does not answer."""

    def __init__(self, *, silent: bool = False) -> None:
        super().__init__(Path("/none"))
        self.silent = silent
        self.calls: list[str] = []

    def container(self, container_id: str) -> CriContainer | None:
        self._heard("container")
        return STATUS if container_id == ID else None

    def sandbox_id(self, container_id: str) -> str:
        self._heard("sandbox_id")
        return SANDBOX if container_id == ID else ""

    def pod(self, sandbox_id: str) -> CriPod | None:
        self._heard("pod")
        return POD if sandbox_id == SANDBOX else None

    def _heard(self, call: str) -> None:
        self.calls.append(call)
        if self.silent:
            raise CriError("silent")


class Unlisted(FakeCri):
    """A runtime that lists no container."""

    def container(self, container_id: str) -> None:
        return None

    def sandbox_id(self, container_id: str) -> str:
        return ""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[Path]:
    """A socket that accepts and never answers."""
    path = tmp_path / "run.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield path


def task(address: Path, container_id: str = ID, annotations: dict[str, str] = ANNOTATIONS) -> None:
    directory = address.parent / TASKS / container_id
    directory.mkdir(parents=True)
    annotated = {f"io.kubernetes.cri.{key}": value for key, value in annotations.items()}
    (directory / "config.json").write_text(json.dumps({"ociVersion": "1.1.0", "annotations": annotated}))


class TestContainerd:
    def test_a_running_container_is_described_by_its_files_and_the_runtime(self, address: Path) -> None:
        task(address)
        found = ContainerdRuntime(address, FakeCri()).find(ID)
        assert found is not None
        container = found.container
        assert (found.complete, container.name, container.runtime) == (True, "app", "containerd")
        assert (container.namespace, container.pod_name, container.pod_uid) == ("shop", POD.name, "uid-1")
        assert (container.pod_labels, container.owner) == (POD.labels, Owner("Deployment", "cart"))
        assert (container.image_name, container.image_digest) == ("ghcr.io/shop/cart:1", f"sha256:{ID}")
        assert found.merged == address.parent / TASKS / ID / "rootfs"

    def test_without_its_files_a_container_is_described_by_the_runtime_alone(self, address: Path) -> None:
        found = ContainerdRuntime(address, FakeCri()).find(ID)
        assert found is not None
        assert (found.complete, found.container.name, found.container.namespace) == (True, "app", "shop")
        assert found.container.image_name == "docker.io/library/cart:1"

    def test_while_the_runtime_does_not_answer_a_container_is_named_but_incomplete(self, address: Path) -> None:
        task(address)
        found = ContainerdRuntime(address, FakeCri(silent=True)).find(ID)
        assert found is not None
        assert (found.complete, found.container.name, found.container.namespace) == (False, "app", "shop")
        assert (found.container.pod_labels, found.container.image_digest) == ({}, None)

    def test_a_removed_container_is_named_by_its_files_but_incomplete(self, address: Path) -> None:
        task(address, "c3" * 32, {**ANNOTATIONS, "sandbox-id": "d4" * 32})
        found = ContainerdRuntime(address, FakeCri()).find("c3" * 32)
        assert found is not None
        assert (found.complete, found.container.pod_name) == (False, POD.name)

    def test_a_pod_s_sandbox_has_the_pod_s_names(self, address: Path) -> None:
        task(address, SANDBOX, {**ANNOTATIONS, "container-type": "sandbox", "container-name": ""})
        found = ContainerdRuntime(address, FakeCri()).find(SANDBOX)
        assert found is not None
        assert (found.complete, found.container.name, found.container.pod_labels) == (True, None, POD.labels)

    def test_an_unknown_id_is_none(self, address: Path) -> None:
        assert ContainerdRuntime(address, FakeCri()).find("e5" * 32) is None

    def test_without_containerd_no_call_is_made(self, tmp_path: Path) -> None:
        cri = FakeCri()
        assert ContainerdRuntime(tmp_path / "none.sock", cri).find(ID) is None
        assert cri.calls == []

    def test_files_that_are_not_json_are_ignored(self, address: Path) -> None:
        task(address)
        (address.parent / TASKS / ID / "config.json").write_text("{")
        found = ContainerdRuntime(address, FakeCri()).find(ID)
        assert found is not None
        assert found.complete


def storage(root: Path, *, of_pod: bool = True) -> PodmanRuntime:
    """A containers/storage with one container, as CRI-O 1.36 or podman records it."""
    (root / "overlay-containers").mkdir(parents=True)
    entry = {
        "id": ID,
        "names": ["k8s_app_cart"],
        "layer": "l1",
        "metadata": json.dumps({"image-name": "quay.io/cart:1"} | ({"pod-id": SANDBOX} if of_pod else {})),
    }
    (root / "overlay-containers/volatile-containers.json").write_text(json.dumps([entry]))
    return PodmanRuntime(root)


class TestCrio:
    def test_a_container_has_its_names_from_the_runtime_and_its_files_from_the_storage(
        self, address: Path, tmp_path: Path
    ) -> None:
        found = CrioRuntime(address, FakeCri(), storage(tmp_path / "s"), tmp_path).find(ID)
        assert found is not None
        container = found.container
        assert (found.complete, container.runtime, container.name) == (True, "cri-o", "app")
        assert (container.namespace, container.image_name) == ("shop", "quay.io/cart:1")
        assert found.merged == tmp_path / "s/overlay/l1/merged"

    def test_a_container_of_podman_s_is_left_to_podman(self, address: Path, tmp_path: Path) -> None:
        assert CrioRuntime(address, Unlisted(), storage(tmp_path / "s", of_pod=False)).find(ID) is None

    def test_a_container_of_podman_s_is_left_to_podman_while_the_runtime_does_not_answer(
        self, address: Path, tmp_path: Path
    ) -> None:
        assert CrioRuntime(address, FakeCri(silent=True), storage(tmp_path / "s", of_pod=False)).find(ID) is None

    @pytest.mark.parametrize("cri", [FakeCri(silent=True), Unlisted()], ids=["silent", "not listed yet"])
    def test_a_pod_s_container_is_incomplete_until_the_runtime_describes_it(
        self, cri: FakeCri, address: Path, tmp_path: Path
    ) -> None:
        found = CrioRuntime(address, cri, storage(tmp_path / "s")).find(ID)
        assert found is not None
        assert (found.complete, found.container.runtime) == (False, "cri-o")

    def test_without_crio_no_call_is_made(self, tmp_path: Path) -> None:
        cri = FakeCri()
        assert CrioRuntime(tmp_path / "none.sock", cri, storage(tmp_path / "s")).find(ID) is None
        assert cri.calls == []


class TestUnresponsiveRuntime:
    def test_a_runtime_that_hangs_is_waited_for_once_and_then_skipped(self, address: Path) -> None:
        cri = Cri(address, timeout=0.05, rest=60)
        with pytest.raises(CriError):
            cri.version()
        with pytest.raises(CriError, match="a moment ago"):
            cri.version()

    def test_a_missing_socket_is_an_error_of_one_line(self, tmp_path: Path) -> None:
        with pytest.raises(CriError) as caught:
            Cri(tmp_path / "none.sock").version()
        assert "\n" not in str(caught.value)


class TestStorageRecords:
    def test_one_entry_of_an_unexpected_shape_does_not_hide_the_others(self, tmp_path: Path) -> None:
        named = {"id": ID, "layer": "L", "names": ["a"], "metadata": '{"image-name": "quay.io/x/y:1"}'}
        others = [{"id": "c3" * 32, "names": None}, {"id": 5}, "text", None, {"id": "d4" * 32, "names": "one"}]
        (tmp_path / "overlay-containers").mkdir()
        (tmp_path / "overlay-containers/containers.json").write_text(json.dumps([*others, named]))
        storage = PodmanRuntime(tmp_path)
        found, unnamed = storage.find(ID), storage.find("c3" * 32)
        assert found is not None
        assert (found.container.name, found.container.image_name) == ("a", "quay.io/x/y:1")
        assert unnamed is not None
        assert unnamed.container.name is None
        assert storage.find("d4" * 32) is None

    def test_a_pipe_in_its_place_stops_nobody(self, tmp_path: Path) -> None:
        (tmp_path / "overlay-containers").mkdir()
        os.mkfifo(tmp_path / "overlay-containers/containers.json")
        assert PodmanRuntime(tmp_path).find(ID) is None


class TestOtherNamespaces:
    @pytest.fixture
    def state(self, tmp_path: Path) -> Path:
        """The state of a containerd that does not answer, with a container of nerdctl's and one of Docker's."""
        for namespace, container_id in (("default", ID), ("moby", "c3" * 32)):
            bundle = tmp_path / "io.containerd.runtime.v2.task" / namespace / container_id
            bundle.mkdir(parents=True)
            annotations = {"nerdctl/name": "db", "nerdctl/namespace": namespace}
            (bundle / "config.json").write_text(json.dumps({"annotations": annotations}))
        return tmp_path

    def test_a_container_of_nerdctl_is_named_by_its_files(self, state: Path) -> None:
        runtime = ContainerdRuntime(state / "containerd.sock", FakeCri())
        found = runtime.find(ID)
        assert found is not None
        assert (found.container.name, found.container.runtime, found.complete) == ("db", "containerd", False)
        point = state / "io.containerd.runtime.v2.task/default" / ID / "rootfs"
        assert runtime.mounted_container_id(bytes(point)) == ID

    def test_docker_s_containers_are_left_to_docker_s_own_records(self, state: Path) -> None:
        runtime = ContainerdRuntime(state / "containerd.sock", FakeCri())
        assert runtime.find("c3" * 32) is None
        point = state / "io.containerd.runtime.v2.task/moby" / ("c3" * 32) / "rootfs"
        assert runtime.mounted_container_id(bytes(point)) is None

    def test_a_bundle_without_annotations_has_its_id_for_a_name(self, state: Path) -> None:
        (state / "io.containerd.runtime.v2.task/default" / ID / "config.json").write_text('{"annotations": null}')
        found = ContainerdRuntime(state / "containerd.sock", FakeCri()).find(ID)
        assert found is not None
        assert found.container.name == ID
