"""Set `request.user` from an API token."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.common import CommonMiddleware

from accounts import tokens
from accounts.actions.session_store import SessionStore
from accounts.actions.tokens import authenticate_token, seconds_over_limit
from accounts.client_address import client_address


class BearerTokenMiddleware:
    """Accept users' tokens, for the API only: with a stolen token nobody must reach the page that creates more.

    The sensor API authenticates sensor credentials itself.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        header = request.headers.get("Authorization", "") if request.path.startswith("/api/") else ""
        if not tokens.is_bearer(header):
            return self.get_response(request)
        # Whatever the token is worth: a request that sends one never falls back on the session of a browser.
        token = authenticate_token(tokens.bearer_token(header) or "", client_address(request))
        request.user = token.limited_user() if token else AnonymousUser()
        request.api_token = token  # type: ignore[attr-defined]
        request.by_token = True  # type: ignore[attr-defined]
        if token and (wait := seconds_over_limit(token)):
            message = f"This token may send {token.requests_per_minute} requests per minute. Try again in {wait} s."
            body = {"code": "too_many_requests", "message": message}
            return JsonResponse(body, status=429, headers={"Retry-After": str(wait)})
        return self.get_response(request)


class SessionActivityMiddleware(SessionMiddleware):
    """Django's, which also records that the user is active: not for what a page requests by itself (shell.js).

    It deletes the cookie of a session that this request ended, not of one that it did not find: a slow response to a
    request from before a sign-out or sign-in would delete the cookie of the next session.
    """

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Save the session if it changed, and record activity at most once a minute."""
        response = super().process_response(request, response)
        session = request.session
        if isinstance(session, SessionStore) and session.is_empty() and not session.is_flushed:
            response.cookies.pop(settings.SESSION_COOKIE_NAME, None)
        if isinstance(session, SessionStore) and "X-Poll" not in request.headers and response.status_code < 500:
            session.record_activity()
        return response


class CommonMiddlewareOfPages(CommonMiddleware):
    """Django's, which redirects to the URL with a slash at its end; API clients get 404 instead of a redirect."""

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        return not request.path.startswith("/api/") and super().should_redirect_with_slash(request)
