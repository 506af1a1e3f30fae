"""Who may sign in, and for DRF the user that the middleware found by token: such a request needs no CSRF check."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.actions.session_store import SessionStore
from accounts.models import User
from accounts.request_context import current_session


class PersonBackend(ModelBackend):
    """Sign in active people. A session of a service account is anonymous, however it came about."""

    def get_user(self, user_id: Any) -> User | None:
        """Return the user of a session; of this request's as it was read with them."""
        session = current_session()
        user = session.take_user(user_id) if isinstance(session, SessionStore) else None
        if user is None:
            return super().get_user(user_id)
        return user if self.user_can_authenticate(user) else None

    def user_can_authenticate(self, user: User | AnonymousUser | None) -> bool:
        """Return whether this user may have a session."""
        return super().user_can_authenticate(user) and not getattr(user, "is_service", False)


class BearerAuthentication(BaseAuthentication):
    """Authenticate requests with a user's API token; others are left to the session."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        user = getattr(request._request, "user", None)
        return (user, None) if getattr(request._request, "by_token", False) and isinstance(user, User) else None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'
