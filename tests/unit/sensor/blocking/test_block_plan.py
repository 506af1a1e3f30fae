from __future__ import annotations

from typing import Any

import pytest

from sensor.blocking.block_plan import (
    BLOCK_NOTHING,
    FILELESS,
    FOREIGN,
    MAPPED,
    NEW,
    SCRIPT,
    VOLUME,
    VOLUME_SCRIPT,
    BlockPlan,
    ClusterLocation,
    block_plan,
    workload_id,
)
from sensor.policy import DEFAULT_DETECT, PROCESS_PROPERTIES, compile_policy
from sensor.wire import Container, Event, Owner, flatten, flatten_container
from tests.unit.sensor.makers import make_event
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

PLACE = ClusterLocation("azure", "sub-1", "prod")
APP = Container(
    id="c" * 64,
    name="app",
    image_name="ghcr.io/team/app:1",
    image_digest="sha256:ab",
    namespace="shop",
    pod_name="app-1",
    pod_labels={"app": "cart"},
    owner=Owner("Deployment", "app"),
)


def kinds(*values: str) -> list[dict[str, Any]]:
    return [{"property": "drift_kind", "any_of": [{"operator": "equals", "value": value} for value in values]}]


def plan(kinds: int, *, holds: bool) -> BlockPlan:
    """A plan that is the same in every session."""
    return BlockPlan((kinds, kinds, kinds), holds)


def planned(detect: tuple[str, ...] = DEFAULT_DETECT, **rule: Any) -> BlockPlan:
    policy = compile_policy(document_of(minimal_rule(**{"action": "block", **rule})))
    return block_plan(policy, detect, APP, PLACE)


BY_HASH = ["sha256:" + "a" * 64]
NAMESPACE = [{"property": "namespace", "any_of": [{"operator": "equals", "value": "other"}]}]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param({}, plan(NEW | FILELESS | FOREIGN | MAPPED, holds=True), id="all drift; volumes must be named"),
        pytest.param({"allow_list": BY_HASH}, plan(0, holds=True), id="a hash decides"),
        pytest.param({"allow_list": ["/x"]}, plan(FILELESS, holds=True), id="a path decides, but not of a memfd"),
        pytest.param({"process_scope": kinds("fileless")}, plan(FILELESS, holds=False), id="memfds only"),
        pytest.param({"process_scope": kinds("new_file")}, plan(0, holds=True), id="new files, but no copies"),
        pytest.param({"process_scope": kinds("script")}, plan(SCRIPT | VOLUME_SCRIPT, holds=True), id="scripts"),
        pytest.param(
            {"process_scope": kinds("script"), "allow_list": BY_HASH}, plan(0, holds=True), id="scripts by hash"
        ),
        pytest.param(
            {"process_scope": kinds("volume", "foreign_mount")}, plan(FOREIGN | VOLUME, holds=True), id="volumes"
        ),
        pytest.param({"process_scope": kinds("volume")}, BLOCK_NOTHING, id="volumes, but not bound elsewhere"),
        pytest.param({"resource_scope": NAMESPACE}, BLOCK_NOTHING, id="another namespace"),
        pytest.param({"action": "alert"}, BLOCK_NOTHING, id="alerts only"),
    ],
)
def test_which_execs_the_kernel_stops_and_which_are_held(rule: dict[str, Any], expected: BlockPlan) -> None:
    assert planned(**rule) == expected


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param([], plan(NEW | FILELESS | FOREIGN | MAPPED, holds=True), id="all but what must be named"),
        pytest.param([{"resource_scope": NAMESPACE}], plan(NEW | FILELESS | FOREIGN | MAPPED, holds=True), id="x"),
        pytest.param([{"allow_list": BY_HASH, "unlisted": "next_rule"}], plan(0, holds=True), id="but a hash"),
        pytest.param([{"process_scope": kinds("fileless")}], plan(NEW | FOREIGN | MAPPED, holds=True), id="memfds"),
        pytest.param([{}], BLOCK_NOTHING, id="but everything"),
    ],
)
def test_a_default_rule_that_blocks_stops_all_but_what_rules_exclude(
    rules: list[dict[str, Any]], expected: BlockPlan
) -> None:
    document = document_of(*(minimal_rule(place, **rule) for place, rule in enumerate(rules, start=1)))
    policy = compile_policy({**document, "default": {"action": "block"}})
    assert block_plan(policy, DEFAULT_DETECT, APP, PLACE) == expected


