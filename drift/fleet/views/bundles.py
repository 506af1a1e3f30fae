"""A signed version as a file."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse

from drift.fleet.actions.bundles import bundle_file
from drift.policy.models import PolicyVersion


def bundle(request: HttpRequest, number: int) -> HttpResponse:
    """The signed bundle of a version, for download."""
    try:
        file = HttpResponse(bundle_file(number), content_type="application/json")
    except PolicyVersion.DoesNotExist:
        raise Http404 from None
    file["Content-Disposition"] = f'attachment; filename="drift-policy-v{number}.bundle.json"'
    return file
