"""`python -m bench.ranking [FILE]`: where a planted estate's attacks stand in the list of alerts.

The estate goes through the real ingest and scoring; the places are those of the list's first order. Without FILE it is
that of bench.ranking_estate, on which the points were tuned; docs/priority.md#how-it-is-tested says what a file has,
and bench/estates/ has ten. The goal: every attack is among the first 40 alerts.
"""

from __future__ import annotations

import datetime as dt
import json
import lzma
import sys
import uuid
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.ingest_portal import portal
from bench.ranking_estate import Line, lines

if TYPE_CHECKING:
    from accounts.models import User
    from drift.alerts.models import Alert
    from drift.fleet.models import Sensor

GOAL = 40
NOISE_SHOWN = 10
BATCH = 500
ALIASES = {"benign": "benign_true_positive"}
"""Short forms of resolutions in files of planted estates."""


def main(file: str | None = None) -> int:
    """Plant the estate and print the places; return 1 where an attack misses the goal."""
    with portal(processes=1):
        planted = _read(Path(file)) if file else list(lines())
        return _report(_places(_plant(planted)))


def _read(file: Path) -> list[Line]:
    raw = file.read_bytes()
    return [json.loads(line) for line in (lzma.decompress(raw) if file.suffix == ".xz" else raw).splitlines()]


def _plant(planted: list[Line]) -> dict[uuid.UUID, str]:
    """Send the lines as events, and score the alerts; return the attacks by event id."""
    from drift.alerts.actions.ingest import ingest
    from drift.alerts.actions.score_alerts import score_queued

    now, attacks = dt.datetime.now(dt.UTC), dict[uuid.UUID, str]()
    by_node = defaultdict(list)
    closed: dict[uuid.UUID, str] = {}
    for line in sorted(planted, key=lambda each: -each["minutes_ago"]):
        sent = _event(line, now - dt.timedelta(minutes=line["minutes_ago"]))
        by_node[line.get("cluster", "cluster"), line.get("node", "node")].append(sent)
        if "attack" in line:
            attacks[uuid.UUID(sent["event_id"])] = line["attack"]
        if "closed" in line:
            closed[uuid.UUID(sent["event_id"])] = line["closed"]
    for place, events in by_node.items():
        sensor = _sensor(*place)
        for start in range(0, len(events), BATCH):
            ingest(sensor, [json.dumps(each).encode() for each in events[start : start + BATCH]])
    _date_sightings()
    _close(closed)
    score_queued(seconds=600)
    return attacks


def _event(line: Line, at: dt.datetime) -> dict[str, Any]:
    process = dict(line["event"]["process"])
    if copied := line["event"].get("copy_of"):
        process["copy_of"] = copied
    if writer := line.get("written"):
        wrote = at - dt.timedelta(seconds=writer["seconds_before"])
        parent = {"name": writer["parent"], "pid": 90} if writer.get("parent") else None
        process["written_by"] = {"name": writer["by"], "path": writer.get("path"), "pid": 91, "at": wrote.isoformat()}
        process["written_by"]["parent"] = parent
    times = {"observed_at": at.isoformat(), "last_at": at.isoformat()}
    # Decided: the policy of a new portal ignores what is not in kube-system.
    decision = {"action": "alert", "rule": "default", "reason": "default", "policy_number": 1}
    head = {"event_id": str(uuid.uuid4()), "mode": "exec", "count": 1, "decision": decision}
    facts = {name: fact for name, fact in line["event"].items() if name != "copy_of"}
    return {**head, **facts, **times, "process": process}


