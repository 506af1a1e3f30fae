"""Two places with everything that a URL can name, and the request of each cell of the access table."""

from __future__ import annotations

import datetime as dt
import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import tokens
from accounts.models import ApiToken, ScopeEntry, ScopeGroup, User, scope_digest
from accounts.models.sessions import Session
from accounts.models.tokens import MAX_REQUESTS_PER_MINUTE
from accounts.roles import Role
from accounts.tokens import TokenScope
from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, SavedView
from drift.backtest.models import BacktestRun, NoiseRun
from drift.fleet.models import Environment, Rollout, SigningKey
from drift.notify.models import AlertRoute, Kind, Notice, NoticeDelivery, Webhook
from drift.policy.models import PolicyProposal, PolicyVersion
from drift.siem.models import SiemDestination
from portal.access import Open
from tests.unit.drift.alerts.conftest import event, make_estate, raw
from tests.unit.drift.fleet import estate as fleet
from tests.unit.drift.policy.samples import document
from tests.unit.portal.access_cells import (
    ALL_SCOPES,
    FOREIGN,
    MISSING,
    MISSING_ID,
    MISSING_NUMBER,
    OWN,
    PERSONAL,
    PLACES,
    Caller,
    Cell,
    expected,
    kind_of,
    known_methods,
)
from tests.unit.portal.planted_estate import number_rows_from

VALUES: Final = {"do": "pause", "how": "revoke", "kind": "json"}
"""Arguments that do not name an object."""
STEPS: Final = {"fleet:key-change": {"do": "retire"}}
FORMS: Final = {"policy:proposal-accept": "base=202", "policy:restore": "base=202"}
"""Fields without which a form names no object, and so none is found."""
CSRF: Final = re.compile(r'csrf[a-z-]*" (value|content)="[^"]*"|"X-CSRFToken": "[^"]*"')


