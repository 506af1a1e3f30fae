"""Load an estate for noise budgets out of JSON lines, and judge policies on it line by line.

The lines: {"type": "estate", "days": 30}, then "exec", "loss" and "true_positive" (see `noise_planted` for an estate of
them). `truth` of an exec is "noise:NAME", "odd:NAME" or "attack:NN". The estate ends with the last day, which is
yesterday.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sensor.policy import PROVIDERS

Json = dict[str, Any]
PROVENANCE = ("session", "written_by", "written_by_name", "writer_origin", "written_by_parent", "written_in_session")


class LoadedEstate(NamedTuple):
    """An estate's lines, and the period that they are stored for."""

    execs: list[Json]
    first_day: dt.date
    until: dt.datetime


class Judgement(NamedTuple):
    """What a policy does to an estate: alerts of each day, alerts by truth, and the attacks it hides in part."""

    days: list[int]
    by_truth: Counter[str]
    absorbed: list[str]


def read_lines(path: Path) -> list[Json]:
    """Return the file's lines as JSON. A cloud that the portal does not have becomes one that it has."""
    with path.open(encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.strip()]
    for line in lines:
        if line.get("provider", "aws") not in PROVIDERS:
            line["provider"] = "aws"
    return lines


def load(lines: Iterable[Json]) -> LoadedEstate:
    """Store the estate in an empty database."""
    from drift.alerts.actions.partitions import keep_partitions

    keep_partitions()
    found = list(lines)
    days = next(int(line["days"]) for line in found if line["type"] == "estate")
    last = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    start = dt.datetime.combine(last - dt.timedelta(days=days - 1), dt.time(tzinfo=dt.UTC))
    execs = load_lines([line for line in found if line.get("at", 0) < days * 86_400], start)
    return LoadedEstate(execs, start.date(), start + dt.timedelta(days=days, microseconds=-1))


def load_lines(lines: Iterable[Json], start: dt.datetime) -> list[Json]:
    """Store the lines of an estate whose first day begins at `start`; return its execs."""
    from bench.backtest import fill

    parts: defaultdict[str, list[Json]] = defaultdict(list)
    for line in lines:
        parts[line["type"]].append(line)
    rows = _Rows(start)
    events = [rows.event(line) for line in parts["exec"]]
    for table, made in rows.tables().items():
        if made:
            fill(table, made)
    if events:
        fill("alerts_driftevent", events)
    _store_losses(rows, parts["loss"], start)
    _store_attacks(rows, parts["true_positive"], start)
    return parts["exec"]


class _Rows:
    """Workloads, files and provenances of the lines, each once, with the days on which they were seen."""

    def __init__(self, start: dt.datetime) -> None:
        self._start = start
        self._workloads: dict[Any, Json] = {}
        self._files: dict[Any, Json] = {}
        self._provenances: dict[Any, Json] = {}
        self._clusters: dict[tuple[str, str, str], int] = {}

    def tables(self) -> dict[str, list[Json]]:
        """Return the rows by table."""
        return {
            "alerts_workload": list(self._workloads.values()),
            "alerts_binary": list(self._files.values()),
            "alerts_provenance": list(self._provenances.values()),
        }

    def event(self, line: Json) -> Json:
        """Return the row of an exec line, and keep what it refers to."""
        from drift.alerts.domain.fingerprints import fingerprint

        at = self._start + dt.timedelta(seconds=line["at"])
        facts, workload = self.workload(line, at.date())
        file = self.file(line, at.date())
        return {
            "observed_on": at.date(),
            "sensor_id": self.sensor(line),
            "event_id": uuid.uuid4(),
            "mode": "exec" if line["count"] == 1 else "summary",
            "count": line["count"],
            "observed_at": at,
            "last_at": at,
            "received_at": at,
            "workload_id": workload,
            "binary_id": file,
            "provenance_id": self._provenance(line, at.date()),
            "fingerprint": fingerprint(facts.scope, line["path"], line["sha256"]),
            "parent_name": line["parent"],
            "pod_name": line["pod"],
            "container_id": line["container_id"],
            "action": "alert",
            "rule": "default",
            "reason": "default",
            "policy_number": 1,
            "outcome": "none",
            "outcome_reason": "",
            "detail": None,
        }

    def workload(self, line: Json, day: dt.date) -> tuple[Any, int]:
        """Return the facts and the id of a line's workload."""
        from drift.alerts.domain.fingerprints import WorkloadFacts, digest

        facts = WorkloadFacts(
            self.cluster(line),
            *(line["namespace"], line["owner_kind"], line["owner"], line["container"]),
            *(line.get("image", ""), line.get("image_digest", ""), ()),
        )
        row = self._workloads.setdefault(
            facts,
            {
                "id": len(self._workloads) + 1,
                "digest": digest(*facts),
                "scope": digest(*facts.scope),
                **dict(zip(facts._fields[:-1], facts, strict=False)),
                "pod_labels": "{}",
                "first_seen_on": day,
                "last_seen_on": day,
            },
        )
        return facts, _seen(row, day)

    def file(self, line: Json, day: dt.date) -> int:
        """Return the id of a line's file."""
        from drift.alerts.domain.fingerprints import BinaryFacts, digest

        facts = BinaryFacts(line["path"], line["name"], line["sha256"], line["kind"])
        row = self._files.setdefault(
            facts,
            {
                "id": len(self._files) + 1,
                "digest": digest(*facts.identity),
                **facts._asdict(),
                "first_seen_on": day,
                "last_seen_on": day,
            },
        )
        return _seen(row, day)

    def _provenance(self, line: Json, day: dt.date) -> int:
        from drift.alerts.domain.fingerprints import ProvenanceFacts, digest

        facts = ProvenanceFacts(*(line.get(name, "") for name in PROVENANCE))
        if not any(facts):
            return 0
        row = self._provenances.setdefault(
            facts,
            {
                "id": len(self._provenances) + 1,
                "digest": digest(*facts.identity),
                **facts._asdict(),
                "first_seen_on": day,
                "last_seen_on": day,
            },
        )
        return _seen(row, day)

    def cluster(self, line: Json) -> int:
        """Return the id of a line's cluster, which is made if there is none."""
        from drift.fleet.models import Cluster, Environment

        key = (line["provider"], line["account"], line["cluster"])
        if key not in self._clusters:
            environment, _ = Environment.objects.get_or_create(
                provider=key[0], account=key[1], defaults={"name": key[1]}
            )
            cluster, _ = Cluster.objects.get_or_create(
                environment=environment, name=key[2], defaults={"distribution": "other"}
            )
            self._clusters[key] = cluster.pk
        return self._clusters[key]

    def sensor(self, line: Json) -> uuid.UUID:
        """Return the id of the sensor on a line's node."""
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{self.cluster(line)}/{line['node']}")