def _sensor(cluster: str, node: str) -> Sensor:
    from accounts import tokens
    from drift.fleet.models import Cluster, EnrolmentToken, Environment, Sensor

    environment, _ = Environment.objects.get_or_create(
        provider="azure", account="planted", defaults={"name": "Planted"}
    )
    enrolment, _ = EnrolmentToken.objects.get_or_create(
        name="planted", defaults={"prefix": "planted", "digest": b"", "environment": environment}
    )
    place, _ = Cluster.objects.get_or_create(
        environment=environment, name=cluster, defaults={"distribution": "aks", "kubernetes_version": "v1.31.2"}
    )
    new = tokens.new_token(tokens.SENSOR)
    names = {"credential_prefix": new.prefix, "credential_digest": new.digest, "enrolment_token": enrolment}
    sensor, _ = Sensor.objects.get_or_create(cluster=place, node=node, defaults=names)
    return sensor


def _date_sightings() -> None:
    """Date each sighting and alert by its first event: they are dated by the day of its upload."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE alerts_sighting AS sighting SET first_seen_on = first.day FROM ("
            " SELECT workload_id, binary_id, min(observed_on) AS day FROM alerts_driftevent GROUP BY 1, 2) AS first"
            " WHERE sighting.workload_id = first.workload_id AND sighting.binary_id = first.binary_id"
        )
        cursor.execute("UPDATE alerts_alert SET created_at = first_seen")
        cursor.execute("INSERT INTO alerts_alertscoring (alert_id, created_at) SELECT id, now() FROM alerts_alert")


def _close(closed: dict[uuid.UUID, str]) -> None:
    from drift.alerts.actions.triage import StatusChange, change_status
    from drift.alerts.models import Alert, Status
    from drift.alerts.models.alerts import RESOLUTIONS

    reviewer = _reviewer()
    for event, resolution in closed.items():
        alert = Alert.objects.filter(detail__event__event_id=str(event)).first()
        if alert is None:
            continue  # an earlier line opened the alert, and says whether it is closed
        known = ALIASES.get(resolution, resolution)
        status = next(each for each in RESOLUTIONS if known in RESOLUTIONS[each])
        change_status(reviewer, {alert.pk: alert.revision}, StatusChange(Status(status), known))


def _reviewer() -> User:
    from accounts.models import User
    from accounts.roles import Role

    found = User.objects.filter(email="bench@example.com").first()
    return found or User.objects.create_user("bench@example.com", "Bench", Role.OWNER, None)


def _places(attacks: dict[uuid.UUID, str]) -> list[tuple[int, Alert, str]]:
    """Return (place, alert, attack) of the open alerts in the list's first order; attack is "" for noise."""
    from drift.alerts.domain.filters import Filters
    from drift.alerts.domain.sort_order import FIRST_ORDER, SortOrder
    from drift.alerts.models import Alert
    from drift.alerts.queries.alert_list import alert_page

    reviewer, order, after, numbers = _reviewer(), SortOrder.parse(FIRST_ORDER), "", list[int]()
    while True:
        page = alert_page(reviewer, Filters(), order, after)
        numbers += page.alerts
        if page.next is None:
            break
        after = page.next
    alerts = Alert.objects.select_related("detail", "binary").in_bulk(numbers)
    found = [alerts[number] for number in numbers]
    names = [attacks.get(uuid.UUID(each.detail.event["event_id"]), "") for each in found]
    return [(place, alert, name) for place, (alert, name) in enumerate(zip(found, names, strict=True), 1)]


def _report(places: list[tuple[int, Alert, str]]) -> int:
    from drift.alerts.domain.scored_signals import ScoredSignals

    attacks = [each for each in places if each[2]]
    noise = [each for each in places if not each[2]][:NOISE_SHOWN]
    for title, shown in ((f"{len(attacks)} attacks", attacks), ("the first of the noise", noise)):
        print(f"\n{title} of {len(places)} open alerts")
        for place, alert, name in shown:
            reasons = ScoredSignals.read(alert.signals).reasons(whole_estate=True)
            print(f"{place:>6}  {alert.priority:>3}  {name or alert.path}: {reasons}")
    late = [place for place, _, _ in attacks if place > GOAL]
    print(f"\n{len(attacks) - len(late)} of {len(attacks)} attacks are among the first {GOAL}")
    return 1 if late or not attacks else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else None))