class Estate:
    """Two places with everything that a URL can name, and a client for each caller."""

    def __init__(self) -> None:
        # A sequence goes on where an earlier test left it, and would meet these rows when it is set below.
        number_rows_from(500_001)
        make_estate()
        # No key is a number that a page has elsewhere.
        number_rows_from(600_001)
        self.own_place, self.foreign_place = _plant("own"), _plant("foreign")
        self.stranger = User.objects.create_user("stranger@example.com", "Stranger", Role.OWNER, "x")
        self.objects: dict[tuple[str, str], Any] = {}
        self._plant_shared()
        self._personal: dict[tuple[int, int | None], dict[str, Any]] = {}
        self._users: dict[tuple[Role, str], User] = {}
        self._callers: dict[Caller, tuple[Client, User | None]] = {}

    def _plant_shared(self) -> None:
        for whose, place in ((OWN, self.own_place), (FOREIGN, self.foreign_place)):
            self.objects |= {(kind, whose): pk for kind, pk in place.items()}
            environment = Environment.objects.get(pk=place["environment"])
            enrolment = fleet.token(environment, name=f"{whose} nodes")[0]
            webhook = Webhook.objects.create(name=whose, masked_url="https://example.com/", sealed_url=b"", sealed=b"")
            notice = Notice.objects.create(kind=Kind.HEALTH, title="t")
            failed = NoticeDelivery.objects.create(notice=notice, webhook=webhook, state="dead")
            route = AlertRoute.objects.create(name=whose, query="severity:high")
            siem = SiemDestination.objects.create(name=whose, transport="file", record_format="json", file_name=whose)
            key = SigningKey.objects.create(
                key_id=f"key-{whose}", public_key=b"x" * 32, sealed_private_key=b"", promoted_at=timezone.now()
            )
            group = ScopeGroup.objects.create(name=whose)
            part = ScopeEntry.objects.create(group=group, environment=environment)
            self.objects |= {
                ("group", whose): group.pk,
                ("part", whose): part.pk,
                ("enrolment token", whose): enrolment.pk,
                ("webhook", whose): webhook.pk,
                ("delivery", whose): failed.pk,
                ("alert route", whose): route.pk,
                ("SIEM destination", whose): siem.pk,
                ("key", whose): key.key_id,
            }
        for whose, number in ((OWN, 201), (FOREIGN, 202)):
            version = fleet.version(number, rules=document(whose)["rules"])
            Rollout.objects.create(version=version)
            self.objects["version", whose] = number
        self.objects["user", FOREIGN] = self.stranger.pk
        for kind, pk in self._personal_objects(self.stranger).items():
            self.objects[kind, FOREIGN] = pk

    def _personal_objects(self, user: User) -> dict[str, Any]:
        """Create what belongs to one user."""
        version = PolicyVersion.objects.get(number=1)
        proposal = PolicyProposal.objects.filter(author=user).first() or PolicyProposal.objects.create(
            author=user, base=version, document=document("Proposed")
        )
        view = SavedView.objects.filter(user=user).first() or SavedView.objects.create(user=user, name="view")
        run = BacktestRun.objects.create(
            started_by=user,
            narrowed_by=user.narrowed_by,
            scope_digest=scope_digest(user),
            base=version,
            document=document("Tested"),
            digest="0" * 64,
            first_day=timezone.now().date(),
            until=timezone.now(),
        )
        asked = {"alerts": 5, "first_day": timezone.now().date(), "until": timezone.now()}
        noise, _ = NoiseRun.objects.get_or_create(started_by=user, defaults={"base": version, **asked})
        expires_at = timezone.now() + dt.timedelta(hours=1)
        session = Session.objects.create(digest=uuid.uuid4().bytes, user=user, data="", expires_at=expires_at)
        objects = {"proposal": proposal, "saved view": view, "run": run, "noise budget": noise, "user": user}
        token = new_token_of(user)
        part = ScopeEntry.objects.create(token=token, environment_id=self.own_place["environment"])
        objects |= {"token": token, "token to narrow": token, "part of a token": part, "session": session}
        return {kind: each.pk for kind, each in objects.items()}

    def user(self, role: Role, scope: str) -> User:
        if (role, scope) not in self._users:
            user = User.objects.create_user(f"{role}-{scope}@example.com", f"{role} {scope}", role, "x")
            User.objects.filter(pk=user.pk).update(is_scoped=scope != "whole")
            if scope == "part":
                ScopeEntry.objects.create(user=user, environment_id=self.own_place["environment"])
            self._users[role, scope] = User.objects.get(pk=user.pk)
        return self._users[role, scope]

    def client(self, caller: Caller) -> tuple[Client, User | None]:
        """Return the caller's client and user, with what is theirs planted."""
        if caller not in self._callers:
            self._callers[caller] = self._new_client(caller)
        return self._callers[caller]

    def _new_client(self, caller: Caller) -> tuple[Client, User | None]:
        if caller.role is None:
            return _quiet(Client()), None
        user = self.user(caller.role, caller.scope)
        if caller.broken == "deactivated":
            user = User.objects.create_user("gone@example.com", "Gone", caller.role, "x")
        if caller.token is None:
            client = _quiet(Client())
            client.force_login(user)
            return client, user
        token = new_token_of(user, caller.token, is_scoped=caller.narrowed)
        if caller.narrowed:
            ScopeEntry.objects.create(token=token, environment_id=self.own_place["environment"])
            user = User.objects.get(pk=user.pk)
            user.narrowed_by = token.pk
        client = _quiet(Client(headers={"Authorization": f"Bearer {token.secret}{'x' * (caller.broken == 'changed')}"}))
        if caller.broken == "revoked":
            ApiToken.objects.filter(pk=token.pk).update(revoked_at=timezone.now())
        if caller.broken == "expired":
            ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() - dt.timedelta(seconds=1))
        if caller.broken == "deactivated":
            User.objects.filter(pk=user.pk).update(is_active=False)
        return client, user

    def object_of(self, cell: Cell, user: User | None) -> Any:
        """Return the key of the object that the cell's URL names."""
        kind = kind_of(cell.name)
        missing = {"sensor": MISSING_ID, "key": "key-missing"}.get(kind, MISSING_NUMBER)
        if cell.whose == MISSING or kind == "unknown":
            return missing
        if kind == "passkey":
            # Made for this request alone: other pages would read what a real one has.
            owner = user if cell.whose == OWN and user else self.stranger
            return Authenticator.objects.create(user=owner, type="webauthn", data={"name": "key", "credential": {}}).pk
        if (kind, cell.whose) in self.objects:
            return self.objects[kind, cell.whose]
        if user is None:
            return self.objects[kind, FOREIGN]
        owned = self._personal.get((user.pk, user.narrowed_by))
        if owned is None:
            owned = self._personal[user.pk, user.narrowed_by] = self._personal_objects(user)
        return owned[kind]

    def call(self, cell: Cell) -> tuple[int, str]:
        """Send the cell's request; return its status, and its content without the object's key. Nothing is stored."""
        client, user = self.client(cell.caller)
        key = self.object_of(cell, user)
        fixed = {**VALUES, **STEPS.get(cell.name, {})}
        url = reverse(cell.name, kwargs={name: fixed.get(name, key) for name, _ in cell.arguments})
        form = "" if cell.is_api or cell.method == "GET" else FORMS.get(cell.name, "")
        kind = "application/json" if cell.is_api else "application/x-www-form-urlencoded"
        headers = {"HX-Request": "true"} if cell.is_htmx else {}
        cookies = {name: morsel.value for name, morsel in client.cookies.items()}
        with undone():
            response: Any = client.generic(cell.method, url, form, kind, headers=headers)
            content = b"".join(response.streaming_content) if response.streaming else response.content
        client.cookies.clear()
        for name, value in cookies.items():
            client.cookies[name] = value
        if kind_of(cell.name) == "passkey":
            Authenticator.objects.all().delete()
        text = f"{response.get('Location', '')}\n{CSRF.sub('', content.decode(errors='replace'))}"
        return response.status_code, text.replace(str(key), "KEY")


