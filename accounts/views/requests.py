"""What the views of accounts share."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest

from accounts.models import User

UNPROCESSABLE = 422


def signed_in_user(request: HttpRequest) -> User:
    """Return the signed-in user: the permission table rejects anonymous requests."""
    return cast("User", request.user)
