"""DRF's view of what the middleware found: a person by token needs no CSRF check."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.models import User


class BearerAuthentication(BaseAuthentication):
    """The user of a request that carried a person's token; None leaves it to the session."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        user = getattr(request._request, "user", None)
        return (user, None) if getattr(request._request, "by_token", False) and isinstance(user, User) else None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'
