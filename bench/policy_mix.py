"""The fixed mix that the policy benchmarks run on: one estate, its rules and its events, from one seed.

Estate: 60 accounts on three clouds, 40 clusters, 120 namespaces, 400 images (five registries, three tags each),
600 workloads. Events: a workload (a few make most of the drift), a pod name never seen before, one of 50
binaries or, one time in ten, a path never seen before. Rules: one to three conditions of one to eight values,
as teams write them (namespace, image, labels, container, pod, cluster), half of them for a few accounts, some
with a process scope, a third with an allow list, a tenth of all passing the rest on to the next rule, 3 in 100
disabled; before them four that look at the whole estate. One value in six is still in the estate. A policy of
10 or 100 rules is the beginning of the one of 1,000.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]
SEED: Final = 20_261_124
REGISTRIES: Final = (
    "ghcr.io",
    "acr0.azurecr.io",
    "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
    "docker.io",
    "quay.io",
)
TEAMS: Final = (
    *("shop", "pay", "ml", "data", "edge", "core", "infra", "web", "risk", "crm"),
    *("ads", "geo", "iot", "bi", "sec", "ops", "qa", "mail", "auth", "docs"),
)
PARTS: Final = (
    *("api", "worker", "cron", "proxy", "cache", "ingest", "export", "report"),
    *("gateway", "sync", "batch", "search", "index", "feed", "ui"),
)
BINARIES: Final = tuple(
    f"/{directory}/{name}"
    for directory in ("usr/bin", "usr/local/bin", "tmp", "opt/app", "var/tmp")
    for name in ("curl", "nvidia-smi", "xmrig", "python3", "node", "kubectl", "java", "agent", "setup.sh", "busybox")
)
STAGES: Final = ("prod", "stage", "dev", "ci", "tools", "jobs")
KINDS: Final = ("new_file", "new_file", "new_file", "replaced", "volume", "script", "fileless")
PROPERTY_WEIGHTS: Final = {
    "namespace": 30,
    "image_name": 28,
    "pod_labels": 16,
    "container_name": 10,
    "cluster_name": 8,
    "pod_name": 8,
}
"""How many of a hundred conditions are on each property."""
RESOURCE_PROPERTIES: Final = ("container_name", "image_name", "namespace", "pod_labels", "pod_name", "cluster_name")
PROCESS_PROPERTIES: Final = ("process_name", "process_path", "process_sha256", "parent_process", "drift_kind")
"""What the mix's events have: a property that policies learn later costs the other engines nothing here."""
PROVIDERS: Final = ("azure", "aws", "gcp")


def _scope(name: str, operator: str, value: str) -> Json:
    return {"property": name, "any_of": [{"operator": operator, "value": value}]}


_NOTHING: Final[Json] = {"resource_scope": [], "process_scope": [], "allow_list": []}
ESTATE_WIDE: Final[tuple[Json, ...]] = (
    _NOTHING | {"action": "alert", "resource_scope": [_scope("namespace", "equals", "kube-system")]},
    _NOTHING
    | {
        "action": "block",
        "process_scope": [_scope("process_name", "starts_with", "xmrig"), _scope("drift_kind", "equals", "fileless")],
    },
    _NOTHING
    | {
        "action": "ignore",
        "process_scope": [_scope("parent_process", "equals", "dpkg")],
        "allow_list": ["setup.sh"],
        "unlisted": "next_rule",
    },
    _NOTHING
    | {
        "action": "ignore",
        "resource_scope": [_scope("image_name", "starts_with", "ml/")],
        "allow_list": ["nvidia-smi", "/usr/bin/python3"],
        "unlisted": "next_rule",
    },
)
"""What every policy begins with: system namespaces, miners, package scripts, GPU tools."""


