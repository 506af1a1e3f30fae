"""What the views of alerts share."""

from __future__ import annotations

import hashlib
from typing import cast

from django.http import HttpRequest, HttpResponse

from accounts.models import User
from drift.alerts.queries.query_limits import Short


def user_of(request: HttpRequest) -> User:
    """The signed-in user; the access table lets nobody else through."""
    return cast("User", request.user)


def is_htmx(request: HttpRequest) -> bool:
    """Whether a part is asked for rather than a page."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-History-Restore-Request") != "true"


def status_of(short: Short | None) -> int:
    """200, or 429 where less is shown than was asked for because others were first."""
    return 429 if short in {Short.OWN, Short.OTHERS} else 200


def etag_of(*facts: object) -> str:
    """An ETag over what an answer is made from."""
    return f'"{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}"'


def unchanged(request: HttpRequest, etag: str) -> HttpResponse | None:
    """304 where the asker has it already."""
    if request.headers.get("If-None-Match") == etag:
        return HttpResponse(status=304, headers={"ETag": etag})
    return None
