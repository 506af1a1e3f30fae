"""Responses for fragments that poll: 304 where the browser already shows the same content."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response

UNPROCESSABLE: Final = 422
_CSRF_VALUE = re.compile(rb'(name="csrfmiddlewaretoken" value=")[^"]*')


def polled_fragment(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """Render `template`; 304 where the request's If-None-Match has its ETag."""
    response = render(request, template, context)
    # CSRF values differ in each response, although the content is the same.
    etag = content_etag(_CSRF_VALUE.sub(rb"\1", response.content))
    response["ETag"] = etag
    return cast("HttpResponse", get_conditional_response(request, etag=etag, response=response))


def not_modified(request: HttpRequest, etag: str) -> HttpResponse | None:
    """Return a 304 where the browser has the content of this ETag, else None."""
    if request.headers.get("If-None-Match") == etag:
        return HttpResponse(status=304, headers={"ETag": etag})
    return None


def facts_etag(*facts: object) -> str:
    """Return an ETag over everything that a response is made from, for responses that need not be rendered."""
    return content_etag(repr(facts).encode())


def content_etag(content: bytes) -> str:
    """Return a strong ETag, quoted."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'
