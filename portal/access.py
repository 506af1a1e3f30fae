"""The permission table: the role that each URL requires, enforced by middleware and tested for every role.

A view that is not in the table returns 404 to everybody: deny by default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from enum import Enum
from typing import Any, Final

from django.http import HttpRequest

from accounts.roles import Role
from accounts.tokens import TokenScope
from portal.confirmation import (
    restores_blocking_version,
    resumes_blocking,
    rolls_back_to_blocking,
    saves_blocking_draft,
)


class Open(Enum):
    """Callers other than users. Views of SENSOR and SCRAPER check their token or credential themselves."""

    ANYONE = "anyone"
    SENSOR = "sensor"
    SCRAPER = "Prometheus"

    @property
    def label(self) -> str:
        return self.value


Who = Role | Open
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
CHANGES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
"""No others: Django asks TRACE for no CSRF token, and a page whose table names no other method takes it for POST."""


@dataclass(frozen=True)
class Access:
    """Who is allowed to read (GET, HEAD) and to change (POST, PUT, PATCH, DELETE). None: the method is not allowed.

    `whole_estate`: only for users, and tokens, that see the whole estate (docs/scopes.md).
    `token`: the scope that an API token needs, beside its user's role. None: no token is accepted.
    `programs_only`: sessions are refused, so that what is sent bears the token that sent it.
    `recent`: a change from a session needs a proof of identity within five minutes, always or where the function says.
    """

    read: Who | None
    change: Who | None = None
    _: KW_ONLY
    whole_estate: bool = False
    token: TokenScope | None = None
    programs_only: bool = False
    recent: bool | Callable[..., bool] = False

    def needs_recent(self, request: HttpRequest, arguments: dict[str, Any]) -> bool:
        """Return whether this request must come from a session whose user has just proved who they are."""
        if request.method in SAFE or getattr(request, "by_token", False):
            return False
        return self.recent if isinstance(self.recent, bool) else self.recent(request, **arguments)

    def token_scope(self, method: str) -> TokenScope | None:
        """Return the scope for this method: `read` for what every user may read, else `token`."""
        return TokenScope.READ if self.token and method in SAFE and self.read is Role.READER else self.token

    def required(self, method: str) -> Who | None:
        if method in SAFE:
            return self.read
        return self.change if method in CHANGES else None


READER, OPERATOR, ADMIN, OWNER = Role.READER, Role.OPERATOR, Role.ADMIN, Role.OWNER

TABLE: Final[dict[str, Access]] = {
    # Home, sign-in, accounts
    "home": Access(Open.ANYONE),
    "healthz": Access(Open.ANYONE),
    "readyz": Access(Open.ANYONE),
    "metrics": Access(Open.SCRAPER),
    "account_login": Access(Open.ANYONE, Open.ANYONE),
    "mfa_authenticate": Access(Open.ANYONE, Open.ANYONE),
    "mfa_login_webauthn": Access(Open.ANYONE, Open.ANYONE),
    "accounts:password-forgotten": Access(Open.ANYONE, Open.ANYONE),
    "accounts:issuer": Access(Open.ANYONE),
    "accounts:issuer-callback": Access(Open.ANYONE),
    "accounts:issuer-logout": Access(None, Open.ANYONE),
    "accounts:issuer-confirm": Access(READER),
    "accounts:issuer-link": Access(READER, READER, recent=True),
    "accounts:sign-out": Access(None, READER),
    "accounts:confirm": Access(READER, READER),
    "accounts:confirm-passkey": Access(READER),
    "mfa_index": Access(READER),
    "mfa_activate_totp": Access(READER, READER, recent=True),
    "mfa_deactivate_totp": Access(READER, READER, recent=True),
    "mfa_add_webauthn": Access(READER, READER, recent=True),
    "mfa_edit_webauthn": Access(READER, READER),
    "mfa_remove_webauthn": Access(READER, READER, recent=True),
    "mfa_view_recovery_codes": Access(READER),
    "mfa_generate_recovery_codes": Access(READER, READER, recent=True),
    "accounts:password": Access(READER, READER),
    "accounts:email-send": Access(None, READER),
    "accounts:email-verify": Access(READER, READER),
    "accounts:tokens": Access(READER, READER, recent=True),
    "accounts:token-revoke": Access(None, READER),
    "accounts:users": Access(OWNER, OWNER, recent=True),
    "accounts:user": Access(OWNER, OWNER, recent=True),
    "accounts:second-factor-reset": Access(None, OWNER, recent=True),
    "accounts:service-account-add": Access(None, OWNER, recent=True),
    "accounts:user-link": Access(None, OWNER, recent=True),
    "accounts:user-link-revoke": Access(None, OWNER),
    "accounts:user-email-send": Access(None, OWNER),
    "accounts:user-end": Access(None, OWNER),
    "accounts:user-token-add": Access(None, OWNER, recent=True),
    "accounts:link-password": Access(Open.ANYONE, Open.ANYONE),
    "accounts:link": Access(Open.ANYONE),
    "accounts:session": Access(Open.ANYONE, READER),
    "accounts:sessions": Access(READER),
    "accounts:sessions-end": Access(None, READER),
    "accounts:session-end": Access(None, READER),
    "accounts:user-scope": Access(OWNER, OWNER, recent=True),
    "accounts:user-part-add": Access(None, OWNER, recent=True),
    "accounts:scopes": Access(OWNER, OWNER, recent=True),
    "accounts:scope-group": Access(OWNER, OWNER, recent=True),
    "accounts:group-part-add": Access(None, OWNER, recent=True),
    "accounts:scope-group-delete": Access(None, OWNER, recent=True),
    "accounts:token-scope": Access(READER, READER, recent=True),
    "accounts:token-part-remove": Access(None, READER, recent=True),
    "accounts:scope-part-remove": Access(None, OWNER, recent=True),
    "accounts:audit": Access(READER),
    "accounts:audit-csv": Access(READER),
    "accounts:audit-json": Access(READER),
    "accounts-api:audit": Access(READER, token=TokenScope.READ),
    "api-schema": Access(Open.ANYONE),
    # Notifications: the user's own, and the settings
    "notify:inbox": Access(READER, READER),
    "notify:bell": Access(READER),
    "notify:read": Access(None, READER),
    "notify:configure": Access(ADMIN, ADMIN, recent=True),
    "notify:webhook-add": Access(None, ADMIN, recent=True),
    "notify:webhook-remove": Access(None, ADMIN, recent=True),
    "notify:webhook-test": Access(None, ADMIN),
    "notify:mail-test": Access(None, ADMIN),
    "notify:retry": Access(None, ADMIN),
    "alerts:routes": Access(ADMIN, ADMIN, recent=True),
    "alerts:route": Access(ADMIN, ADMIN, recent=True),
    "alerts:route-remove": Access(None, ADMIN, recent=True),
    # Forwarding to a SIEM
    "siem:destinations": Access(ADMIN, ADMIN, recent=True),
    "siem:destination-status": Access(ADMIN),
    "siem:destination-switch": Access(None, ADMIN, recent=True),
    "siem:destination-test": Access(None, ADMIN),
    "siem:destination-remove": Access(None, ADMIN, recent=True),
    # The drift policy: its page and the page's parts
    "policy:page": Access(READER),
    "policy:rule": Access(READER),
    "policy:rule-new": Access(OPERATOR),
    "policy:rule-check": Access(None, READER),
    "policy:rule-apply": Access(None, OPERATOR),
    "policy:command": Access(None, OPERATOR),
    "policy:newer": Access(READER),
    "policy:marks": Access(READER),
    "policy:move": Access(None, OPERATOR),
    "policy:order": Access(None, OPERATOR),
    "policy:default": Access(None, OPERATOR),
    "policy:detect": Access(READER, OPERATOR),
    "policy:review": Access(OPERATOR),
    "policy:discard": Access(None, OPERATOR),
    "policy:undo": Access(None, OPERATOR),
    "policy:rebase": Access(None, OPERATOR),
    "policy:save": Access(None, ADMIN, recent=saves_blocking_draft),
    "policy:starter": Access(OPERATOR, OPERATOR),
    "policy:import": Access(OPERATOR, OPERATOR),
    "policy:propose": Access(None, OPERATOR),
    "policy:proposals": Access(READER),
    "policy:proposal": Access(READER),
    "policy:proposal-comment": Access(None, OPERATOR),
    "policy:proposal-take": Access(None, ADMIN),
    "policy:proposal-accept": Access(None, ADMIN, recent=True),
    "policy:proposal-decline": Access(None, ADMIN),
    "policy:proposal-withdraw": Access(None, OPERATOR),
    "policy:versions": Access(READER),
    "policy:compare": Access(READER),
    "policy:restore": Access(ADMIN, ADMIN, recent=restores_blocking_version),
    "policy:export": Access(READER),
    "policy-api:versions": Access(READER, ADMIN, token=TokenScope.POLICY, recent=True),
    "policy-api:version": Access(READER, token=TokenScope.READ),
    "policy-api:version-restore": Access(None, ADMIN, token=TokenScope.POLICY, recent=True),
    "policy-api:draft": Access(OPERATOR, OPERATOR, token=TokenScope.PROPOSE),
    "policy-api:draft-save": Access(None, ADMIN, token=TokenScope.POLICY, recent=True),
    "policy-api:proposals": Access(READER, OPERATOR, token=TokenScope.PROPOSE),
    "policy-api:proposal": Access(READER, token=TokenScope.READ),
    "policy-api:proposal-comments": Access(READER, OPERATOR, token=TokenScope.PROPOSE),
    "policy-api:proposal-accept": Access(None, ADMIN, token=TokenScope.POLICY, recent=True),
    "policy-api:proposal-decline": Access(None, ADMIN, token=TokenScope.POLICY),
    "policy-api:proposal-withdraw": Access(None, OPERATOR, token=TokenScope.PROPOSE),
    "policy-api:check": Access(None, READER, token=TokenScope.READ),
    # Backtests
    "backtest:start": Access(READER, OPERATOR),
    "backtest:effect": Access(READER),
    "backtest:of-draft": Access(OPERATOR, OPERATOR),
    "backtest:run": Access(READER),
    "backtest:cancel": Access(None, OPERATOR),
    "backtest-api:runs": Access(READER, OPERATOR, token=TokenScope.PROPOSE),
    "backtest-api:run": Access(READER, token=TokenScope.READ),
    "backtest-api:cancel": Access(None, OPERATOR, token=TokenScope.PROPOSE),
    # Noise budgets
    "backtest:noise": Access(READER, OPERATOR, whole_estate=True),
    "backtest:noise-run": Access(READER, whole_estate=True),
    "backtest:noise-cancel": Access(None, OPERATOR, whole_estate=True),
    "backtest:noise-copy": Access(None, OPERATOR, whole_estate=True),
    "backtest-api:noise-runs": Access(READER, OPERATOR, whole_estate=True, token=TokenScope.PROPOSE),
    "backtest-api:noise-run": Access(READER, whole_estate=True, token=TokenScope.READ),
    "backtest-api:noise-cancel": Access(None, OPERATOR, whole_estate=True, token=TokenScope.PROPOSE),
    "backtest-api:noise-copy": Access(None, OPERATOR, whole_estate=True, token=TokenScope.PROPOSE),
    # Pages of alerts
    "alerts:list": Access(READER),
    "alerts:completions": Access(READER),
    "alerts:live": Access(READER),
    "alerts:export-csv": Access(READER),
    "alerts:export-json": Access(READER),
    "alerts:density": Access(None, READER),
    "alerts:selection": Access(OPERATOR),
    "alerts:charts": Access(READER),
    "alerts:view-save": Access(None, READER),
    "alerts:view-delete": Access(None, READER),
    "alerts:samples": Access(None, OPERATOR),
    "alerts:rule-hits": Access(READER),
    "alerts:values": Access(READER),
    "alerts:decided-by-rule": Access(None, READER),
    "alerts:ignored-by-rule": Access(None, READER),
    "alerts:why": Access(READER, READER),
    "alerts:blocked-workloads": Access(READER),
    "alerts:rule-workloads": Access(READER),
    "alerts:would-block": Access(READER),
    "alerts:ignored-by-draft": Access(ADMIN),
    "alerts:ignored-dismiss": Access(None, OPERATOR),
    "alerts:decide": Access(OPERATOR, OPERATOR),
    "alerts:status": Access(None, OPERATOR),
    "alerts:undo": Access(None, OPERATOR),
    "alerts:assign": Access(None, OPERATOR),
    "alerts:release": Access(None, OPERATOR),
    "alerts:hash-lists": Access(READER),
    "alerts:hash-list-add": Access(None, OWNER, whole_estate=True),
    "alerts:hash-list-delete": Access(None, OWNER, whole_estate=True),
    "alerts:hash-look-up": Access(None, READER),
    "alerts:suppression": Access(READER),
    "alerts:hidden-report": Access(READER),
    "alerts:suppression-edit": Access(OPERATOR, OPERATOR),
    "alerts:suppression-simulate": Access(None, OPERATOR),
    "alerts:suppression-delete": Access(None, OPERATOR),
    "alerts:incident": Access(READER),
    "alerts:detail": Access(READER),
    "alerts:detail-live": Access(READER),
    "alerts:json": Access(READER),
    "alerts:report": Access(READER),
    "alerts:comment": Access(None, OPERATOR),
    "alerts:rule": Access(None, OPERATOR),
    "alerts-api:alerts": Access(READER, token=TokenScope.READ),
    "alerts-api:alert": Access(READER, token=TokenScope.READ),
    "alerts-api:status": Access(None, OPERATOR, token=TokenScope.TRIAGE),
    "alerts-api:known-files": Access(READER, token=TokenScope.READ),
    "alerts-api:known-files-look-up": Access(None, READER, token=TokenScope.READ),
    "alerts-api:kubernetes-audit": Access(None, OPERATOR, token=TokenScope.KUBERNETES_AUDIT, programs_only=True),
    # Alerts: what sensors send
    "alerts-api:events": Access(None, Open.SENSOR),
    "alerts-api:execs": Access(None, Open.SENSOR),
    # The fleet: pages
    "fleet:environment-settings": Access(READER),
    "fleet:environment-add": Access(ADMIN, ADMIN),
    "fleet:environment-change": Access(ADMIN, ADMIN),
    "fleet:environment-switch": Access(ADMIN, ADMIN),
    "fleet:environment-retire": Access(ADMIN, ADMIN),
    "fleet:environment-restore": Access(None, ADMIN),
    "fleet:blocking": Access(ADMIN, ADMIN, recent=resumes_blocking),
    "fleet:protection-note": Access(READER),
    "fleet:blocking-sensors": Access(READER),
    "fleet:unable-to-block": Access(READER),
    "fleet:keys": Access(OWNER),
    "fleet:key-add": Access(None, OWNER, recent=True),
    "fleet:key-change": Access(OWNER, OWNER, recent=True),
    "fleet:bundle": Access(READER),
    "fleet:versions": Access(READER),
    "fleet:onboarding": Access(ADMIN, ADMIN, recent=True),
    "fleet:token-nodes": Access(ADMIN),
    "fleet:sensor-file": Access(Open.ANYONE),
    "fleet:token-revoke": Access(None, ADMIN),
    "fleet:scope-tree": Access(READER),
    "fleet:delivery-line": Access(READER),
    "fleet:cluster": Access(READER),
    "fleet:sensor": Access(READER),
    "fleet:sensor-end": Access(ADMIN, ADMIN),
    "fleet:sensor-quarantine": Access(ADMIN, ADMIN),
    "fleet:rollouts": Access(READER),
    "fleet:rollout": Access(READER),
    "fleet:rollout-plan": Access(ADMIN, ADMIN),
    "fleet:rollout-control": Access(None, ADMIN),
    "fleet:rollout-roll-back": Access(None, ADMIN, recent=rolls_back_to_blocking),
    # Health
    "health:page": Access(READER),
    "health:banner": Access(READER),
    "health-api:health": Access(READER, token=TokenScope.READ),
    # The fleet: what sensors call
    "fleet-api:enrol": Access(None, Open.SENSOR),
    "fleet-api:policy": Access(Open.SENSOR),
    "fleet-api:policy-status": Access(None, Open.SENSOR),
    "fleet-api:policy-proof": Access(None, Open.SENSOR),
    "fleet-api:heartbeat": Access(None, Open.SENSOR),
    "fleet-api:stream-ticket": Access(None, Open.SENSOR),
    # The fleet: API clients
    "fleet-api:bundle": Access(READER, token=TokenScope.READ),
    "fleet-api:public-keys": Access(READER, token=TokenScope.READ),
    "fleet-api:environments": Access(READER, ADMIN, token=TokenScope.FLEET),
    "fleet-api:environment": Access(READER, ADMIN, token=TokenScope.FLEET),
    "fleet-api:clusters": Access(READER, token=TokenScope.READ),
    "fleet-api:sensors": Access(READER, token=TokenScope.READ),
    "fleet-api:sensor": Access(READER, token=TokenScope.READ),
    "fleet-api:sensor-revoke": Access(None, ADMIN, token=TokenScope.FLEET),
    "fleet-api:sensor-quarantine": Access(None, ADMIN, token=TokenScope.FLEET),
    "fleet-api:sensor-release": Access(None, ADMIN, token=TokenScope.FLEET),
    "fleet-api:enrolment-tokens": Access(ADMIN, ADMIN, token=TokenScope.FLEET, recent=True),
    "fleet-api:enrolment-token-revoke": Access(None, ADMIN, token=TokenScope.FLEET),
    "fleet-api:rollouts": Access(READER, token=TokenScope.READ),
    "fleet-api:rollout": Access(READER, token=TokenScope.READ),
    "fleet-api:deliveries": Access(READER, token=TokenScope.READ),
    "fleet-api:rollout-pause": Access(None, ADMIN, token=TokenScope.FLEET),
    "fleet-api:rollout-resume": Access(None, ADMIN, token=TokenScope.FLEET),
    "fleet-api:rollout-roll-back": Access(None, ADMIN, token=TokenScope.POLICY, recent=rolls_back_to_blocking),
    "fleet-api:rollout-plan": Access(READER, ADMIN, whole_estate=True, token=TokenScope.FLEET),
    "fleet-api:blocking": Access(READER, ADMIN, token=TokenScope.FLEET, recent=resumes_blocking),
}
