"""Requests to the policy page, and what its responses show."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from django.test import Client

from drift.policy.queries.drafts import draft_state

PAGE = "/settings/policy/"
HTMX = {"HX-Request": "true"}


def text(response: Any) -> str:
    return unescape(response.content.decode())


def names(response: Any) -> list[str]:
    return re.findall(r"data-panel>(.*?)</a>", text(response))


def revision(user: Any) -> str:
    return str(draft_state(user).draft_revision)


def send(client: Client, user: Any, path: str, data: dict[str, Any], *, htmx: bool = True) -> Any:
    return client.post(PAGE + path, {"revision": revision(user), **data}, headers=HTMX if htmx else {})
