"""Evidence for noise budgets, made of the lines of an estate (bench.noise_estate) without a database."""

from __future__ import annotations

import datetime as dt
import zlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from drift.alerts.domain.fingerprints import WorkloadFacts, digest, fingerprint
from drift.backtest.domain.noise_evidence import (
    WINDOW_BITS,
    WINDOW_DAYS,
    NoiseEstate,
    NoiseEvidence,
    NoiseFile,
    NoiseWorkload,
)
from sensor.names.images import image_reference
from sensor.policy import normalise

Json = dict[str, Any]
FIRST: Final = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
DAYS: Final = 30
ALERT_ON_ALL: Final = normalise({"schema": 1, "rules": [], "default": {"action": "alert"}})
PROVENANCE: Final = (
    "session",
    "written_by",
    "written_by_name",
    "writer_origin",
    "written_by_parent",
    "written_in_session",
)
PLACE: Final = ("provider", "account", "cluster", "namespace", "owner_kind", "owner", "container")
LINE: Final[Json] = {
    "type": "exec",
    "at": 0,
    "count": 1,
    "provider": "aws",
    "account": "1111",
    "cluster": "prod",
    "node": "node-1",
    "namespace": "shop",
    "owner_kind": "Deployment",
    "owner": "cart",
    "pod": "cart-1",
    "container": "app",
    "container_id": "c1",
    "image": "registry.corp/shop/cart:1",
    "image_digest": "sha256:" + "1" * 64,
    "path": "/usr/local/lib/hook",
    "name": "hook",
    "sha256": "a" * 64,
    "kind": "new_file",
    "parent": "entrypoint.sh",
    "session": "workload",
    "written_by": "/usr/bin/tar",
    "written_by_name": "tar",
    "writer_origin": "image",
    "written_by_parent": "entrypoint.sh",
    "truth": "noise:hooks",
}


def line(day: int, **facts: Any) -> Json:
    """Return one exec on a day, from 0, in a container of its own for each number `container_number`."""
    number = facts.pop("container_number", day % 3)
    made = {**LINE, "at": day * 86_400 + 3_600, "container_id": f"c{number}", "pod": f"cart-{number}", **facts}
    return {**made, "name": made["path"].rpartition("/")[2]}


def daily(days: Iterable[int] = range(DAYS), **facts: Any) -> list[Json]:
    """Return an exec on each of the days."""
    return [line(day, **facts) for day in days]


def read_estate(lines: Iterable[Json], days: int = DAYS) -> NoiseEstate:
    """Return the evidence that a portal with a policy that alerts on everything has of these lines."""
    given: defaultdict[str, list[Json]] = defaultdict(list)
    for each in lines:
        given[each["type"]].append(each)
    estate = NoiseEstate(FIRST.date(), FIRST + dt.timedelta(days=days, microseconds=-1))
    ids: dict[Any, int] = {}
    rows: dict[Any, NoiseEvidence] = {}
    for each in given["exec"]:
        key, row = _row(estate, ids, each, given["loss"])
        old = rows.get(key)
        rows[key] = row if old is None else _sum(old, row)
    estate.rows = [rows[key] for key in sorted(rows, key=repr)]
    for each in given["true_positive"]:
        scope = digest(*_workload_facts(ids, each).scope)
        estate.attacks.add(fingerprint(_workload_facts(ids, each).scope, each["path"], each["sha256"]))
        estate.attack_files.add((scope, each["path"]))
        estate.attack_contents |= {each["sha256"]} - {""}
    return estate


def _row(estate: NoiseEstate, ids: dict[Any, int], each: Json, losses: list[Json]) -> tuple[Any, NoiseEvidence]:
    at = FIRST + dt.timedelta(seconds=each["at"])
    facts = _workload_facts(ids, each)
    workload = _number(ids, facts)
    old = estate.workloads.get(workload)
    flat = {
        "provider": each["provider"],
        "account": each["account"],
        "cluster_name": each["cluster"],
        "namespace": each["namespace"] or None,
        "container_name": each["container"] or None,
        "image_name": image_reference(each["image"], each["image_digest"]),
    }
    estate.workloads[workload] = NoiseWorkload(
        flat,
        digest(*facts.scope),
        _number(ids, ("environment", each["provider"], each["account"])),
        *(facts.cluster_id, facts.namespace, facts.owner_kind, facts.owner_name, facts.container_name),
        *(facts.image_name, facts.image_digest),
        min(at.date(), old.first_seen_on) if old else at.date(),
    )
    file = _number(ids, ("file", each["path"], each["sha256"], each["kind"]))
    known = estate.files.get(file)
    estate.files[file] = NoiseFile(
        *(each["path"], each["name"], each["sha256"], each["kind"]),
        min(at.date(), known.first_seen_on) if known else at.date(),
    )
    written = tuple(each.get(name, "") for name in PROVENANCE)
    provenance = _number(ids, ("provenance", *written)) if any(written) else 0
    estate.provenances[provenance] = (
        {name: value or None for name, value in zip(PROVENANCE, written, strict=True)} if provenance else {}
    )
    lossy = any(
        all(loss[name] == each[name] for name in ("provider", "account", "cluster", "node"))
        and loss["from"] - 600 <= each["at"] <= loss["until"] + 600
        for loss in losses
    )
    row = NoiseEvidence(
        fingerprint(facts.scope, each["path"], each["sha256"]),
        *(workload, file, provenance, each["parent"], "default", "alert"),
        days=1 << each["at"] // 86_400,
        execs=each["count"],
        first_received=at.timestamp(),
        containers=1
        << (zlib.crc32(each["container_id"].encode()) & 63) + each["at"] // 86_400 // WINDOW_DAYS * WINDOW_BITS,
        lossy=lossy,
    )
    return (*row[:5], lossy), row


def _sum(one: NoiseEvidence, other: NoiseEvidence) -> NoiseEvidence:
    return one._replace(
        days=one.days | other.days,
        execs=one.execs + other.execs,
        first_received=min(one.first_received, other.first_received),
        containers=one.containers | other.containers,
    )


def _workload_facts(ids: dict[Any, int], each: Json) -> WorkloadFacts:
    cluster = _number(ids, ("cluster", each["provider"], each["account"], each["cluster"]))
    return WorkloadFacts(
        cluster,
        *(each["namespace"], each["owner_kind"], each["owner"], each["container"]),
        *(each.get("image", ""), each.get("image_digest", ""), ()),
    )


def _number(ids: dict[Any, int], key: Any) -> int:
    return ids.setdefault(key, len(ids) + 1)
