"""The policy's API, below /api/v1/."""

from __future__ import annotations

from django.urls import path

from drift.policy import api

app_name = "policy-api"
urlpatterns = [
    path("policy/versions/", api.VersionList.as_view(), name="versions"),
    path("policy/versions/<int:number>/", api.VersionDetail.as_view(), name="version"),
    path("policy/versions/<int:number>/restore/", api.VersionRestore.as_view(), name="version-restore"),
    path("policy/draft/", api.Draft.as_view(), name="draft"),
    path("policy/check/", api.Check.as_view(), name="check"),
]
