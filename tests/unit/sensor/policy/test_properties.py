"""The table of properties refuses a row that previews could not read as the sensor decides."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sensor import wire
from sensor.policy.flat_event import compile_flatten
from sensor.policy.properties import BY_NAME, Property


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        pytest.param("namespace", {"event": ("process.name",)}, id="resource that needs a process"),
        pytest.param("namespace", {"event": ("event.kind",)}, id="resource that needs an event"),
        pytest.param("process_name", {"event": ("container.name",)}, id="process read from the container"),
        pytest.param("namespace", {"row": "binary"}, id="resource stored per file"),
        pytest.param("process_name", {"row": "workload"}, id="process stored per workload"),
        pytest.param("image_name", {"columns": ("image_name",)}, id="image without its digest"),
        pytest.param("namespace", {"columns": ("namespace", "pod_name")}, id="two columns for one string"),
        pytest.param("parent_process", {"event": ("process.written_by?.parent?.name",)}, id="None twice on the path"),
        pytest.param("pod_name", {"alert": ""}, id="nothing to read from the alert"),
        pytest.param("namespace", {"alert": "namespace"}, id="read from the alert instead of its workload"),
        pytest.param("pod_name", {"form": "labels"}, id="labels per event"),
    ],
)
def test_a_row_that_could_not_be_read_everywhere_is_refused(name: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(BY_NAME[name], **changes)


@pytest.mark.parametrize(
    ("owner", "labels", "expected"),
    [
        (wire.Owner("Deployment", "cart"), {}, ("Deployment", "cart")),
        (None, {"pod-template-hash": "6d9c"}, ("Deployment", "cart")),
        (None, {}, ("Pod", "cart-6d9c-x1")),
    ],
)
def test_an_owner_is_decided_on_as_the_portal_stores_it(
    owner: wire.Owner | None, labels: dict[str, str], expected: tuple[str, str]
) -> None:
    container = wire.Container(id="c", pod_name="cart-6d9c-x1", pod_labels=labels, owner=owner)
    properties = [
        Property(f"owner_{each}", "Owner", "resource_scope", (f"owner.{each}",), "workload", (f"owner_{each}",))
        for each in ("kind", "name")
    ]
    facts = compile_flatten(properties, "container")(container)
    assert (facts["owner_kind"], facts["owner_name"]) == expected


def test_an_owner_is_unknown_outside_kubernetes() -> None:
    owner = Property("owner_name", "Owner", "resource_scope", ("owner.name",), "workload", ("owner_name",))
    assert compile_flatten([owner], "container")(wire.Container(id="c")) == {"owner_name": None}