def _plant(word: str) -> dict[str, Any]:
    """Plant an environment with a cluster, a sensor and an alert; return their keys."""
    environment = fleet.environment("azure", f"{word}-account", name=word)
    cluster = fleet.cluster(environment, word)
    sensor, _ = fleet.sensor(cluster, f"{word}-node")
    known = set(Alert.objects.values_list("pk", flat=True))
    ingest(sensor, raw(event(process__path=f"/{word}/miner", container__namespace=word)))
    alert = Alert.objects.exclude(pk__in=known).get()
    return {"environment": environment.pk, "cluster": cluster.pk, "sensor": sensor.pk, "alert": alert.pk}


def new_token_of(user: User, scopes: frozenset[TokenScope] = ALL_SCOPES, *, is_scoped: bool = False) -> Any:
    """Return a new token of the user, with its secret as `secret`."""
    new = tokens.new_token(tokens.PERSON)
    row: Any = ApiToken.objects.create(
        user=user,
        name="table",
        prefix=new.prefix,
        digest=new.digest,
        scopes=sorted(scopes),
        is_scoped=is_scoped,
        requests_per_minute=MAX_REQUESTS_PER_MINUTE,
        expires_at=timezone.now() + dt.timedelta(days=1),
    )
    row.secret = new.token
    return row


def _quiet(client: Client) -> Client:
    client.raise_request_exception = False
    return client


@contextmanager
def undone() -> Iterator[None]:
    """Undo what a request stores, so that each finds the same estate."""
    block = transaction.atomic()
    # As the test's own transaction: actions are durable, and refuse to run within any other.
    block._from_testcase = True  # type: ignore[attr-defined]
    with block:
        yield
        transaction.set_rollback(True)


REFUSED: Final = {401, 403}
IDEMPOTENT: Final = {"alerts:view-delete", "alerts:route-remove"}
"""Changes that answer alike whether there was something to change."""
OF_SOME: Final = {"alerts:release", "accounts:user-token-add", "accounts:user-link-revoke"}
"""Not found for an object of another state: what no flood set aside, a person's account, one without a link."""


def assert_as_expected(found: list[Cell]) -> None:
    """Send the request of each cell. Fails with the first that are answered otherwise."""
    logging.disable()  # Thousands of refusals are logged otherwise.
    try:
        estate = Estate()
        faults = [each for cell in found if (each := fault(estate, cell))]
    finally:
        logging.disable(logging.NOTSET)
    print(f"{len(found):,} cells")
    assert not faults, "\n".join([f"{len(faults)} of {len(found)} cells:", *faults[:60]])


def fault(estate: Estate, cell: Cell) -> str:
    """Return what is wrong with the response to a cell; "" if it is as expected."""
    status, text = estate.call(cell)
    wanted = expected(cell)
    problem = _fault_of_status(cell, wanted, status, text)
    if problem or wanted != "allowed" or not kind_of(cell.name):
        return problem and f"{cell}: {problem}, got {status}"
    if cell.method not in known_methods(cell.name, dict(cell.arguments)):
        return ""
    if cell.whose == MISSING:
        is_found = status < 400 and cell.name not in IDEMPOTENT
        return f"{cell}: found, got {status}" if is_found else ""
    if is_visible(cell):
        return f"{cell}: not found" if status == 404 and cell.name not in OF_SOME else ""
    missing = replace(cell, whose=MISSING)
    return "" if (status, text) == estate.call(missing) else f"{cell}: not as if it did not exist, got {status}"


def _fault_of_status(cell: Cell, wanted: str, status: int, text: str) -> str:
    """Return what is wrong with the status alone."""
    # No worker runs here.
    if status >= 500 and cell.name != "readyz":
        return "an error of the server"
    if wanted == "405":
        return "" if status == 405 else "the method is not allowed"
    if wanted == "403":
        return "" if status == 403 else "forbidden"
    if wanted == "anonymous":
        signs_in = status == 302 and "/sign-in/" in text.partition("\n")[0]
        return "" if status == 401 or (not cell.is_api and signs_in) else "for nobody who did not sign in"
    if wanted == "sensor":
        return "" if status in {400, 401, 403, 405, 413, 415, 422} else "for sensors"
    if wanted == "scraper":
        return "" if status in {401, 404} else "for Prometheus"
    is_open = cell.access.required(cell.method) is Open.ANYONE
    return "refused" if status in REFUSED and not is_open else ""


def is_visible(cell: Cell) -> bool:
    """Return whether the caller may know that the object exists."""
    kind, caller = kind_of(cell.name), cell.caller
    if cell.whose == MISSING:
        return False
    if kind in PLACES:
        return not caller.is_limited or (cell.whose == OWN and caller.scope != "nothing")
    if cell.whose == OWN:
        return True
    if kind in PERSONAL or cell.name.endswith("withdraw"):
        return False
    if kind == "run":
        return not caller.is_limited
    if kind in {"token", "session"}:
        return caller.role is Role.OWNER and not caller.is_limited
    return True
