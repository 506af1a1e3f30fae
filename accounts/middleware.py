"""Set `request.user` from an API token."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from accounts import tokens
from accounts.actions.tokens import authenticate_token


class BearerTokenMiddleware:
    """Accept users' tokens, for the API only: with a stolen token nobody must reach the page that creates more.

    The sensor API authenticates sensor credentials itself.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        header = request.headers.get("Authorization", "") if request.path.startswith("/api/") else ""
        text = tokens.bearer_token(header)
        if text and tokens.public_prefix(text, tokens.PERSON):
            request.user = authenticate_token(text)
            request.by_token = True  # type: ignore[attr-defined]
        return self.get_response(request)