def test_undetected_kinds_are_not_blocked() -> None:
    assert planned(("fileless",)) == plan(FILELESS, holds=False)


def test_a_workload_is_the_event_without_its_process() -> None:
    event: Event = make_event()
    event.container = APP
    whole = flatten(event, *PLACE)
    own = flatten_container(APP, *PLACE)
    assert own == {name: whole[name] for name in own}
    assert whole.keys() - own.keys() == set(PROCESS_PROPERTIES)


def test_pods_of_one_deployment_share_a_kill_limit() -> None:
    other_pod = Container(id="d" * 64, name="app", image_name=APP.image_name, namespace="shop", pod_name="app-2")
    other_pod.owner = Owner("Deployment", "app")
    assert workload_id(other_pod) == workload_id(APP)
    other_pod.owner = None
    assert workload_id(other_pod) != workload_id(APP)


def by(**conditions: str) -> dict[str, Any]:
    return {
        "process_scope": [
            {"property": name, "any_of": [{"operator": "equals", "value": value}]} for name, value in conditions.items()
        ]
    }


ALL = NEW | FILELESS | FOREIGN | MAPPED


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param([by(session="exec")], BlockPlan((0, 0, ALL), holds=True), id="who entered"),
        pytest.param([by(session="workload")], BlockPlan((0, ALL, 0), holds=True), id="the workload"),
        pytest.param(
            [{"action": "ignore", **by(session="workload")}, {}], BlockPlan((ALL, 0, ALL), holds=True), id="all others"
        ),
        pytest.param(
            [by(session="exec", drift_kind="fileless")], BlockPlan((0, 0, FILELESS), holds=False), id="their memfds"
        ),
        pytest.param([by(written_by="/usr/bin/curl")], plan(0, holds=True), id="the writer is seen while held"),
        pytest.param(
            [{"action": "ignore", **by(writer_origin="image")}, {}], plan(FILELESS, holds=True), id="a memfd has none"
        ),
        pytest.param(
            [by(session="exec", written_by_name="curl")],
            plan(0, holds=True),
            id="both, of which one is seen while held",
        ),
    ],
)
def test_the_kernel_blocks_alone_by_the_session_that_it_knows(rules: list[dict[str, Any]], expected: BlockPlan) -> None:
    policy = compile_policy(
        document_of(*(minimal_rule(place, **{"action": "block", **rule}) for place, rule in enumerate(rules, start=1)))
    )
    assert block_plan(policy, DEFAULT_DETECT, APP, PLACE) == expected


def test_a_container_with_a_role_in_its_pod_is_not_the_workload() -> None:
    policy = compile_policy(document_of(minimal_rule(action="block", **by(session="init"))))
    assert block_plan(policy, DEFAULT_DETECT, APP, PLACE, role="init") == BlockPlan((0, ALL, 0), holds=True)
    assert block_plan(policy, DEFAULT_DETECT, APP, PLACE, role="debug") == BLOCK_NOTHING
    assert block_plan(policy, DEFAULT_DETECT, APP, PLACE) == BLOCK_NOTHING
    trusting = minimal_rule(1, action="ignore", **by(session="workload")), minimal_rule(2, action="block")
    trusted = compile_policy(document_of(*trusting))
    assert block_plan(trusted, DEFAULT_DETECT, APP, PLACE, role="debug").kinds == (ALL, ALL, ALL)
