"""The largest body of each URL: what is longer is refused before any of it is read.

Beside the permission table, which has the same names. `portal.front` enforces it on what arrives, whatever length was
declared; `portal.access` again on the declared length, under any server.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import Resolver404, resolve

KIB: Final = 1024
MIB: Final = 1024 * KIB

DEFAULT: Final = 64 * KIB
"""Of every URL that is not listed, and the most that is read before the caller has been authenticated."""

PREFLIGHT: Final = "driftwatch.preflight"
"""Key of `request.META` in a call that asks whether its caller may send a body. No request header has such a key."""

LARGEST: Final[dict[str, int]] = {
    # Forms of the policy page: a rule with lists of values; an order names every rule.
    "policy:rule-check": MIB,
    "policy:rule-apply": MIB,
    "policy:command": MIB,
    "policy:order": MIB,
    "policy:detect": MIB,
    "policy:starter": MIB,
    "alerts:samples": MIB,
    "alerts:decided-by-rule": MIB,
    "alerts:ignored-by-rule": MIB,
    # A status for a thousand alerts at once, each with its revision.
    "alerts:decide": MIB,
    "alerts:status": MIB,
    "alerts:undo": MIB,
    "alerts:assign": MIB,
    # 1,000 sums with file names; 100,000 in a file.
    "alerts:hash-look-up": MIB,
    "alerts:hash-list-add": 16 * MIB,
    "alerts-api:known-files-look-up": MIB,
    "alerts-api:status": MIB,
    # Policy documents: a thousand rules, each with a hundred values, have 4 MiB.
    "policy:import": 16 * MIB,
    "policy-api:versions": 16 * MIB,
    "policy-api:draft": 16 * MIB,
    "policy-api:check": 16 * MIB,
    "backtest-api:runs": 16 * MIB,
    # A policy document in a signed bundle, in base64.
    "fleet-api:policy-proof": 16 * MIB,
    # 1,000 events, compressed or not.
    "alerts-api:events": 8 * MIB,
    "alerts-api:execs": 4 * MIB,
    # A batch of the Kubernetes API server's webhook, which it cuts at 10 MiB where it is told to.
    "alerts-api:kubernetes-audit": 16 * MIB,
}


@lru_cache(maxsize=1024)
def body_limit(path: str) -> int:
    """Return the most bytes that a request to this path may have as its body."""
    try:
        return view_limit(resolve(path).view_name)
    except Resolver404:
        return DEFAULT


def view_limit(name: str) -> int:
    """Return the most bytes of a body for the view of this URL name."""
    return LARGEST.get(name, DEFAULT)


def declared_length(request: HttpRequest) -> int:
    """Return what Content-Length declares; 0 without a number."""
    text = str(request.META.get("CONTENT_LENGTH") or "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def size(limit: int) -> str:
    """Return a limit in words, as "64 KiB"."""
    return f"{limit // MIB} MiB" if limit % MIB == 0 else f"{limit // KIB} KiB"


def too_large(request: HttpRequest, limit: int) -> HttpResponseBase:
    """413: one line of JSON for API clients, else a page."""
    message = f"The body may have at most {size(limit)}."
    if request.path.startswith("/api/"):
        return JsonResponse({"code": "too_large", "message": message}, status=413)
    return render(request, "413.html", {"message": message}, status=413)
