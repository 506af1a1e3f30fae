"""Makes `request.user` the person whose API token came along."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from accounts import tokens
from accounts.actions import authenticate_token


class BearerTokenMiddleware:
    """Only tokens of people count, and only for the API: a stolen one must not open the pages that make more.

    A sensor's credential is its own API's business.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        header = request.headers.get("Authorization", "") if request.path.startswith("/api/") else ""
        text = tokens.bearer(header)
        if text and tokens.public_prefix(text, tokens.PERSON):
            request.user = authenticate_token(text)
            request.by_token = True  # type: ignore[attr-defined]
        return self.get_response(request)
