"""The history of the policy: list versions, compare two, restore one, export one as a file."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from drift.policy.actions.proposals import propose_restore
from drift.policy.actions.versions import restore_version
from drift.policy.domain.conflicts import NewerVersion
from drift.policy.domain.default_blocking import begins_to_block
from drift.policy.domain.detection import detects_nothing
from drift.policy.domain.document_files import FORMATS, write
from drift.policy.errors import PolicyConflict
from drift.policy.forms.draft import comment, confirmation
from drift.policy.models import PolicyVersion
from drift.policy.queries.approval import approval_rule
from drift.policy.queries.lacking_sensors import lacking_sensors
from drift.policy.queries.versions import (
    MAX_NUMBER,
    latest_number,
    latest_version,
    visible_version,
    visible_versions,
)
from drift.policy.views.change_lines import change_lines, shown_rules
from drift.policy.views.responses import replace_list
from drift.web.cursors import rows_before
from drift.web.requests import bounded_int, is_fragment, signed_in_user

PAGE_SIZE: Final = 50


def history(request: HttpRequest) -> HttpResponse:
    """Show versions, newest first; `?before=` shows those below a number."""
    return render(request, "policy/versions/page.html", _history_context(request))


def compare(request: HttpRequest) -> HttpResponse:
    """Show the diff from version `?from=` to version `?to=`; without `from`, from the one before it."""
    to = _version(request, _number(request.GET.get("to", "")))
    start = _version(request, _number(request.GET["from"]) if "from" in request.GET else to.base_id or to.number)
    lines = change_lines(start.document, to.document, shown_rules(request))
    context = {"start": start, "to": to, "lines": lines, "of": f"versions:{start.number}:{to.number}"}
    return _panel(request, "policy/versions/compare_panel.html", context)


def restore(request: HttpRequest, number: int) -> HttpResponse:
    """GET shows what would change; POST makes the old document the next version, or proposes that (`do=propose`)."""
    version = _version(request, number)
    if request.method != "POST":
        return _restore_panel(request, version)
    user, base = signed_in_user(request), _number(request.POST.get("base", ""))
    try:
        if request.POST.get("do") == "propose":
            propose_restore(user, number, base, comment(request))
            messages.success(request, "Proposed. Another Security Admin accepts or declines it on the policy page.")
        elif (saved := restore_version(user, number, base, comment(request), confirmation(request))).is_new:
            messages.success(request, f"Saved as {saved.version}, with the rules of {version}")
        else:
            messages.info(request, f"Nothing to restore: {saved.version} is the same as {version}")
    except NewerVersion as error:
        return _restore_panel(request, version, f"v{error.latest} has been saved since. Nothing was restored.", 409)
    except PolicyConflict as error:
        return _restore_panel(request, version, str(error.detail), error.status_code)
    if not is_fragment(request):
        return redirect("policy:versions")
    part = render(request, "policy/versions/page.html#versions", _history_context(request) | {"is_part": True})
    return replace_list(part, closes_panel=True)


def export(request: HttpRequest, number: int, kind: str) -> HttpResponse:
    """Download a version's document, `json` or `yaml`. Importing the file gives the same document."""
    if kind not in FORMATS:
        raise Http404
    version = _version(request, number)
    file = HttpResponse(write(version.document, kind), content_type=f"application/{kind}; charset=utf-8")
    file["Content-Disposition"] = f'attachment; filename="drift-policy-v{number}.{kind}"'
    return file


def _restore_panel(request: HttpRequest, version: PolicyVersion, refusal: str = "", status: int = 200) -> HttpResponse:
    latest = latest_version()
    lines = change_lines(latest.document, version.document, shown_rules(request))
    of = f"versions:{latest.number}:{version.number}"
    context = {"version": version, "latest": latest, "lines": lines, "of": of, "refusal": refusal}
    context["detects_nothing"] = detects_nothing(version.document)
    context["begins_to_block"] = begins_to_block(latest.document, version.document)
    context["lacking"] = lacking_sensors(latest.document, version.document)
    context["needs_approver"] = approval_rule().applies(latest.document, version.document)
    return _panel(request, "policy/versions/restore_panel.html", context, status)


def _history_context(request: HttpRequest) -> dict[str, Any]:
    user = signed_in_user(request)
    before = _number(request.GET["before"]) if "before" in request.GET else None
    versions, following = rows_before(visible_versions(user), "number", before, PAGE_SIZE)
    return {
        "versions": versions,
        "next": following,
        "before": before,
        "latest_number": latest_number(),
        "can_restore": user.can_edit_policy,
    }


def _version(request: HttpRequest, number: int) -> PolicyVersion:
    found = visible_version(signed_in_user(request), number)
    if found is None:
        raise Http404
    return found


def _number(string: str) -> int:
    """Return the version number in a URL or form; raises Http404 for anything else."""
    number = bounded_int(string, maximum=MAX_NUMBER)
    if number is None:
        raise Http404
    return number


def _panel(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """Render the panel alone, or without htmx the history with the panel open beside it."""
    if is_fragment(request):
        return render(request, template, context, status=status)
    whole = {**_history_context(request), **context, "panel_template": template}
    return render(request, "policy/versions/page.html", whole, status=status)
