"""Every kind of caller of the API, what each may call, and requests that fit what is stored."""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.urls import resolve
from django.utils import timezone

from accounts.actions.users import create_service_account
from accounts.models import User
from accounts.roles import Role
from accounts.tokens import TokenScope
from drift.alerts.models import Alert
from drift.backtest.models import BacktestRun, NoiseRun
from drift.fleet.actions.bundles import signed_bundle
from drift.fleet.models import Environment, Sensor, SensorState
from drift.policy.actions.drafts import change_draft
from drift.policy.domain import edits
from drift.policy.models import PolicyDraft, PolicyProposal, PolicyVersion
from drift.policy.queries.drafts import draft_state
from portal.access import TABLE, Open
from sensor.names.visible_text import without_hidden
from tests.unit.drift.fleet import estate as fleet
from tests.unit.drift.policy.samples import document
from tests.unit.portal.access_cells import ALL_SCOPES, FOREIGN, OWN, Caller, Cell, expected, kind_of
from tests.unit.portal.access_requests import Estate, is_visible, new_token_of

SAMPLE_ID: Final = "00000000-0000-0000-0000-000000000001"
PEOPLE: Final = {
    **{str(role): Caller(role, token=ALL_SCOPES) for role in Role},
    **{f"owner with {scope}": Caller(Role.OWNER, token=frozenset({scope})) for scope in TokenScope},
    "operator of a part": Caller(Role.OPERATOR, "part", token=ALL_SCOPES),
    "owner with a narrowed token": Caller(Role.OWNER, token=ALL_SCOPES, narrowed=True),
    "reader of nothing": Caller(Role.READER, "nothing", token=ALL_SCOPES),
    **{f"{broken} token": Caller(Role.OWNER, token=ALL_SCOPES, broken=broken) for broken in ("revoked", "deactivated")},
}


def sample_url(path: str) -> str:
    """Return a URL of a path of the schema, of an object that does not exist."""
    return re.sub(r"\{\w+\}", SAMPLE_ID if path.startswith("/api/v1/sensors/{") else "1", path)


@dataclass(frozen=True)
class Operation:
    """An operation of the schema, with the URL of the permission table that answers it."""

    name: str
    path: str
    method: str
    view: str
    arguments: tuple[tuple[str, Any], ...]

    @classmethod
    def read(cls, operation: Any) -> Operation:
        """Return what schemathesis calls an operation."""
        return cls.at(operation.path, operation.method.upper(), operation.definition.raw["operationId"])

    @classmethod
    def at(cls, path: str, method: str, name: str = "") -> Operation:
        """Return the operation of a method at a path of the schema, documented or not."""
        found = resolve(sample_url(path))
        return cls(name, path, method, found.view_name, tuple(found.kwargs.items()))

    @property
    def is_sensors(self) -> bool:
        return TABLE[self.view].required(self.method) is Open.SENSOR