def _seen(row: Json, day: dt.date) -> int:
    row["first_seen_on"] = min(row["first_seen_on"], day)
    row["last_seen_on"] = max(row["last_seen_on"], day)
    number: int = row["id"]
    return number


def _sensor_row(rows: _Rows, line: Json) -> Any:
    """Return the sensor of a line's node, which is enrolled if it is not."""
    from drift.fleet.models import Cluster, EnrolmentToken, Sensor

    cluster = Cluster.objects.get(pk=rows.cluster(line))
    token, _ = EnrolmentToken.objects.get_or_create(
        environment=cluster.environment,
        prefix=f"bench-{cluster.environment_id}",
        defaults={"name": "bench", "digest": b""},
    )
    number = rows.sensor(line)
    facts = {"cluster": cluster, "node": line["node"], "enrolment_token": token, "credential_digest": b""}
    sensor, _ = Sensor.objects.get_or_create(pk=number, defaults={**facts, "credential_prefix": number.hex[:16]})
    return sensor


def _store_losses(rows: _Rows, lines: Iterable[Json], start: dt.datetime) -> None:
    from drift.fleet.models import SensorLoss

    for line in lines:
        since = start + dt.timedelta(seconds=line["from"])
        until = start + dt.timedelta(seconds=line["until" if "until" in line else "to"])
        SensorLoss.objects.create(
            sensor=_sensor_row(rows, line),
            hour=until.replace(minute=0, second=0, microsecond=0),
            since=since,
            until=until,
            lost=1,
        )


def _store_attacks(rows: _Rows, lines: Iterable[Json], start: dt.datetime) -> None:
    """Store each true positive as a resolved alert, of a workload and file that the lines have."""
    from drift.alerts.domain.fingerprints import fingerprint
    from drift.alerts.models import Alert, Binary, Workload

    for line in lines:
        places = {"namespace": line["namespace"], "owner_name": line["owner"], "container_name": line["container"]}
        workload = Workload.objects.filter(cluster_id=rows.cluster(line), **places).first()
        binary = Binary.objects.filter(path=line["path"], sha256=line["sha256"]).first()
        if workload is None or binary is None:
            continue  # it never ran
        scope = (workload.cluster_id, line["namespace"], line["owner_kind"], line["owner"], line["container"])
        Alert.objects.create(
            fingerprint=fingerprint(scope, line["path"], line["sha256"]),
            status="resolved",
            verdict="true_positive",
            closed_at=start,
            first_seen=start,
            workload=workload,
            binary=binary,
            sensor=_sensor_row(rows, {**line, "node": "bench"}),
            cluster=workload.cluster,
            namespace=workload.namespace,
            path=line["path"],
            action="alert",
            reason="default",
            outcome="none",
        )


def judge(execs: Iterable[Json], document: Mapping[str, Any], days: int) -> Judgement:
    """Decide every line by itself, as a sensor does, and count."""
    from sensor.names.images import image_reference
    from sensor.policy import compile_policy

    policy = compile_policy(dict(document))
    alerts: set[tuple[Any, ...]] = set()
    by_truth: dict[tuple[Any, ...], str] = {}
    absorbed: set[str] = set()
    for line in execs:
        flat = {name: line.get(name) or None for name in PROVENANCE}
        flat |= {
            "provider": line["provider"],
            "account": line["account"],
            "cluster_name": line["cluster"],
            "namespace": line["namespace"] or None,
            "container_name": line["container"] or None,
            "image_name": image_reference(line["image"], line["image_digest"]),
            "pod_name": line["pod"] or None,
            "process_name": line["name"],
            "process_path": line["path"],
            "process_sha256": line["sha256"] or None,
            "parent_process": line["parent"] or None,
            "drift_kind": line["kind"],
        }
        if policy.decide(flat).action != "ignore":
            place = (line["provider"], line["account"], line["cluster"], line["namespace"], line["owner"])
            key = (*place, line["container"], line["path"], line["sha256"], line["at"] // 86_400)
            alerts.add(key)
            by_truth[key] = line["truth"]
        elif line["truth"].startswith("attack:"):
            absorbed.add(line["truth"])
    counts = Counter(key[-1] for key in alerts)
    return Judgement([counts[day] for day in range(days)], Counter(by_truth.values()), sorted(absorbed))
