"""A version as sensors get it: a signed file to take home."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse

from drift.fleet.actions.bundles import bundle_file
from drift.policy.models import PolicyVersion

LARGEST = 2_147_483_647
"""The column's greatest number; PostgreSQL refuses to compare with more."""


def bundle(request: HttpRequest, number: int) -> HttpResponse:
    """The signed bundle of a version."""
    if number > LARGEST:
        raise Http404
    try:
        file = HttpResponse(bundle_file(number), content_type="application/json")
    except PolicyVersion.DoesNotExist:
        raise Http404 from None
    file["Content-Disposition"] = f'attachment; filename="drift-policy-v{number}.bundle.json"'
    return file
