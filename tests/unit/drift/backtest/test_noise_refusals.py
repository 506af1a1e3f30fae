"""What a noise budget refuses to absorb: each reason, and what an intruder does to be taken for noise."""

from __future__ import annotations

from typing import Any

import pytest

from bench.noise_estate import judge
from drift.backtest.domain.noise_evidence import NoiseBudget, NoiseEstate, NoisePlace, Refusal
from drift.backtest.domain.noise_plan import NoisePlan, plan
from sensor.policy import check
from sensor.policy.lint import lint
from tests.unit.drift.backtest.noise_samples import (
    ALERT_ON_ALL,
    DAYS,
    PLACE,
    Json,
    daily,
    line,
    read_estate,
)

NOISE = daily()
OTHER: Json = {"path": "/usr/local/lib/other", "sha256": "b" * 64, "truth": "attack:01"}
DECODED: Json = {**OTHER, "written_by": "/usr/bin/base64", "written_by_name": "base64", "written_by_parent": "sh"}
CURL: Json = {"written_by": "/usr/bin/curl", "written_by_name": "curl"}
NOBODY: Json = {"written_by": "", "written_by_name": "", "writer_origin": ""}
LOSS: Json = {"type": "loss", "provider": "aws", "account": "1111", "cluster": "prod", "node": "node-1"}


def planned(lines: list[Json], alerts: int = 0, **budget: Any) -> NoisePlan:
    return plan(read_estate(lines), ALERT_ON_ALL, NoiseBudget(alerts, **budget))


def refusals(lines: list[Json], **budget: Any) -> set[Refusal | None]:
    return set(planned(lines, **budget).refusals)


def absorbed(lines: list[Json], **budget: Any) -> list[str]:
    """Return the attacks that the plan's policy hides, and check its claim and its form line by line."""
    found = planned(lines, **budget)
    judged = judge([each for each in lines if each["type"] == "exec"], found.document, DAYS)
    assert judged.days == found.after
    assert check(found.document) == []
    assert lint(found.document) == []
    return judged.absorbed


def true_positive(each: Json) -> Json:
    return {"type": "true_positive", **{key: each[key] for key in (*PLACE, "path", "sha256")}}


def test_daily_noise_of_several_containers_is_absorbed_by_one_rule() -> None:
    found = planned(NOISE)
    assert (found.after, len(found.rules), found.reached) == ([0] * DAYS, 1, True)
    (rule,) = found.document["rules"]
    assert rule["allow_list"] == ["sha256:" + "a" * 64]
    named = {each["property"] for each in (*rule["resource_scope"], *rule["process_scope"])}
    assert named == {
        *("cluster_name", "namespace", "container_name", "image_name"),
        *("process_path", "parent_process", "drift_kind", "session", "written_by", "writer_origin"),
    }


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"kind": "fileless", "path": "memfd:x"}, Refusal.MEMORY),
        ({"path": "/dev/shm/x"}, Refusal.MEMORY),
        ({"path": "/proc/self/fd/3"}, Refusal.MEMORY),
        ({"session": "exec"}, Refusal.PERSON),
        ({"session": "debug"}, Refusal.PERSON),
        ({"session": "probe"}, Refusal.PERSON),
        ({"written_in_session": "exec"}, Refusal.PERSON),
        ({"written_by": ""}, Refusal.UNKNOWN_WRITER),
        ({"writer_origin": ""}, Refusal.UNKNOWN_WRITER),
        (NOBODY | {"session": ""}, Refusal.UNKNOWN_WRITER),
        ({"sha256": ""}, Refusal.UNHASHED),
        ({"container_number": 1}, Refusal.RARE),
        ({"owner_kind": "Pod", "container_number": 1}, Refusal.ONE_OFF),
        ({"owner_kind": "Job", "container_number": 1}, Refusal.ONE_OFF),
    ],
)
def test_what_is_on_the_list_stays_though_it_comes_daily(facts: Json, reason: Refusal) -> None:
    lines = daily(**facts)
    assert refusals(lines) == {reason}
    assert planned(lines).rules == []
    assert planned(lines, changing=True).rules == []


def test_where_the_session_is_not_known_a_file_may_be_noise() -> None:
    found = planned(daily(session=""))
    assert found.reached
    assert "session" not in {each["property"] for each in found.document["rules"][0]["process_scope"]}


