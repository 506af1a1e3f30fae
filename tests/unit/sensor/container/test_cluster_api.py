"""Owners and labels from an API server with TLS of its own, tokens that are renewed, and rights that may be missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sensor.container import cluster_api
from sensor.container.base import Found
from sensor.container.cluster_api import ClusterApi, ClusterApiError, ClusterRuntime, api_of_cluster
from sensor.wire import Container, Owner
from tests.api_server import TOKEN, ApiServer, authority

ID = "ab" * 32


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return authority(tmp_path_factory.mktemp("cluster"), "cluster")


@pytest.fixture
def credentials(certificates: Path, tmp_path: Path) -> Path:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "ca.crt").write_bytes((certificates / "ca.crt").read_bytes())
    return tmp_path


@pytest.fixture
def server(certificates: Path) -> Iterator[ApiServer]:
    made = ApiServer(certificates)
    yield made
    made.close()


@pytest.fixture
def api(server: ApiServer, credentials: Path) -> ClusterApi:
    return ClusterApi(server.address, credentials, timeout=30.0)


class FakeRuntime:
    """Knows one container of a pod, with the labels that the pod was started with."""

    name = "containerd"

    def __init__(self, **fields: Any) -> None:
        named: dict[str, Any] = {"namespace": "shop", "pod_name": "cart-1", "pod_uid": "uid-1"}
        self._fields = named | {"pod_labels": {"app": "old"}, "owner": Owner("Pod", "cart")} | fields

    def find(self, container_id: str) -> Found | None:
        return Found(Container(id=container_id, **self._fields)) if container_id == ID else None

    def mounted_container_id(self, point: bytes) -> str | None:
        return ID if point == b"/merged" else None


def described(api: ClusterApi, **fields: Any) -> tuple[Owner | None, dict[str, str]]:
    found = ClusterRuntime(FakeRuntime(**fields), api).find(ID)
    assert found is not None
    return found.container.owner, found.container.pod_labels


def test_the_owner_is_the_controller_above_the_replica_set_and_labels_are_live(
    server: ApiServer, api: ClusterApi
) -> None:
    server.put("pods", "cart-1", "ReplicaSet", "cart-7d9f", labels={"app": "new"})
    server.put("replicasets", "cart-7d9f", "Rollout", "cart")
    assert described(api) == (Owner("Rollout", "cart"), {"app": "new"})
    assert described(api) == (Owner("Rollout", "cart"), {"app": "new"})
    assert [path.rpartition("/")[2] for path in server.asked] == ["cart-1", "cart-7d9f", "cart-1"]


@pytest.mark.parametrize(
    ("owner", "labels", "expected"),
    [
        (("StatefulSet", "db"), {}, Owner("StatefulSet", "db")),
        (("TaskRun", "build-1"), {}, Owner("TaskRun", "build-1")),
        (("ReplicaSet", "gone"), {}, Owner("ReplicaSet", "gone")),
        (("Node", "worker-1"), {}, Owner("Pod", "cart")),
        ((), {}, Owner("Pod", "cart")),
    ],
)
def test_any_controller_is_an_owner_but_a_node(
    server: ApiServer, api: ClusterApi, owner: tuple[str, ...], labels: dict[str, str], expected: Owner
) -> None:
    server.put("pods", "cart-1", *owner, labels=labels)
    assert described(api)[0] == expected


def test_the_specification_says_what_probes_enter_and_which_containers_were_added(
    server: ApiServer, api: ClusterApi
) -> None:
    server.put("pods", "cart-1")
    added = {"name": "debugger-x", "livenessProbe": None}
    probed = {"name": "app", "livenessProbe": {"exec": {"command": ["cat", "/healthy"]}, "periodSeconds": 5}}
    server.objects["/api/v1/namespaces/shop/pods/cart-1"]["spec"] = {
        "containers": [probed], "ephemeralContainers": [added], "initContainers": None, "nodeName": "n1",
    }  # fmt: skip
    found = ClusterRuntime(FakeRuntime(), api).find(ID)
    assert found is not None and found.pod_spec is not None
    assert found.pod_spec.probes["app"] == {(b"cat", b"/healthy")}
    assert found.pod_spec.debug == {"debugger-x"}
    assert not found.pod_spec.init


def test_a_cluster_that_does_not_answer_tells_nothing_of_the_pod(server: ApiServer, api: ClusterApi) -> None:
    server.status = 503
    found = ClusterRuntime(FakeRuntime(), api).find(ID)
    assert found is not None and found.pod_spec is None


def test_a_pod_that_was_made_again_under_its_name_is_another(server: ApiServer, api: ClusterApi) -> None:
    server.put("pods", "cart-1", "StatefulSet", "db")
    assert described(api, pod_uid="uid-0") == (Owner("Pod", "cart"), {"app": "old"})


def test_a_renewed_token_is_used(server: ApiServer, api: ClusterApi, credentials: Path) -> None:
    server.put("pods", "cart-1", "DaemonSet", "agent")
    described(api)
    server.token = "second-token"
    (credentials / "token").write_text(server.token)
    assert described(api)[0] == Owner("DaemonSet", "agent")


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_without_the_right_or_an_answer_the_runtime_s_facts_stay(
    server: ApiServer, api: ClusterApi, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    server.put("pods", "cart-1", "DaemonSet", "agent")
    server.status = status
    runtime = ClusterRuntime(FakeRuntime(), api)
    for _ in range(5):
        found = runtime.find(ID)
        assert found is not None
        assert found.container.owner == Owner("Pod", "cart")
    assert len(server.asked) == 1  # and it is left alone for a while
    assert (caplog.text.count("as their runtime knows them"), TOKEN in caplog.text) == (1, False)


@pytest.mark.parametrize("answer", [403, 400, b"{", b" " * (3 * 1024 * 1024)], ids=["403", "400", "broken", "large"])
def test_a_pod_that_cannot_be_read_hides_no_other(server: ApiServer, api: ClusterApi, answer: int | bytes) -> None:
    for name in ("cart-1", "cart-2"):
        server.put("pods", name, "DaemonSet", "agent")
    path = "/api/v1/namespaces/shop/pods/cart-1"
    if isinstance(answer, int):
        server.refused[path] = answer
    else:
        server.objects[path] = answer
    for _ in range(3):
        assert described(api)[0] == Owner("Pod", "cart")
        assert described(api, pod_name="cart-2")[0] == Owner("DaemonSet", "agent")
    assert server.asked.count(path) == 1


def test_after_its_rest_it_is_asked_again(server: ApiServer, api: ClusterApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_api, "REST", 0.0)
    server.put("pods", "cart-1", "DaemonSet", "agent")
    server.status = 500
    described(api)
    server.status = 0
    assert described(api)[0] == Owner("DaemonSet", "agent")


def test_a_server_with_another_authority_gets_no_token(server: ApiServer, credentials: Path, tmp_path: Path) -> None:
    other = authority(tmp_path / "other", "other")
    (credentials / "ca.crt").write_bytes((other / "ca.crt").read_bytes())
    with pytest.raises(ClusterApiError, match="ConnectError"):
        ClusterApi(server.address, credentials).pod("shop", "cart-1", "")
    assert server.asked == []


@pytest.mark.parametrize("token", ["", "two\nlines", "\x00"])
def test_a_token_that_is_not_valid_is_in_no_error(server: ApiServer, credentials: Path, token: str) -> None:
    (credentials / "token").write_text(token)
    with pytest.raises(ClusterApiError) as error:
        ClusterApi(server.address, credentials).pod("shop", "cart-1", "")
    assert not token.strip() or token not in str(error.value)


@pytest.mark.parametrize("name", ["../secrets/x", "a/b", "A", "", "x?watch=1", "%2e%2e"])
def test_a_name_that_kubernetes_does_not_have_is_never_sent(server: ApiServer, api: ClusterApi, name: str) -> None:
    with pytest.raises(ClusterApiError, match="not a name"):
        api.pod("shop", name, "")
    assert server.asked == []


@pytest.mark.parametrize("answer", [b"[]", b"{", b'{"metadata": 5}', b"[" * 100_000, b" " * (3 * 1024 * 1024)])
def test_an_answer_of_another_shape_is_an_error(server: ApiServer, api: ClusterApi, answer: bytes) -> None:
    server.objects["/api/v1/namespaces/shop/pods/cart-1"] = answer
    with pytest.raises(ClusterApiError):
        api.pod("shop", "cart-1", "")


def test_a_container_outside_of_kubernetes_is_not_asked_about(server: ApiServer, api: ClusterApi) -> None:
    runtime = ClusterRuntime(FakeRuntime(namespace=None, pod_name=None), api)
    assert runtime.find(ID) is not None
    assert runtime.find("cd" * 32) is None
    assert runtime.mounted_container_id(b"/merged") == ID
    assert server.asked == []


def test_outside_of_a_cluster_there_is_no_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cluster_api, "CREDENTIALS", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert api_of_cluster() is None
    (tmp_path / "token").write_text(TOKEN)
    assert api_of_cluster() is not None
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    assert api_of_cluster() is None
