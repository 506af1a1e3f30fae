"""The page of known files: lists of SHA-256 sums, and looking files up."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.roles import Role
from drift.alerts.actions.hash_lists import add_hash_list, audit_look_up, delete_hash_list
from drift.alerts.domain.hash_sums import MAX_LISTED, MAX_LOOKED_UP, HashesInvalid, read_sums
from drift.alerts.errors import ChangeConflict, Invalid
from drift.alerts.models import HashList, HashVerdict
from drift.alerts.queries.hash_look_up import look_up
from drift.web.requests import bounded_int, signed_in_user
from drift.web.responses import UNPROCESSABLE

SHOWN_TEXT: Final = 100_000
"""Characters of a refused text that the page gives back."""


def hash_lists(request: HttpRequest) -> HttpResponse:
    """Show the lists, and the form to look files up."""
    return _page(request)


def add(request: HttpRequest) -> HttpResponse:
    """Add a list (`name`, `verdict`, and `file` or `text`)."""
    name, verdict = request.POST.get("name", ""), request.POST.get("verdict", "")
    try:
        added = add_hash_list(signed_in_user(request), name, verdict, read_sums(_text(request), MAX_LISTED))
    except HashesInvalid as error:
        return _page(request, {"text": str(error)}, status=UNPROCESSABLE)
    except Invalid as error:
        return _page(request, {error.extra["field"]: str(error.detail)}, status=UNPROCESSABLE)
    messages.success(request, f"List {added.name} added: {added.size:,} sums")
    return redirect("alerts:hash-lists")


def delete(request: HttpRequest) -> HttpResponse:
    """Delete the list `list`."""
    try:
        deleted = delete_hash_list(signed_in_user(request), bounded_int(request.POST.get("list", "")) or 0)
    except ChangeConflict as error:
        messages.error(request, str(error.detail))
        return redirect("alerts:hash-lists")
    messages.success(request, f"List {deleted.name} deleted")
    return redirect("alerts:hash-lists")


def look_up_files(request: HttpRequest) -> HttpResponse:
    """Look up the files in `sums`: by POST, because sums are too long for an address, and each look-up is audited."""
    user = signed_in_user(request)
    try:
        hashes = read_sums(request.POST.get("sums", ""), MAX_LOOKED_UP)
    except HashesInvalid as error:
        return _page(request, {"sums": str(error)}, status=UNPROCESSABLE)
    audit_look_up(user, hashes)
    return _page(request, found=look_up(user, hashes))


def _text(request: HttpRequest) -> str:
    file = request.FILES.get("file")
    if isinstance(file, UploadedFile):
        sums: bytes = file.read()
        return sums.decode("utf-8", "replace")
    return str(request.POST.get("text", ""))


def _page(
    request: HttpRequest, errors: dict[str, str] | None = None, *, status: int = 200, **more: Any
) -> HttpResponse:
    user = signed_in_user(request)
    context = {
        "lists": HashList.objects.select_related("created_by"),
        "verdicts": HashVerdict.choices,
        "can_change": user.has_role(Role.OWNER) and user.sees_whole_estate,
        "errors": errors or {},
        "typed": {name: value[:SHOWN_TEXT] for name, value in request.POST.items() if isinstance(value, str)},
        "most_listed": MAX_LISTED,
        "most_looked_up": MAX_LOOKED_UP,
        **more,
    }
    return render(request, "alerts/hash_lists/page.html", context, status=status)
