"""What the views of accounts share."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest

from accounts.actions.session_store import SessionStore
from accounts.models import User

UNPROCESSABLE = 422
TOO_MANY = 429


def signed_in_user(request: HttpRequest) -> User:
    """Return the signed-in user: the permission table rejects anonymous requests."""
    return cast("User", request.user)


def current_session(request: HttpRequest) -> int | None:
    """Return the id of the session that sends this request; None for an API token."""
    return request.session.row_id if isinstance(request.session, SessionStore) else None