@dataclass(frozen=True, slots=True)
class Mix:
    """A policy of 1,000 rules, and a source of events that never gives the same pod name twice."""

    rules: list[Json]
    workloads: list[Json]
    random: random.Random

    def document(self, count: int) -> Json:
        """The policy of the first `count` rules."""
        return {"schema": 1, "rules": self.rules[:count], "default": {"action": "ignore"}}

    def events(self, count: int) -> list[Json]:
        """The next `count` events of the estate, each with texts of its own, as read from the wire."""
        return [json.loads(json.dumps(self._event())) for _ in range(count)]

    def _event(self) -> Json:
        rng = self.random
        # Squared: the noisiest tenth of the workloads makes a third of the drift.
        workload = self.workloads[int(len(self.workloads) * rng.random() ** 2)]
        path = rng.choice(BINARIES) if rng.random() < 0.9 else f"/tmp/{rng.getrandbits(48):012x}"
        owner = workload["pod_labels"]["app"]
        return workload | {
            "pod_name": f"{owner}-{workload['pod_labels']['pod-template-hash']}-{rng.getrandbits(25):05x}",
            "process_path": path,
            "process_name": path.rpartition("/")[2],
            "process_sha256": f"{content_hash(path):064x}",
            "parent_process": rng.choice(("bash", "sh", "dpkg", "supervisord", "python3")),
            "drift_kind": rng.choice(KINDS),
        }


PROVENANCE: Final[dict[str, tuple[str, ...]]] = {
    "session": ("workload", "workload", "exec"),
    "written_by": ("/usr/bin/dpkg", "/usr/bin/curl", "/bin/busybox", "/usr/local/bin/node", "/usr/local/go/bin/go"),
    "written_by_name": ("dpkg", "curl", "busybox", "node", "go"),
    "writer_origin": ("image", "image", "drift"),
    "written_by_parent": ("apt-get", "dpkg-deb/dpkg/apt-get", "sh", "npm"),
    "written_in_session": ("workload", "workload", "exec"),
}
"""Values of what a sensor knows of writers and sessions; one event in ten knows nothing."""


def with_provenance(document: Json) -> Json:
    """Return the policy with two conditions on writers and sessions more in one rule of ten."""
    rng = random.Random(SEED)
    rules = [{**rule, "process_scope": list(rule["process_scope"])} for rule in document["rules"]]
    for rule in rules[::10]:
        taken = {condition["property"] for condition in rule["process_scope"]}
        for name in rng.sample(sorted(PROVENANCE.keys() - taken), 2):
            # Of several names above a writer a rule has one.
            value = (
                rng.choice(PROVENANCE[name]).rpartition("/")[2]
                if name == "written_by_parent"
                else rng.choice(PROVENANCE[name])
            )
            rule["process_scope"].append(_scope(name, "equals", value))
    return {**document, "rules": rules}


def known_event(event: Json) -> Json:
    """Return the event with what a sensor knows of its writer and session."""
    rng = random.Random(event["pod_name"])
    if rng.random() < 0.1:
        return event | dict.fromkeys(PROVENANCE)
    return event | {name: rng.choice(values) for name, values in PROVENANCE.items()}


def content_hash(path: str) -> int:
    """A stand-in for a content hash: the same for the same path."""
    return random.Random(path).getrandbits(256)


def make_mix() -> Mix:
    """The mix; the same on every run and machine."""
    rng = random.Random(SEED)
    workloads = [_workload(rng, number) for number in range(600)]
    rules = [_rule(rng, number, workloads) for number in range(1_000)]
    for position, parts in enumerate(ESTATE_WIDE):
        everywhere = {"cloud_scope": [{"provider": provider} for provider in PROVIDERS], "enabled": True}
        rules[position] |= parts | everywhere
    return Mix(rules, workloads, rng)


def _workload(rng: random.Random, number: int) -> Json:
    team, part, provider = rng.choice(TEAMS), rng.choice(PARTS), rng.choice(PROVIDERS)
    image = f"{rng.choice(REGISTRIES)}/{team}/{part}-{number % 27}:1.{rng.randrange(3)}.{number % 7}"
    labels = {
        "app": f"{team}-{part}-{number % 11}",
        "app.kubernetes.io/team": team,
        "tier": rng.choice(("front", "back", "data")),
        "pod-template-hash": f"{rng.getrandbits(36):09x}",
    }
    return {
        "provider": provider,
        "account": f"{provider}-{rng.randrange(20)}",
        "cluster_name": f"{rng.choice(('prod', 'stage', 'dev'))}-{provider}-{rng.randrange(13)}",
        "namespace": "kube-system" if rng.random() < 0.03 else f"{team}-{rng.choice(STAGES)}",
        "pod_labels": labels,
        "container_name": part,
        "image_name": f"{image}@sha256:{rng.getrandbits(256):064x}",
    }