@pytest.mark.parametrize("days", [range(DAYS - 3, DAYS), [DAYS - 1]])
def test_content_of_the_last_three_days_stays(days: Any) -> None:
    assert refusals(daily(days)) == {Refusal.YOUNG}
    assert refusals([*NOISE, *daily(days, **OTHER)]) == {None, Refusal.YOUNG}


def test_content_of_ten_days_ago_is_not_young() -> None:
    estate = read_estate(daily(range(20, DAYS)))
    assert set(plan(estate, ALERT_ON_ALL, NoiseBudget(0)).refusals) == {None}


def test_content_of_two_days_is_rare_however_old() -> None:
    assert refusals([*NOISE, *daily([3, 9], **OTHER)]) == {None, Refusal.RARE}


def test_a_true_positive_stays_with_its_content_anywhere() -> None:
    attack = line(5, **OTHER)
    elsewhere = daily(**OTHER, owner="search", namespace="other")
    assert refusals([*NOISE, attack, *elsewhere, true_positive(attack)]) == {None, Refusal.TRUE_POSITIVE}


def test_what_ran_while_events_were_lost_stays() -> None:
    week = {**LOSS, "from": 86_400, "until": 8 * 86_400}
    attack = daily(range(2, 7), **OTHER)
    assert refusals([*NOISE, *attack, week]) == {None, Refusal.LOSSES}
    assert absorbed([*NOISE, *attack, week]) == []
    # Known on six days without it, or on none.
    assert Refusal.LOSSES in refusals([*daily(range(13)), week])
    assert refusals([*NOISE, {**LOSS, "from": 0, "until": 30 * 86_400}]) == {Refusal.LOSSES}
    elsewhere = {**LOSS, "node": "node-2", "from": 0, "until": 7_200}
    assert refusals([*NOISE, elsewhere]) == {None}


def test_a_second_container_of_when_events_were_lost_makes_no_pod_one_of_many() -> None:
    job: Json = {"owner_kind": "Job", "owner": "import", "namespace": "jobs"}
    lines = [*NOISE, *daily(**job, container_number=1), line(5, **job, container_number=2)]
    assert refusals(lines) == {None}
    assert refusals([*lines, {**LOSS, "from": 5 * 86_400, "until": 6 * 86_400}]) == {
        None,
        Refusal.ONE_OFF,
        Refusal.LOSSES,
    }


def test_what_a_rule_blocks_stays() -> None:
    estate = read_estate(NOISE)
    estate.rows = [row._replace(action="block") for row in estate.rows]
    assert set(plan(estate, ALERT_ON_ALL, NoiseBudget(0)).refusals) == {Refusal.BLOCKED}


def test_a_known_bad_content_stays() -> None:
    estate = read_estate(NOISE)
    estate.bad_contents = {"a" * 64}
    assert set(plan(estate, ALERT_ON_ALL, NoiseBudget(0)).refusals) == {Refusal.KNOWN_BAD}


@pytest.mark.parametrize("changing", [False, True])
@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(daily(range(5, DAYS), **OTHER, container_number=1), id="the same file each day in one container"),
        pytest.param(daily([7], **OTHER), id="a file beside the noise, by the same writer and parent"),
        pytest.param([line(7, sha256="b" * 64, truth="attack:01")], id="another content at the noise's path"),
        pytest.param([line(7, path="/usr/local/lib/hooks", sha256="b" * 64, truth="attack:01")], id="a name near it"),
        pytest.param(
            [line(7, path="/usr/local/lib/hook", session="exec", truth="attack:01")], id="the noise's file by hand"
        ),
        pytest.param([line(7, parent="nginx", truth="attack:01")], id="the noise's file started by a server"),
        pytest.param([line(7, **NOBODY, truth="attack:01")], id="the noise's content by an unknown writer"),
        pytest.param([line(7, writer_origin="drift", truth="attack:01")], id="written by drift"),
        pytest.param([line(7, namespace="Shop", owner="x", image="registry.corp/x/x:1", truth="attack:01")], id="case"),
        pytest.param(
            daily(
                range(9, 15),
                **OTHER,
                written_by="/usr/bin/curl",
                written_by_name="curl",
                image="registry.corp/shop/web:1",
                owner="web",
            ),
            id="downloaded daily for six days in several containers",
        ),
        pytest.param(
            [
                *daily(range(9, 13), **DECODED),
                *daily(range(13, 16), container_number=1, **DECODED),
            ],
            id="decoded from text on seven days in two containers",
        ),
    ],
)
def test_no_attack_is_absorbed(attack: list[Json], changing: bool) -> None:
    assert absorbed([*NOISE, *attack], changing=changing) == []


