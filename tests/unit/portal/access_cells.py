"""The one table of who may call what: URL × method × caller × whose object the URL names.

It is generated from portal.access. A caller is a session or an API token, with a role and a scope of the estate. What
is expected follows from the fields of portal.access and from docs/scopes.md, not from the code that enforces them.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.urls import resolve, reverse

from accounts.models.tokens import LOWEST_ROLE
from accounts.roles import Role
from accounts.tokens import TokenScope
from portal.access import SAFE, TABLE, Access, Open
from tests.unit.portal.test_access import URLS

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
ROLES: Final = tuple(Role)
OWN, FOREIGN, MISSING = "own", "foreign", "missing"
MISSING_NUMBER: Final = 987_654
MISSING_ID: Final = uuid.UUID(int=987_654)


@dataclass(frozen=True)
class Caller:
    """Who calls. `scope`: whole, part (the own place), or nothing; `token`: the scopes of an API token, else None.

    `broken` names what makes a token worthless.
    """

    role: Role | None = None
    scope: str = "whole"
    token: frozenset[TokenScope] | None = None
    narrowed: bool = False
    broken: str = ""

    @property
    def is_limited(self) -> bool:
        return self.scope != "whole" or self.narrowed

    def __str__(self) -> str:
        if self.role is None:
            return "anonymous"
        kind = "session" if self.token is None else f"token {'+'.join(sorted(self.token))}"
        return " ".join(filter(None, (self.role, self.scope, kind, "narrowed" * self.narrowed, self.broken)))


ALL_SCOPES: Final = frozenset(TokenScope)
SESSIONS: Final = (
    Caller(),
    *(Caller(role, scope) for role, scope in itertools.product(ROLES, ("whole", "part", "nothing"))),
)
TOKENS: Final = (
    *(Caller(Role.OWNER, token=frozenset({scope})) for scope in TokenScope),
    *(Caller(Role.OWNER, token=ALL_SCOPES - {scope}) for scope in TokenScope),
    *(Caller(role, scope, token=ALL_SCOPES) for role, scope in itertools.product(ROLES, ("whole", "part", "nothing"))),
    *(Caller(role, token=ALL_SCOPES, narrowed=True) for role in ROLES),
    Caller(Role.OPERATOR, "part", token=frozenset({TokenScope.READ})),
    Caller(Role.OWNER, token=frozenset()),
    *(Caller(Role.OWNER, token=ALL_SCOPES, broken=each) for each in ("revoked", "expired", "changed", "deactivated")),
)
ANYBODY: Final = (
    Caller(),
    Caller(Role.OPERATOR, "part"),
    Caller(Role.OWNER),
    Caller(Role.OWNER, token=ALL_SCOPES),
)
"""Who calls where the caller makes no difference."""
ON_PAGES: Final = (Caller(Role.OWNER, token=ALL_SCOPES),)
"""Tokens are worth nothing on pages: the caller is anonymous there."""


@dataclass(frozen=True)
class Cell:
    """One cell of the table."""

    name: str
    arguments: tuple[tuple[str, Any], ...]
    method: str
    caller: Caller
    whose: str
    is_htmx: bool = False

    @property
    def access(self) -> Access:
        return TABLE[self.name]

    @property
    def area(self) -> str:
        return _area(self.name)

    @property
    def is_api(self) -> bool:
        return reverse(self.name, kwargs=dict(self.arguments)).startswith("/api/")

    def __str__(self) -> str:
        return f"{self.method} {self.name} by {self.caller} of {self.whose}{' (htmx)' * self.is_htmx}"


def _area(name: str) -> str:
    """Return the app of a URL."""
    return name.rpartition(":")[0] or "portal"


def areas(*, api: bool) -> list[str]:
    """Return the apps of the API, or of the pages."""
    found = {_area(name) for name, each in URLS if reverse(name, kwargs=each).startswith("/api/") == api}
    return sorted(found)


def cells(*, api: bool) -> Iterator[Cell]:
    """Yield every cell of the API, or of the pages.

    A request that is refused is refused whatever object it names: one stands for all. So do four callers where the
    caller makes no difference: a method that is not allowed or that no view knows, a URL for anyone. Parts of pages are
    URLs as well; what else a user with a scope gets is requested by htmx too.
    """
    for name, arguments in URLS:
        given = tuple(sorted(arguments.items()))
        if reverse(name, kwargs=arguments).startswith("/api/") != api:
            continue
        callers = (*SESSIONS, *(TOKENS if api else ON_PAGES))
        objects = (OWN, FOREIGN, MISSING) if kind_of(name) else (MISSING,)
        for method in METHODS:
            who = TABLE[name].required(method)
            is_for_some = who is not None and who is not Open.ANYONE and method in known_methods(name, arguments)
            for caller in callers if is_for_some else ANYBODY:
                cell = Cell(name, given, method, caller, FOREIGN)
                if expected(cell) != "allowed":
                    yield Cell(name, given, method, caller, FOREIGN if kind_of(name) else MISSING)
                    continue
                for whose in objects:
                    yield Cell(name, given, method, caller, whose)
                    if method == "GET" and caller.scope == "part" and not api:
                        yield Cell(name, given, method, caller, whose, is_htmx=True)


def known_methods(name: str, arguments: dict[str, Any]) -> set[str]:
    """Return the methods that the view knows; a page knows GET and POST."""
    view = getattr(resolve(reverse(name, kwargs=arguments)).func, "view_class", None)
    return {verb for verb in METHODS if hasattr(view, verb.lower())} if view else {"GET", "POST"}


def expected(cell: Cell) -> str:
    """Return `405`, `anonymous` (401, or the sign-in page), `403`, `sensor`, `scraper` or `allowed`."""
    who, caller = cell.access.required(cell.method), cell.caller
    if who is None:
        return "405"
    if isinstance(who, Open):
        return {Open.SENSOR: "sensor", Open.SCRAPER: "scraper", Open.ANYONE: "allowed"}[who]
    if caller.role is None or caller.broken or (caller.token is not None and not cell.is_api):
        return "anonymous"
    role = caller.role
    if caller.token is not None:
        needed = cell.access.token
        if needed and cell.method in SAFE and cell.access.read is Role.READER:
            needed = TokenScope.READ
        if needed not in caller.token:
            return "403"
        role = min(role, max(map(LOWEST_ROLE.__getitem__, caller.token), key=ROLES.index), key=ROLES.index)
    if caller.is_limited:
        role = min(role, Role.OPERATOR, key=ROLES.index)
    if cell.access.programs_only and caller.token is None:
        return "403"
    if not role.includes(who) or (cell.access.whole_estate and caller.is_limited):
        return "403"
    return "allowed"


PLACES: Final = {"environment", "cluster", "sensor", "alert"}
"""Kinds of objects in a place: who does not see the place does not see them."""
PERSONAL: Final = {"saved view", "passkey", "token to narrow", "part of a token"}
"""Kinds that are their user's alone, whoever else sees the whole estate."""
KINDS: Final = {
    "accounts:link": "",
    "accounts:email-verify": "",
    "accounts:token": "token",
    "accounts:token-scope": "token to narrow",
    "accounts:token-part-remove": "part of a token",
    "accounts:user": "user",
    "accounts:second-factor": "user",
    "accounts:group": "group",
    "accounts:scope-group": "group",
    "accounts:scope-part": "part",
    "accounts:session": "session",
    "mfa_": "passkey",
    "notify:webhook": "webhook",
    "notify:retry": "delivery",
    "siem:destination": "SIEM destination",
    "policy:proposal": "proposal",
    "policy-api:proposal": "proposal",
    "policy:": "version",
    "policy-api:": "version",
    "fleet:environment": "environment",
    "fleet-api:environment": "environment",
    "fleet:key": "key",
    "fleet:bundle": "version",
    "fleet-api:bundle": "version",
    "fleet:token": "enrolment token",
    "fleet-api:enrolment-token": "enrolment token",
    "fleet:cluster": "cluster",
    "fleet:sensor": "sensor",
    "fleet:sensor-file": "",
    "fleet-api:sensor": "sensor",
    "fleet:rollout": "version",
    "fleet-api:rollout": "version",
    "fleet-api:deliveries": "version",
    "alerts:view": "saved view",
    "alerts:route": "alert route",
    "alerts:": "alert",
    "alerts-api:": "alert",
    "alerts-api:kubernetes-audit": "cluster",
    "backtest:": "run",
    "backtest-api:": "run",
    "backtest:noise": "noise budget",
    "backtest-api:noise": "noise budget",
}
"""The kind of object that a URL names, by the longest beginning of its name; "": a secret, whoever has it.

A URL that is missing fails a test.
"""
WITH_ARGUMENTS: Final = {name for name, arguments in URLS if arguments}


def kind_of(name: str) -> str:
    """Return the kind of object that the URL names; "" where it names none."""
    if name not in WITH_ARGUMENTS:
        return ""
    return KINDS.get(max((each for each in KINDS if name.startswith(each)), key=len, default=""), "unknown")
