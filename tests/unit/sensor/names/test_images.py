"""An image's name and digest as one reference."""

from __future__ import annotations

import pytest

from sensor.names.images import full_reference, image_reference, names_registry
from sensor.policy import Policy, normalise
from tests.unit.sensor.policy.test_document import document_of, minimal_rule


@pytest.mark.parametrize(
    ("name", "digest", "reference"),
    [
        ("app:1", "sha256:ab", "app:1@sha256:ab"),
        ("app:1", None, "app:1"),
        ("app:1", "", "app:1"),
        ("", "sha256:ab", None),
        (None, "sha256:ab", None),
        (None, None, None),
    ],
)
def test_a_reference_is_the_name_and_its_digest(name: str | None, digest: str | None, reference: str | None) -> None:
    assert image_reference(name, digest) == reference


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("nginx:1.25", "docker.io/library/nginx:1.25"),
        ("library/nginx", "docker.io/library/nginx"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("index.docker.io/library/nginx:1", "docker.io/library/nginx:1"),
        ("registry-1.docker.io/nginx", "docker.io/library/nginx"),
        ("registry.hub.docker.com/team/app", "docker.io/team/app"),
        ("team/app", "docker.io/team/app"),
        ("ghcr.io/team/app:1", "ghcr.io/team/app:1"),
        ("localhost/app:1", "localhost/app:1"),
        ("registry:5000/app", "registry:5000/app"),
        ("registry:443/app", "registry:443/app"),
        ("GHCR.io:443/team/app:1", "ghcr.io/team/app:1"),
        ("localhost:443/app", "localhost/app"),
        ("[FD00::1]:5000/app:1", "[fd00::1]:5000/app:1"),
        ("[fd00::1]:443/app", "[fd00::1]/app"),
        ("Registry/app", "Registry/app"),
        ("registry-1.docker.io:443/nginx:1", "docker.io/library/nginx:1"),
        ("Docker.IO/nginx", "docker.io/library/nginx"),
        ("index.docker.io.evil.example/library/nginx", "index.docker.io.evil.example/library/nginx"),
        ("", ""),
    ],
)
def test_an_image_has_one_name_in_events(name: str, full: str) -> None:
    assert full_reference(name) == full
    assert full_reference(full) == full


SPELLINGS = [
    "docker.io/library/nginx:latest",
    "docker.io/library/nginx",
    "docker.io/nginx",
    "docker.io/nginx:latest",
    "index.docker.io/library/nginx",
    "registry-1.docker.io/nginx:latest",
    "registry.hub.docker.com/library/nginx",
    "docker.io:443/library/nginx",
    "Index.Docker.io:443/nginx:latest",
]


@pytest.mark.parametrize("event", SPELLINGS)
@pytest.mark.parametrize("value", [*SPELLINGS, "nginx", "library/nginx", "nginx:latest"])
def test_every_spelling_of_a_rule_holds_for_every_spelling_of_an_event(value: str, event: str) -> None:
    assert matches(value, event)
    assert not matches(value, "docker.io/library/nginx-exporter:latest")
    assert not matches(value, "ghcr.io/team/nginx:1")


@pytest.mark.parametrize("host", ["registry.example", "[fd00::1]", "localhost"])
def test_the_port_of_a_registry_that_names_none_makes_no_difference(host: str) -> None:
    for value in (f"{host}/team/app", f"{host}:443/team/app", f"{host.upper()}/team/app:latest"):
        for event in (f"{host}/team/app", f"{host}:443/team/app:latest"):
            assert matches(value, event)
            assert matches(value, full_reference(event))
            assert not matches(value, f"{host}:5000/team/app")


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"])
def test_a_registrys_host_alone_is_spelled_as_in_events(host: str) -> None:
    for operator in ("starts_with", "contains"):
        assert matches(host, "docker.io/library/nginx", operator)
        assert not matches(host, "quay.io/library/nginx", operator)


@pytest.mark.parametrize("value", ["docker.io/library/nginx", "registry.example/ingress/controller", "nginx"])
def test_a_rule_without_a_tag_holds_for_tag_and_digest(value: str) -> None:
    image = value if value.startswith("registry") else "docker.io/library/nginx"
    assert matches(value, f"{image}:v1@sha256:{'b' * 64}")


def matches(value: str, event: str, operator: str = "equals") -> bool:
    scope = [{"property": "image_name", "any_of": [{"operator": operator, "value": value}]}]
    rule = minimal_rule(action="ignore", resource_scope=scope)
    decision = Policy(normalise(document_of(rule))).decide(
        {"provider": "azure", "account": "a", "process_path": "/x", "drift_kind": "new_file", "image_name": event}
    )
    return decision.rule == str(rule["id"])


@pytest.mark.parametrize(("value", "expected"), [("docker.io/nginx", True), ("nginx", False), ("team/app", False)])
def test_a_value_names_a_registry_or_none(value: str, expected: bool) -> None:
    assert names_registry(value) is expected
