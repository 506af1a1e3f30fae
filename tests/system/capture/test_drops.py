"""What an attacker drops is hidden by no starter rule that goes by who wrote a file, wherever the file lies.

The rules are those of the starter pack as users get them, all enabled. Each drop puts its file where the rules let the
image's own package managers and builders write, and its container is taken for a CI job's. Where this kernel does not
show who wrote a file, the writer is unknown, which satisfies no rule that ignores; `scripts/vm-provenance.sh` has the
writers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from drift.policy.domain.starter_rules import starter_rules
from sensor import wire
from sensor.capture.ebpf import open_ebpf
from sensor.container.podman import PodmanRuntime
from sensor.policy import compile_policy, default_document
from tests.system.capture.bed import Collector
from tests.system.drops import SETUP, goes_by_provenance, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.podman import Podman

pytestmark = pytest.mark.container


def provenance_rules() -> list[dict[str, Any]]:
    """The rules of the starter pack that go by the session or the writer, enabled."""
    rules = [{**each.rule, "enabled": True, "id": f"rule-{index}"} for index, each in enumerate(starter_rules())]
    return [rule for rule in rules if goes_by_provenance(rule)]


@pytest.fixture(scope="module")
def decide() -> Any:
    policy = compile_policy({**default_document(), "rules": provenance_rules(), "default": {"action": "alert"}})

    def action(event: wire.Event) -> str:
        job = {"container_name": "build", "pod_name": "runner-x-project-1-concurrent-0", "namespace": "ci"}
        decided: str = policy.decide({**wire.flatten(event, "aws", "1", "ci"), **job}).action
        return decided

    return action


@pytest.fixture(scope="module")
def seen(podman: Podman) -> Iterator[Collector]:
    collector = Collector(open_ebpf(runtimes=[PodmanRuntime()]))
    yield collector
    collector.close()


@pytest.mark.parametrize("who", ["workload", "exec"])
def test_no_drop_is_hidden_by_a_starter_rule_that_goes_by_its_writer(
    podman: Podman, seen: Collector, decide: Any, tmp_path_factory: pytest.TempPathFactory, who: str
) -> None:
    assert any(rule["action"] == "ignore" for rule in provenance_rules())
    shared = tmp_path_factory.mktemp("shared")
    image = podman.image(f"drops-{who}")
    script, words = lines(who, 8_100 if who == "workload" else 8_300)
    options = ["--privileged"]
    if who == "workload":
        body = f"{SETUP}{script}\nexec sleep 1000"
        podman.run(image, "/bin/busybox", "sh", "-c", body, volumes=[f"{shared}:/shared"], options=options)
    else:
        name = podman.run(image, volumes=[f"{shared}:/shared"], options=options)
        podman.shell(name, SETUP + script, check=False)

    events = seen.by_last_argument(words)

    assert {word: decide(event) for word, event in events.items()} == dict.fromkeys(words, "alert")
    known = {word: event.process.provenance for word, event in events.items() if event.process.provenance}
    assert not [word for word, each in known.items() if each.writer_origin == "image"]
    assert not [word for word, each in known.items() if each.session not in (who, None)]
