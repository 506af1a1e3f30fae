"""Give each request its id, and make it the source of the changes that it causes."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from accounts.actions.proxy_warnings import check_proxies
from accounts.request_context import new_request_id, serving


class RequestContextMiddleware:
    """The outermost middleware: its id is in every response, log line and audit entry of the request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = new_request_id(request)
        request.request_id = request_id  # type: ignore[attr-defined]
        check_proxies(request)
        with serving(request, request_id):
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response