class Callers:
    """The estate of the access table, and all who call its API, by name."""

    def __init__(self) -> None:
        self.estate = Estate()
        self.environment = Environment.objects.get(pk=self.estate.own_place["environment"])
        cluster = Sensor.objects.get(pk=self.estate.own_place["sensor"]).cluster
        self.enrolment = fleet.token(self.environment, max_live_nodes=1_000_000)[1]
        self.sensors: dict[str, tuple[Sensor, str]] = {
            name: fleet.sensor(cluster, f"node of the {name}")
            for name in ("sensor", "quarantined sensor", "revoked sensor")
        }
        now = timezone.now()
        Sensor.objects.filter(pk=self.sensors["quarantined sensor"][0].pk).update(
            quarantined_at=now, set_aside_since=now
        )
        Sensor.objects.filter(pk=self.sensors["revoked sensor"][0].pk).update(state=SensorState.REVOKED, ended_at=now)
        self.service = create_service_account(self.estate.stranger, name="robot", role=Role.ADMIN)
        self.service_token = new_token_of(self.service).secret
        self.bundle = signed_bundle(1)
        # Made now: what a request makes is undone.
        personal = Cell("backtest-api:run", (("run_id", 1),), "GET", Caller(), OWN)
        for user in (self.service, *(self.estate.client(each)[1] for each in PEOPLE.values())):
            self.estate.object_of(personal, user)

    @property
    def names(self) -> list[str]:
        return ["nobody", *PEOPLE, "service account", *self.sensors, "enrolment token"]

    def headers(self, name: str) -> dict[str, str]:
        """Return what this caller sends to authenticate."""
        if name == "nobody":
            return {}
        if name in PEOPLE:
            return {"Authorization": self.estate.client(PEOPLE[name])[0].defaults["HTTP_AUTHORIZATION"]}
        text = {"service account": self.service_token, "enrolment token": self.enrolment}.get(name)
        return {"Authorization": f"Bearer {text or self.sensors[name][1]}"}

    def user(self, name: str) -> User | None:
        if name == "service account":
            return self.service
        return self.estate.client(PEOPLE[name])[1] if name in PEOPLE else None

    def expected(self, name: str, operation: Operation) -> int | None:
        """Return the status of a caller who may not call this, or not for this object; None for one who may."""
        if operation.view == "fleet-api:enrol":
            return None
        if operation.is_sensors:
            return {"sensor": None, "quarantined sensor": None, "revoked sensor": 403}.get(name, 401)
        caller = {**PEOPLE, "service account": Caller(Role.ADMIN, token=ALL_SCOPES)}.get(name, Caller())
        cell = Cell(operation.view, operation.arguments, operation.method, caller, OWN)
        found = {"anonymous": 401, "403": 403, "405": 405, "allowed": None}[expected(cell)]
        return 404 if found is None and operation.arguments and not is_visible(cell) else found

    def full_caller(self, operation: Operation) -> str:
        """Return a caller who may call this."""
        return "sensor" if operation.is_sensors else str(Role.OWNER)


Fit = Callable[[Callers, str, Any], None]


def fit(callers: Callers, name: str, operation: Operation, case: Any, *, may_change: Callable[[str], bool]) -> None:
    """Let a generated request name what is stored: ids, revisions, the latest version, today.

    A schema cannot state what is stored, and so no request that is generated from it alone would be accepted.
    `may_change` says of a part of the request (`path`, `query`, `header`, `body`) whether it is to be valid. Called
    where what is stored is undone.
    """
    user = callers.user(name)
    if operation.arguments and may_change("path"):
        key = kind_of(operation.view)
        cell = Cell(operation.view, operation.arguments, operation.method, PEOPLE.get(name, Caller()), OWN)
        found = callers.estate.object_of(cell, user) if key else None
        case.path_parameters = dict.fromkeys(case.path_parameters, found if isinstance(found, int) else str(found))
    if "after" in (case.query or {}) and may_change("query"):
        del case.query["after"]  # cursors are the portal's
    if operation.name == "roll_back" and may_change("path"):
        case.path_parameters["number"] = callers.estate.objects["version", FOREIGN]
    if operation.name == "start_backtest":
        BacktestRun.objects.all().delete()
    if operation.name == "start_noise_budget":
        NoiseRun.objects.all().delete()
    if operation.name == "copy_noise_budget" and user:
        _plan_noise(user)
    if operation.name == "propose" and user:
        PolicyProposal.objects.filter(author=user).delete()
        change_draft(draft_state(user), edits.replace_document(document("Proposed")))
    if user and "If-Match" in (case.headers or {}) and may_change("header"):
        case.headers["If-Match"] = f'"{draft_state(user).draft_revision}"'
    if isinstance(case.body, dict) and may_change("body") and operation.name in BODIES:
        BODIES[operation.name](callers, name, case.body)


def _fit_alerts(callers: Callers, _: str, body: Any) -> None:
    body["alerts"] = dict(Alert.objects.filter(pk=callers.estate.own_place["alert"]).values_list("pk", "revision"))
    body["alerts"] = {str(key): value for key, value in body["alerts"].items()}
    body["verdict"] = {"resolved": "true_positive", "dismissed": "expected"}.get(body["status"], "")
    if not body["verdict"]:
        del body["verdict"]
    if body.get("quiet_until"):
        body["quiet_until"] = (timezone.now() + dt.timedelta(days=1)).isoformat()


