"""Import a document, uploaded or pasted, into the user's draft, or list every error that it has."""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from drift.policy.actions.drafts import change_draft
from drift.policy.domain import edits
from drift.policy.errors import DefaultMayNotBlock, DocumentInvalid, PolicyConflict
from drift.policy.forms.upload import uploaded_document
from drift.policy.queries.import_slot import import_slot
from drift.policy.views.lint_lines import import_warnings
from drift.policy.views.responses import list_response, panel_response, posted_draft, shown_state
from drift.web.requests import signed_in_user
from sensor.policy import DocumentError
from sensor.policy.document_errors import UnreadableError

MAX_ERRORS_SHOWN: Final = 500


def import_document(request: HttpRequest) -> HttpResponse:
    """GET the panel; POST replaces the draft's document by `file` or `text`, JSON or YAML.

    409, 422 and 429 keep the panel open, with what was pasted.
    """
    if request.method != "POST":
        return _panel(request)
    try:
        with import_slot(signed_in_user(request)) as is_free:
            if not is_free:
                return _panel(request, refusal="Your previous import is still running. Try again.", status=429)
            document = uploaded_document(request)
        state = change_draft(posted_draft(request), edits.replace_document(document), "Policy imported")
    except UnreadableError as error:
        return _panel(request, refusal=f"The document cannot be read: {error}.", status=422)
    except DocumentInvalid as error:
        return _panel(request, errors=error.errors, status=422)
    except PolicyConflict as error:
        elsewhere = "Your draft was changed elsewhere. Import again to replace its current rules."
        refusal = str(error.detail) if isinstance(error, DefaultMayNotBlock) else elsewhere
        return _panel(request, refusal=refusal, status=409)
    for warning in import_warnings(state.document):
        messages.warning(request, warning)
    message = f"Imported: {len(state.document['rules'])} rules, {len(state.changes)} changes since {state.base}"
    return list_response(request, state, message, closes_panel=True, can_undo=True, shows_review=True)


def _panel(
    request: HttpRequest, *, refusal: str = "", errors: list[DocumentError] | None = None, status: int = 200
) -> HttpResponse:
    found = errors or []
    context = {
        "refusal": refusal,
        "errors": found[:MAX_ERRORS_SHOWN],
        "error_count": len(found),
        "text": request.POST.get("text", ""),
    }
    return panel_response(request, shown_state(request), "policy/import_document/panel.html", context, status)
