"""A document from a file, or pasted, into the user's draft; or every fault that it has."""

from __future__ import annotations

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse

from drift.policy.actions import drafts as actions
from drift.policy.domain import edits
from drift.policy.domain.document_files import format_of, parse
from drift.policy.errors import Conflict, DocumentInvalid
from drift.policy.views.responses import changed, in_place_of_list, panel, point_of, seen_by, user_of
from sensor.policy import Fault
from sensor.policy.cli import UnreadableError

LARGEST_FILE = 16 * 1024 * 1024
"""Bytes; 1,000 full rules take a tenth of it."""
FAULTS_SHOWN = 500


def import_document(request: HttpRequest) -> HttpResponse:
    """GET the panel; POST a `file` or `text`, JSON or YAML, into the draft in place of all its rules.

    409 and 422 keep the panel open, with what was pasted.
    """
    if request.method != "POST":
        return _panel(request)
    try:
        edit = edits.replace(parse(*_given(request)))
        state = actions.change_draft(user_of(request), point_of(request), edit)
    except UnreadableError as error:
        return _panel(request, refusal=f"This cannot be read: {error}.", status=422)
    except DocumentInvalid as error:
        return _panel(request, faults=error.faults, status=422)
    except Conflict:
        said = "Your draft was changed elsewhere meanwhile. Import again to replace what is there now."
        return _panel(request, refusal=said, status=409)
    said = f"Imported: {len(state.document['rules'])} rules, {len(state.changes)} changes since {state.base}"
    return in_place_of_list(changed(request, state, said), closes_panel=True)


def _given(request: HttpRequest) -> tuple[bytes, str | None]:
    """The bytes, and the format that the file's name promises. Raises UnreadableError where there is nothing."""
    file = request.FILES.get("file")
    if isinstance(file, UploadedFile):
        if (file.size or 0) > LARGEST_FILE:
            raise UnreadableError("the file is larger than any policy")
        return file.read(), format_of(file.name or "")
    text = request.POST.get("text", "")
    if not text.strip():
        raise UnreadableError("choose a file, or paste a document")
    return text.encode("utf-8", "surrogatepass"), None


def _panel(
    request: HttpRequest, *, refusal: str = "", faults: list[Fault] | None = None, status: int = 200
) -> HttpResponse:
    found = faults or []
    context = {
        "refusal": refusal,
        "faults": found[:FAULTS_SHOWN],
        "fault_count": len(found),
        "text": request.POST.get("text", ""),
    }
    return panel(request, seen_by(user_of(request)), "policy/import_panel.html", context, status)