def test_a_file_that_begins_late_in_few_containers_stays() -> None:
    many = [each for number in range(12) for each in daily(container_number=number)]
    late = [each for number in range(2) for each in daily(range(12, 20), container_number=number, **OTHER)]
    assert absorbed([*many, *late]) == []
    assert Refusal.LATE in refusals([*many, *late])


def builds(days: Any = range(DAYS), **facts: Any) -> list[Json]:
    """Return a build on each day that makes four programs of new content."""
    return [
        line(
            day,
            path=f"/tmp/go-build{day}{number}77/b001/api.test",
            sha256=f"{day:02}{number}".ljust(64, "e"),
            written_by="/usr/local/go/link",
            written_by_name="link",
            parent="go",
            **facts,
        )
        for day in days
        for number in range(4)
    ]


def test_contents_that_are_new_each_time_are_covered_only_where_that_is_asked_for() -> None:
    assert refusals(builds()) == {Refusal.RARE, Refusal.YOUNG}
    found = planned(builds(), changing=True)
    assert (found.reached, len(found.rules)) == (True, 1)
    (rule,) = found.document["rules"]
    assert rule["allow_list"] == []
    conditions = {each["property"]: each["any_of"] for each in rule["process_scope"]}
    assert [each["value"] for each in conditions["process_path"]] == ["/tmp/go-build*/b*/api.test"]
    assert {"written_by", "writer_origin", "session", "parent_process", "drift_kind"} <= conditions.keys()


@pytest.mark.parametrize(
    "other",
    [
        {"written_by": "/usr/bin/curl", "written_by_name": "curl"},
        {"parent": "bash"},
        {"session": "exec"},
        {"writer_origin": "drift"},
        {"kind": "replaced"},
        {"path": "/tmp/go-build999/b001/xmrig"},
        {"image": "registry.corp/shop/other:1", "namespace": "other", "owner": "other"},
    ],
)
def test_what_differs_from_a_changing_family_is_not_covered(other: Json) -> None:
    attack = {**builds([9])[0], "sha256": "d" * 64, "truth": "attack:01", **other}
    assert absorbed([*builds(), {**attack, "name": attack["path"].rpartition("/")[2]}], changing=True) == []


def test_a_changing_family_with_a_true_positive_in_it_is_not_covered() -> None:
    lines = builds()
    attack = {**lines[40], "truth": "attack:01"}
    lines[40] = attack
    assert absorbed([*lines, true_positive(attack)], changing=True) == []


def test_a_changing_family_with_a_true_positive_of_before_the_period_is_not_covered() -> None:
    old = {**builds()[0], "path": "/tmp/go-build7/b002/api.test", "sha256": "d" * 64}
    assert planned([*builds(), true_positive({**old, "namespace": "other"})], changing=True).reached
    assert not planned([*builds(), true_positive(old)], changing=True).rules


def jobs(days: Any = range(DAYS), each_day: int = 3, kind: str = "Pod", **facts: Any) -> list[Json]:
    """Return the pods of a CI system: each runs one job, under a name of its own, and never again."""
    return [
        line(
            day,
            **{
                "owner_kind": kind,
                "owner": f"runner-{day}-{number}",
                "pod": f"runner-{day}-{number}",
                "container_number": 100 + day * each_day + number,
                "namespace": "ci",
                **facts,
            },
        )
        for day in days
        for number in range(each_day)
    ]


@pytest.mark.parametrize("kind", ["Pod", "Job", "Workflow", "TaskRun", "EphemeralRunner", ""])
def test_pods_that_come_and_go_for_one_purpose_are_no_one_off_pods(kind: str) -> None:
    assert refusals(jobs(kind=kind)) == {None}
    assert planned(jobs(kind=kind)).reached


@pytest.mark.parametrize("kind", ["Pod", "Job", "Workflow", "TaskRun", "EphemeralRunner", "", "Whatever"])
@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"namespace": "other"}, id="of another namespace"),
        pytest.param({"image": "docker.io/library/alpine:3", "image_digest": ""}, id="of another image"),
        pytest.param({"cluster": "test"}, id="of another cluster"),
    ],
)
def test_a_pod_that_ran_once_beside_them_stays_with_their_very_file(kind: str, other: Json) -> None:
    once = line(9, **{"owner_kind": kind, "owner": "x", "namespace": "ci", "container_number": 1, **other})
    assert absorbed([*jobs(), {**once, "truth": "attack:01"}]) == []


