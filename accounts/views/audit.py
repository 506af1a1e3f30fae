"""The audit log's page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.queries.audit import audit_page
from accounts.views.requests import signed_in_user


def audit_log(request: HttpRequest) -> HttpResponse:
    """List audit entries, newest first; `before` is the id that the previous page ended with."""
    entries, older = audit_page(signed_in_user(request), request.GET.get("before", ""))
    return render(request, "accounts/audit.html", {"entries": entries, "older": older})
