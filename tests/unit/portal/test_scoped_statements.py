"""Every statement that a request of a scoped user reads the estate with has the scope's condition, or a reason not to.

The tables are those of the models that declare a place: a new one is covered without being named here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import pytest
from django.apps import apps

from accounts.models import ScopedBy, ScopedByEnvironment, ScopedPlace, ScopedThrough, WholeEstateOnly
from tests.unit.drift.alerts.conftest import _fresh_memories as _fresh_memories  # noqa: PLC0414 - a fixture
from tests.unit.portal.test_scopes_everywhere import VIEWERS, Walk, get_walk, post_walk

pytestmark = [pytest.mark.services, pytest.mark.django_db]

OURS: Final = [model for model in apps.get_models() if model.__module__.startswith("drift.")]
PLACED: Final = {
    model._meta.db_table
    for model in OURS
    if isinstance(model.visibility, ScopedBy | ScopedByEnvironment | ScopedPlace | ScopedThrough)  # type: ignore[attr-defined]
}
NAMED: Final = {
    "alerts_suppressionrule": "each is compared with the scope; an alert names the one that dismissed it",
    "alerts_suppressedcontent": "counted for the rules that were compared with the scope",
    "fleet_signingkey": "the public halves, which the API publishes",
}
"""Tables that only those who see the whole estate may list, of which everybody reads some columns, and why."""
HIDDEN: Final = {model._meta.db_table for model in OURS if isinstance(model.visibility, WholeEstateOnly)} - NAMED.keys()  # type: ignore[attr-defined]
CONDITION: Final = re.compile(
    r'"(?:cluster_id|namespace|key|environment_id)" IN \(|"fleet_(?:cluster|environment)"."id" IN \(|"id" IN \(SELECT'
)
"""How a scope is written: places by number, namespaces by name."""
ALLOWED: Final = {
    r'"alerts_(alertactivity|alerthour|alertpulse|alertdetail)"."alert_id" =': "rows of one alert that was read",
    r'"(fleet_delivery|fleet_sensorstatus|alerts_execbudget)"."sensor_id" = ': "rows of one sensor that was read",
    r"SELECT rule_name FROM alerts_alert WHERE rule_id = wanted.rule": "names of rules: everybody sees the policy",
    r'"notify_notice"."created_at" AS "notice__created_at" FROM "notify_delivery"': "of the portal",
    r'FROM "accounts_scope(entry|group)"': "the scope itself, which may be of places and groups",
    r'AS "path" FROM "alerts_binary" WHERE "alerts_binary"."id" (IN|=)': "of what alerts in scope were grouped by",
    r"SELECT ran.sensor_id, ran.exec_id FROM unnest": "ids, in the containers of alerts that were read; rows in scope",
    r'FROM "siem_siemdestination"': "whether each works, a condition of health that Admins alone are shown",
    r'"alerts_suppressionrule_environments"': "the environments of a suppression rule",
}
"""Statements without the condition, and why they tell the user nothing."""


def tables(sql: str) -> set[str]:
    return set(re.findall(r"\b(?:FROM|JOIN)\s+\"?([a-z_]+)\"?", sql))


def is_bounded(sql: str) -> bool:
    """Return whether a statement has the condition where it reads a placed table, and reads no hidden one."""
    read = tables(sql)
    if any(re.search(pattern, sql) for pattern in ALLOWED):
        return True
    return not read & HIDDEN and (not read & PLACED or bool(CONDITION.search(sql)))


@pytest.mark.parametrize("kind", VIEWERS)
@pytest.mark.parametrize("walk", [get_walk, post_walk])
def test_no_statement_reads_the_estate_without_the_scope(
    kind: str, walk: Callable[[str], Walk], queued: list[Any]
) -> None:
    unbounded = {sql: where for sql, where in walk(kind).statements.items() if not is_bounded(sql)}
    assert not unbounded, "\n\n".join(f"{where}: {sql}" for sql, where in unbounded.items())