def _fit_base(_: Callers, __: str, body: Any) -> None:
    body["base"] = PolicyVersion.objects.order_by("-number").values_list("number", flat=True)[0]


def _fit_document(_: Callers, __: str, body: Any) -> None:
    # The setting DEFAULT_RULE_MAY_BLOCK is off.
    if body["document"]["default"]["action"] == "block":
        body["document"]["default"] = {"action": "alert"}
    # The schema names those of one UTF-16 unit alone: see visible_pattern.
    for rule in body["document"]["rules"]:
        for field in {"name", "scope_description", "note"} & rule.keys():
            rule[field] = without_hidden(rule[field]).strip() or "x"


def _fit_saved_document(callers: Callers, name: str, body: Any) -> None:
    _fit_base(callers, name, body)
    _fit_document(callers, name, body)


def _fit_backtest(callers: Callers, name: str, body: Any) -> None:
    body["days"] = 1 + body.get("days", 7) % 7
    if "document" in body:
        _fit_base(callers, name, body)
    else:
        body.pop("base", None)


def _fit_noise(_: Callers, __: str, body: Any) -> None:
    for name in ("environment", "cluster", "namespace"):
        body.pop(name, None)


def _plan_noise(user: User) -> None:
    """Give every noise budget a plan of one rule for the user's draft."""
    latest = PolicyVersion.objects.order_by("-number")[0]
    planned = document("Planned")
    plan = {"changes": [{"rule": planned["rules"][0]}]}
    PolicyDraft.objects.filter(user=user).delete()
    NoiseRun.objects.update(base=latest, result=plan, document=planned)


def _fit_enrolment_token(callers: Callers, _: str, body: Any) -> None:
    body["environment"] = callers.environment.pk
    if body.get("cluster") is not None:
        body["cluster"] = callers.estate.own_place["cluster"]
    if body.get("expires_at") is not None:
        body["expires_at"] = (timezone.now() + dt.timedelta(days=1)).isoformat()


def _fit_plan(callers: Callers, _: str, body: Any) -> None:
    percents = sorted({wave["percent"] for wave in body["waves"] if "percent" in wave})
    named = any("environments" in wave for wave in body["waves"])
    body["waves"] = [{"environments": [callers.environment.pk]}] * named + [{"percent": each} for each in percents]


def _fit_enrolment(callers: Callers, _: str, body: Any) -> None:
    body["token"] = callers.enrolment
    body["cluster"]["kubernetes_version"] = "v1.31.2"


def _fit_events(_: Callers, __: str, body: Any) -> None:
    now = timezone.now().isoformat()
    for event in body["events"]:
        event["observed_at"] = event["last_at"] = now
        if event["mode"] == "exec":
            event["count"] = 1


def _fit_execs(_: Callers, __: str, body: Any) -> None:
    now = timezone.now().isoformat()
    for report in body["reports"]:
        for each in report["execs"]:
            each["at"] = now


def _fit_proof(callers: Callers, _: str, body: Any) -> None:
    bundle = callers.bundle
    parts = (base64.b64encode(bytes(raw)).decode() for raw in (bundle.signature, bundle.payload))
    body["key_id"], (body["signature"], body["payload"]) = bundle.key_id, parts


BODIES: Final[dict[str, Fit]] = {
    "alerts_status": _fit_alerts,
    "start_backtest": _fit_backtest,
    "start_noise_budget": _fit_noise,
    "create_enrolment_token": _fit_enrolment_token,
    "put_draft": _fit_document,
    "save_document": _fit_saved_document,
    "restore_version": _fit_base,
    "accept_proposal": _fit_base,
    "set_rollout_plan": _fit_plan,
    "enrol_sensor": _fit_enrolment,
    "sensor_events": _fit_events,
    "sensor_execs": _fit_execs,
    "prove_policy_number": _fit_proof,
}
