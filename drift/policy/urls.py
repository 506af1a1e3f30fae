"""The policy page."""

from __future__ import annotations

from django.urls import path

from drift.policy.views import import_document as importing
from drift.policy.views import page as views
from drift.policy.views import proposals as proposal_views
from drift.policy.views import rules as panels
from drift.policy.views import starter_pack as starter
from drift.policy.views import versions

app_name = "policy"
urlpatterns = [
    path("settings/policy/", views.page, name="page"),
    path("settings/policy/command/", views.command, name="command"),
    path("settings/policy/marks/", views.marks, name="marks"),
    path("settings/policy/order/", views.order, name="order"),
    path("settings/policy/discard/", views.discard, name="discard"),
    path("settings/policy/rebase/", views.rebase, name="rebase"),
    path("settings/policy/save/", views.save, name="save"),
    path("settings/policy/rule/", panels.rule, name="rule"),
    path("settings/policy/rule/new/", panels.new, name="rule-new"),
    path("settings/policy/rule/apply/", panels.apply, name="rule-apply"),
    path("settings/policy/rule/check/", panels.check, name="rule-check"),
    path("settings/policy/default/", panels.default, name="default"),
    path("settings/policy/detect/", panels.detect, name="detect"),
    path("settings/policy/review/", panels.review, name="review"),
    path("settings/policy/propose/", proposal_views.propose, name="propose"),
    path("settings/policy/proposals/", proposal_views.listed, name="proposals"),
    path("settings/policy/proposals/<int:pk>/", proposal_views.proposal, name="proposal"),
    path("settings/policy/proposals/<int:pk>/take/", proposal_views.take, name="proposal-take"),
    path("settings/policy/proposals/<int:pk>/decline/", proposal_views.decline, name="proposal-decline"),
    path("settings/policy/proposals/<int:pk>/withdraw/", proposal_views.withdraw, name="proposal-withdraw"),
    path("settings/policy/starter-pack/", starter.starter, name="starter"),
    path("settings/policy/import/", importing.import_document, name="import"),
    path("settings/policy/versions/", versions.history, name="versions"),
    path("settings/policy/versions/compare/", versions.compare, name="compare"),
    path("settings/policy/versions/<int:number>/restore/", versions.restore, name="restore"),
    path("settings/policy/versions/<int:number>/export.<str:kind>", versions.export, name="export"),
]
