"""The history of the policy: its versions, what differs between two, restoring one, and taking one home as a file."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from drift.policy.actions import drafts as actions
from drift.policy.domain.diff import diff
from drift.policy.domain.document_files import FORMATS, write
from drift.policy.errors import NewerVersion
from drift.policy.models import PolicyVersion
from drift.policy.queries.draft_state import latest_number, latest_version
from drift.policy.views.presentation import change_lines
from drift.policy.views.responses import comment_of, in_place_of_list, is_htmx, user_of

LISTED = 50
LARGEST = 2_147_483_647
"""The column's greatest number; PostgreSQL refuses to compare with more."""


def history(request: HttpRequest) -> HttpResponse:
    """Versions, newest first; `?before=` shows those below a number."""
    return render(request, "policy/versions.html", _history(request))


def compare(request: HttpRequest) -> HttpResponse:
    """What differs from version `?from=` to version `?to=`; without `from`, from the one before it."""
    to = _version(request, _number(request.GET.get("to", "")))
    start = _version(request, _number(request.GET["from"]) if "from" in request.GET else to.base_id or to.number)
    context = {"start": start, "to": to, "lines": change_lines(diff(start.document, to.document))}
    return _panel(request, "policy/compare_panel.html", context)


def restore(request: HttpRequest, number: int) -> HttpResponse:
    """GET asks, and shows what would change; POST makes the old document the next version."""
    version = _version(request, number)
    if request.method != "POST":
        return _ask(request, version)
    base = _number(request.POST.get("base", ""))
    try:
        saved = actions.restore_version(user_of(request), number, base, comment_of(request))
    except NewerVersion as error:
        return _ask(request, version, f"v{error.latest} has been saved meanwhile. Nothing was restored.", 409)
    if saved.is_new:
        messages.success(request, f"Saved as {saved.version}, with the rules of {version}")
    else:
        messages.info(request, f"Nothing to restore: {saved.version} is the same as {version}")
    if not is_htmx(request):
        return redirect("policy:versions")
    part = render(request, "policy/versions.html#versions", _history(request) | {"is_part": True})
    return in_place_of_list(part, closes_panel=True)


def export(request: HttpRequest, number: int, kind: str) -> HttpResponse:
    """The document of a version as a file, `json` or `yaml`, which reads back as the same document."""
    if kind not in FORMATS:
        raise Http404
    version = _version(request, number)
    file = HttpResponse(write(version.document, kind), content_type=f"application/{kind}; charset=utf-8")
    file["Content-Disposition"] = f'attachment; filename="drift-policy-v{number}.{kind}"'
    return file


def _ask(request: HttpRequest, version: PolicyVersion, refusal: str = "", status: int = 200) -> HttpResponse:
    latest = latest_version()
    lines = change_lines(diff(latest.document, version.document))
    context = {"version": version, "latest": latest, "lines": lines, "refusal": refusal}
    return _panel(request, "policy/restore_panel.html", context, status)


def _history(request: HttpRequest) -> dict[str, Any]:
    versions = PolicyVersion.objects.visible_to(user_of(request)).select_related("author").defer("document")
    before = request.GET.get("before")
    if before is not None:
        versions = versions.filter(number__lt=_number(before))
    page = list(versions.order_by("-number")[: LISTED + 1])
    return {
        "versions": page[:LISTED],
        "next": page[LISTED - 1].number if len(page) > LISTED else None,
        "before": before,
        "latest_number": latest_number(),
        "can_restore": user_of(request).can_edit_policy,
    }


def _version(request: HttpRequest, number: int) -> PolicyVersion:
    found = PolicyVersion.objects.visible_to(user_of(request)).filter(number=number).first()
    if not isinstance(found, PolicyVersion):
        raise Http404
    return found


def _number(text: str) -> int:
    """A version's number as it stands in an address; anything else is no page."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= LARGEST):
        raise Http404
    return int(text)


def _panel(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """The panel alone, or without htmx the history with the panel open beside it."""
    if is_htmx(request):
        return render(request, template, context, status=status)
    whole = {**_history(request), **context, "panel_template": template}
    return render(request, "policy/versions.html", whole, status=status)
