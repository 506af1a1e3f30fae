"""The policy's API, below /api/v1/."""

from __future__ import annotations

from django.urls import path

from drift.policy.api import drafts, proposal_comments, proposals, versions

app_name = "policy-api"
urlpatterns = [
    path("policy/versions/", versions.VersionListView.as_view(), name="versions"),
    path("policy/versions/<int:number>/", versions.VersionDetailView.as_view(), name="version"),
    path("policy/versions/<int:number>/restore/", versions.VersionRestoreView.as_view(), name="version-restore"),
    path("policy/draft/", drafts.DraftView.as_view(), name="draft"),
    path("policy/draft/save/", drafts.DraftSaveView.as_view(), name="draft-save"),
    path("policy/proposals/", proposals.ProposalListView.as_view(), name="proposals"),
    path("policy/proposals/<int:pk>/", proposals.ProposalDetailView.as_view(), name="proposal"),
    path(
        "policy/proposals/<int:pk>/comments/",
        proposal_comments.ProposalCommentsView.as_view(),
        name="proposal-comments",
    ),
    path("policy/proposals/<int:pk>/accept/", proposals.ProposalAcceptView.as_view(), name="proposal-accept"),
    path("policy/proposals/<int:pk>/decline/", proposals.ProposalDeclineView.as_view(), name="proposal-decline"),
    path("policy/proposals/<int:pk>/withdraw/", proposals.ProposalWithdrawView.as_view(), name="proposal-withdraw"),
    path("policy/check/", drafts.DocumentCheckView.as_view(), name="check"),
]
