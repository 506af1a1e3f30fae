"""The first rows of a new installation: an Owner, or the demo's users, environments and tokens."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.utils import timezone

from accounts.actions.tokens import create_token
from accounts.actions.users import create_user
from accounts.models import User
from accounts.roles import Role
from accounts.tokens import TokenScope
from drift.fleet import actions as fleet
from drift.fleet.models import Environment
from portal.serve.estate import ENVIRONMENTS
from portal.serve.options import read_json, write_private

TOKENS_FILE = "demo-tokens.json"
OWNER_EMAIL = "owner@driftwatch.example"


def make_owner(file: Path) -> None:
    """If there are no users yet, create one Owner; write the one-time password to `file` (mode 0600)."""
    if User.objects.exists():
        return
    with transaction.atomic():
        user, password = create_user(None, email=OWNER_EMAIL, name="Owner", role=Role.OWNER)
        write_private(file, json.dumps({"users": [{"role": user.role, "email": user.email, "password": password}]}))


def make_demo(file: Path) -> None:
    """Create one user per role, the sample environments with an enrolment token each, and an API token; once.

    Writes `file`, and the enrolment tokens beside it, both mode 0600. A start that was interrupted is resumed.
    Raises CommandError if the installation is not a demo.
    """
    found = read_json(file) or _make_users(file)
    if found["api_token"]:
        return
    owner = User.objects.get(email=found["users"][-1]["email"])
    tokens = {item.account: _enrolment_token(owner, item.provider, item.account, item.name) for item in ENVIRONMENTS}
    write_private(file.with_name(TOKENS_FILE), json.dumps(tokens))
    expires_at = timezone.now() + dt.timedelta(days=365)
    api_token = create_token(owner, "demo", expires_at, scopes=list(TokenScope))
    found |= {"api_token": api_token, "enrolment_token": next(iter(tokens.values()))}
    write_private(file, json.dumps(found, indent=2) + "\n")


def _make_users(file: Path) -> dict[str, Any]:
    """Create the users and the file with their passwords: both or neither. The Owner is the last."""
    if User.objects.exists():
        raise CommandError("This DATA_DIR holds an installation that is not a demo. Choose another: DATA_DIR=…")
    users = []
    with transaction.atomic():
        for role in Role:
            email = f"{role.value}@driftwatch.example"
            _, password = create_user(None, email=email, name=role.label, role=role, one_time=False)
            users.append({"role": role.label, "email": email, "password": password})
        found = {"url": "", "users": users, "api_token": "", "enrolment_token": ""}
        write_private(file, json.dumps(found))
    return found


def _enrolment_token(owner: User, provider: str, account: str, name: str) -> str:
    environment = Environment.objects.filter(provider=provider, account=account).first()
    if environment is None:
        environment = fleet.create_environment(owner, provider=provider, account=account, name=name)
    return fleet.create_enrolment_token(owner, environment=environment, name="Sample sensors")[1]
