"""A planted estate for noise budgets: 30 days of some 450 alerts a day, and fifty attacks, many where the noise is.

`lines(seed)` are in the format of `noise_estate`. It was written with the method in mind; what strangers made is judged
beside it (docs/noise-budget.md#measured).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
DAYS, DAY = 30, 86_400
CLUSTERS = (("aws", "1111", "prod-eu"), ("aws", "1111", "prod-us"), ("azure", "sub-7", "build"))
SHOP = [f"shop-{name}" for name in ("cart", "checkout", "search", "stock", "mail", "review", "offer", "media")]


def content(*parts: object) -> str:
    """Return a hash that stands for a file's content."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


class _Place:
    """A workload's containers, of which each of its pods has a new one on some days."""

    def __init__(self, rng: random.Random, cluster: int, namespace: str, owner: str, image: str, **more: Any) -> None:
        provider, account, name = CLUSTERS[cluster]
        self.kind, self.replicas, self.every = (
            more.get("kind", "Deployment"),
            more.get("replicas", 3),
            more.get("every", 4),
        )
        self._seed = rng.random()
        self.facts = {
            "provider": provider,
            "account": account,
            "cluster": name,
            "namespace": namespace,
            "owner_kind": self.kind,
            "owner": owner,
            "container": more.get("container", "app"),
            "image": image,
            "image_digest": "sha256:" + content(image),
        }

    def pod(self, day: int, replica: int) -> Json:
        """Return the facts of the pod that a replica has on a day."""
        life = day // self.every
        mark = content(self.facts["owner"], self.facts["cluster"], life, replica, self._seed)
        return {
            **self.facts,
            "pod": f"{self.facts['owner']}-{mark[:9]}-{mark[9:14]}",
            "container_id": content(mark),
            "node": f"ip-10-0-{replica % 4}-{7 + replica % 5}",
        }


def _exec(at: int, pod: Json, path: str, sha256: str, truth: str, **facts: Any) -> Json:
    found = {
        "type": "exec",
        "at": at,
        "count": 1,
        **pod,
        "path": path,
        "name": path.rpartition("/")[2],
        "sha256": sha256,
        "kind": "new_file",
        "parent": "sh",
        "session": "workload",
        "written_by": "/usr/bin/dpkg",
        "written_by_name": "dpkg",
        "writer_origin": "image",
        "written_by_parent": "apt-get",
        "truth": truth,
    }
    return found | facts


def lines(seed: int = 13) -> Iterator[Json]:
    """Yield the estate."""
    rng = random.Random(seed)
    yield {"type": "estate", "name": f"planted {seed}", "days": DAYS}
    places = _places(rng)
    yield from _noise(rng, places)
    yield from _odd(rng, places)
    yield from _attacks(rng, places)


def _places(rng: random.Random) -> dict[str, _Place]:
    found = {}
    for number, owner in enumerate(SHOP):
        for cluster in (0, 1):
            image = f"registry.corp/shop/{owner.removeprefix('shop-')}:4.{number}"
            found[f"{owner}/{cluster}"] = _Place(rng, cluster, "shop", owner, image, replicas=3)
    for cluster in (0, 1, 2):
        found[f"agent/{cluster}"] = _Place(
            rng,
            cluster,
            "monitoring",
            "node-agent",
            "vendor.io/agent:7",
            kind="DaemonSet",
            replicas=6,
            every=9,
            container="agent",
        )
        found[f"mesh/{cluster}"] = _Place(
            rng,
            cluster,
            "mesh",
            "mesh-proxy",
            "mesh.io/proxy:1.20",
            kind="DaemonSet",
            replicas=6,
            every=7,
            container="proxy",
        )
    for team in ("core", "web", "data"):
        found[f"ci-{team}"] = _Place(
            rng, 2, f"ci-{team}", f"{team}-runner", "registry.corp/ci/builder:22", kind="CronJob", replicas=5, every=1
        )
    found["notebook"] = _Place(
        rng, 1, "science", "jupyter", "quay.io/jupyter/base:2026", kind="StatefulSet", replicas=4, every=2
    )
    found["postgres"] = _Place(rng, 0, "db", "orders-db", "postgres:17", kind="StatefulSet", replicas=3, every=10)
    return found


def _noise(rng: random.Random, places: dict[str, _Place]) -> Iterator[Json]:
    for day in range(DAYS):
        for name, place in places.items():
            for replica in range(place.replicas):
                yield from _noise_lines(rng, name, place, day, replica)