@pytest.mark.parametrize(
    ("days", "each_day", "facts"),
    [
        pytest.param(range(9, 15), 3, {}, id="on six days"),
        pytest.param(range(9, 24), 1, CURL, id="late"),
        pytest.param([9], 40, CURL, id="in many pods of one day"),
    ],
)
def test_a_file_in_some_of_the_pods_that_come_and_go_stays(days: Any, each_day: int, facts: Json) -> None:
    attack = jobs(days, each_day, **OTHER, **facts)
    assert absorbed([*jobs(each_day=8), *attack]) == []


WAYS = [
    {"parent": parent, "written_by_parent": writer_parent}
    for parent in ("bash", "sh", "make", "python3.11")
    for writer_parent in ("mamba", "conda", "bash")
]


def environment(days: Any = range(DAYS), **facts: Any) -> list[Json]:
    """Return programs of an environment that many things start: each of them in each way on few days."""
    return [
        line(
            day,
            **{
                "path": f"/home/u/.conda/bin/tool-{number}",
                "sha256": f"{number:x}" * 64,
                "written_by": "/opt/conda/bin/python3",
                "written_by_name": "python3",
                **WAYS[(day * 5 + number * 7) % len(WAYS)],
                **facts,
            },
        )
        for day in days
        for number in range(4)
    ]


def test_a_content_that_is_common_in_other_ways_of_its_writer_is_absorbed_in_each_usual_one() -> None:
    assert refusals(environment()) == {None}
    assert planned(environment()).reached


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"sha256": "b" * 64}, id="another content"),
        pytest.param({"parent": "nginx"}, id="started by a server"),
        pytest.param({"parent": "perl"}, id="started by what never starts the writer's files"),
        pytest.param({"written_by_parent": "perl"}, id="whose writer was started by what never starts it"),
        pytest.param({"written_by": "/usr/bin/cp", "written_by_name": "cp"}, id="by another writer"),
        pytest.param({"writer_origin": "drift"}, id="written by drift"),
        pytest.param({"kind": "replaced"}, id="of another kind"),
        pytest.param({"session": "exec"}, id="started by a person"),
        pytest.param({"session": ""}, id="started in an unknown session"),
        pytest.param({"image": "registry.corp/shop/web:1", "owner": "web"}, id="in another image"),
    ],
)
def test_what_is_not_usual_of_a_common_content_stays(other: Json) -> None:
    attack = {**environment([9])[0], "truth": "attack:01", **other}
    assert absorbed([*environment(), attack]) == []


def test_an_estate_whose_sensors_know_no_writers_is_refused_as_a_whole() -> None:
    found = planned(daily(**NOBODY, session="", written_by_parent=""))
    assert (set(found.refusals), found.rules, found.reached) == ({Refusal.UNKNOWN_WRITER}, [], False)


def test_nothing_outside_of_the_place_is_touched() -> None:
    lines = [*NOISE, *daily(cluster="test"), *daily(namespace="Shop")]
    estate = read_estate(lines)
    cluster = next(each.cluster_id for each in estate.workloads.values() if each.flat["cluster_name"] == "test")
    found = plan(estate, ALERT_ON_ALL, NoiseBudget(0, NoisePlace(cluster=cluster)))
    assert (found.before, found.after, found.reached) == ([1] * DAYS, [0] * DAYS, True)
    judged = judge(lines, found.document, DAYS)
    assert judged.days == [2] * DAYS
    # A namespace that differs by letter case alone is the same to a rule, and outside of the place.
    inside = NoisePlace(cluster=next(each.cluster_id for each in estate.workloads.values() if each.namespace == "Shop"))
    only = plan(estate, ALERT_ON_ALL, NoiseBudget(0, NoisePlace(cluster=inside.cluster, namespace="shop")))
    assert only.rules == []
    assert set(only.refusals) >= {Refusal.NO_RULE}


def test_two_runs_give_one_plan_whatever_the_order_of_the_rows() -> None:
    lines = [*NOISE, *builds(), *daily(path="/usr/local/lib/two", sha256="c" * 64)]
    first = planned(lines, changing=True)
    second = planned(lines[::-1], changing=True)
    assert first.document == second.document


def test_an_empty_estate_has_nothing_to_do() -> None:
    empty = plan(NoiseEstate(*_period()), ALERT_ON_ALL, NoiseBudget(0))
    assert (empty.rules, empty.reached, empty.document) == ([], True, ALERT_ON_ALL)


def _period() -> Any:
    estate = read_estate(NOISE)
    return estate.first_day, estate.until
