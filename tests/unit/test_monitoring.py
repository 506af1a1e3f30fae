"""deploy/monitoring: rules that promtool tested, a runbook entry for each, and no metric that does not exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from portal.metrics.table import PREFIX, TABLE
from sensor.operations.metric_families import metrics_text
from sensor.wire import Counters, Heartbeat

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
RULES = [rule for group in yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"] for rule in group["rules"]]
TESTS = yaml.safe_load((MONITORING / "rules.test.yaml").read_text())["tests"]
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()


def series() -> set[str]:
    """Every series that portal and sensor have, as queries name it."""
    sensor = metrics_text(Heartbeat("0.2.0", None, [], "ebpf", 1, Counters()))
    found = {line.partition("{")[0].partition(" ")[0] for line in sensor.splitlines() if not line.startswith("#")}
    for metric in TABLE:
        parts = ("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",)
        found |= {f"{PREFIX}{metric.name}{part}" for part in parts}
    return found


def expressions() -> list[str]:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    return [rule["expr"] for rule in RULES] + [
        target["expr"] for panel in panels for target in panel.get("targets", [])
    ]


def test_rules_and_dashboard_name_only_metrics_that_exist() -> None:
    named = {name for each in expressions() for name in re.findall(rf"\b{PREFIX}[a-z_]+", each)}
    assert len(named) > 20
    assert named <= series()


def test_every_alert_has_a_runbook_entry_and_every_entry_an_alert() -> None:
    alerts = [rule["alert"] for rule in RULES]
    assert re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE) == [each["name"] for each in TESTS]
    assert sorted(alerts) == sorted(each["name"] for each in TESTS)
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}


def test_every_alert_is_tested_to_stay_quiet_and_to_fire() -> None:
    for test in TESTS:
        quiet, fires = test["alert_rule_test"]
        assert (quiet["alertname"], fires["alertname"]) == (test["name"], test["name"])
        assert (quiet["exp_alerts"], len(fires["exp_alerts"])) == ([], 1)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("arguments", [("check", "rules", "rules.yaml"), ("test", "rules", "rules.test.yaml")])
def test_promtool_accepts_the_rules_and_their_tests(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_s_panels_have_ids_and_places_of_their_own() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