def _noise_lines(rng: random.Random, name: str, place: _Place, day: int, replica: int) -> Iterator[Json]:
    pod, at = place.pod(day, replica), day * DAY + rng.randrange(DAY)
    if name.startswith("shop-"):
        for number in range(20):
            tool = f"/usr/local/lib/hooks/step-{number}"
            yield _exec(at, pod, tool, content("hook", number), "noise:hooks", count=3, parent="entrypoint.sh")
    elif name.startswith("agent/"):
        for number in range(12):
            check = f"/opt/agent/checks/check_{number}"
            writer = {"written_by": "/opt/agent/bin/agent", "written_by_name": "agent", "written_by_parent": "tini"}
            yield _exec(at, pod, check, content("check", number), "noise:agent", count=40, parent="agent", **writer)
    elif name.startswith("mesh/"):
        writer = {"written_by": "/usr/bin/cp", "written_by_name": "cp", "written_by_parent": "pilot"}
        yield _exec(at, pod, "/etc/mesh/envoy-boot", content("boot", day // 12), "noise:mesh", parent="pilot", **writer)
    elif name.startswith("ci-"):
        for number in range(6):
            tool = f"/builds/tmp{rng.randrange(10**6)}/bin/tool-{number}"
            writer = {"written_by": "/usr/bin/tar", "written_by_name": "tar", "written_by_parent": "runner"}
            yield _exec(at, pod, tool, content("ci", number), "noise:ci-tools", parent="runner", **writer)
    elif name == "notebook":
        for number in range(5):
            path = f"/home/jovyan/.local/bin/kernel-{number}"
            writer = {"written_by": "/opt/conda/bin/pip", "written_by_name": "pip", "written_by_parent": "jupyter"}
            yield _exec(at, pod, path, content("kernel", number), "noise:notebooks", parent="jupyter", **writer)


def _odd(rng: random.Random, places: dict[str, _Place]) -> Iterator[Json]:
    names = sorted(places)
    for day in range(DAYS):
        place = places[rng.choice(names)]
        pod = place.pod(day, 0)
        path = f"/root/debug-{rng.randrange(10**4)}"
        facts = {"session": "exec", "parent": "bash", "written_by": "/usr/bin/vim", "written_by_name": "vim"}
        yield _exec(day * DAY + rng.randrange(DAY), pod, path, content(path, day), "odd:debugging", **facts)


def _attacks(rng: random.Random, places: dict[str, _Place]) -> Iterator[Json]:
    """Each attack is one of ten ways, in places and on days that are drawn."""
    shops = [name for name in sorted(places) if name.startswith("shop-")]
    for number in range(1, 51):
        way, day = number % 10, rng.randrange(1, DAYS)
        place = places[rng.choice(shops) if way in (1, 2, 4, 6) else rng.choice(sorted(places))]
        yield from _WAYS[way](_Attack(number, day, day * DAY + rng.randrange(DAY), place))


class _Attack:
    """One attack: its day and moment, its pod, and the content that it brings."""

    def __init__(self, number: int, day: int, at: int, place: _Place) -> None:
        self.day, self.at, self.place = day, at, place
        self.pod, self.content, self.truth = place.pod(day, 1), content("attack", number), f"attack:{number:02}"

    def run(self, path: str, **facts: Any) -> Json:
        """Return its exec of a file."""
        return _exec(facts.pop("at", self.at), facts.pop("pod", self.pod), path, self.content, self.truth, **facts)


CURL: Json = {"written_by": "/usr/bin/curl", "written_by_name": "curl", "written_by_parent": "sh"}
NOBODY: Json = {"written_by": "", "written_by_name": "", "writer_origin": "", "written_by_parent": ""}


def _from_memory(attack: _Attack) -> list[Json]:
    return [attack.run("memfd:kworker", kind="fileless", **NOBODY)]


def _beside_the_noise(attack: _Attack) -> list[Json]:
    return [attack.run("/usr/local/lib/hooks/step-20", parent="entrypoint.sh")]


def _in_place_of_the_noise(attack: _Attack) -> list[Json]:
    return [attack.run("/usr/local/lib/hooks/step-3", parent="entrypoint.sh")]


def _by_hand(attack: _Attack) -> list[Json]:
    return [attack.run("/tmp/.x/linpeas", session="exec", parent="bash", **CURL)]


def _daily(attack: _Attack) -> list[Json]:
    """Return a file that comes back each day, to be taken for noise."""
    days = range(min(12, DAYS - attack.day))
    pods = [{**attack.place.pod(attack.day, 1), "node": attack.pod["node"]} for _ in days]
    return [attack.run("/var/tmp/.cache/upd", at=attack.at + each * DAY, pod=pods[each], **CURL) for each in days]


def _by_nobody(attack: _Attack) -> list[Json]:
    return [attack.run("/usr/lib/k", parent="python3", **NOBODY)]


def _found_by_a_reviewer(attack: _Attack) -> list[Json]:
    names = ("provider", "account", "cluster", "namespace", "owner_kind", "owner", "container")
    found = {key: attack.pod[key] for key in names} | {"path": "/tmp/tool-3", "sha256": attack.content}
    return [attack.run("/tmp/tool-3", **CURL), {"type": "true_positive", **found}]


def _just_now(attack: _Attack) -> list[Json]:
    return [attack.run("/usr/local/bin/agent-helper", at=(DAYS - 1) * DAY + attack.at % DAY)]


def _by_what_was_dropped(attack: _Attack) -> list[Json]:
    return [attack.run("/opt/agent/checks/check_12", writer_origin="drift", written_by="/tmp/d", written_by_name="d")]


def _while_events_were_lost(attack: _Attack) -> list[Json]:
    loss = {key: attack.pod[key] for key in ("provider", "account", "cluster", "node")}
    period = {"from": max(0, attack.at - 60), "until": attack.at + 60}
    return [attack.run("/usr/lib/.sd"), {"type": "loss", **loss, **period}]


_WAYS = (
    _from_memory,
    _beside_the_noise,
    _in_place_of_the_noise,
    _by_hand,
    _daily,
    _by_nobody,
    _found_by_a_reviewer,
    _just_now,
    _by_what_was_dropped,
    _while_events_were_lost,
)
