"""The policy's API, below /api/v1/."""

from __future__ import annotations

from django.urls import path

from drift.policy.api import proposals as proposal_api
from drift.policy.api import versions as api

app_name = "policy-api"
urlpatterns = [
    path("policy/versions/", api.VersionList.as_view(), name="versions"),
    path("policy/versions/<int:number>/", api.VersionDetail.as_view(), name="version"),
    path("policy/versions/<int:number>/restore/", api.VersionRestore.as_view(), name="version-restore"),
    path("policy/draft/", api.Draft.as_view(), name="draft"),
    path("policy/draft/save/", api.DraftSave.as_view(), name="draft-save"),
    path("policy/proposals/", proposal_api.ProposalList.as_view(), name="proposals"),
    path("policy/proposals/<int:pk>/", proposal_api.ProposalDetail.as_view(), name="proposal"),
    path("policy/proposals/<int:pk>/accept/", proposal_api.ProposalAccept.as_view(), name="proposal-accept"),
    path("policy/proposals/<int:pk>/decline/", proposal_api.ProposalDecline.as_view(), name="proposal-decline"),
    path("policy/proposals/<int:pk>/withdraw/", proposal_api.ProposalWithdraw.as_view(), name="proposal-withdraw"),
    path("policy/check/", api.Check.as_view(), name="check"),
]