def _rule(rng: random.Random, number: int, workloads: list[Json]) -> Json:
    return {
        "id": f"rule-{number}",
        "name": f"Rule {number}",
        "action": rng.choice(("alert", "alert", "ignore", "block")),
        "scope_description": f"Scope {number}",
        "cloud_scope": _cloud_scope(rng),
        "resource_scope": [_condition(rng, name, workloads) for name in _properties(rng)],
        "allow_list": _allow_list(rng) if rng.random() < 0.33 else [],
        "enabled": rng.random() >= 0.03,
        "unlisted": rng.choice(("decide", "decide", "next_rule")),
        "process_scope": [_process_condition(rng)] if rng.random() < 0.2 else [],
    }


def _properties(rng: random.Random) -> list[str]:
    """One to three different properties, by their weights."""
    count = rng.choice((1, 2, 2, 3))
    names: dict[str, None] = {}
    while len(names) < count:
        names[rng.choices(list(PROPERTY_WEIGHTS), list(PROPERTY_WEIGHTS.values()))[0]] = None
    # A container or cluster name alone would match half of the estate.
    return ["namespace"] if set(names) <= {"container_name", "cluster_name"} else list(names)


def _cloud_scope(rng: random.Random) -> list[Json]:
    if rng.random() < 0.5:
        return [{"provider": provider} for provider in rng.sample(PROVIDERS, rng.choice((1, 2, 3)))]
    provider = rng.choice(PROVIDERS)
    return [{"provider": provider, "accounts": [f"{provider}-{n}" for n in rng.sample(range(20), rng.randint(1, 6))]}]


def _condition(rng: random.Random, name: str, workloads: list[Json]) -> Json:
    return {"property": name, "any_of": [_value(rng, name, workloads) for _ in range(rng.randint(1, 8))]}


def _value(rng: random.Random, name: str, workloads: list[Json]) -> Json:
    """A value for something that is, was, or will be in the estate: one in six still is."""
    text = _text(rng, name, rng.choice(workloads))
    if rng.random() < 0.83:
        text = f"{text}{rng.randrange(100)}"
    operator = rng.choices(("starts_with", "equals", "contains", "ends_with"), (4, 3, 2, 1))[0]
    if operator == "contains":
        text = text[len(text) // 4 :]
    if operator == "equals" and name == "pod_labels" and "=" not in text:
        operator = "contains"
    return {"operator": operator, "value": text}


def _text(rng: random.Random, name: str, workload: Json) -> str:
    if name == "pod_labels":
        return f"app={workload['pod_labels']['app']}"
    if name == "pod_name":
        return f"{workload['pod_labels']['app']}-"
    if name == "image_name":
        image = str(workload["image_name"].partition("@")[0])
        return image if rng.random() < 0.5 else image.partition("/")[2]
    return str(workload[name])


def _process_condition(rng: random.Random) -> Json:
    name = rng.choice(("process_path", "process_name", "parent_process", "drift_kind"))
    path = rng.choice(BINARIES)
    if name == "process_path":
        return _scope(name, "starts_with", path[: rng.randint(4, len(path))])
    text = {
        "process_name": path.rpartition("/")[2],
        "parent_process": rng.choice(("dpkg", "bash")),
        "drift_kind": rng.choice(KINDS),
    }[name]
    return _scope(name, "equals", text)


def _allow_list(rng: random.Random) -> list[str]:
    return [
        rng.choice((path, path.rpartition("/")[2], f"sha256:{content_hash(path):064x}"))
        for path in rng.sample(BINARIES, rng.randint(1, 10))
    ]
